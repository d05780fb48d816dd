/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the host that a container has by a bind mount: for each the agent listens on one of its own, which is
 * mounted where the container wants it. A connection that is made to it is handed to the host's proxy (AcceptSocket),
 * which connects to the real one and comes for the bytes as for any stream. While the proxy does not ask, connections
 * wait in the kernel's queue. What comes to a datagram socket is handed on as one connection (datagrams.h).
 */
#ifndef AGENT_PROTO_AGENT_SOCKETS_H
#define AGENT_PROTO_AGENT_SOCKETS_H

#include "agent-proto/agent/datagrams.h"
#include "agent-proto/agent/stream.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/ttrpc/server.h"

struct sockets {
	struct evloop *loop;
	struct stream_hub *hub;
	char prefix[72]; /* of the sockets' paths; their numbers follow */
	size_t n;
	struct sockets_one {
		struct sockets *of;
		struct evsrc src;
		bool on_loop;
		struct datagrams *datagrams; /* NULL: it is for connections */
	} *one;
	struct ttrpc_call *waiter; /* AcceptSocket, unanswered */
	uint64_t token;
	bool over; /* nobody is left who could connect */
	struct sockets_conn *conns;
};

/* Makes those that @spec has, below @dir; a container without any costs nothing. sockets_done() after a failure, too. */
int sockets_make(struct sockets *s, struct evloop *l, struct stream_hub *h, const char *dir,
		 const Husk__Agent__V1__Container *spec, struct err *e);
void sockets_done(struct sockets *s);
/* Keeps or answers @call: with the next connection, whose stream will come with @token. */
void sockets_accept(struct sockets *s, uint64_t token, struct ttrpc_call *call);
/* The container's processes have ended: what they connected is handed on, then -ESRCH is the answer. */
void sockets_over(struct sockets *s);

#endif
