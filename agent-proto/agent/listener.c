// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/listener.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"

struct listener_conn {
	struct listener_conn *next;
	struct relay relay;
};

struct listener {
	struct listener *next;
	struct evloop *loop;
	struct stream_acceptor from; /* the host */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	} at;
	socklen_t len;
	struct listener_conn *conns;
};

/* Those that are over, which cannot go from inside their relay; how many are not. */
static unsigned sweep(struct listener *l, bool all)
{
	struct listener_conn **at = &l->conns;
	unsigned n = 0;

	while (*at) {
		struct listener_conn *c = *at;

		if (!all && !c->relay.over) {
			at = &c->next;
			n++;
			continue;
		}
		*at = c->next;
		relay_close(&c->relay);
		free(c);
	}
	return n;
}

static int dial(const struct listener *l)
{
	int fd = socket(l->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, &l->at.any, l->len) < 0 && errno != EINPROGRESS)
		close_and_reset(&fd);
	return fd;
}

static void on_connection(struct stream_acceptor *a, int conn)
{
	struct listener *l = container_of(a, struct listener, from);
	int fd = sweep(l, false) < AGENT_MAX_ACCEPTED ? dial(l) : -1;
	struct listener_conn *c = fd >= 0 ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		close_and_reset(&fd);
		close(conn);
		return;
	}
	relay_init(&c->relay, l->loop, RELAY_SOCKET, NULL);
	c->next = l->conns;
	l->conns = c;
	relay_set_local(&c->relay, fd);
	relay_set_conn(&c->relay, conn);
}

static int address(struct listener *l, const char *dir, const Husk__Agent__V1__ExtraStream *m, struct err *e)
{
	static unsigned serial;

	if (m->family == 4) {
		l->len = sizeof(l->at.v4);
		l->at.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
						 .sin_port = htons((uint16_t)m->port),
						 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	} else if (m->family == 6) {
		l->len = sizeof(l->at.v6);
		l->at.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
						  .sin6_port = htons((uint16_t)m->port),
						  .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	} else {
		l->len = sizeof(l->at.un);
		l->at.un.sun_family = AF_UNIX;
		if ((size_t)snprintf(l->at.un.sun_path, sizeof(l->at.un.sun_path), "%s/listen-%u", dir, serial++) >=
		    sizeof(l->at.un.sun_path))
			return err_set(e, ENAMETOOLONG, "%s", dir);
	}
	return 0;
}

/* A port that somebody has already is another's: any will do then. */
static int bind_there(struct listener *l, int fd)
{
	int rc = bind(fd, &l->at.any, l->len);

	if (rc < 0 && errno == EADDRINUSE && l->at.any.sa_family != AF_UNIX) {
		if (l->at.any.sa_family == AF_INET)
			l->at.v4.sin_port = 0;
		else
			l->at.v6.sin6_port = 0;
		rc = bind(fd, &l->at.any, l->len);
	}
	return rc;
}

static int make_socket(struct listener *l, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = socket(l->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int yes = 1;

	/* Connections of a server before it would keep the port otherwise. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 || bind_there(l, fd) < 0 ||
	    listen(fd, AGENT_MAX_ACCEPTED) < 0 || getsockname(fd, &l->at.any, &l->len) < 0)
		return err_errno(e, errno, "listening socket for the process");
	*ret_fd = steal_fd(&fd);
	return 0;
}

static void free_one(struct listener *l)
{
	stream_accept_end(&l->from);
	sweep(l, true);
	if (l->at.any.sa_family == AF_UNIX)
		unlink(l->at.un.sun_path);
	free(l);
}

int listener_new(struct listener **list, struct evloop *loop, struct stream_hub *h, const char *dir,
		 const Husk__Agent__V1__ExtraStream *m, int *ret_fd, struct err *e)
{
	struct listener *l = calloc(1, sizeof(*l));
	int rc = l ? address(l, dir, m, e) : err_set(e, ENOMEM, "out of memory");

	if (rc == 0)
		rc = make_socket(l, ret_fd, e);
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->loop = loop;
	l->from.token = m->token;
	l->from.fn = on_connection;
	stream_accept(&l->from, h);
	l->next = *list;
	*list = l;
	return 0;
}

void listeners_finish(struct listener *list)
{
	for (struct listener *l = list; l; l = l->next) {
		stream_accept_end(&l->from);
		for (struct listener_conn *c = l->conns; c; c = c->next)
			if (!c->relay.over)
				relay_finish(&c->relay);
	}
}

void listeners_free(struct listener **list)
{
	struct listener *l;

	while ((l = *list)) {
		*list = l->next;
		free_one(l);
	}
}
