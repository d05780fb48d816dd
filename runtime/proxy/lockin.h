/* SPDX-License-Identifier: Apache-2.0 */
/* The last stage of a process beside the proxy that keeps a right which the proxy gives up (connector.c, follower.c). */
#ifndef RUNTIME_PROXY_LOCKIN_H
#define RUNTIME_PROXY_LOCKIN_H

#include "runtime/host/filter.h"

/* From now on: of the capabilities it has none but those of the set @keep (below 32), no new privileges, the system calls of the
 * tables alone; nobody may look into it. */
int lockin(uint32_t keep, const struct filter_call *calls, size_t n, const struct filter_arg *args, size_t n_args, struct err *e);

#endif
