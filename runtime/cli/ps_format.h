/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that ps(1) takes and what it then prints, for processes that no ps of the host can see: those that choose
 * columns (-f, -o LIST, u); those that choose processes (-e, -A, a, x, -ww) change nothing, a container's
 * are all shown. Every other is refused.
 */
#ifndef RUNTIME_CLI_PS_FORMAT_H
#define RUNTIME_CLI_PS_FORMAT_H

#include <stdio.h>

#include "lib/err.h"
#include "runtime/proxy/proxy.h"

#define PS_MAX_COLUMNS 32

struct ps_format {
	const struct ps_column *column[PS_MAX_COLUMNS];
	char header[PS_MAX_COLUMNS][32];
	size_t n;
};

/* @args: behind the container's id; none: -ef. runc's words when the pid is not among the columns. */
int ps_format_parse(struct ps_format *f, char *const *args, int nargs, struct err *e);
void ps_format_header(const struct ps_format *f, FILE *out);
void ps_format_row(const struct ps_format *f, const struct proxy_ps *p, FILE *out);

#endif
