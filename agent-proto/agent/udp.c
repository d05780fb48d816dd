// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/udp.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define FRAME    (UDP_HEAD + UDP_MAX_PAYLOAD)
#define MAX_OUT  (8u * FRAME) /* answers that the host does not take fast enough are dropped */
#define TURNS    16 /* datagrams before others on the loop get their turn */
#define SWEEP_NS (UDP_IDLE_NS / 4)

/* ---- to the host ------------------------------------------------------------------------------------------- */

static void flush(struct udp_ports *u)
{
	uint32_t events;

	buf_send(&u->out, u->channel.fd);
	events = EPOLLIN | (u->out.len ? EPOLLOUT : 0u);
	if (events != u->events && evloop_mod(&u->channel, events) == 0)
		u->events = events;
}

static void on_answer(struct evsrc *src, uint32_t events)
{
	static uint8_t data[UDP_MAX_PAYLOAD];
	struct udp_port_flow *f = container_of(src, struct udp_port_flow, src);
	struct udp_ports *u = f->all;
	ssize_t n = 0;

	(void)events;
	for (int i = 0; i < TURNS && n >= 0; i++) {
		struct udp_head h = { .tag = f->tag };
		uint8_t *at;

		/* An error is that nobody listens, which is taken by this: who asked hears nothing. */
		n = recv(src->fd, data, sizeof(data), MSG_DONTWAIT);
		at = n < 0 ? NULL : buf_reserve(&u->out, UDP_HEAD + (size_t)n);
		if (!at) {
			u->out.failed = false;
			continue;
		}
		f->used_ns = io_now_ns();
		h.len = (uint16_t)n;
		udp_put(at, &h);
		memcpy(at + UDP_HEAD, data, (size_t)n);
		buf_commit(&u->out, UDP_HEAD + (size_t)n);
	}
	flush(u);
}

/* ---- flows --------------------------------------------------------------------------------------------------- */

static void drop_flow(struct udp_port_flow *f)
{
	evloop_del(&f->src);
	close_and_reset(&f->src.fd);
}

static void on_sweep(struct evtimer *t)
{
	struct udp_ports *u = container_of(t, struct udp_ports, sweep);
	const uint64_t now = io_now_ns();

	u->sweeps = false;
	for (struct udp_port_flow *f = u->flow; f < u->flow + UDP_FLOWS; f++) {
		if (f->src.fd >= 0 && now - f->used_ns > UDP_IDLE_NS)
			drop_flow(f);
		u->sweeps |= f->src.fd >= 0;
	}
	if (u->sweeps)
		evtimer_set_ns(t, SWEEP_NS);
}

/* Bound to the address that it is to send to: only one of the container's own can be both. */
static int dial(const struct agent *a, const struct udp_head *h)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} own, to;
	const bool is_v6 = h->family == 6;
	const socklen_t len = is_v6 ? sizeof(own.v6) : sizeof(own.v4);
	_cleanup_close_ int fd = forward_socket(a, is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM);
	const int one = 1;

	memset(&own, 0, sizeof(own));
	if (is_v6) {
		own.v6.sin6_family = AF_INET6;
		memcpy(&own.v6.sin6_addr, h->addr, sizeof(own.v6.sin6_addr));
		to = own;
		memcpy(&to.v6.sin6_port, h->port, sizeof(h->port));
	} else {
		own.v4.sin_family = AF_INET;
		memcpy(&own.v4.sin_addr, h->addr, sizeof(own.v4.sin_addr));
		to = own;
		memcpy(&to.v4.sin_port, h->port, sizeof(h->port));
	}
	/* A group, or everybody, may be bound to as well. */
	if (is_v6 ? IN6_IS_ADDR_MULTICAST(&own.v6.sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&own.v6.sin6_addr)
		  : ntohl(own.v4.sin_addr.s_addr) >= INADDR_UNSPEC_GROUP || own.v4.sin_addr.s_addr == INADDR_ANY)
		return -1;
	if (fd < 0 || (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(fd, &own.any, len) < 0 || connect(fd, &to.any, len) < 0)
		return -1;
	return steal_fd(&fd);
}

static void to_container(struct udp_ports *u, const struct udp_head *h, const uint8_t *data)
{
	struct udp_port_flow *f = &u->flow[h->tag % UDP_FLOWS];

	if (f->src.fd < 0 || f->tag != h->tag) {
		drop_flow(f);
		f->src = (struct evsrc){ .fd = dial(container_of(u, struct agent, udp_ports), h),
					 .fn = on_answer,
					 .name = "flow" };
		f->tag = h->tag;
		if (f->src.fd < 0)
			return;
		if (evloop_add(u->loop, &f->src, EPOLLIN) < 0) {
			close_and_reset(&f->src.fd);
			return;
		}
		if (!u->sweeps)
			u->sweeps = evtimer_set_ns(&u->sweep, SWEEP_NS) == 0;
	}
	f->used_ns = io_now_ns();
	/* The first try may bring the error of the one before. */
	if (send(f->src.fd, data, h->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
		send(f->src.fd, data, h->len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- the host's connection ----------------------------------------------------------------------------------- */

static void drop_channel(struct udp_ports *u)
{
	for (size_t i = 0; i < UDP_FLOWS; i++)
		drop_flow(&u->flow[i]);
	evloop_del(&u->channel);
	close_and_reset(&u->channel.fd);
	buf_free(&u->in);
	buf_free(&u->out);
}

static void on_channel(struct evsrc *src, uint32_t events)
{
	struct udp_ports *u = container_of(src, struct udp_ports, channel);
	uint8_t *room = buf_reserve(&u->in, FRAME);
	struct udp_head h;
	size_t at = 0;
	ssize_t n;
	long size;

	if (events & EPOLLOUT)
		flush(u);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	n = room ? recv(src->fd, room, FRAME, MSG_DONTWAIT) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_channel(u);
		return;
	}
	buf_commit(&u->in, (size_t)n);
	while ((size = udp_get(u->in.data + at, u->in.len - at, &h)) > 0) {
		if (!h.family || !h.tag) {
			size = -1;
			break;
		}
		to_container(u, &h, u->in.data + at + UDP_HEAD);
		at += (size_t)size;
	}
	buf_consume(&u->in, at);
	if (size < 0)
		drop_channel(u);
}

/* The host's latest connection is the one that counts. */
static void on_listen(struct evsrc *src, uint32_t events)
{
	struct udp_ports *u = container_of(src, struct udp_ports, listen);
	int fd = agent_accept_host(container_of(u, struct agent, udp_ports), src);

	(void)events;
	if (fd < 0)
		return;
	drop_channel(u);
	u->channel = (struct evsrc){ .fd = fd, .fn = on_channel, .name = "datagram channel" };
	u->events = EPOLLIN;
	if (evloop_add(u->loop, &u->channel, EPOLLIN) < 0)
		close_and_reset(&u->channel.fd);
}

int udp_ports_init(struct udp_ports *u, struct evloop *l, int listen)
{
	int rc;

	if (listen < 0)
		return 0;
	rc = evtimer_init(l, &u->sweep, "idle flows", on_sweep);
	if (rc < 0)
		return rc;
	u->loop = l;
	u->channel.fd = -1;
	u->in = (struct buf)BUF_INIT(2 * FRAME);
	u->out = (struct buf)BUF_INIT(MAX_OUT);
	for (size_t i = 0; i < UDP_FLOWS; i++)
		u->flow[i] = (struct udp_port_flow){ .all = u, .src.fd = -1 };
	u->listen = (struct evsrc){ .fd = listen, .fn = on_listen, .name = "datagram listener" };
	return evloop_add(l, &u->listen, EPOLLIN);
}

void udp_ports_done(struct udp_ports *u)
{
	if (!u->loop)
		return;
	drop_channel(u);
	evtimer_done(&u->sweep);
	evloop_del(&u->listen);
	close_and_reset(&u->listen.fd);
}
