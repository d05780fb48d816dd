/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error value of the whole tree.
 *
 * Contract: a function that can fail for more than one reason takes `struct err *e` as its last
 * parameter and returns a negative errno. On success *e and all ret_* parameters are untouched or
 * fully written. Callers branch on the number and print the text; whoever consumes an error logs
 * it, nobody else does. @e may always be NULL. Nothing here allocates.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include <errno.h>
#include "lib/util.h"

struct err {
	int code;      /* positive errno of the failure, 0 when none was set */
	char msg[500]; /* one line, no newline, NUL-terminated */
};

#define ERR_INIT { .code = 0, .msg = "" }

/* Sets the error; a text that does not fit is cut. @code is a positive errno. Returns -@code. */
int err_set(struct err *e, int code, const char *fmt, ...) __printf_like(3, 4);

/* As err_set() with code @errnum and ": strerror(@errnum)" appended. Returns -@errnum. */
int err_errno(struct err *e, int errnum, const char *fmt, ...) __printf_like(3, 4);

/* Puts "context: " before the text that is there. @rc is what the failed call returned (negative)
 * and is returned. */
int err_wrap(struct err *e, int rc, const char *fmt, ...) __printf_like(3, 4);

#endif
