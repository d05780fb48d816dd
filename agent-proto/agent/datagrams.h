/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams as a stream: each is told by its length (u32, little-endian) and its bytes, so that a stream connection to
 * the host can carry what came to a datagram socket. One way: from the container.
 */
#ifndef AGENT_PROTO_AGENT_DATAGRAMS_H
#define AGENT_PROTO_AGENT_DATAGRAMS_H

#include "agent-proto/proto/limits.h"
#include "lib/evloop.h"

struct datagrams {
	struct evloop *loop;
	struct evsrc from; /* the datagram socket, the owner's */
	struct evsrc to;   /* our end of the stream; -1: not open */
	bool from_on, to_on, last;
	/* NULL, or told once when the stream has ended by itself: the host's end has gone, or nobody sends any more. */
	void (*closed)(struct datagrams *d);
	void *arg; /* the owner's */
	size_t len, off; /* of what is not written yet */
	uint8_t frame[4 + AGENT_MAX_DATAGRAM];
};

/* The other end of the stream, the caller's, or -errno. @socket stays the caller's. */
int datagrams_open(struct datagrams *d, struct evloop *l, int socket);
bool datagrams_is_open(const struct datagrams *d);
/* Nobody will send any more: what is there is passed on, then the stream ends. */
void datagrams_last(struct datagrams *d);
/* At once; closed() is not called. */
void datagrams_close(struct datagrams *d);

#endif
