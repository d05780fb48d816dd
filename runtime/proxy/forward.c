// SPDX-License-Identifier: Apache-2.0
/*
 * Connections that somebody on the host made to the container's network namespace itself, its loopback above all: husk-net
 * has the kernel hand them to the sockets that are listened on here; each goes on to the agent, and from there to the same
 * port of the guest's (agent-proto/proto/forward.h). The connection exists before it is known whether anybody listens there:
 * if not, it is closed at once.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/proto/forward.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "runtime/proxy/session_internal.h"

#define MAX_FORWARDS  64
#define GUEST_TIMEOUT_MS 1000 /* its kernel answers at once, or never */

struct session_forward {
	struct session_forward *next;
	struct session *s;
	struct relay in, out;
};

static void drop(struct session_forward *f)
{
	struct session_forward **at = &f->s->net.forwards;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->s->net.n_forwards--;
	relay_stop(&f->in);
	relay_stop(&f->out);
	free(f);
}

static void in_done(struct relay *r)
{
	struct session_forward *f = container_of(r, struct session_forward, in);

	if (f->out.done)
		drop(f);
}

static void out_done(struct relay *r)
{
	struct session_forward *f = container_of(r, struct session_forward, out);

	if (f->in.done)
		drop(f);
}

/* What was dialled is the accepted socket's own address. */
static int head_of(int fd, struct forward_head *h)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.any, &len) < 0)
		return -errno;
	memset(h, 0, sizeof(*h));
	if (a.any.sa_family == AF_INET) {
		h->family = 4;
		memcpy(h->port, &a.v4.sin_port, sizeof(h->port));
		memcpy(h->addr, &a.v4.sin_addr, sizeof(a.v4.sin_addr));
	} else if (a.any.sa_family == AF_INET6) {
		h->family = 6;
		memcpy(h->port, &a.v6.sin6_port, sizeof(h->port));
		memcpy(h->addr, &a.v6.sin6_addr, sizeof(h->addr));
	} else {
		return -EINVAL;
	}
	return 0;
}

static int dial(struct session *s, const struct forward_head *h)
{
	struct err e = ERR_INIT;
	int fd = -1;

	if (!s->created || ncl_connect(s->machine, AGENT_PORT_FORWARD, GUEST_TIMEOUT_MS, &fd, &e) < 0) {
		log_debug("connection to the namespace: %s", e.msg);
		return -1;
	}
	if (io_write_full(fd, h, sizeof(*h)) < 0)
		close_and_reset(&fd);
	return fd;
}

static struct relay_end end_of(int fd)
{
	return (struct relay_end){ .fd = fd, .kind = RELAY_SOCKET };
}

/* Each direction closes its own descriptors in its time. */
static void begin(struct session *s, int host, int guest)
{
	struct session_forward *f = calloc(1, sizeof(*f));
	int host2 = fcntl(host, F_DUPFD_CLOEXEC, 3), guest2 = fcntl(guest, F_DUPFD_CLOEXEC, 3);

	if (!f || host2 < 0 || guest2 < 0) {
		close_and_reset(&host2);
		close_and_reset(&guest2);
		close(host);
		close(guest);
		free(f);
		return;
	}
	f->s = s;
	f->next = s->net.forwards;
	s->net.forwards = f;
	s->net.n_forwards++;
	relay_start(&f->in, s->loop, "forward in", end_of(host), end_of(guest), RELAY_END_SHUTDOWN, in_done);
	relay_start(&f->out, s->loop, "forward out", end_of(guest2), end_of(host2), RELAY_END_SHUTDOWN, out_done);
}

static void on_connection(struct session *s, int listener)
{
	int host = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), guest;
	struct forward_head h;

	if (host < 0)
		return;
	guest = s->net.n_forwards < MAX_FORWARDS && head_of(host, &h) == 0 ? dial(s, &h) : -1;
	if (guest < 0)
		close(host);
	else
		begin(s, host, guest);
}

static void on_first(struct evsrc *src, uint32_t events)
{
	(void)events;
	on_connection(container_of(src, struct session, net.listen[0]), src->fd);
}

static void on_second(struct evsrc *src, uint32_t events)
{
	(void)events;
	on_connection(container_of(src, struct session, net.listen[1]), src->fd);
}

void forward_listen(struct session *s, const int *fds, size_t n)
{
	static ev_fn *const fn[] = { on_first, on_second };

	for (size_t i = 0; i < n; i++) {
		struct evsrc *src = &s->net.listen[i];

		if (i >= ARRAY_SIZE(fn) || s->net.listens) {
			close(fds[i]);
			continue;
		}
		*src = (struct evsrc){ .fd = fds[i], .fn = fn[i], .name = "namespace" };
		if (evloop_add(s->loop, src, EPOLLIN) < 0)
			close_and_reset(&src->fd);
	}
	s->net.listens = true;
}

void forward_stop(struct session *s)
{
	while (s->net.forwards)
		drop(s->net.forwards);
	for (size_t i = 0; s->net.listens && i < ARRAY_SIZE(s->net.listen); i++) {
		if (!s->net.listen[i].fn)
			continue;
		evloop_del(&s->net.listen[i]);
		close_and_reset(&s->net.listen[i].fd);
	}
	s->net.listens = false;
}
