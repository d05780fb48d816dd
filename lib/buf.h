/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer with a hard cap, and bounds-checked little-endian readers. For front ends
 * and for messages; never on a device's I/O path.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include "lib/util.h"

struct buf {
	uint8_t *data;
	size_t len;  /* bytes used */
	size_t size; /* bytes allocated */
	size_t cap;  /* len never passes this */
	bool failed; /* an append did not fit or found no memory; sticky */
};

#define BUF_INIT(max) { .data = NULL, .len = 0, .size = 0, .cap = (max), .failed = false }

void buf_free(struct buf *b); /* accepts a zeroed one; leaves an empty usable buffer */
/* 0, -ENOSPC at the cap, -ENOMEM. On failure nothing is appended and b->failed is set. */
int buf_append(struct buf *b, const void *src, size_t len);
int buf_printf(struct buf *b, const char *fmt, ...) __printf_like(2, 3);
/* Room for @len more bytes at the end, or NULL; then buf_commit() what was written. */
void *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);
/* Drops @len bytes from the front. */
void buf_consume(struct buf *b, size_t len);
/* Sends of the front what the socket @fd takes at once, and drops that. What is left says whether to wait for room; an end or an
 * error shows to whoever reads from it. */
void buf_send(struct buf *b, int fd);
/* A NUL behind the data, not counted in len; NULL on failure. */
const char *buf_cstr(struct buf *b);

#endif
