/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the host's stream connections and the processes' streams together by their tokens, whichever
 * comes first. A connection whose first eight bytes or whose process do not come within
 * AGENT_STREAM_DEADLINE_MS is closed; a stream whose connection does not come has lost its host (relay_no_conn()).
 */
#ifndef AGENT_PROTO_AGENT_STREAM_H
#define AGENT_PROTO_AGENT_STREAM_H

#include "agent-proto/agent/relay.h"

#define STREAM_MAX_PENDING 1024 /* connections that belong to nobody yet */

struct stream_hub;

/* One stream of a process. Embedded in its owner. */
struct stream {
	struct stream *next; /* of those that wait for a connection */
	struct stream_hub *hub; /* NULL: not open */
	void *owner;            /* the caller's */
	uint64_t token;
	struct relay relay;
	struct evtimer deadline;
};

/* Takes every connection that says its token. Embedded in its owner. */
struct stream_acceptor {
	struct stream_acceptor *next;
	struct stream_hub *hub; /* NULL: takes none */
	uint64_t token;
	void (*fn)(struct stream_acceptor *a, int fd); /* takes @fd, which does not block */
};

int stream_hub_new(struct stream_hub **ret, struct evloop *l, struct err *e);
void stream_hub_free(struct stream_hub *h);
/* A connection that was accepted; takes it. */
void stream_hub_accept(struct stream_hub *h, int fd);

/* Makes the stream and its wait for a connection. -EEXIST: token in use; -EINVAL: token 0. */
int stream_open(struct stream *s, struct stream_hub *h, uint64_t token, enum relay_kind kind,
		void (*done)(struct relay *r), struct err *e);
/* @a: with token and fn. Connections that came before are not looked at. */
void stream_accept(struct stream_acceptor *a, struct stream_hub *h);
/* No more. Accepts a zeroed one. */
void stream_accept_end(struct stream_acceptor *a);
/* Ends whatever is going on. Accepts a zeroed one. */
void stream_close(struct stream *s);

#endif
