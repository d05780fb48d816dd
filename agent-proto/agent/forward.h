/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that somebody made to the loopback, or an own address, of the host's network namespace: the proxy has taken
 * them there and brings them here (agent-proto/proto/forward.h), where the container listens.
 */
#ifndef AGENT_PROTO_AGENT_FORWARD_H
#define AGENT_PROTO_AGENT_FORWARD_H

#include "lib/evloop.h"

/* Of all containers; each proxy brings a quarter of it at most. One is over here later than there. */
#define FORWARD_MAX 4096

struct agent;
struct forward;

struct forwards {
	struct evloop *loop;
	struct evsrc listen; /* fd -1: none */
	struct forward *first;
	unsigned n;
};

/* @listen: a listening socket for the host, taken; -1: none. */
int forwards_init(struct forwards *f, struct evloop *l, int listen);
void forwards_done(struct forwards *f);

/* A non-blocking socket in the network namespace that the containers of this machine have; -1: there is none. */
int forward_socket(const struct agent *a, int family, int type);

#endif
