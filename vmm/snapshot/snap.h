/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State sections: what one device or part saves of itself. A section is a list of tagged fields of
 * fixed-width little-endian values; a reader finds them by tag, so that a newer writer's extra
 * optional fields are skipped and an older file's missing ones get their defaults. Input is hostile:
 * a reader never reads past its section and latches the first error.
 */
#ifndef VMM_SNAPSHOT_SNAP_H
#define VMM_SNAPSHOT_SNAP_H

#include "lib/buf.h"
#include "lib/err.h"

struct snap_w {
	struct buf *b;
	bool failed;
};

struct snap_r {
	const uint8_t *data; /* of one section */
	size_t len;
	int rc; /* first error, 0 */
};

/* Field: u16 tag, u16 reserved 0, u32 length, bytes, zero padding to 8. Tags of one section are
 * unique and ascending. */
void snap_w_u8(struct snap_w *w, uint16_t tag, uint8_t v);
void snap_w_u16(struct snap_w *w, uint16_t tag, uint16_t v);
void snap_w_u32(struct snap_w *w, uint16_t tag, uint32_t v);
void snap_w_u64(struct snap_w *w, uint16_t tag, uint64_t v);
void snap_w_bytes(struct snap_w *w, uint16_t tag, const void *p, size_t len);

/* -EBADMSG malformed section (checked whole, once). */
int snap_r_init(struct snap_r *r, const void *data, size_t len, struct err *e);
/* 0; -ENOENT absent (*ret untouched); -EBADMSG wrong size. Errors other than absence latch in r->rc. */
int snap_r_u8(struct snap_r *r, uint16_t tag, uint8_t *ret);
int snap_r_u16(struct snap_r *r, uint16_t tag, uint16_t *ret);
int snap_r_u32(struct snap_r *r, uint16_t tag, uint32_t *ret);
int snap_r_u64(struct snap_r *r, uint16_t tag, uint64_t *ret);
/* The field's bytes inside the section; *ret_len at most @max. */
int snap_r_bytes(struct snap_r *r, uint16_t tag, const void **ret, size_t *ret_len, size_t max);

/* A whole state file: a header that counts and covers all, then sections, each with name, version, a
 * required flag, length and CRC32C. Names are 1 … 31 printable characters, each used once. */
#define SNAP_MAX_SECTIONS 1024
int snap_file_begin(struct buf *b); /* @b is empty; 0 or -ENOSPC, -ENOMEM */
int snap_file_section(struct buf *b, const char *name, uint16_t version, bool required,
		      const struct buf *body);
struct snap_section {
	char name[32];
	uint16_t version;
	bool required;
	const uint8_t *data; /* aligned to 8 if the file is */
	size_t len;
};
/* Calls @fn for each section after the whole file was verified. Stops at its first error. A section that
 * @fn does not know is its to skip, or to refuse when it is required. -EBADMSG: no state file, damaged,
 * or cut; -ENOTSUP: of a newer version. */
int snap_file_read(const void *data, size_t len,
		   int (*fn)(void *arg, const struct snap_section *s, struct err *e), void *arg,
		   struct err *e);

#endif
