// SPDX-License-Identifier: Apache-2.0
/*
 * Fields of one section. A reader checks the whole section once; after that a lookup only walks.
 */
#include "vmm/snapshot/snap.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "state is little-endian");

struct field {
	uint16_t tag;
	uint16_t reserved;
	uint32_t len;
};
_Static_assert(sizeof(struct field) == 8, "field header");

#define FIELD_ALIGN 8u

void snap_w_bytes(struct snap_w *w, uint16_t tag, const void *p, size_t len)
{
	static const uint8_t zeros[FIELD_ALIGN];
	struct field f = { .tag = tag, .len = (uint32_t)len };
	size_t pad = (size_t)(align_up64(len, FIELD_ALIGN) - len);

	bug_on(len > UINT32_MAX - FIELD_ALIGN);
	if (w->failed)
		return;
	if (buf_append(w->b, &f, sizeof(f)) < 0 || (len && buf_append(w->b, p, len) < 0) ||
	    buf_append(w->b, zeros, pad) < 0)
		w->failed = true;
}

void snap_w_u8(struct snap_w *w, uint16_t tag, uint8_t v)
{
	snap_w_bytes(w, tag, &v, sizeof(v));
}

void snap_w_u16(struct snap_w *w, uint16_t tag, uint16_t v)
{
	snap_w_bytes(w, tag, &v, sizeof(v));
}

void snap_w_u32(struct snap_w *w, uint16_t tag, uint32_t v)
{
	snap_w_bytes(w, tag, &v, sizeof(v));
}

void snap_w_u64(struct snap_w *w, uint16_t tag, uint64_t v)
{
	snap_w_bytes(w, tag, &v, sizeof(v));
}

static bool all_zero(const uint8_t *p, size_t len)
{
	while (len--)
		if (*p++)
			return false;
	return true;
}

/* Reads the field at @off; *ret_next is the offset behind it. False: malformed. */
static bool field_at(const uint8_t *data, size_t len, size_t off, struct field *f, size_t *ret_next)
{
	size_t pad;

	if (!range_within(off, sizeof(*f), len))
		return false;
	memcpy(f, data + off, sizeof(*f));
	off += sizeof(*f);
	/* A length that the section holds cannot wrap when it is rounded up. */
	if (f->reserved || f->len > len - off)
		return false;
	pad = (size_t)(align_up64(f->len, FIELD_ALIGN) - f->len);
	if (pad > len - off - f->len || !all_zero(data + off + f->len, pad))
		return false;
	*ret_next = off + f->len + pad;
	return true;
}

int snap_r_init(struct snap_r *r, const void *data, size_t len, struct err *e)
{
	size_t off = 0, next;
	long last = -1;
	struct field f;

	*r = (struct snap_r){ .data = data, .len = 0, .rc = -EBADMSG };
	for (; off < len; off = next) {
		if (!field_at(data, len, off, &f, &next))
			return err_set(e, EBADMSG, "malformed field at offset %zu", off);
		if (f.tag <= last)
			return err_set(e, EBADMSG, "field %#x at offset %zu is out of order", f.tag,
				       off);
		last = f.tag;
	}
	r->len = len;
	r->rc = 0;
	return 0;
}

int snap_r_bytes(struct snap_r *r, uint16_t tag, const void **ret, size_t *ret_len, size_t max)
{
	size_t off = 0, next;
	struct field f;

	for (; off < r->len && field_at(r->data, r->len, off, &f, &next); off = next) {
		if (f.tag < tag)
			continue;
		if (f.tag > tag)
			break;
		if (f.len > max) {
			r->rc = r->rc ? r->rc : -EBADMSG;
			return -EBADMSG;
		}
		*ret = r->data + off + sizeof(f);
		*ret_len = f.len;
		return 0;
	}
	return -ENOENT;
}

static int read_exact(struct snap_r *r, uint16_t tag, void *ret, size_t size)
{
	const void *p;
	size_t len;
	int rc = snap_r_bytes(r, tag, &p, &len, size);

	if (rc < 0)
		return rc;
	if (len != size) {
		r->rc = r->rc ? r->rc : -EBADMSG;
		return -EBADMSG;
	}
	memcpy(ret, p, size);
	return 0;
}

int snap_r_u8(struct snap_r *r, uint16_t tag, uint8_t *ret)
{
	return read_exact(r, tag, ret, sizeof(*ret));
}

int snap_r_u16(struct snap_r *r, uint16_t tag, uint16_t *ret)
{
	return read_exact(r, tag, ret, sizeof(*ret));
}

int snap_r_u32(struct snap_r *r, uint16_t tag, uint32_t *ret)
{
	return read_exact(r, tag, ret, sizeof(*ret));
}

int snap_r_u64(struct snap_r *r, uint16_t tag, uint64_t *ret)
{
	return read_exact(r, tag, ret, sizeof(*ret));
}
