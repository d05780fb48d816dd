// SPDX-License-Identifier: Apache-2.0
/*
 * The container's network, between husk-net (which may change the host's namespace and hears no guest) and the agent (which
 * is the guest). What husk-net has packed for the agent is handed on as it is; back goes a number alone.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "runtime/net/wire.h"
#include "runtime/proxy/resolver.h"
#include "runtime/proxy/udp.h"
#include "runtime/proxy/session_internal.h"

/* For husk-net to take away what it added to the namespace. */
#define END_TIMEOUT_MS 3000
#define GUEST_TIMEOUT_MS 1000
#define RESOLVER_AGAIN_NS UINT64_C(1000000000)

static void send_done(struct session *s, uint64_t number, int rc)
{
	struct net_done m = { .hdr = { .version = NET_VERSION, .cmd = NET_DONE, .rc = rc, .size = sizeof(m) },
			      .number = number };

	send(s->net.src.fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The state that @token asked for, or one unasked (0), is made so, or is not. */
static void settled(struct session *s, uint64_t token, int rc, const struct err *e)
{
	struct session_client *c = s->net.starter;

	if (!token || token != s->net.token) {
		if (rc < 0)
			log_err("%s", e->msg);
		return;
	}
	s->net.token = 0;
	s->net.starter = NULL;
	if (s->net.then && c)
		s->net.then(c, rc, e);
}

/* husk-net has gone, or is none, or cannot be heard: the container keeps the network that it has. */
static void lost(struct session *s)
{
	struct err e = ERR_INIT;

	err_set(&e, EPIPE, "husk-net has ended: the network cannot change any more");
	evloop_del(&s->net.src);
	close_and_reset(&s->net.src.fd);
	settled(s, s->net.token, -EPIPE, &e);
}

static void listen_again(struct session *s)
{
	if (s->net.src.fd >= 0 && evloop_add(s->loop, &s->net.src, EPOLLIN) < 0)
		lost(s);
}

static void made_so(struct session *s, int rc, const struct err *e)
{
	s->net.busy = false;
	if (s->net.src.fd < 0)
		return;
	send_done(s, s->net.number, rc);
	listen_again(s);
	settled(s, s->net.state_token, rc, e);
}

static void resolver_again(void *arg)
{
	struct session *s = arg;

	if (s->net.resolver_again.fn && s->agent)
		evtimer_set_ns(&s->net.resolver_again, RESOLVER_AGAIN_NS);
}

static void take_resolver(struct session *s, int rc, int fd)
{
	if (rc == 0)
		s->net.resolver = resolver_new(s->loop, fd, s->net.info.resolver, s->net.info.n);
	if (!s->net.resolver)
		return;
	resolver_on_end(s->net.resolver, resolver_again, s);
	/* What failed before is made good by this one. */
	if (s->net.resolver_again.fn)
		evtimer_set_ns(&s->net.resolver_again, 0);
}

static void on_resolver_again(struct session_dial *d, int rc, int fd)
{
	struct session *s = d->s;

	s->net.resolver_dialled = false;
	take_resolver(s, rc, fd);
	if (!s->net.resolver) {
		close_and_reset(&fd);
		resolver_again(s);
	}
}

/* The agent's end of the channel has gone, or was never reached: the container is not to be without names for ever. */
static void dial_resolver(struct evtimer *t)
{
	struct session *s = container_of(t, struct session, net.resolver_again);

	if (!s->agent || s->net.resolver_dialled)
		return;
	resolver_free(s->net.resolver);
	s->net.resolver = NULL;
	s->net.resolver_dial.done = on_resolver_again;
	s->net.resolver_dialled = session_dial(s, &s->net.resolver_dial, AGENT_PORT_RESOLVER, AGENT_STREAM_DEADLINE_MS, NULL, 0,
					       NULL) == 0;
	if (!s->net.resolver_dialled)
		resolver_again(s);
}

static void on_resolver(struct session_dial *d, int rc, int fd)
{
	struct session *s = d->s;
	struct err e = ERR_INIT;

	s->net.resolver_dialled = false;
	take_resolver(s, rc, fd);
	if (!s->net.resolver) {
		log_warn("the container's name server is out of its reach: error %d", rc < 0 ? -rc : ENOMEM);
		close_and_reset(&fd);
		resolver_again(s);
	}
	made_so(s, 0, &e);
}

/* Servers on the namespace's loopback: the agent listens in their place already, and the process is to find one that answers.
 * True: made_so() follows. */
static bool serve_names(struct session *s, const struct agent_network_info *info)
{
	struct err e = ERR_INIT;

	if (!info->n || s->net.resolver || s->net.resolver_dialled)
		return false;
	s->net.info = *info;
	if (!s->net.resolver_again.fn && evtimer_init(s->loop, &s->net.resolver_again, "names again", dial_resolver) < 0)
		s->net.resolver_again.fn = NULL;
	s->net.resolver_dial.done = on_resolver;
	s->net.resolver_dialled = session_dial(s, &s->net.resolver_dial, AGENT_PORT_RESOLVER, AGENT_STREAM_DEADLINE_MS, NULL, 0,
					       &e) == 0;
	if (s->net.resolver_dialled)
		return true;
	log_warn("the container's name server is out of its reach: %s", e.msg);
	resolver_again(s);
	return false;
}

static void answered(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	if (r->rc < 0 || s->net.src.fd < 0 || !serve_names(s, &r->network))
		made_so(s, r->rc, &r->err);
}

/* Nothing to tell an agent that was told of nothing yet. */
static bool is_nothing(const struct session *s, const struct net_state *m)
{
	return m->links == 0 && !s->net.told;
}

static int apply(struct session *s, const struct net_state *m, struct err *e)
{
	int rc = 0;

	if (m->hdr.rc < 0)
		return err_set(e, -m->hdr.rc, "%.*s", (int)sizeof(m->text), m->text);
	if (is_nothing(s, m) || !s->agent) {
		send_done(s, m->number, 0);
		return 0;
	}
	rc = agent_network(s->agent, m + 1, m->len, answered, s, e);
	if (rc < 0)
		return rc;
	s->net.told = true;
	s->net.busy = true;
	s->net.number = m->number;
	s->net.state_token = m->token;
	evloop_del(&s->net.src);
	return 1;
}

static bool is_well_formed(const struct net_state *m, ssize_t n)
{
	return n >= (ssize_t)sizeof(*m) && m->hdr.version == NET_VERSION && m->hdr.cmd == NET_STATE &&
	       m->hdr.size == (size_t)n && m->len == (size_t)n - sizeof(*m) && m->hdr.rc <= 0 && m->hdr.rc >= -4095;
}

static void on_udp(struct session_dial *d, int rc, int fd)
{
	if (rc < 0)
		log_debug("datagrams to the namespace: error %d", -rc);
	udp_dialled(d->s->net.udp, fd);
}

/* For the first datagram that comes. Its kernel answers at once, or never. */
static int dial_udp(void *arg)
{
	struct session *s = arg;
	struct err e = ERR_INIT;
	int rc;

	if (!s->created)
		return -ESRCH;
	s->net.udp_dial.done = on_udp;
	rc = session_dial(s, &s->net.udp_dial, AGENT_PORT_UDP, GUEST_TIMEOUT_MS, NULL, 0, &e);
	if (rc < 0)
		log_debug("datagrams to the namespace: %s", e.msg);
	return rc < 0 ? rc : -EINPROGRESS;
}

static void take_udp(struct session *s, const struct net_udp *m, const int *fds, size_t nfds)
{
	if (!s->net.udp)
		s->net.udp = udp_new(s->loop, dial_udp, s);
	if (s->net.udp && nfds == 2)
		udp_add(s->net.udp, m->family, fds[0], fds[1]);
	else
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
}

/* One packet. 0: there was none. */
static int take(struct session *s)
{
	struct net_state *m = malloc(sizeof(*m) + NET_MAX_STATE);
	struct err e = ERR_INIT;
	int fds[NET_LISTENERS], rc;
	size_t nfds = NET_LISTENERS;
	ssize_t n = m ? io_recv_fds(s->net.src.fd, m, sizeof(*m) + NET_MAX_STATE, fds, &nfds, MSG_DONTWAIT) : -ENOMEM;

	if (n == -EAGAIN || n == -EINTR) {
		free(m);
		return 0;
	}
	if (n == (ssize_t)sizeof(struct net_simple) && m->hdr.version == NET_VERSION && m->hdr.cmd == NET_LISTEN) {
		forward_listen(s, fds, nfds);
		free(m);
		return 1;
	}
	if (n == (ssize_t)sizeof(struct net_udp) && m->hdr.version == NET_VERSION && m->hdr.cmd == NET_UDP) {
		take_udp(s, (const struct net_udp *)m, fds, nfds);
		free(m);
		return 1;
	}
	for (size_t i = 0; n > 0 && i < nfds; i++)
		close(fds[i]);
	if (!m || !is_well_formed(m, n)) {
		free(m);
		lost(s);
		return 0;
	}
	rc = apply(s, m, &e);
	if (rc <= 0)
		settled(s, m->token, rc, &e);
	free(m);
	return 1;
}

static void on_net(struct evsrc *src, uint32_t events)
{
	(void)events;
	take(container_of(src, struct session, net.src));
}

void network_take(struct session *s, int fd)
{
	s->net.src = (struct evsrc){ .fd = fd, .fn = on_net, .name = "husk-net" };
	s->net.has = true;
}

void network_begin(struct session *s)
{
	if (!s->net.has)
		return;
	listen_again(s);
	/* What is known already the agent is to have before the container. */
	while (!s->net.busy && s->net.src.fd >= 0 && take(s))
		;
}

int network_sync(struct session_client *c, void (*then)(struct session_client *c, int rc, const struct err *e), struct err *e)
{
	struct session *s = c->s;
	struct net_sync m = { .hdr = { .version = NET_VERSION, .cmd = NET_SYNC, .size = sizeof(m) } };

	if (!s->net.has)
		return 0;
	if (s->net.src.fd < 0)
		return err_set(e, EPIPE, "husk-net has ended");
	m.token = ++s->net.last_token;
	if (send(s->net.src.fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(m))
		return err_errno(e, errno, "husk-net");
	s->net.token = m.token;
	s->net.starter = c;
	s->net.then = then;
	return 1;
}

void network_ending(struct session *s)
{
	if (s->net.has && s->net.src.fd >= 0)
		shutdown(s->net.src.fd, SHUT_WR);
}

void network_stop(struct session *s)
{
	struct pollfd p = { .fd = s->net.src.fd, .events = POLLIN };
	uint64_t end = io_now_ns() + END_TIMEOUT_MS * UINT64_C(1000000);
	char skipped[4096];

	forward_stop(s);
	session_dial_cancel(&s->net.udp_dial);
	session_dial_cancel(&s->net.resolver_dial);
	if (s->net.resolver_again.fn)
		evtimer_done(&s->net.resolver_again);
	s->net.resolver_again.fn = NULL;
	udp_free(s->net.udp);
	s->net.udp = NULL;
	resolver_free(s->net.resolver);
	s->net.resolver = NULL;
	if (!s->net.has || p.fd < 0)
		return;
	if (!s->net.busy)
		evloop_del(&s->net.src);
	shutdown(p.fd, SHUT_WR);
	while (io_now_ns() < end && poll(&p, 1, END_TIMEOUT_MS) > 0 && recv(p.fd, skipped, sizeof(skipped), MSG_DONTWAIT) > 0)
		;
	close_and_reset(&s->net.src.fd);
}
