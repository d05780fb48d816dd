// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/datagrams.h"

#include <endian.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define TURNS 16 /* datagrams before others on the loop get their turn */

bool datagrams_is_open(const struct datagrams *d)
{
	return d->loop && d->to.fd >= 0;
}

void datagrams_close(struct datagrams *d)
{
	if (!d->loop)
		return;
	if (d->from_on)
		evloop_del(&d->from);
	if (d->to_on)
		evloop_del(&d->to);
	d->from_on = d->to_on = false;
	close_and_reset(&d->to.fd);
	d->len = 0;
}

/* 1: all of it, 0: later, -1: nobody reads. */
static int write_frame(struct datagrams *d)
{
	while (d->off < d->len) {
		ssize_t n = send(d->to.fd, d->frame + d->off, d->len - d->off, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		d->off += (size_t)n;
	}
	d->len = d->off = 0;
	return 1;
}

/* False: there is none. */
static bool read_datagram(struct datagrams *d)
{
	ssize_t n;
	uint32_t len;

	do
		/* With MSG_TRUNC the length is the datagram's own. */
		n = recv(d->from.fd, d->frame + 4, AGENT_MAX_DATAGRAM, MSG_DONTWAIT | MSG_TRUNC);
	while ((n < 0 && errno == EINTR) || n > AGENT_MAX_DATAGRAM);
	if (n < 0)
		return false;
	len = htole32((uint32_t)n);
	memcpy(d->frame, &len, sizeof(len));
	d->len = sizeof(len) + (size_t)n;
	d->off = 0;
	return true;
}

static void watch(struct datagrams *d, struct evsrc *src, bool *on, bool wanted, uint32_t events)
{
	if (wanted && !*on)
		*on = evloop_add(d->loop, src, events) == 0;
	else if (!wanted && *on)
		evloop_del(src);
	*on = wanted && *on;
}

static void end(struct datagrams *d)
{
	datagrams_close(d);
	if (d->closed)
		d->closed(d);
}

/* Its end is seen at all times: an EPOLLHUP. */
static void watch_to(struct datagrams *d)
{
	uint32_t events = d->len ? EPOLLOUT : 0;

	if (d->to_on)
		evloop_mod(&d->to, events);
	else
		watch(d, &d->to, &d->to_on, true, events);
}

static void move(struct datagrams *d)
{
	int rc = 1;

	for (int i = 0; rc > 0 && i < TURNS; i++) {
		rc = write_frame(d);
		if (rc > 0 && !read_datagram(d)) {
			if (d->last)
				rc = -1;
			break;
		}
	}
	if (rc < 0) {
		end(d);
		return;
	}
	watch_to(d);
	watch(d, &d->from, &d->from_on, d->len == 0, EPOLLIN);
}

static void on_from(struct evsrc *src, uint32_t events)
{
	(void)events;
	move(container_of(src, struct datagrams, from));
}

static void on_to(struct evsrc *src, uint32_t events)
{
	struct datagrams *d = container_of(src, struct datagrams, to);

	/* What came meanwhile stays in the socket, for the next stream. */
	if (events & (EPOLLHUP | EPOLLERR))
		end(d);
	else
		move(d);
}

int datagrams_open(struct datagrams *d, struct evloop *l, int socket)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	d->loop = l;
	d->from = (struct evsrc){ .fd = socket, .fn = on_from, .name = "datagrams" };
	d->to = (struct evsrc){ .fd = pair[0], .fn = on_to, .name = "datagrams to the host" };
	d->from_on = d->to_on = d->last = false;
	d->len = d->off = 0;
	watch(d, &d->from, &d->from_on, true, EPOLLIN);
	watch_to(d);
	return pair[1];
}

void datagrams_last(struct datagrams *d)
{
	if (!datagrams_is_open(d))
		return;
	d->last = true;
	move(d);
}
