/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's console says about its end, in a line's worth of it: a kernel that panicked tells why at the beginning of what
 * it prints (a page of registers and frames of the stack follows), any other guest at the end.
 */
#ifndef RUNTIME_PROXY_LAST_WORDS_H
#define RUNTIME_PROXY_LAST_WORDS_H

#include <stddef.h>

/* The most that last_words() writes, its NUL included: it leaves room for a sentence around it in an error's text. */
#define LAST_WORDS_SIZE 320

/*
 * @console is the guest's, printable, of any length, of lines that end with '\n'. Of one with the words of a panic ("Kernel
 * panic") @dst gets the lines that name what it came from and where (an Oops, a BUG, the function, the panic itself) without
 * their times, "; " between them; of another the last bytes. What does not fit is left away.
 */
void last_words(char dst[LAST_WORDS_SIZE], const char *console);

#endif
