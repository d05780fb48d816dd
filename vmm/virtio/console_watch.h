/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who looks at a console while it runs: a stream socket that is sent what the ring still holds and then all that comes. It
 * has no buffer of its own but its place in the ring: who reads too slowly misses what the ring has dropped meanwhile,
 * and the device never waits. A part of console.c, on its loop.
 */
#ifndef VMM_VIRTIO_CONSOLE_WATCH_H
#define VMM_VIRTIO_CONSOLE_WATCH_H

#include "lib/evloop.h"
#include "vmm/virtio/console_tail.h"

struct console_watch {
	struct evsrc src;   /* fd -1: free */
	struct evloop *loop;
	struct console_ring *ring;
	uint64_t at;        /* of all bytes ever put: the next to be sent */
	bool once;          /* ends when all that there is was sent */
};

void console_watch_init(struct console_watch *w, struct evloop *loop, struct console_ring *ring);
/* @fd: a connected, non-blocking stream socket; the watch's on success. @once: what the ring holds now, then it is closed. */
int console_watch_begin(struct console_watch *w, int fd, bool once);
/* Sends what goes without waiting; the rest when there is room. A peer that has gone ends the watch. */
void console_watch_flush(struct console_watch *w);
void console_watch_end(struct console_watch *w); /* sends what goes, closes; no-op for a free one */

#endif
