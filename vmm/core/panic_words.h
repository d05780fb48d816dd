/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Linux guest wrote in its kernel's log about its own end. For a machine whose guest reset itself and said nothing: a
 * kernel that panics before it has a console and a panic device leaves its words in its memory alone.
 */
#ifndef VMM_CORE_PANIC_WORDS_H
#define VMM_CORE_PANIC_WORDS_H

#include "vmm/mem/gmem.h"

#define PANIC_WORDS_SIZE 161

/* The last panic in the log, behind the last bug or oops, if there was one: printable ASCII, one line, the guest's word. False,
 * and @dst empty: nothing there, or not found with what may be read (1 GiB of what the guest has used) in the time (200 ms).
 * Reads memory alone and changes none; the guest should have stopped. */
bool panic_words(const struct gmem *m, char dst[PANIC_WORDS_SIZE]);

#endif
