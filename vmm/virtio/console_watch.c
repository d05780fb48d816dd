// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/console_watch.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define PIECE 4096u
#define TURN  (64u << 10) /* to one watcher, then other devices have their turn */

static void drop(struct console_watch *w)
{
	evloop_del(&w->src);
	close_and_reset(&w->src.fd);
}

/* 1: all sent, 0: the peer is slow, -1: it has gone. */
static int send_rest(struct console_watch *w)
{
	uint8_t piece[PIECE];
	uint32_t sent = 0;

	while (sent < TURN) {
		size_t len = console_ring_read(w->ring, &w->at, piece, sizeof(piece));
		ssize_t n;

		if (!len)
			return 1;
		do
			n = send(w->src.fd, piece, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		w->at += (uint64_t)n;
		sent += (uint32_t)n;
	}
	return 0;
}

void console_watch_flush(struct console_watch *w)
{
	int rc;

	if (w->src.fd < 0)
		return;
	rc = send_rest(w);
	if (rc < 0 || (rc && w->once) || evloop_mod(&w->src, rc ? 0 : EPOLLOUT) < 0)
		drop(w);
}

static void ready(struct evsrc *src, uint32_t events)
{
	struct console_watch *w = container_of(src, struct console_watch, src);

	if (events & (EPOLLHUP | EPOLLERR))
		drop(w);
	else
		console_watch_flush(w);
}

void console_watch_init(struct console_watch *w, struct evloop *loop, struct console_ring *ring)
{
	*w = (struct console_watch){ .src = { .fd = -1, .fn = ready, .name = "console-watch" },
				     .loop = loop, .ring = ring };
}

int console_watch_begin(struct console_watch *w, int fd, bool once)
{
	int rc;

	w->src.fd = fd;
	w->at = 0;
	w->once = once;
	rc = evloop_add(w->loop, &w->src, 0);
	if (rc < 0) {
		w->src.fd = -1;
		return rc;
	}
	console_watch_flush(w);
	return 0;
}

void console_watch_end(struct console_watch *w)
{
	if (w->src.fd < 0)
		return;
	send_rest(w);
	drop(w);
}
