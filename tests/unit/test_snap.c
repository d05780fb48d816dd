// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/snapshot/crc32c.h"
#include "vmm/snapshot/snap.h"

static void fields(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct snap_w w = { .b = &b };
	struct snap_r r;
	const void *p;
	size_t len;
	uint8_t v8 = 0;
	uint16_t v16 = 0;
	uint32_t v32 = 0;
	uint64_t v64 = 77;

	(void)state;
	snap_w_u8(&w, 1, 0x12);
	snap_w_u16(&w, 2, 0x1234);
	snap_w_u32(&w, 5, 0x12345678);
	snap_w_u64(&w, 6, 0x123456789abcdef0);
	snap_w_bytes(&w, 7, "hello", 5);
	snap_w_bytes(&w, 0xffff, NULL, 0);
	assert_false(w.failed);
	assert_int_equal(b.len, 5 * 16 + 8);
	assert_int_equal(b.data[0], 1); /* little-endian, whatever the host */
	assert_int_equal(b.data[16 + 8], 0x34);
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(snap_r_bytes(&r, 7, &p, &len, 5), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(p, "hello", 5);
	assert_int_equal(snap_r_u64(&r, 6, &v64), 0);
	assert_int_equal(snap_r_u32(&r, 5, &v32), 0);
	assert_int_equal(snap_r_u16(&r, 2, &v16), 0);
	assert_int_equal(snap_r_u8(&r, 1, &v8), 0);
	assert_true(v8 == 0x12 && v16 == 0x1234 && v32 == 0x12345678 && v64 == 0x123456789abcdef0);
	assert_int_equal(snap_r_bytes(&r, 0xffff, &p, &len, 0), 0);
	assert_int_equal(len, 0);
	/* Absence is no error; a wrong size is, and stays. */
	v32 = 5;
	assert_int_equal(snap_r_u32(&r, 3, &v32), -ENOENT);
	assert_int_equal(v32, 5);
	assert_int_equal(r.rc, 0);
	assert_int_equal(snap_r_u32(&r, 6, &v32), -EBADMSG);
	assert_int_equal(r.rc, -EBADMSG);
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(snap_r_u32(&r, 2, &v32), -EBADMSG);
	assert_int_equal(r.rc, -EBADMSG);
	assert_int_equal(v32, 5);
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(snap_r_bytes(&r, 7, &p, &len, 4), -EBADMSG);
	assert_int_equal(r.rc, -EBADMSG);
	buf_free(&b);
}

static void writer_full(void **state)
{
	struct buf b = BUF_INIT(40);
	struct snap_w w = { .b = &b };
	size_t len;

	(void)state;
	snap_w_u64(&w, 1, 1);
	assert_false(w.failed);
	snap_w_bytes(&w, 2, "more than there is room for", 20);
	assert_true(w.failed);
	len = b.len;
	snap_w_u8(&w, 3, 3); /* would fit, but the section is lost */
	assert_int_equal(b.len, len);
	buf_free(&b);
}

struct section_case {
	const char *why;
	int want;
	size_t len;
	uint8_t b[32];
};

/* tag, reserved, length, data, padding */
static const struct section_case sections[] = {
	{ "empty", 0, 0, { 0 } },
	{ "one field", 0, 16, { 1, 0, 0, 0, 8, 0, 0, 0 } },
	{ "a field of no bytes", 0, 8, { 1 } },
	{ "ascending tags", 0, 16, { 1, 0, 0, 0, 0, 0, 0, 0, 2 } },
	{ "tag 0 is a tag", 0, 8, { 0 } },
	{ "same tag twice", -EBADMSG, 16, { 1, 0, 0, 0, 0, 0, 0, 0, 1 } },
	{ "descending tags", -EBADMSG, 16, { 2, 0, 0, 0, 0, 0, 0, 0, 1 } },
	{ "header is cut", -EBADMSG, 7, { 1 } },
	{ "data is cut", -EBADMSG, 15, { 1, 0, 0, 0, 8, 0, 0, 0 } },
	{ "length past the end", -EBADMSG, 16, { 1, 0, 0, 0, 9, 0, 0, 0 } },
	{ "padding", 0, 16, { 1, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5 } },
	{ "padding is not zero", -EBADMSG, 16, { 1, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5, 6 } },
	{ "last byte of padding is not zero", -EBADMSG, 16,
	  { 1, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 1 } },
	{ "padding is cut", -EBADMSG, 14, { 1, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5 } },
	{ "length near 2^32", -EBADMSG, 16, { 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff } },
	{ "reserved is not zero", -EBADMSG, 16, { 1, 0, 1, 0, 8, 0, 0, 0 } },
};

static void malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct section_case *t = &sections[i];
		struct err e = ERR_INIT;
		uint8_t *copy = malloc(t->len ? t->len : 1); /* guarded by the sanitizer */
		struct snap_r r;
		uint8_t v;

		assert_non_null(copy);
		memcpy(copy, t->b, t->len);
		if (snap_r_init(&r, copy, t->len, &e) != t->want)
			fail_msg("%s: %s", t->why, e.msg);
		/* A reader that was refused has nothing to say. */
		if (t->want < 0 && (snap_r_u8(&r, 1, &v) != -ENOENT || r.rc != -EBADMSG))
			fail_msg("%s: still readable", t->why);
		free(copy);
	}
}

static void crc(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283); /* the check value of CRC-32/ISCSI */
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
	assert_int_equal(crc32c(0, NULL, 0), 0);
}

/* --- files ---------------------------------------------------------------------------------------- */
static void make_file(struct buf *b)
{
	struct buf one = BUF_INIT(64), none = BUF_INIT(64);

	assert_int_equal(buf_append(&one, "13 bytes here", 13), 0);
	assert_int_equal(snap_file_begin(b), 0);
	assert_int_equal(snap_file_section(b, "first", 3, true, &one), 0);
	assert_int_equal(snap_file_section(b, "second", 1, false, &none), 0);
	assert_int_equal(snap_file_section(b, "3rd-name-that-is-31-chars-long.", 1, false, &one), 0);
	buf_free(&one);
	buf_free(&none);
}

struct seen {
	unsigned n;
	char names[256];
	int fail_at;
};

static int see(void *arg, const struct snap_section *s, struct err *e)
{
	struct seen *x = arg;
	size_t n = strlen(x->names);

	if (x->fail_at == (int)++x->n)
		return err_set(e, EPERM, "enough");
	snprintf(x->names + n, sizeof(x->names) - n, "%s:%u:%d:%zu ", s->name, s->version, s->required,
		 s->len);
	return 0;
}

static void file(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct seen x = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	make_file(&b);
	assert_int_equal(snap_file_read(b.data, b.len, see, &x, &e), 0);
	assert_string_equal(x.names,
			    "first:3:1:13 second:1:0:0 3rd-name-that-is-31-chars-long.:1:0:13 ");
	x = (struct seen){ .fail_at = 2 };
	assert_int_equal(snap_file_read(b.data, b.len, see, &x, &e), -EPERM);
	assert_int_equal(x.n, 2);
	buf_free(&b);
}

/* Any single bit that is wrong, and any length: refused before a section is shown. */
static void damaged(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct seen x = { 0 };

	(void)state;
	make_file(&b);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		if (snap_file_read(b.data, b.len, see, &x, NULL) == 0)
			fail_msg("bit %zu", bit);
		b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		assert_non_null(cut);
		memcpy(cut, b.data, n);
		if (snap_file_read(cut, n, see, &x, NULL) != -EBADMSG)
			fail_msg("cut to %zu", n);
		free(cut);
	}
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_int_equal(snap_file_read(b.data, b.len, see, &x, NULL), -EBADMSG);
	assert_int_equal(x.n, 0);
	buf_free(&b);
}

/* Files with correct checksums that lie: each a change of one place of a good file. */
#define FILE_CRC     12
#define FIRST        32u /* offset of the first section's header */
#define SECOND       (FIRST + 48 + 16)
#define THIRD        (SECOND + 48)
#define CRC_OF(at)   ((at) + 36)
#define LEN_OF(at)   ((at) + 40)

struct lie {
	const char *why;
	int want;
	size_t at;
	uint64_t value;
	unsigned size;
	size_t section; /* whose checksum is mended; 0: the file's */
};

static const struct lie lies[] = {
	{ "nothing", 0, 8, 1, 4, 0 },
	{ "newer file version", -ENOTSUP, 8, 2, 4, 0 },
	{ "file version 0", -ENOTSUP, 8, 0, 4, 0 },
	{ "a section more", -EBADMSG, 24, 4, 4, 0 },
	{ "a section less", -EBADMSG, 24, 2, 4, 0 },
	{ "far too many sections", -EBADMSG, 24, 0xffffffff, 4, 0 },
	{ "reserved", -EBADMSG, 28, 1, 4, 0 },
	{ "length of file", -EBADMSG, 16, 1, 8, 0 },
	{ "unknown section flag", -EBADMSG, FIRST + 34, 3, 2, FIRST },
	{ "section version may be any", 0, FIRST + 32, 0xffff, 2, FIRST },
	{ "name is empty", -EBADMSG, FIRST, 0, 8, FIRST },
	{ "name with a blank", -EBADMSG, FIRST, ' ', 1, FIRST },
	{ "name with a control character", -EBADMSG, FIRST, 0x7f, 1, FIRST },
	{ "name with a high character", -EBADMSG, FIRST, 0x80, 1, FIRST },
	{ "bytes behind the name", -EBADMSG, FIRST + 31, 'x', 1, FIRST },
	{ "name without an end", -EBADMSG, THIRD + 31, 'x', 1, THIRD },
	{ "another magic", -EBADMSG, 0, 'h', 1, 0 },
	{ "length 1 past the file", -EBADMSG, LEN_OF(SECOND), 48 + 16 + 1, 8, 0 },
	{ "length 2^64-1", -EBADMSG, LEN_OF(SECOND), UINT64_MAX, 8, 0 },
	{ "length within the padding", -EBADMSG, LEN_OF(FIRST), 12, 8, FIRST },
	{ "padding in use", -EBADMSG, FIRST + 48 + 13, 1, 1, 0 },
	{ "last byte of padding in use", -EBADMSG, FIRST + 48 + 15, 1, 1, 0 },
	{ "checksum of a section", -EBADMSG, CRC_OF(FIRST), 1, 4, 0 },
	{ "name of the first section", -EBADMSG, SECOND, 0, 0, SECOND }, /* see below */
};

static void mend(uint8_t *file, size_t at)
{
	uint64_t len;
	uint32_t c;

	if (at) {
		memset(file + CRC_OF(at), 0, 4);
		memcpy(&len, file + LEN_OF(at), 8);
		c = crc32c(0, file + at, 48 + (size_t)len);
		memcpy(file + CRC_OF(at), &c, 4);
	}
	memset(file + FILE_CRC, 0, 4);
	c = crc32c(0, file, 32);
	memcpy(file + FILE_CRC, &c, 4);
}

/* From memory that ends where the file does. */
static int read_copy(const uint8_t *file, size_t len, struct seen *x, struct err *e)
{
	uint8_t *copy = malloc(len);
	int rc;

	assert_non_null(copy);
	memcpy(copy, file, len);
	rc = snap_file_read(copy, len, see, x, e);
	free(copy);
	return rc;
}

/* The header admits that the last section's padding is missing. */
static void cut_padding(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct seen x = { 0 };
	uint64_t len;

	(void)state;
	make_file(&b);
	for (len = b.len - 1; len >= b.len - 3; len--) {
		memcpy(b.data + 16, &len, 8);
		mend(b.data, 0);
		assert_int_equal(read_copy(b.data, (size_t)len, &x, NULL), -EBADMSG);
	}
	buf_free(&b);
}

static void too_many(void **state)
{
	struct buf b = BUF_INIT(MIB(1)), none = BUF_INIT(64);
	uint32_t n = SNAP_MAX_SECTIONS + 1;
	struct seen x = { 0 };
	uint64_t len;
	char name[32];

	(void)state;
	assert_int_equal(snap_file_begin(&b), 0);
	for (unsigned i = 0; i < SNAP_MAX_SECTIONS; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(snap_file_section(&b, name, 1, false, &none), 0);
	}
	assert_int_equal(read_copy(b.data, b.len, &x, NULL), 0);
	assert_int_equal(x.n, SNAP_MAX_SECTIONS);
	/* One more, which snap_file_section() would not write. */
	assert_int_equal(buf_append(&b, b.data + FIRST, 48), 0);
	b.data[b.len - 48] = 'x';
	len = b.len;
	memcpy(b.data + 16, &len, 8);
	memcpy(b.data + 24, &n, 4);
	mend(b.data, b.len - 48);
	x.n = 0;
	assert_int_equal(read_copy(b.data, b.len, &x, NULL), -EBADMSG);
	assert_int_equal(x.n, 0);
	buf_free(&b);
}

static void lying(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		const struct lie *t = &lies[i];
		struct buf b = BUF_INIT(4096);
		struct err e = ERR_INIT;
		struct seen x = { 0 };

		make_file(&b);
		if (t->size)
			memcpy(b.data + t->at, &t->value, t->size);
		else
			memcpy(b.data + t->at, b.data + FIRST, 32); /* the same name again */
		mend(b.data, t->section);
		if (read_copy(b.data, b.len, &x, &e) != t->want)
			fail_msg("%s: %s", t->why, e.msg);
		if (t->want < 0 && x.n)
			fail_msg("%s: sections were shown", t->why);
		buf_free(&b);
	}
}

static void full(void **state)
{
	struct buf b = BUF_INIT(32 + 48 + 8), body = BUF_INIT(64);
	struct seen x = { 0 };

	(void)state;
	assert_int_equal(buf_append(&body, "123456789", 9), 0);
	assert_int_equal(snap_file_begin(&b), 0);
	assert_int_equal(snap_file_section(&b, "a", 1, true, &body), -ENOSPC);
	/* What was there before is still a file. */
	assert_int_equal(snap_file_read(b.data, b.len, see, &x, NULL), 0);
	assert_int_equal(x.n, 0);
	buf_free(&b);
	buf_free(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),  cmocka_unit_test(writer_full), cmocka_unit_test(malformed),
		cmocka_unit_test(crc),	   cmocka_unit_test(file),	  cmocka_unit_test(damaged),
		cmocka_unit_test(lying),   cmocka_unit_test(full),	  cmocka_unit_test(cut_padding),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
