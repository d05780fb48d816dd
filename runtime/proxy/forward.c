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

#define GUEST_TIMEOUT_MS 1000 /* its kernel answers at once, or never */

struct session_forward {
	struct session_forward *next;
	struct session *s;
	struct session_dial dial;
	int host; /* while that is under way; else -1 */
	struct relay in, out;
};

/* What is more than may be waits where it would on the host: in the queues of the listening sockets. */
static void look(struct session *s)
{
	bool on = s->net.n_forwards < SESSION_MAX_FORWARDS;

	for (size_t i = 0; s->net.listens && i < ARRAY_SIZE(s->net.listen); i++) {
		struct evsrc *src = &s->net.listen[i];

		if (src->fn && !on)
			evloop_del(src);
		else if (src->fn && src->fd >= 0 && !src->loop && evloop_add(s->loop, src, EPOLLIN) < 0)
			log_warn("no more connections to the namespace are taken");
	}
	if (!on && !s->net.full)
		log_warn("%d connections to the container's ports at a time: more wait", SESSION_MAX_FORWARDS);
	s->net.full |= !on;
}

static void drop(struct session_forward *f)
{
	struct session_forward **at = &f->s->net.forwards;
	struct session *s = f->s;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	s->net.n_forwards--;
	session_dial_cancel(&f->dial);
	close_and_reset(&f->host);
	relay_stop(&f->in);
	relay_stop(&f->out);
	free(f);
	look(s);
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

static struct relay_end end_of(int fd)
{
	return (struct relay_end){ .fd = fd, .kind = RELAY_SOCKET };
}

/* Each direction closes its own descriptors in its time. */
static void on_guest(struct session_dial *d, int rc, int guest)
{
	struct session_forward *f = container_of(d, struct session_forward, dial);
	int host = f->host, host2, guest2;

	if (rc < 0) {
		log_debug("connection to the namespace: error %d", -rc);
		drop(f);
		return;
	}
	host2 = fcntl(host, F_DUPFD_CLOEXEC, 3);
	guest2 = fcntl(guest, F_DUPFD_CLOEXEC, 3);
	if (host2 < 0 || guest2 < 0) {
		close_and_reset(&host2);
		close_and_reset(&guest2);
		close(guest);
		drop(f);
		return;
	}
	f->host = -1;
	relay_start(&f->in, f->s->loop, "forward in", end_of(host), end_of(guest), RELAY_END_SHUTDOWN, in_done);
	relay_start(&f->out, f->s->loop, "forward out", end_of(guest2), end_of(host2), RELAY_END_SHUTDOWN, out_done);
}

/* @host is taken on success. */
static int dial(struct session *s, int host)
{
	struct session_forward *f;
	struct forward_head h;
	struct err e = ERR_INIT;
	int rc = head_of(host, &h);

	if (rc < 0 || !s->created)
		return rc < 0 ? rc : -EAGAIN;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->s = s;
	f->host = host;
	f->dial.done = on_guest;
	rc = session_dial(s, &f->dial, AGENT_PORT_FORWARD, GUEST_TIMEOUT_MS, &h, sizeof(h), &e);
	if (rc < 0) {
		log_debug("connection to the namespace: %s", e.msg);
		free(f);
		return rc;
	}
	f->next = s->net.forwards;
	s->net.forwards = f;
	s->net.n_forwards++;
	look(s);
	return 0;
}

static void on_connection(struct session *s, struct evsrc *listener)
{
	int host = evloop_accept(listener, SOCK_NONBLOCK);

	if (host >= 0 && dial(s, host) < 0)
		close(host);
}

static void on_first(struct evsrc *src, uint32_t events)
{
	(void)events;
	on_connection(container_of(src, struct session, net.listen[0]), src);
}

static void on_second(struct evsrc *src, uint32_t events)
{
	(void)events;
	on_connection(container_of(src, struct session, net.listen[1]), src);
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
	for (size_t i = 0; s->net.listens && i < ARRAY_SIZE(s->net.listen); i++) {
		if (!s->net.listen[i].fn)
			continue;
		evloop_del(&s->net.listen[i]);
		close_and_reset(&s->net.listen[i].fd);
	}
	s->net.listens = false;
	while (s->net.forwards)
		drop(s->net.forwards);
}
