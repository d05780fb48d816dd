/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk's side of proxy.h. What a proxy answers was perhaps the guest's word: sizes, versions and
 * terminating zeros are checked here, and nothing in it is more than a number or a line to print.
 */
#ifndef RUNTIME_PROXY_CLIENT_H
#define RUNTIME_PROXY_CLIENT_H

#include "lib/buf.h"
#include "lib/err.h"
#include "runtime/proxy/proxy.h"

/* Fills in the header and sends. When the proxy has gone, what it said last is the error, -EPIPE where it said nothing. */
int proxy_send(int sock, enum proxy_cmd cmd, void *packet, size_t size, const int *fds, size_t nfds,
	       struct err *e);
/* Awaits the reply to @cmd (events and others are dropped). An error that the proxy reports is set in @e
 * and its number returned; *ret (may be NULL) is filled in then, too. -EPIPE: the proxy has gone;
 * -ETIMEDOUT. */
int proxy_wait(int sock, enum proxy_cmd cmd, struct proxy_reply *ret, int timeout_ms,
	       struct err *e);
/* A command without arguments and its reply. */
int proxy_call(int sock, enum proxy_cmd cmd, struct proxy_reply *ret, int timeout_ms,
	       struct err *e);
int proxy_signal(int sock, int signo, bool all, int timeout_ms, struct err *e);
/* Calls @each for every process. */
int proxy_ps(int sock, void (*each)(void *arg, const struct proxy_ps *p), void *arg, int timeout_ms,
	     struct err *e);

/* @request: a packed UpdateRequest. */
int proxy_update(int sock, const struct buf *request, int timeout_ms, struct err *e);
/* @request: a packed UpdateDisksRequest. */
int proxy_disks(int sock, const struct buf *request, int timeout_ms, struct err *e);
/* What the container has used: counts and names are in their ranges. */
int proxy_stats(int sock, struct agent_stats *ret, int timeout_ms, struct err *e);
int proxy_watch(int sock, int timeout_ms, struct err *e);
/* After proxy_watch(): awaits the next event, whose number is returned: PROXY_OOM, or PROXY_STATS that was asked for with
 * proxy_ask_stats() (@ret, or a failure of that alone in @ret_rc and @e). -ETIMEDOUT; -EPIPE: it has ended. */
int proxy_ask_stats(int sock, struct err *e);
int proxy_event(int sock, struct agent_stats *ret, int *ret_rc, int timeout_ms, struct err *e);

#endif
