// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/forward.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/relay.h"
#include "agent-proto/proto/forward.h"
#include "lib/cleanup.h"

struct forward {
	struct forward *next;
	struct forwards *all;
	struct evsrc src; /* until its head has come */
	size_t got;
	struct forward_head head;
	struct relay relay;
	bool over;
};

static void drop(struct forward *f)
{
	struct forward **at = &f->all->first;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->all->n--;
	evloop_del(&f->src);
	close_and_reset(&f->src.fd);
	relay_close(&f->relay);
	free(f);
}

/* The relay is still to look at itself once more: it goes when the next one comes. */
static void done(struct relay *r)
{
	container_of(r, struct forward, relay)->over = true;
}

static void sweep(struct forwards *all)
{
	struct forward *next;

	for (struct forward *f = all->first; f; f = next) {
		next = f->next;
		if (f->over)
			drop(f);
	}
}

int forward_socket(const struct agent *a, int family, int type)
{
	const struct container *ct = a->containers;
	_cleanup_close_ int own = -1;
	int fd;

	if (!ct || ct->netns < 0)
		return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0 || setns(ct->netns, CLONE_NEWNET) < 0)
		return -1;
	fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bug_on(setns(own, CLONE_NEWNET) < 0);
	return fd;
}

static int dial(const struct agent *a, const struct forward_head *h)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	const bool is_v6 = h->family == 6;
	const struct sockaddr *to = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	int fd = forward_socket(a, is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM);

	memcpy(&v4.sin_port, h->port, sizeof(h->port));
	memcpy(&v6.sin6_port, h->port, sizeof(h->port));
	memcpy(&v4.sin_addr, h->addr, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, h->addr, sizeof(v6.sin6_addr));
	if (fd >= 0 && connect(fd, to, is_v6 ? sizeof(v6) : sizeof(v4)) < 0 && errno != EINPROGRESS)
		close_and_reset(&fd);
	return fd;
}

static void on_head(struct evsrc *src, uint32_t events)
{
	struct forward *f = container_of(src, struct forward, src);
	ssize_t n = read(src->fd, (uint8_t *)&f->head + f->got, sizeof(f->head) - f->got);
	int fd, conn;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	f->got += n > 0 ? (size_t)n : 0;
	if (n > 0 && f->got < sizeof(f->head))
		return;
	fd = n > 0 && (f->head.family == 4 || f->head.family == 6) ?
		     dial(container_of(f->all, struct agent, forwards), &f->head) : -1;
	if (fd < 0) {
		drop(f);
		return;
	}
	evloop_del(src);
	conn = steal_fd(&src->fd);
	relay_set_local(&f->relay, fd);
	relay_set_conn(&f->relay, conn);
}

static void take(struct forwards *all, int fd)
{
	struct forward *f;

	sweep(all);
	f = all->n < FORWARD_MAX ? calloc(1, sizeof(*f)) : NULL;
	if (!f) {
		close(fd);
		return;
	}
	f->all = all;
	f->src = (struct evsrc){ .fd = fd, .fn = on_head, .name = "forward" };
	relay_init(&f->relay, all->loop, RELAY_SOCKET, done);
	f->next = all->first;
	all->first = f;
	all->n++;
	if (evloop_add(all->loop, &f->src, EPOLLIN) < 0)
		drop(f);
}

static void on_listen(struct evsrc *src, uint32_t events)
{
	struct forwards *all = container_of(src, struct forwards, listen);
	const struct agent *a = container_of(all, struct agent, forwards);
	int fd;

	(void)events;
	for (int i = 0; i < AGENT_ACCEPTS && (fd = agent_accept_host(a, src)) >= 0; i++)
		take(all, fd);
}

int forwards_init(struct forwards *f, struct evloop *l, int listen)
{
	f->loop = l;
	f->listen = (struct evsrc){ .fd = listen, .fn = on_listen, .name = "forward listener" };
	return listen < 0 ? 0 : evloop_add(l, &f->listen, EPOLLIN);
}

void forwards_done(struct forwards *f)
{
	while (f->first)
		drop(f->first);
	if (!f->loop)
		return;
	evloop_del(&f->listen);
	close_and_reset(&f->listen.fd);
}
