/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a standard stream: bytes from a source to a sink through one bounded buffer, on an
 * event loop. Never blocks, whatever the two ends are: sockets are used with MSG_DONTWAIT, pipes
 * and terminals are opened once more without blocking (the flag of an inherited descriptor is shared
 * with whoever gave it, and so is left alone), regular files do not block for long.
 *
 * The end of the source is passed on once everything before it is written. A sink that is gone
 * closes the source, so that the writer learns of it.
 */
#ifndef RUNTIME_PROXY_RELAY_H
#define RUNTIME_PROXY_RELAY_H

#include "lib/evloop.h"

#define RELAY_BUFFER 65536

enum relay_kind {
	RELAY_SOCKET, /* MSG_DONTWAIT */
	RELAY_NONBLOCK, /* O_NONBLOCK is set and ours alone */
	RELAY_FILE, /* always ready */
	RELAY_POLLED, /* may block: small pieces, when poll says so */
};

struct relay_end {
	int fd; /* -1: closed */
	enum relay_kind kind;
};

/* Looks at @fd and, for a pipe or terminal, replaces it by a non-blocking opening of the same. Needs /proc;
 * before privileges are given up. */
struct relay_end relay_prepare(int fd, bool write);

enum relay_at_end {
	RELAY_END_CLOSE, /* close the sink */
	RELAY_END_SHUTDOWN, /* shut down writing on the sink (a socket that is also read) */
	RELAY_END_NOTHING,
};

struct relay {
	struct evsrc src, dst;
	struct relay_end from, to;
	enum relay_at_end at_end;
	bool eof; /* nothing more comes from the source */
	bool done; /* and everything is written, or the sink is gone */
	uint32_t src_on, dst_on; /* what epoll is asked for */
	bool src_added, dst_added;
	struct evloop *loop;
	void (*fn)(struct relay *r); /* once, when done */
	void *arg; /* the owner's; relay_start() leaves it */
	uint64_t moved, moved_before; /* bytes from the source; at the last relay_is_silent() */
	uint64_t taken, taken_before; /* bytes by the sink; at the last relay_is_stuck() */
	size_t head, len;
	uint8_t buf[RELAY_BUFFER];
};

/* Descriptors in @from and @to are the relay's from now on. @name: a literal. */
int relay_start(struct relay *r, struct evloop *l, const char *name, struct relay_end from,
		struct relay_end to, enum relay_at_end at_end, void (*fn)(struct relay *r));
/* Nothing came from the source since this was asked the last time, and nothing that came waits for the sink. */
bool relay_is_silent(struct relay *r);
/* Something waits for the sink, which has taken nothing since this was asked the last time. */
bool relay_is_stuck(struct relay *r);
/* Gives up: closes both ends; fn is not called. Fine for one that never started (zeroed) or is done. */
void relay_stop(struct relay *r);
/* As that, and who writes to the source, a socket, learns of it also where the other direction has that socket open, too. */
void relay_give_up(struct relay *r);

#endif
