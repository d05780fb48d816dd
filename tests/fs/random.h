/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on a directory, the same wherever they run: a step is made from the seed and its
 * number alone, so that any part of a sequence can be run again (main in random.c).
 */
#ifndef TESTS_FS_RANDOM_H
#define TESTS_FS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include "lib/util.h"

#define SLOTS        6
#define LINE_MAX_LEN 600

/* One step: its random numbers, and what it says of itself and of its result. */
struct step {
	uint64_t state;
	char line[LINE_MAX_LEN];
	size_t used;
};

/* 0 … n-1 */
unsigned pick(struct step *s, unsigned n);
void tell(struct step *s, const char *fmt, ...) __printf_like(2, 3);
/* The result: a number, or errno's name when negative. */
void result(struct step *s, long rc);
uint32_t sum_of(const void *p, size_t n);

/* Does a step in the working directory. */
void random_step(struct step *s);
/* Prints all that lies below the working directory: attributes, contents, extended attributes. */
void tree_print(FILE *out);

#endif
