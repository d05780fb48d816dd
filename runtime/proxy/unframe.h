/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams out of a stream, as the agent frames them (u32 length, little-endian, and the bytes), sent on a connected datagram
 * socket. The end of the stream, a length beyond the limit or a socket that takes none ends it.
 */
#ifndef RUNTIME_PROXY_UNFRAME_H
#define RUNTIME_PROXY_UNFRAME_H

#include "agent-proto/proto/limits.h"
#include "lib/evloop.h"

struct unframe {
	struct evloop *loop;
	struct evsrc from, to;
	bool from_on, to_on, done;
	void (*fn)(struct unframe *u); /* once, when done */
	void *arg;
	size_t len; /* of what has come and was not sent */
	uint8_t buf[4 + AGENT_MAX_DATAGRAM];
};

/* Takes the descriptors. */
void unframe_start(struct unframe *u, struct evloop *l, int stream, int socket, void (*fn)(struct unframe *u), void *arg);
/* Closes both; fn is not called. */
void unframe_stop(struct unframe *u);

#endif
