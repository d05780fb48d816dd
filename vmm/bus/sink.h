/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output of a byte-wise device towards a descriptor that may be slow. A guest never waits for it:
 * what the descriptor does not take is buffered up to SINK_SIZE and written by the loop, the rest is
 * dropped and counted. The descriptor is made non-blocking.
 */
#ifndef VMM_BUS_SINK_H
#define VMM_BUS_SINK_H

#include <pthread.h>
#include "lib/evloop.h"

#define SINK_SIZE 65536u

struct sink {
	struct evsrc src;       /* the descriptor; added to the loop when it can be polled */
	pthread_mutex_t lock;
	bool broken;            /* a write failed; all else is dropped */
	uint32_t head, len;
	uint64_t dropped;
	uint8_t data[SINK_SIZE];
};

/* @fd: the sink's on success; -1 drops everything. On the loop's thread or before it runs. */
int sink_init(struct sink *s, struct evloop *loop, int fd, const char *name, struct err *e);
/* On the loop's thread or with the loop stopped. What is buffered is written if that does not block.
 * Closes the descriptor. */
void sink_done(struct sink *s);
void sink_put(struct sink *s, const void *p, size_t len); /* any thread */

#endif
