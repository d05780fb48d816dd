// SPDX-License-Identifier: Apache-2.0
/*
 * The state file. Each CRC covers its header (with the CRC itself as zero) and what belongs to it; the
 * file's header has length and number of sections, so a file that was cut between two is noticed.
 */
#include <string.h>

#include "vmm/snapshot/crc32c.h"
#include "vmm/snapshot/snap.h"

#define FILE_VERSION 1u
#define ALIGN        8u

static const char magic[8] = { 'H', 'U', 'S', 'K', 'S', 'N', 'A', 'P' };

struct file_header {
	char magic[8];
	uint32_t version;
	uint32_t crc; /* of this header */
	uint64_t len; /* of the file */
	uint32_t sections;
	uint32_t reserved;
};
_Static_assert(sizeof(struct file_header) == 32, "file header");

enum { SECTION_REQUIRED = 1u << 0 };

struct section_header {
	char name[32];
	uint16_t version;
	uint16_t flags;
	uint32_t crc; /* of this header and the body */
	uint64_t len; /* of the body, without the padding behind it */
};
_Static_assert(sizeof(struct section_header) == 48, "section header");

static uint32_t file_crc(const struct file_header *h)
{
	struct file_header c = *h;

	c.crc = 0;
	return crc32c(0, &c, sizeof(c));
}

static uint32_t section_crc(const struct section_header *h, const void *body)
{
	struct section_header c = *h;

	c.crc = 0;
	return crc32c(crc32c(0, &c, sizeof(c)), body, (size_t)h->len);
}

/* 1 … 31 printable characters, then zeros. */
static bool name_ok(const char name[32])
{
	size_t n = strnlen(name, 32);

	if (n == 0 || n == 32)
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	for (size_t i = n; i < 32; i++)
		if (name[i])
			return false;
	return true;
}

static void put_header(struct buf *b, uint32_t sections)
{
	struct file_header h = { .version = FILE_VERSION, .len = b->len, .sections = sections };

	memcpy(h.magic, magic, sizeof(magic));
	h.crc = file_crc(&h);
	memcpy(b->data, &h, sizeof(h));
}

int snap_file_begin(struct buf *b)
{
	static const struct file_header zero;
	int rc;

	bug_on(b->len);
	rc = buf_append(b, &zero, sizeof(zero));
	if (rc == 0)
		put_header(b, 0);
	return rc;
}

int snap_file_section(struct buf *b, const char *name, uint16_t version, bool required,
		      const struct buf *body)
{
	static const uint8_t zeros[ALIGN];
	size_t start = b->len, pad = (size_t)(align_up64(body->len, ALIGN) - body->len);
	struct section_header h = { .version = version, .flags = required ? SECTION_REQUIRED : 0,
				    .len = body->len };
	struct file_header f;

	bug_on(start < sizeof(f) || strlen(name) >= sizeof(h.name));
	memcpy(h.name, name, strlen(name));
	bug_on(!name_ok(h.name));
	memcpy(&f, b->data, sizeof(f));
	bug_on(f.sections >= SNAP_MAX_SECTIONS);
	h.crc = section_crc(&h, body->data);
	if (buf_append(b, &h, sizeof(h)) < 0 ||
	    (body->len && buf_append(b, body->data, body->len) < 0) ||
	    buf_append(b, zeros, pad) < 0) {
		b->len = start;
		return -ENOSPC;
	}
	put_header(b, f.sections + 1);
	return 0;
}

/* The section at @off; *ret_next is the offset behind its padding. */
static int section_at(const uint8_t *data, size_t len, size_t off, struct snap_section *ret,
		      size_t *ret_next, struct err *e)
{
	struct section_header h;
	uint64_t room, pad;

	if (!range_within(off, sizeof(h), len))
		return err_set(e, EBADMSG, "state file: section at %zu is cut", off);
	memcpy(&h, data + off, sizeof(h));
	room = len - off - sizeof(h);
	if (!name_ok(h.name) || (h.flags & ~SECTION_REQUIRED) || h.len > room)
		return err_set(e, EBADMSG, "state file: malformed section at %zu", off);
	data += off + sizeof(h);
	if (h.crc != section_crc(&h, data))
		return err_set(e, EBADMSG, "state file: section \"%s\" is damaged", h.name);
	pad = align_up64(h.len, ALIGN) - h.len;
	if (pad > room - h.len)
		return err_set(e, EBADMSG, "state file: section \"%s\" is cut", h.name);
	for (uint64_t i = 0; i < pad; i++)
		if (data[h.len + i])
			return err_set(e, EBADMSG, "state file: section \"%s\" is damaged", h.name);
	*ret = (struct snap_section){ .version = h.version, .required = h.flags & SECTION_REQUIRED,
				      .data = data, .len = (size_t)h.len };
	memcpy(ret->name, h.name, sizeof(ret->name));
	*ret_next = off + sizeof(h) + (size_t)(h.len + pad);
	return 0;
}

static int check_header(const void *data, size_t len, struct file_header *h, struct err *e)
{
	if (len < sizeof(*h) || memcmp(data, magic, sizeof(magic)) != 0)
		return err_set(e, EBADMSG, "not a state file");
	memcpy(h, data, sizeof(*h));
	if (h->crc != file_crc(h))
		return err_set(e, EBADMSG, "state file: header is damaged");
	if (h->version == 0 || h->version > FILE_VERSION)
		return err_set(e, ENOTSUP, "state file: version %u, known is %u", h->version,
			       FILE_VERSION);
	if (h->len != len)
		return err_set(e, EBADMSG, "state file: %zu bytes of %llu", len,
			       (unsigned long long)h->len);
	if (h->sections > SNAP_MAX_SECTIONS || h->reserved)
		return err_set(e, EBADMSG, "state file: malformed header");
	return 0;
}

/* Is there an earlier section of this name? Sections before @end are known to be good. */
static bool seen(const uint8_t *data, size_t end, const char *name)
{
	for (size_t off = sizeof(struct file_header), next; off < end; off = next) {
		struct section_header h;

		memcpy(&h, data + off, sizeof(h));
		next = off + sizeof(h) + (size_t)align_up64(h.len, ALIGN);
		if (memcmp(h.name, name, sizeof(h.name)) == 0)
			return true;
	}
	return false;
}

static int check_sections(const uint8_t *data, size_t len, const struct file_header *h, struct err *e)
{
	size_t off = sizeof(*h), next;
	struct snap_section s;

	for (uint32_t i = 0; i < h->sections; i++, off = next) {
		int rc = section_at(data, len, off, &s, &next, e);

		if (rc < 0)
			return rc;
		if (seen(data, off, s.name))
			return err_set(e, EBADMSG, "state file: section \"%s\" twice", s.name);
	}
	if (off != len)
		return err_set(e, EBADMSG, "state file: bytes behind the last section");
	return 0;
}

int snap_file_read(const void *data, size_t len,
		   int (*fn)(void *arg, const struct snap_section *s, struct err *e), void *arg,
		   struct err *e)
{
	struct file_header h;
	size_t off = sizeof(h), next;
	struct snap_section s;
	int rc = check_header(data, len, &h, e);

	if (rc == 0)
		rc = check_sections(data, len, &h, e);
	for (uint32_t i = 0; rc == 0 && i < h.sections; i++, off = next) {
		rc = section_at(data, len, off, &s, &next, e);
		if (rc == 0)
			rc = fn(arg, &s, e);
	}
	return rc;
}
