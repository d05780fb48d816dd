/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the test guest's only program. */
#ifndef TESTS_GUEST_GUEST_H
#define TESTS_GUEST_GUEST_H

#include <stdbool.h>

/* One line on the console, behind "guest: ". */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* net.c: false when the word is none of networks. */
bool net_word(const char *word);

/* noise.c: so many frames, beside the words that follow; until it is through. */
void noise_begin(const char *count);
void noise_end(void);

/* disk.c: MODE/DEPTH/BLOCK/COUNT. */
void disk_word(const char *arg);

#endif
