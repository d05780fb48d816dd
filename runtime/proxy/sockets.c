// SPDX-License-Identifier: Apache-2.0
/*
 * Sockets of the host in the container. One connection after the other: the agent tells of it, the connector makes the
 * host's half, the guest's half comes as a stream, and two relays carry the bytes until both sides have ended. One whose
 * listener has no room for it steps aside meanwhile: it is tried again, and others, of other sockets, go on.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/proxy/connector.h"
#include "runtime/proxy/session_internal.h"
#include "runtime/proxy/unframe.h"

/* After which an agent that could not tell of a connection is asked anew. */
#define AGAIN_NS UINT64_C(1000000000)
/* A listener of the host's whose queue is full: on the host who connects would wait. */
#define FULL_FIRST_NS UINT64_C(10000000)
#define FULL_NEXT_NS  UINT64_C(100000000)
#define FULL_TOO_LONG UINT64_C(5000000000)

struct socket_conn {
	struct socket_conn *next;
	struct session *s;
	struct relay in, out; /* host to guest, guest to host */
	struct unframe *datagrams; /* in the place of both */
	bool accepted; /* by a listening socket of the host's (listen.c) */
};

static void ask_agent(struct session *s);

int sockets_add(struct session *s, int fd, struct err *e)
{
	if (s->sockets.n == ARRAY_SIZE(s->sockets.fds))
		return err_set(e, EBADMSG, "socket: too many");
	s->sockets.fds[s->sockets.n++] = fd;
	return 0;
}

int sockets_add_ids(struct session *s, const struct proxy_ids *m, struct err *e)
{
	struct connector_ids *ids = &s->sockets.ids;
	struct connector_range *v = m->groups ? ids->gids : ids->uids;
	size_t *n = m->groups ? &ids->n_gids : &ids->n_uids;

	if (*n == AGENT_MAX_ID_MAPPINGS)
		return err_set(e, EBADMSG, "ids: too many");
	v[(*n)++] = (struct connector_range){ .first = m->first, .n = m->n };
	return 0;
}

int sockets_prepare(struct session *s, int proc, struct err *e)
{
	struct session_sockets *k = &s->sockets;
	int rc = k->n ? connector_start(proc, k->fds, k->n, &k->ids, &k->src.fd, e) : 0;

	for (size_t i = 0; i < k->n; i++)
		close_and_reset(&k->fds[i]);
	return rc;
}

static bool is_over(const struct socket_conn *c)
{
	return c->datagrams ? c->datagrams->done : c->in.done && c->out.done;
}

/* Not from inside a relay's own callback. */
static void reap(struct session *s, bool all)
{
	struct socket_conn **at = &s->sockets.conns;

	while (*at) {
		struct socket_conn *c = *at;

		if (!all && !is_over(c)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		relay_stop(&c->in);
		relay_stop(&c->out);
		if (c->datagrams)
			unframe_stop(c->datagrams);
		free(c->datagrams);
		free(c);
	}
}

static void one_done(struct relay *r)
{
	struct socket_conn *c = r->arg;
	struct session *s = c->s;

	/* Either side learns of the other's going. */
	if (is_over(c)) {
		relay_stop(&c->in);
		relay_stop(&c->out);
		ask_agent(s);
		listen_look(s);
	}
	if (r == &c->out)
		session_drained(s);
}

static void datagrams_done(struct unframe *u)
{
	struct socket_conn *c = u->arg;

	ask_agent(c->s);
	session_drained(c->s);
}

static void add(struct session *s, struct socket_conn *c)
{
	c->s = s;
	c->next = s->sockets.conns;
	s->sockets.conns = c;
}

static int carry_datagrams(struct session *s, int host, int guest)
{
	struct socket_conn *c = calloc(1, sizeof(*c));

	if (c)
		c->datagrams = calloc(1, sizeof(*c->datagrams));
	if (!c || !c->datagrams) {
		free(c);
		return -ENOMEM;
	}
	add(s, c);
	unframe_start(c->datagrams, s->loop, guest, host, datagrams_done, c);
	return 0;
}

/* Each direction has descriptors of its own, as each closes them in its time. */
int sockets_carry(struct session *s, int host, int guest, bool accepted)
{
	const struct relay_end host_end = { .fd = host, .kind = RELAY_SOCKET };
	const struct relay_end guest_end = { .fd = guest, .kind = RELAY_SOCKET };
	struct relay_end host2 = host_end, guest2 = guest_end;
	struct socket_conn *c = calloc(1, sizeof(*c));

	host2.fd = fcntl(host, F_DUPFD_CLOEXEC, 3);
	guest2.fd = fcntl(guest, F_DUPFD_CLOEXEC, 3);
	if (!c || host2.fd < 0 || guest2.fd < 0) {
		close_and_reset(&host2.fd);
		close_and_reset(&guest2.fd);
		free(c);
		return -ENOMEM;
	}
	c->in.arg = c->out.arg = c;
	c->accepted = accepted;
	reap(s, false);
	add(s, c);
	relay_start(&c->in, s->loop, "socket in", host_end, guest_end, RELAY_END_SHUTDOWN, one_done);
	relay_start(&c->out, s->loop, "socket out", guest2, host2, RELAY_END_SHUTDOWN, one_done);
	return 0;
}

static void go_on(struct session *s);

/* @now is made, or refused; there is room for another. */
static void forget_now(struct session_sockets *k)
{
	if (k->now)
		k->now->token = 0;
	k->now = NULL;
	k->dialling = false;
}

static void on_guest(struct session_dial *d, int rc, int guest)
{
	struct session *s = container_of(d, struct session, sockets.dial);
	int host = s->sockets.host;

	forget_now(&s->sockets);
	reap(s, false);
	/* Without the host's half the container sees a connection that ends at once. */
	if (rc < 0 || host < 0 ||
	    (s->sockets.datagram ? carry_datagrams(s, host, guest) : sockets_carry(s, host, guest, false)) < 0) {
		close_and_reset(&host);
		close_and_reset(&guest);
	}
	go_on(s);
}

/* The guest's half, for @host (-1: there is none), which is taken. */
static void dial_guest(struct session *s, int host, bool datagram)
{
	struct err e = ERR_INIT;

	s->sockets.host = host;
	s->sockets.datagram = datagram;
	s->sockets.dial.done = on_guest;
	s->sockets.dialling = s->agent && session_dial_stream(s, &s->sockets.dial, s->sockets.now->token, &e) == 0;
	if (s->sockets.dialling)
		return;
	close_and_reset(&s->sockets.host);
	forget_now(&s->sockets);
}

/* The container sees a connection that ends at once. */
static void refuse(struct session *s)
{
	dial_guest(s, -1, false);
}

static struct session_socket_try *free_try(struct session_sockets *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(k->tries); i++)
		if (!k->tries[i].token)
			return &k->tries[i];
	return NULL;
}

static struct session_socket_try *first_try(struct session_sockets *k)
{
	struct session_socket_try *first = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(k->tries); i++)
		if (k->tries[i].token && (!first || k->tries[i].at_ns < first->at_ns))
			first = &k->tries[i];
	return first;
}

/* One at a time is made. Where none is due the timer is set for the first that will be. */
static void make_next(struct session *s)
{
	struct session_sockets *k = &s->sockets;
	struct session_socket_try *t;

	while (!k->now && (t = first_try(k))) {
		uint64_t now = io_now_ns();

		if (t->at_ns > now && evtimer_set_ns(&k->full, t->at_ns - now) == 0)
			return;
		k->now = t;
		if (k->src.fd < 0 || io_send_fds(k->src.fd, &t->ask, sizeof(t->ask), NULL, 0) < 0)
			refuse(s);
	}
}

static void go_on(struct session *s)
{
	make_next(s);
	ask_agent(s);
	session_drained(s);
}

static void on_full(struct evtimer *t)
{
	go_on(container_of(t, struct session, sockets.full));
}

/* @now steps aside. The last place is for others: where it would take that, the one that has waited longest goes. */
static bool try_later(struct session_sockets *k)
{
	struct session_socket_try *t = k->now, *oldest = t;
	uint64_t now = io_now_ns();

	if (now >= t->until_ns)
		return false;
	t->at_ns = now + t->step_ns;
	t->step_ns = min_t(uint64_t, 2 * t->step_ns, FULL_NEXT_NS);
	k->now = NULL;
	if (free_try(k))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(k->tries); i++)
		if (k->tries[i].until_ns < oldest->until_ns)
			oldest = &k->tries[i];
	oldest->at_ns = oldest->until_ns = 0;
	return true;
}

/* The connector's answer. */
static void on_answer(struct evsrc *src, uint32_t events)
{
	struct session *s = container_of(src, struct session, sockets.src);
	struct connector_answer a = { .rc = -EPIPE };
	int host = -1;
	size_t nfds = 1;
	ssize_t n = io_recv_fds(src->fd, &a, sizeof(a), &host, &nfds, MSG_DONTWAIT);

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n != sizeof(a) || nfds != 1)
		host = -1;
	if (n <= 0) {
		evloop_del(src);
		close_and_reset(&src->fd);
	}
	/* Nothing was asked: it has ended. */
	if (!s->sockets.now || s->sockets.dialling) {
		close_and_reset(&host);
		return;
	}
	if (n <= 0 || host >= 0 || a.rc != -EAGAIN || !try_later(&s->sockets)) {
		if (host < 0)
			log_debug("a socket of the host cannot be connected to: error %d", -a.rc);
		dial_guest(s, host, a.datagram);
	}
	go_on(s);
}

/* Whether it comes to nothing to ask once more. Of what there is too little may be there again after a while. */
static bool is_final(int rc)
{
	switch (-rc) {
	case ESRCH: /* nobody is left who could connect */
	case ENOENT: /* nor is the container there */
	case EINVAL: /* it has no such sockets */
	case ENOSYS: /* and this agent none at all */
	case EPIPE: /* it has gone; these three are agent_client's own */
	case EPROTO:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

static void not_told(struct session *s, int rc, const struct err *e)
{
	struct session_sockets *k = &s->sockets;

	k->finished = is_final(rc) || evtimer_set_ns(&k->again, AGAIN_NS) < 0;
	if (k->finished || k->failed)
		log_debug("sockets: %s", e->msg);
	else
		log_warn("sockets of the host cannot be connected to for now: %s", e->msg);
	k->failed |= !k->finished;
}

static void told(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;
	struct session_sockets *k = &s->sockets;
	struct session_socket_try *t;
	uint64_t now;

	k->asked = false;
	if (r->rc < 0) {
		not_told(s, r->rc, &r->err);
		session_drained(s);
		return;
	}
	t = free_try(k);
	if (k->finished || !t)
		return;
	now = io_now_ns();
	*t = (struct session_socket_try){ .token = k->token, .at_ns = now, .step_ns = FULL_FIRST_NS,
					  .until_ns = now + FULL_TOO_LONG,
					  .ask = { .socket = r->socket.socket, .uid = r->socket.uid, .gid = r->socket.gid,
						   .ngroups = r->socket.ngroups } };
	memcpy(t->ask.groups, r->socket.groups, sizeof(t->ask.groups));
	go_on(s);
}

unsigned sockets_live(const struct session *s, bool accepted)
{
	unsigned n = 0;

	for (const struct socket_conn *c = s->sockets.conns; c; c = c->next)
		n += c->accepted == accepted && !is_over(c);
	return n;
}

static unsigned being_made(const struct session_sockets *k)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(k->tries); i++)
		n += k->tries[i].token != 0;
	return n;
}

static void ask_agent(struct session *s)
{
	struct err e = ERR_INIT;
	int rc;

	if (!s->sockets.n || s->sockets.asked || s->sockets.now || s->sockets.finished || !s->agent || !free_try(&s->sockets))
		return;
	if (sockets_live(s, false) + being_made(&s->sockets) >= SESSION_MAX_SOCKET_CONNS) {
		if (!s->sockets.many)
			log_warn("%d connections to sockets of the host at a time: more wait", SESSION_MAX_SOCKET_CONNS);
		s->sockets.many = true;
		return;
	}
	if (getrandom(&s->sockets.token, sizeof(s->sockets.token), 0) != (ssize_t)sizeof(s->sockets.token)) {
		s->sockets.finished = true;
		return;
	}
	s->sockets.token |= 1;
	rc = agent_accept_socket(s->agent, s->at.container_id, s->sockets.token, told, s, &e);
	if (rc < 0)
		not_told(s, rc, &e);
	s->sockets.asked = rc == 0;
}

static void ask_again(struct evtimer *t)
{
	struct session *s = container_of(t, struct session, sockets.again);

	ask_agent(s);
	session_drained(s);
}

void sockets_begin(struct session *s)
{
	if (!s->sockets.n)
		return;
	s->sockets.src.fn = on_answer;
	s->sockets.src.name = "connector";
	if (evloop_add(s->loop, &s->sockets.src, EPOLLIN) < 0)
		close_and_reset(&s->sockets.src.fd);
	s->sockets.again.src.fd = s->sockets.full.src.fd = -1;
	if (evtimer_init(s->loop, &s->sockets.again, "sockets again", ask_again) < 0 ||
	    evtimer_init(s->loop, &s->sockets.full, "full socket", on_full) < 0)
		log_warn("sockets of the host: no timer");
	ask_agent(s);
}

bool sockets_drained(const struct session *s)
{
	for (const struct socket_conn *c = s->sockets.conns; c; c = c->next)
		if (c->datagrams ? !c->datagrams->done : !c->out.done)
			return false;
	/* One whose process has ended is made all the same: that had written to it. */
	return !s->sockets.n || (s->sockets.finished && !being_made(&s->sockets));
}

static void too_late(struct evtimer *t)
{
	struct session *s = container_of(t, struct session, sockets.late);

	log_debug("sockets: somebody on the host does not read");
	sockets_stop(s);
	session_drained(s);
}

void sockets_ending(struct session *s)
{
	struct session_sockets *k = &s->sockets;

	if (sockets_drained(s))
		return;
	k->late.src.fd = -1;
	if (evtimer_init(s->loop, &k->late, "sockets", too_late) < 0 ||
	    evtimer_set_ns(&k->late, SESSION_SOCKETS_DRAIN_NS) < 0)
		sockets_stop(s);
}

void sockets_stop(struct session *s)
{
	if (s->sockets.late.fn)
		evtimer_done(&s->sockets.late);
	if (s->sockets.again.fn)
		evtimer_done(&s->sockets.again);
	if (s->sockets.full.fn)
		evtimer_done(&s->sockets.full);
	s->sockets.finished = true;
	if (s->sockets.dialling) {
		session_dial_cancel(&s->sockets.dial);
		close_and_reset(&s->sockets.host);
	}
	forget_now(&s->sockets);
	for (size_t i = 0; i < ARRAY_SIZE(s->sockets.tries); i++)
		s->sockets.tries[i].token = 0;
	reap(s, true);
	if (!s->sockets.n)
		return;
	evloop_del(&s->sockets.src);
	close_and_reset(&s->sockets.src.fd);
}
