/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of a start went: named moments of husk, husk-machine and husk-proxy on one clock
 * (CLOCK_MONOTONIC), written as debug log lines in their order. Free when --debug is off.
 */
#ifndef RUNTIME_CONTAINER_TIMELINE_H
#define RUNTIME_CONTAINER_TIMELINE_H

#include "runtime/proxy/proxy.h"

struct nc_info_reply;

void timeline_mark(const char *what); /* now; a literal */
void timeline_at(const char *what, uint64_t ns); /* 0: never happened, left out */
void timeline_proxy(const struct proxy_reply *r); /* the proxy's stamps that are not known yet */
void timeline_machine(const struct nc_info_reply *r);
/* "time line: +12345678 ns  1234 ns  what" for each new moment. */
void timeline_log(void);

#endif
