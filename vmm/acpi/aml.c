// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/aml_internal.h"

#include <endian.h>
#include <string.h>

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	PREFIX_BYTE = 0x0a,
	PREFIX_DWORD = 0x0c,
	PREFIX_STRING = 0x0d,
	PREFIX_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	PREFIX_DUAL = 0x2e,
	PREFIX_MULTI = 0x2f,
	PREFIX_EXT = 0x5b,
	OP_LOCAL0 = 0x60,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	EXT_REGION = 0x80,
	EXT_FIELD = 0x81,
	EXT_DEVICE = 0x82,
	OP_NOTIFY = 0x86,
	OP_IF = 0xa0,
};

void aml_init(struct aml *a, struct buf *b)
{
	*a = (struct aml){ .b = b };
}

bool aml_done(const struct aml *a)
{
	return !a->failed && !a->b->failed && !a->depth;
}

static void put(struct aml *a, const void *p, size_t len)
{
	if (buf_append(a->b, p, len) < 0)
		a->failed = true;
}

void aml_put8(struct aml *a, unsigned v)
{
	put(a, &(uint8_t){ (uint8_t)v }, 1);
}

void aml_put16(struct aml *a, unsigned v)
{
	put(a, &(uint16_t){ htole16((uint16_t)v) }, 2);
}

void aml_put32(struct aml *a, uint32_t v)
{
	put(a, &(uint32_t){ htole32(v) }, 4);
}

void aml_put64(struct aml *a, uint64_t v)
{
	put(a, &(uint64_t){ htole64(v) }, 8);
}

/* ---- bodies ---- */

void aml_open(struct aml *a)
{
	bug_on(a->depth == AML_MAX_DEPTH);
	a->open[a->depth++] = a->b->len;
}

/* PkgLength (20.2.4): counts itself. Returns how many bytes it takes. */
static size_t pkg_length(uint8_t out[4], size_t body)
{
	size_t n = 1;

	while (n < 4 && body + n >= (n == 1 ? 1u << 6 : 1u << (4 + 8 * (n - 1))))
		n++;
	bug_on(body + n >= 1u << 28);
	body += n;
	if (n == 1) {
		out[0] = (uint8_t)body;
		return 1;
	}
	out[0] = (uint8_t)((n - 1) << 6 | (body & 15));
	for (size_t i = 1; i < n; i++)
		out[i] = (uint8_t)(body >> (4 + 8 * (i - 1)));
	return n;
}

void aml_insert(struct aml *a, size_t at, const uint8_t *p, size_t n)
{
	size_t tail = a->b->len - at;

	put(a, p, n); /* makes the room */
	if (a->failed)
		return;
	memmove(a->b->data + at + n, a->b->data + at, tail);
	memcpy(a->b->data + at, p, n);
}

void aml_end(struct aml *a)
{
	uint8_t head[4];
	size_t at, n;

	bug_on(!a->depth);
	at = a->open[--a->depth];
	if (a->failed)
		return;
	n = pkg_length(head, a->b->len - at);
	aml_insert(a, at, head, n);
}

/* ---- names ---- */

static void put_seg(struct aml *a, const char *s, size_t n)
{
	char seg[4] = { '_', '_', '_', '_' };

	bug_on(!n || n > 4);
	memcpy(seg, s, n);
	put(a, seg, 4);
}

void aml_path(struct aml *a, const char *path)
{
	size_t segs = 1;

	while (*path == '\\' || *path == '^')
		aml_put8(a, (uint8_t)*path++);
	for (const char *p = path; *p; p++)
		segs += *p == '.';
	if (segs == 2) {
		aml_put8(a, PREFIX_DUAL);
	} else if (segs > 2) {
		aml_put8(a, PREFIX_MULTI);
		aml_put8(a, (unsigned)segs);
	}
	for (;;) {
		size_t n = strcspn(path, ".");

		put_seg(a, path, n);
		if (!path[n])
			break;
		path += n + 1;
	}
}

void aml_scope(struct aml *a, const char *path)
{
	aml_put8(a, OP_SCOPE);
	aml_open(a);
	aml_path(a, path);
}

void aml_device(struct aml *a, const char *path)
{
	aml_put8(a, PREFIX_EXT);
	aml_put8(a, EXT_DEVICE);
	aml_open(a);
	aml_path(a, path);
}

void aml_method(struct aml *a, const char *path, unsigned nargs, bool serialized)
{
	aml_put8(a, OP_METHOD);
	aml_open(a);
	aml_path(a, path);
	aml_put8(a, nargs | (serialized ? 8 : 0));
}

void aml_package(struct aml *a, uint8_t n)
{
	aml_put8(a, OP_PACKAGE);
	aml_open(a);
	aml_put8(a, n);
}

void aml_name(struct aml *a, const char *path)
{
	aml_put8(a, OP_NAME);
	aml_path(a, path);
}

/* ---- values ---- */

void aml_int(struct aml *a, uint64_t v)
{
	if (v <= 1) {
		aml_put8(a, v ? OP_ONE : OP_ZERO);
	} else if (v <= UINT8_MAX) {
		aml_put8(a, PREFIX_BYTE);
		aml_put8(a, (unsigned)v);
	} else if (v <= UINT16_MAX) {
		aml_put8(a, AML_PREFIX_WORD);
		aml_put16(a, (unsigned)v);
	} else if (v <= UINT32_MAX) {
		aml_put8(a, PREFIX_DWORD);
		aml_put32(a, (uint32_t)v);
	} else {
		aml_put8(a, PREFIX_QWORD);
		aml_put64(a, v);
	}
}

void aml_str(struct aml *a, const char *s)
{
	aml_put8(a, PREFIX_STRING);
	put(a, s, strlen(s) + 1);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t v = 0;

	bug_on(strlen(id) != 7);
	for (int i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)(id[i] - 'A' + 1);
	for (int i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	aml_put8(a, PREFIX_DWORD);
	aml_put32(a, __builtin_bswap32(v));
}

void aml_local(struct aml *a, unsigned n)
{
	bug_on(n > 7);
	aml_put8(a, OP_LOCAL0 + n);
}

void aml_name_int(struct aml *a, const char *path, uint64_t v)
{
	aml_name(a, path);
	aml_int(a, v);
}

void aml_name_str(struct aml *a, const char *path, const char *s)
{
	aml_name(a, path);
	aml_str(a, s);
}

void aml_name_eisa_id(struct aml *a, const char *path, const char *id)
{
	aml_name(a, path);
	aml_eisa_id(a, id);
}

void aml_op_region(struct aml *a, const char *path, enum aml_space space, uint64_t at, uint64_t len)
{
	aml_put8(a, PREFIX_EXT);
	aml_put8(a, EXT_REGION);
	aml_path(a, path);
	aml_put8(a, space);
	aml_int(a, at);
	aml_int(a, len);
}

void aml_field(struct aml *a, const char *region, const char *field, unsigned bits)
{
	unsigned access = bits == 8 ? 1 : bits == 16 ? 2 : 3;

	bug_on(bits != 8 && bits != 16 && bits != 32);
	aml_put8(a, PREFIX_EXT);
	aml_put8(a, EXT_FIELD);
	aml_open(a);
	aml_path(a, region);
	aml_put8(a, access | 2u << 5); /* no lock; other bits are written as zeros */
	put_seg(a, field, strlen(field));
	aml_put8(a, bits); /* a PkgLength of one byte */
	aml_end(a);
}

/* ---- methods ---- */

void aml_store_path(struct aml *a, const char *from, unsigned local)
{
	aml_put8(a, OP_STORE);
	aml_path(a, from);
	aml_local(a, local);
}

void aml_if_local_and(struct aml *a, unsigned local, uint64_t mask)
{
	aml_put8(a, OP_IF);
	aml_open(a);
	aml_put8(a, OP_AND);
	aml_local(a, local);
	aml_int(a, mask);
	aml_put8(a, OP_ZERO); /* no target */
}

void aml_notify(struct aml *a, const char *path, uint8_t value)
{
	aml_put8(a, OP_NOTIFY);
	aml_path(a, path);
	aml_int(a, value);
}
