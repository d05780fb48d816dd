/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket of the host's that a process has as a descriptor. It gets one that listens in the guest, of the same
 * family; the host accepts in its place, and each connection that comes from there with the socket's token is made
 * here once more. Only the process has the socket: once it is closed everywhere, the host's connections end at once.
 *
 * AF_UNIX ones stand in a folder of the agent's own, where no container gets to. TCP ones are on the loopback of the
 * machine's network namespace, at the host's port if that is free there.
 */
#ifndef AGENT_PROTO_AGENT_LISTENER_H
#define AGENT_PROTO_AGENT_LISTENER_H

#include "agent-proto/agent/stream.h"
#include "agent-proto/proto/agent.pb-c.h"

struct listener;

/* Puts one more before *@list. @dir: for AF_UNIX. *ret_fd is the process's socket, the caller's to close. */
int listener_new(struct listener **list, struct evloop *l, struct stream_hub *h, const char *dir,
		 const Husk__Agent__V1__ExtraStream *m, int *ret_fd, struct err *e);
/* The process has ended: no more connections; what was written to those that are there goes out. */
void listeners_finish(struct listener *list);
void listeners_free(struct listener **list);

#endif
