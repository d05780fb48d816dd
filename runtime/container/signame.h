/* SPDX-License-Identifier: Apache-2.0 */
/* Signals by the names that people type: "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3", "RTMAX-1". */
#ifndef RUNTIME_CONTAINER_SIGNAME_H
#define RUNTIME_CONTAINER_SIGNAME_H

#include "lib/err.h"

/* 0 … 64 (0 asks whether the process is there), or -EINVAL: unknown signal. */
int signal_by_name(const char *name, struct err *e);

#endif
