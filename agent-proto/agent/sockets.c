// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define BACKLOG 128

struct sockets_conn {
	struct sockets_conn *next;
	struct stream stream;
};

static void path_of(const struct sockets *s, size_t i, struct sockaddr_un *at)
{
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(at->sun_path, sizeof(at->sun_path), "%s%zu", s->prefix, i);
}

static void on_connection(struct evsrc *src, uint32_t events);

static int make_one(struct sockets *s, size_t i, const Husk__Agent__V1__HostSocket *m, struct err *e)
{
	struct sockets_one *o = &s->one[i];
	struct sockaddr_un at;
	const int yes = 1;

	path_of(s, i, &at);
	o->of = s;
	o->src = (struct evsrc){ .fn = on_connection, .name = "host's socket" };
	o->src.fd = socket(AF_UNIX, (m->datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	s->n = i + 1;
	if (m->datagram) {
		o->datagrams = calloc(1, sizeof(*o->datagrams));
		if (!o->datagrams)
			return err_set(e, ENOMEM, "out of memory");
	}
	/* Who may connect is what the real one's owner and mode say. */
	if (o->src.fd < 0 || bind(o->src.fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    chown(at.sun_path, m->uid, m->gid) < 0 || chmod(at.sun_path, m->mode & 07777) < 0 ||
	    (m->datagram ? setsockopt(o->src.fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) :
			   listen(o->src.fd, BACKLOG)) < 0)
		return err_errno(e, errno, "socket %zu of the host", i);
	return 0;
}

int sockets_make(struct sockets *s, struct evloop *l, struct stream_hub *h, const char *dir,
		 const Husk__Agent__V1__Container *spec, struct err *e)
{
	static unsigned serial;
	int rc = 0;

	s->loop = l;
	s->hub = h;
	if (!spec->n_sockets)
		return 0;
	s->one = calloc(spec->n_sockets, sizeof(*s->one));
	if (!s->one)
		return err_set(e, ENOMEM, "out of memory");
	if ((size_t)snprintf(s->prefix, sizeof(s->prefix), "%s/%u-", dir, serial++) >= sizeof(s->prefix))
		return err_set(e, ENAMETOOLONG, "%s", dir);
	for (size_t i = 0; rc == 0 && i < spec->n_sockets; i++)
		rc = make_one(s, i, spec->sockets[i], e);
	return rc;
}

/* Those that are over; not from inside a relay, which looks at itself once more after its end. */
static void reap(struct sockets *s, bool all)
{
	struct sockets_conn **at = &s->conns;

	while (*at) {
		struct sockets_conn *c = *at;

		if (!all && !c->stream.relay.over) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		stream_close(&c->stream);
		free(c);
	}
}

void sockets_done(struct sockets *s)
{
	if (s->waiter)
		ttrpc_reply_err(steal_ptr(&s->waiter), -ESRCH, "container not running");
	reap(s, true);
	for (size_t i = 0; i < s->n; i++) {
		struct sockaddr_un at;

		evloop_del(&s->one[i].src);
		if (s->one[i].datagrams)
			datagrams_close(s->one[i].datagrams);
		free(s->one[i].datagrams);
		close_and_reset(&s->one[i].src.fd);
		path_of(s, i, &at);
		unlink(at.sun_path);
	}
	free(s->one);
	s->one = NULL;
	s->n = 0;
}

static bool is_open(const struct sockets_one *o)
{
	return o->datagrams && datagrams_is_open(o->datagrams);
}

/* Connections are looked for only while somebody asks for one. */
static void listen_on(struct sockets *s, bool on)
{
	for (size_t i = 0; i < s->n; i++) {
		struct sockets_one *o = &s->one[i];

		if (on && !o->on_loop && !is_open(o))
			o->on_loop = evloop_add(s->loop, &o->src, EPOLLIN) == 0;
		else if (!on && o->on_loop)
			evloop_del(&o->src);
		o->on_loop = on && o->on_loop;
	}
}

/* Its place on the loop is ours again, and who asked meanwhile waits for it, too. */
static void datagrams_ended(struct datagrams *d)
{
	struct sockets *s = d->arg;

	if (s->waiter && !s->over)
		listen_on(s, true);
}

/* As whom one connects. */
struct peer {
	struct ucred ids;
	uint32_t groups[AGENT_MAX_PEER_GROUPS];
	size_t ngroups;
};

static void hand_on(struct sockets *s, size_t i, int fd, struct peer *peer)
{
	/* Datagrams go one way, and a host that closes its end hears no more of them. */
	enum relay_kind kind = s->one[i].datagrams ? RELAY_OUT : RELAY_SOCKET;
	struct ttrpc_call *call = steal_ptr(&s->waiter);
	struct sockets_conn *c = calloc(1, sizeof(*c));
	Husk__Agent__V1__AcceptSocketResponse m;
	struct err e = ERR_INIT;
	int rc = c ? stream_open(&c->stream, s->hub, s->token, kind, NULL, &e) : err_set(&e, ENOMEM, "out of memory");

	/* What the host makes of it, and whether it asks again, goes by the number. */
	if (rc < 0) {
		close(fd);
		free(c);
		ttrpc_reply_err(call, rc, e.msg);
		return;
	}
	c->next = s->conns;
	s->conns = c;
	husk__agent__v1__accept_socket_response__init(&m);
	m.socket = (uint32_t)i;
	m.uid = peer->ids.uid;
	m.gid = peer->ids.gid;
	m.groups = peer->groups;
	m.n_groups = peer->ngroups;
	ttrpc_reply(call, &m.base);
	/* Last: it may be over at once. */
	relay_set_local(&c->stream.relay, fd);
}

/* Who sent the first datagram; false: there is none. It stays. */
static bool first_sender(int fd, struct ucred *ret)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(*ret))];
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	if (recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT) < 0)
		return false;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
		memcpy(ret, CMSG_DATA(c), sizeof(*ret));
	return true;
}

static void ask_peer(int fd, struct peer *ret)
{
	socklen_t len = sizeof(ret->ids), groups = sizeof(ret->groups);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ret->ids, &len);
	/* More than there is room for: then none. A datagram tells none either. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, ret->groups, &groups) == 0)
		ret->ngroups = groups / sizeof(ret->groups[0]);
}

static bool try_accept(struct sockets *s, size_t i)
{
	struct peer peer = { .ids = { .uid = (uid_t)-1, .gid = (gid_t)-1 } };
	struct sockets_one *o = &s->one[i];
	int fd;

	if (o->datagrams) {
		if (is_open(o) || !first_sender(o->src.fd, &peer.ids))
			return false;
		/* Its place on the loop is the other's from here on. */
		listen_on(s, false);
		o->datagrams->arg = s;
		o->datagrams->closed = datagrams_ended;
		fd = datagrams_open(o->datagrams, s->loop, o->src.fd);
	} else {
		fd = evloop_accept(&o->src, SOCK_NONBLOCK);
	}
	if (fd < 0)
		return false;
	if (!o->datagrams)
		ask_peer(fd, &peer);
	listen_on(s, false);
	hand_on(s, i, fd, &peer);
	if (o->datagrams && s->over)
		datagrams_last(o->datagrams);
	return true;
}

static void on_connection(struct evsrc *src, uint32_t events)
{
	struct sockets_one *o = container_of(src, struct sockets_one, src);

	(void)events;
	if (o->of->waiter)
		try_accept(o->of, (size_t)(o - o->of->one));
}

/* The connection that waited has ended. */
static void cancelled(struct ttrpc_call *call)
{
	struct sockets *s = call->arg;

	s->waiter = NULL;
	listen_on(s, false);
	ttrpc_reply(call, NULL);
}

/* With nobody left to connect an answer is due. */
static void answer_last(struct sockets *s)
{
	if (!s->over || !s->waiter)
		return;
	for (size_t i = 0; i < s->n; i++)
		if (try_accept(s, i))
			return;
	listen_on(s, false);
	ttrpc_reply_err(steal_ptr(&s->waiter), -ESRCH, "container not running");
}

void sockets_accept(struct sockets *s, uint64_t token, struct ttrpc_call *call)
{
	if (!s->n) {
		ttrpc_reply_err(call, -EINVAL, "no socket of the host's is there");
		return;
	}
	if (s->waiter) {
		ttrpc_reply_err(call, -EEXIST, "somebody waits already");
		return;
	}
	reap(s, false);
	s->waiter = call;
	s->token = token;
	call->arg = s;
	call->cancel = cancelled;
	if (s->over)
		answer_last(s);
	else
		listen_on(s, true);
}

void sockets_over(struct sockets *s)
{
	s->over = true;
	for (size_t i = 0; i < s->n; i++)
		if (s->one[i].datagrams)
			datagrams_last(s->one[i].datagrams);
	answer_last(s);
}
