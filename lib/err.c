// SPDX-License-Identifier: Apache-2.0
#include "lib/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void clean_line(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	clean_line(e->msg);
	return -code;
}

int err_errno(struct err *e, int errnum, const char *fmt, ...)
{
	char text[128];
	va_list ap;
	size_t n;

	if (!e)
		return -errnum;
	e->code = errnum;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", strerror_r(errnum, text, sizeof(text)));
	clean_line(e->msg);
	return -errnum;
}

int err_wrap(struct err *e, int rc, const char *fmt, ...)
{
	char old[sizeof(e->msg)];
	va_list ap;
	size_t n;

	if (!e)
		return rc;
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	if (old[0]) {
		/* Room for the cause matters more than for the context. */
		if (n > sizeof(e->msg) / 2)
			n = sizeof(e->msg) / 2;
		snprintf(e->msg + n, sizeof(e->msg) - n, ": %.*s", (int)(sizeof(e->msg) - n - 3), old);
	} else {
		char text[128];

		snprintf(e->msg + n, sizeof(e->msg) - n, ": %s",
			 strerror_r(-rc, text, sizeof(text)));
	}
	if (!e->code)
		e->code = -rc;
	clean_line(e->msg);
	return rc;
}
