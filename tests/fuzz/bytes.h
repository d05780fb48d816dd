/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a fuzzer's input apart: what is not there reads as zeros. */
#ifndef TESTS_FUZZ_BYTES_H
#define TESTS_FUZZ_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *p;
	size_t len;
};

static inline uint64_t take(struct bytes *b, size_t n)
{
	uint64_t v = 0;
	size_t have = n < b->len ? n : b->len;

	if (have)
		memcpy(&v, b->p, have);
	b->p += have;
	b->len -= have;
	return v;
}

#endif
