/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of system calls as a filter: what is in none kills the process. */
#ifndef RUNTIME_HOST_FILTER_H
#define RUNTIME_HOST_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct filter_call {
	int nr;
	const char *why;
};

/* Allowed with one argument's value only; a fcntl command or a prctl option, say. */
struct filter_arg {
	int nr;
	unsigned arg;
	uint32_t value;
	const char *why;
};

/* No new privileges are to be had before. With sanitizers, whose runtime needs more calls: nothing. */
int filter_install(const struct filter_call *calls, size_t n, const struct filter_arg *args, size_t n_args, struct err *e);

#endif
