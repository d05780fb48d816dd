/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzz target's input as a list of small numbers; zeros when it is used up. */
#ifndef TESTS_LIB_FUZZBYTES_H
#define TESTS_LIB_FUZZBYTES_H

#include <string.h>

#include "lib/util.h"

struct fuzzbytes {
	const uint8_t *p;
	size_t len;
};

static inline uint64_t fb_take(struct fuzzbytes *b, size_t n)
{
	uint64_t v = 0;

	n = min_t(size_t, n, b->len);
	memcpy(&v, b->p, n);
	b->p += n;
	b->len -= n;
	return v;
}

static inline uint8_t fb_u8(struct fuzzbytes *b)
{
	return (uint8_t)fb_take(b, 1);
}

static inline uint16_t fb_u16(struct fuzzbytes *b)
{
	return (uint16_t)fb_take(b, 2);
}

static inline uint32_t fb_u32(struct fuzzbytes *b)
{
	return (uint32_t)fb_take(b, 4);
}

#endif
