// SPDX-License-Identifier: Apache-2.0
/*
 * Datagrams that somebody on the host sent to the container's network namespace itself, where nobody listens: husk-net has the
 * kernel hand them to a socket here; they go on to the agent, and from there to the same address and port of the guest's
 * (agent-proto/proto/udp.h). An answer goes to who asked, from the address and port that was asked, by a raw socket that can do
 * no more than that.
 *
 * Of the guest's word a tag is used, which is looked up among the flows that began here, and the datagram itself.
 */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/proxy/udp.h"
#include "runtime/proxy/udp_flows.h"

#define FRAME    (UDP_HEAD + UDP_MAX_PAYLOAD)
#define MAX_OUT  (8u * FRAME) /* more stays in the kernel's queue, which drops what is too much */
#define TURNS    16 /* datagrams before others on the loop get their turn */
#define AGAIN_NS UINT64_C(1000000000) /* after an agent that could not be connected to */

struct side {
	struct udp_relay *u;
	struct evsrc in; /* fd -1: none of this family */
	int out;
	bool on;
};

struct udp_relay {
	struct evloop *loop;
	int (*dial)(void *arg);
	void *arg;
	struct evsrc channel; /* to the agent; fd -1: none yet */
	bool dialling;
	uint32_t events;
	uint64_t not_before_ns;
	struct buf to_agent, from_agent;
	struct side side[2]; /* IPv4, IPv6 */
	struct udp_flows flows;
};

union any_addr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* ---- to the agent ------------------------------------------------------------------------------------------ */

static void listen_while_room(struct udp_relay *u)
{
	const bool on = u->to_agent.len + FRAME <= MAX_OUT;

	for (size_t i = 0; i < ARRAY_SIZE(u->side); i++) {
		struct side *s = &u->side[i];

		if (s->in.fd >= 0 && s->on != on && evloop_mod(&s->in, on ? EPOLLIN : 0) == 0)
			s->on = on;
	}
}

static void drop_channel(struct udp_relay *u)
{
	evloop_del(&u->channel);
	close_and_reset(&u->channel.fd);
	buf_free(&u->to_agent);
	buf_free(&u->from_agent);
	listen_while_room(u);
}

static void flush(struct udp_relay *u)
{
	uint32_t events;

	buf_send(&u->to_agent, u->channel.fd);
	events = EPOLLIN | (u->to_agent.len ? EPOLLOUT : 0u);
	if (events != u->events && evloop_mod(&u->channel, events) == 0)
		u->events = events;
	listen_while_room(u);
}

static void on_channel(struct evsrc *src, uint32_t events)
{
	struct udp_relay *u = container_of(src, struct udp_relay, channel);
	static uint8_t in[65536];
	ssize_t n;

	if (events & EPOLLOUT)
		flush(u);
	n = recv(src->fd, in, sizeof(in), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_channel(u);
	} else if (udp_input(u, in, (size_t)n) < 0) {
		log_guest("the guest's agent sends what is no datagram: it gets no more of them for now");
		u->not_before_ns = io_now_ns() + AGAIN_NS;
		drop_channel(u);
	}
}

void udp_dialled(struct udp_relay *u, int fd)
{
	u->dialling = false;
	u->channel = (struct evsrc){ .fd = fd < 0 ? -1 : fd, .fn = on_channel, .name = "datagrams" };
	u->events = EPOLLIN;
	if (fd >= 0 && evloop_add(u->loop, &u->channel, EPOLLIN) < 0)
		close_and_reset(&u->channel.fd);
	if (u->channel.fd >= 0) {
		flush(u);
	} else {
		/* What waited for it is lost, as datagrams are. */
		u->not_before_ns = io_now_ns() + AGAIN_NS;
		drop_channel(u);
	}
}

/* Or will be, so that what is to be told can wait for it. */
static bool is_connected(struct udp_relay *u)
{
	int fd;

	if (u->channel.fd >= 0 || u->dialling || io_now_ns() < u->not_before_ns)
		return u->channel.fd >= 0 || u->dialling;
	fd = u->dial(u->arg);
	u->dialling = fd == -EINPROGRESS;
	if (!u->dialling)
		udp_dialled(u, fd);
	return u->dialling || u->channel.fd >= 0;
}

static void tell(struct udp_relay *u, const struct udp_flow *f, const uint8_t *data, size_t len)
{
	struct udp_head h = { .len = (uint16_t)len, .family = f->dialled.family, .tag = f->tag };
	uint8_t *at = buf_reserve(&u->to_agent, UDP_HEAD + len);

	if (!at) {
		u->to_agent.failed = false;
		return;
	}
	memcpy(h.port, f->dialled.port, sizeof(h.port));
	memcpy(h.addr, f->dialled.addr, sizeof(h.addr));
	udp_put(at, &h);
	memcpy(at + UDP_HEAD, data, len);
	buf_commit(&u->to_agent, UDP_HEAD + len);
}

/* ---- in the namespace ---------------------------------------------------------------------------------------- */

static bool addr_of(const union any_addr *a, struct udp_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (a->any.sa_family == AF_INET) {
		ret->family = 4;
		memcpy(ret->port, &a->v4.sin_port, sizeof(ret->port));
		memcpy(ret->addr, &a->v4.sin_addr, sizeof(a->v4.sin_addr));
	} else if (a->any.sa_family == AF_INET6) {
		ret->family = 6;
		ret->scope = a->v6.sin6_scope_id;
		memcpy(ret->port, &a->v6.sin6_port, sizeof(ret->port));
		memcpy(ret->addr, &a->v6.sin6_addr, sizeof(ret->addr));
	}
	return ret->family && (ret->port[0] || ret->port[1]);
}

/* Not what engines have their own servers at, which the socket's own port makes no exception of. */
static bool is_the_guests(const struct udp_addr *a)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };

	return a->family != 4 || a->addr[0] != 127 || memcmp(a->addr, loopback, sizeof(loopback)) == 0;
}

/* False: there is none. *ret_len -1: one that nobody is to have. */
static bool hear(const struct side *s, uint8_t *data, ssize_t *ret_len, struct udp_addr *client, struct udp_addr *dialled)
{
	union {
		struct cmsghdr align;
		char room[256];
	} control;
	union any_addr from = { .any.sa_family = AF_UNSPEC }, to = { .any.sa_family = AF_UNSPEC };
	struct iovec iov = { data, UDP_MAX_PAYLOAD };
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof(from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(s->in.fd, &m, MSG_DONTWAIT);

	if (n < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR && c->cmsg_len >= CMSG_LEN(sizeof(to.v4)))
			memcpy(&to.v4, CMSG_DATA(c), sizeof(to.v4));
		if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR && c->cmsg_len >= CMSG_LEN(sizeof(to.v6)))
			memcpy(&to.v6, CMSG_DATA(c), sizeof(to.v6));
	}
	*ret_len = addr_of(&from, client) && addr_of(&to, dialled) && is_the_guests(dialled) ? n : -1;
	return true;
}

static void on_datagram(struct evsrc *src, uint32_t events)
{
	static uint8_t data[UDP_MAX_PAYLOAD];
	struct side *s = container_of(src, struct side, in);
	struct udp_relay *u = s->u;
	struct udp_addr client, dialled;
	ssize_t len;

	(void)events;
	for (int i = 0; i < TURNS && s->on && hear(s, data, &len, &client, &dialled); i++) {
		if (len < 0 || !is_connected(u))
			continue;
		tell(u, udp_flow_of(&u->flows, &client, &dialled, io_now_ns()), data, (size_t)len);
		listen_while_room(u);
	}
	if (u->channel.fd >= 0)
		flush(u);
}

/* From where the flow's datagrams were sent to, which has to be an address of the namespace still. */
static void answer(const struct udp_relay *u, const struct udp_flow *f, const uint8_t *data, size_t len)
{
	const bool is_v6 = f->client.family == 6;
	union {
		struct cmsghdr c;
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = { .room = { 0 } };
	union any_addr to = { .any.sa_family = AF_UNSPEC };
	struct udphdr head = { .len = htons((uint16_t)(sizeof(head) + len)) };
	struct iovec iov[2] = { { &head, sizeof(head) }, { (void *)(uintptr_t)data, len } };
	struct msghdr m = { .msg_name = &to, .msg_iov = iov, .msg_iovlen = 2, .msg_control = &control };

	memcpy(&head.source, f->dialled.port, sizeof(head.source));
	memcpy(&head.dest, f->client.port, sizeof(head.dest));
	if (is_v6) {
		struct in6_pktinfo *from = (struct in6_pktinfo *)CMSG_DATA(&control.c);

		to.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_scope_id = f->client.scope };
		memcpy(&to.v6.sin6_addr, f->client.addr, sizeof(to.v6.sin6_addr));
		memcpy(&from->ipi6_addr, f->dialled.addr, sizeof(from->ipi6_addr));
		control.c = (struct cmsghdr){ CMSG_LEN(sizeof(*from)), SOL_IPV6, IPV6_PKTINFO };
		m.msg_namelen = sizeof(to.v6);
		m.msg_controllen = CMSG_SPACE(sizeof(*from));
	} else {
		struct in_pktinfo *from = (struct in_pktinfo *)CMSG_DATA(&control.c);

		/* Without a checksum, which IPv4 allows and a loopback does not need. */
		to.v4 = (struct sockaddr_in){ .sin_family = AF_INET };
		memcpy(&to.v4.sin_addr, f->client.addr, sizeof(to.v4.sin_addr));
		memcpy(&from->ipi_spec_dst, f->dialled.addr, sizeof(from->ipi_spec_dst));
		control.c = (struct cmsghdr){ CMSG_LEN(sizeof(*from)), SOL_IP, IP_PKTINFO };
		m.msg_namelen = sizeof(to.v4);
		m.msg_controllen = CMSG_SPACE(sizeof(*from));
	}
	sendmsg(u->side[is_v6].out, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- from the agent: the guest's word -------------------------------------------------------------------------- */

int udp_input(struct udp_relay *u, const uint8_t *data, size_t len)
{
	const uint64_t now = io_now_ns();
	struct udp_head h;
	size_t at = 0;
	long size;

	if (buf_append(&u->from_agent, data, len) < 0)
		return -EBADMSG;
	while ((size = udp_get(u->from_agent.data + at, u->from_agent.len - at, &h)) > 0) {
		const struct udp_flow *f = udp_flow_tagged(&u->flows, h.tag, now);

		if (h.family)
			return -EBADMSG;
		/* Else it was forgotten: there is nobody to be told. */
		if (f)
			answer(u, f, u->from_agent.data + at + UDP_HEAD, h.len);
		at += (size_t)size;
	}
	buf_consume(&u->from_agent, at);
	return size < 0 ? -EBADMSG : 0;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

struct udp_relay *udp_new(struct evloop *l, int (*dial)(void *arg), void *arg)
{
	struct udp_relay *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->loop = l;
	u->dial = dial;
	u->arg = arg;
	u->channel.fd = -1;
	u->to_agent = (struct buf)BUF_INIT(MAX_OUT);
	/* A frame that is not whole, and what one read brings beyond it. */
	u->from_agent = (struct buf)BUF_INIT(FRAME + 65536);
	for (size_t i = 0; i < ARRAY_SIZE(u->side); i++)
		u->side[i] = (struct side){ .u = u, .in.fd = -1, .out = -1 };
	return u;
}

int udp_add(struct udp_relay *u, unsigned family, int in, int out)
{
	struct side *s = &u->side[family == 6];
	int rc = -EEXIST;

	if (s->in.fd < 0 && (family == 4 || family == 6)) {
		s->in = (struct evsrc){ .fd = in, .fn = on_datagram, .name = "namespace's datagrams" };
		s->out = out;
		rc = evloop_add(u->loop, &s->in, EPOLLIN);
		s->on = rc == 0;
		if (rc == 0)
			return 0;
		s->in.fd = s->out = -1;
	}
	close(in);
	close(out);
	return rc;
}

void udp_free(struct udp_relay *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(u->side); i++) {
		evloop_del(&u->side[i].in);
		close_and_reset(&u->side[i].in.fd);
		close_and_reset(&u->side[i].out);
	}
	drop_channel(u);
	free(u);
}
