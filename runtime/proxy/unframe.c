// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/unframe.h"

#include <endian.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/cleanup.h"

#define TURNS 16 /* reads before other sources get their turn */

static void watch(struct unframe *u, struct evsrc *src, bool *on, bool wanted, uint32_t events)
{
	if (wanted && !*on)
		*on = evloop_add(u->loop, src, events) == 0;
	else if (!wanted && *on)
		evloop_del(src);
	*on = wanted && *on;
}

void unframe_stop(struct unframe *u)
{
	if (!u->loop)
		return;
	u->done = true;
	watch(u, &u->from, &u->from_on, false, 0);
	watch(u, &u->to, &u->to_on, false, 0);
	close_and_reset(&u->from.fd);
	close_and_reset(&u->to.fd);
}

/* Sends every whole datagram. 1: all of them, 0: the socket is full, -1: that was no frame, or nobody is there. */
static int send_whole(struct unframe *u)
{
	size_t at = 0;
	int rc = 1;

	while (u->len - at >= 4) {
		uint32_t n;

		memcpy(&n, u->buf + at, sizeof(n));
		n = le32toh(n);
		if (n > AGENT_MAX_DATAGRAM)
			return -1;
		if (u->len - at - 4 < n)
			break;
		/* One that is too large for this socket, or is refused, is lost, as datagrams are. */
		if (send(u->to.fd, u->buf + at + 4, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EAGAIN) {
				rc = 0;
				break;
			}
			if (errno == ECONNREFUSED || errno == EPIPE || errno == ENOTCONN)
				return -1;
		}
		at += 4 + n;
	}
	u->len -= at;
	memmove(u->buf, u->buf + at, u->len);
	return rc;
}

static void move(struct unframe *u)
{
	int rc = send_whole(u);

	for (int i = 0; rc > 0 && i < TURNS; i++) {
		ssize_t n = recv(u->from.fd, u->buf + u->len, sizeof(u->buf) - u->len, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			rc = -1;
			break;
		}
		u->len += (size_t)n;
		rc = send_whole(u);
	}
	if (rc < 0) {
		unframe_stop(u);
		u->fn(u);
		return;
	}
	watch(u, &u->to, &u->to_on, rc == 0, EPOLLOUT);
	watch(u, &u->from, &u->from_on, rc > 0, EPOLLIN);
}

static void on_from(struct evsrc *src, uint32_t events)
{
	(void)events;
	move(container_of(src, struct unframe, from));
}

static void on_to(struct evsrc *src, uint32_t events)
{
	(void)events;
	move(container_of(src, struct unframe, to));
}

void unframe_start(struct unframe *u, struct evloop *l, int stream, int socket, void (*fn)(struct unframe *u), void *arg)
{
	u->loop = l;
	u->from = (struct evsrc){ .fd = stream, .fn = on_from, .name = "datagrams of the guest" };
	u->to = (struct evsrc){ .fd = socket, .fn = on_to, .name = "datagram socket" };
	u->from_on = u->to_on = u->done = false;
	u->fn = fn;
	u->arg = arg;
	u->len = 0;
	move(u);
}
