// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/resolver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/proto/resolver.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define PORT    53
#define MAX_OUT (4u * RESOLVER_MAX_MESSAGE) /* questions that the host does not take fast enough are dropped */

/* ---- the channel ------------------------------------------------------------------------------------------ */

static void want(struct resolver *r)
{
	uint32_t events = EPOLLIN | (r->out.len ? EPOLLOUT : 0u);

	if (r->channel.fd >= 0 && events != r->events && evloop_mod(&r->channel, events) == 0)
		r->events = events;
}

static void flush(struct resolver *r)
{
	if (r->channel.fd >= 0)
		buf_send(&r->out, r->channel.fd);
	want(r);
}

static void drop_client(struct resolver_client *c)
{
	evloop_del(&c->src);
	close_and_reset(&c->src.fd);
	free(c->in);
	c->in = NULL;
}

/* Free, or the one whose turn it is to be forgotten: a connection that still waits for that answer would wait for good. */
static struct resolver_slot *new_slot(struct resolver *r)
{
	struct resolver_slot *s;

	if (!++r->last_tag)
		r->last_tag = 1;
	s = &r->slot[r->last_tag % RESOLVER_SLOTS];
	if (s->tag && s->client && s->client->src.fd >= 0 && s->client->asking && s->client->tag == s->tag)
		drop_client(s->client);
	return s;
}

/* 0: nobody will answer. */
static uint16_t ask(struct resolver *r, unsigned server, const uint8_t *message, size_t len, const struct sockaddr_in *from,
		    struct resolver_client *client)
{
	struct resolver_slot *s;
	struct resolver_head h = { .len = (uint16_t)len, .server = (uint8_t)server, .tcp = client != NULL };
	uint8_t *at;

	if (len < RESOLVER_MIN_MESSAGE || len > RESOLVER_MAX_MESSAGE || r->out.len + RESOLVER_HEAD + len > MAX_OUT)
		return 0;
	at = buf_reserve(&r->out, RESOLVER_HEAD + len);
	if (!at) {
		r->out.failed = false;
		return 0;
	}
	s = new_slot(r);
	*s = (struct resolver_slot){ .tag = r->last_tag, .server = (uint8_t)server, .client = client };
	if (from)
		s->from = *from;
	h.tag = s->tag;
	resolver_put(at, &h);
	memcpy(at + RESOLVER_HEAD, message, len);
	buf_commit(&r->out, RESOLVER_HEAD + len);
	flush(r);
	return s->tag;
}

/* A question is its length in two bytes and as much; one that is larger than any is the end. One at a time: what came with
 * it stays until it is answered, as nothing more need come then. */
static void next_question(struct resolver_client *c)
{
	size_t len = c->got < 2 ? 0 : (size_t)(c->in[0] << 8 | c->in[1]);

	if (c->got < 2 || (len + 2 <= RESOLVER_QUESTION && c->got < len + 2)) {
		evloop_mod(&c->src, EPOLLIN);
		return;
	}
	c->tag = len + 2 <= RESOLVER_QUESTION ? ask(c->r, c->server, c->in + 2, len, NULL, c) : 0;
	if (!c->tag) {
		drop_client(c);
		return;
	}
	c->got -= len + 2;
	memmove(c->in, c->in + len + 2, c->got);
	c->asking = true;
	evloop_mod(&c->src, 0);
}

static void answer_client(struct resolver_client *c, uint16_t tag, const uint8_t *message, size_t len)
{
	uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };
	struct iovec iov[2] = { { head, sizeof(head) }, { (void *)(uintptr_t)message, len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	/* Another connection by now. */
	if (c->src.fd < 0 || !c->asking || c->tag != tag)
		return;
	c->asking = false;
	/* Who does not read an answer of 64 KiB at most does not get the rest. */
	if (!len || sendmsg(c->src.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)(len + 2))
		drop_client(c);
	else
		next_question(c);
}

static void answer(struct resolver *r, const struct resolver_head *h, const uint8_t *message)
{
	struct resolver_slot *s = &r->slot[h->tag % RESOLVER_SLOTS];

	if (!h->tag || s->tag != h->tag || s->server != h->server || s->server >= r->n || !s->client == h->tcp)
		return;
	s->tag = 0;
	if (h->tcp)
		answer_client(s->client, h->tag, message, h->len);
	else if (r->server[s->server].udp.fd >= 0)
		sendto(r->server[s->server].udp.fd, message, h->len, MSG_DONTWAIT | MSG_NOSIGNAL,
		       (struct sockaddr *)&s->from, sizeof(s->from));
}

/* What was asked through it is answered by nobody. */
static void drop_channel(struct resolver *r)
{
	for (size_t i = 0; i < RESOLVER_CLIENTS; i++)
		if (r->client[i].src.fd >= 0 && r->client[i].asking)
			drop_client(&r->client[i]);
	evloop_del(&r->channel);
	close_and_reset(&r->channel.fd);
	buf_free(&r->in);
	buf_free(&r->out);
}

static void on_channel(struct evsrc *src, uint32_t events)
{
	struct resolver *r = container_of(src, struct resolver, channel);
	uint8_t *at = buf_reserve(&r->in, RESOLVER_HEAD + RESOLVER_MAX_MESSAGE);
	struct resolver_head h;
	ssize_t n;
	long size;

	if (events & EPOLLOUT)
		flush(r);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	n = at ? recv(src->fd, at, RESOLVER_HEAD + RESOLVER_MAX_MESSAGE, MSG_DONTWAIT) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_channel(r);
		return;
	}
	buf_commit(&r->in, (size_t)n);
	while ((size = resolver_get(r->in.data, r->in.len, &h)) > 0) {
		answer(r, &h, r->in.data + RESOLVER_HEAD);
		buf_consume(&r->in, (size_t)size);
	}
	if (size < 0)
		drop_channel(r);
}

/* The host's latest connection is the one that counts. */
static void on_listen(struct evsrc *src, uint32_t events)
{
	struct resolver *r = container_of(src, struct resolver, listen);
	int fd = agent_accept_host(container_of(r, struct agent, resolver), src);

	(void)events;
	if (fd < 0)
		return;
	/* With the first one goes what was asked before it. */
	if (r->channel.fd >= 0)
		drop_channel(r);
	r->channel = (struct evsrc){ .fd = fd, .fn = on_channel, .name = "resolver channel" };
	r->events = EPOLLIN;
	if (evloop_add(r->loop, &r->channel, EPOLLIN) < 0)
		close_and_reset(&r->channel.fd);
	flush(r);
}

/* ---- the container's side ------------------------------------------------------------------------------------ */

static void on_udp(struct evsrc *src, uint32_t events)
{
	static uint8_t message[RESOLVER_MAX_MESSAGE];
	struct resolver_server *s = container_of(src, struct resolver_server, udp);
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(src->fd, message, sizeof(message), MSG_DONTWAIT, (struct sockaddr *)&from, &len);

	(void)events;
	if (n > 0)
		ask(s->r, (unsigned)(s - s->r->server), message, (size_t)n, &from, NULL);
}

static void on_client(struct evsrc *src, uint32_t events)
{
	struct resolver_client *c = container_of(src, struct resolver_client, src);
	ssize_t n;

	(void)events;
	/* Nothing is asked for then but whether it is still there. */
	n = c->asking ? 0 : recv(src->fd, c->in + c->got, RESOLVER_QUESTION - c->got, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_client(c);
		return;
	}
	c->got += (size_t)n;
	next_question(c);
}

static void on_tcp(struct evsrc *src, uint32_t events)
{
	struct resolver_server *s = container_of(src, struct resolver_server, tcp);
	int fd = evloop_accept(src, SOCK_NONBLOCK);
	struct resolver_client *c = s->r->client;

	(void)events;
	while (c < s->r->client + RESOLVER_CLIENTS && c->src.fd >= 0)
		c++;
	if (fd < 0)
		return;
	if (c < s->r->client + RESOLVER_CLIENTS)
		c->in = malloc(RESOLVER_QUESTION);
	if (c == s->r->client + RESOLVER_CLIENTS || !c->in) {
		close(fd);
		return;
	}
	c->asking = false;
	c->got = 0;
	c->server = (unsigned)(s - s->r->server);
	c->src = (struct evsrc){ .fd = fd, .fn = on_client, .name = "resolver client" };
	if (evloop_add(s->r->loop, &c->src, EPOLLIN) < 0)
		drop_client(c);
}

static void listen_on(struct resolver_server *s, struct evsrc *src, int type, ev_fn *fn)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = s->addr };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	*src = (struct evsrc){ .fd = -1, .fn = fn, .name = "resolver" };
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || (type == SOCK_STREAM && listen(fd, 16) < 0)) {
		close(fd);
		return;
	}
	src->fd = fd;
	if (evloop_add(s->r->loop, src, EPOLLIN) < 0)
		close_and_reset(&src->fd);
}

static void stop_serving(struct resolver *r)
{
	for (size_t i = 0; i < r->n; i++) {
		evloop_del(&r->server[i].udp);
		evloop_del(&r->server[i].tcp);
		close_and_reset(&r->server[i].udp.fd);
		close_and_reset(&r->server[i].tcp.fd);
	}
	r->n = 0;
	for (size_t i = 0; i < RESOLVER_CLIENTS; i++)
		drop_client(&r->client[i]);
	memset(r->slot, 0, sizeof(r->slot));
}

void resolver_serve(struct resolver *r, int netns, const uint32_t *addr, size_t n)
{
	_cleanup_close_ int own = netns >= 0 ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : -1;

	stop_serving(r);
	if (netns >= 0 && (own < 0 || setns(netns, CLONE_NEWNET) < 0))
		return;
	for (size_t i = 0; i < n; i++) {
		r->server[i] = (struct resolver_server){ .r = r, .addr = addr[i] };
		listen_on(&r->server[i], &r->server[i].udp, SOCK_DGRAM, on_udp);
		listen_on(&r->server[i], &r->server[i].tcp, SOCK_STREAM, on_tcp);
	}
	r->n = n;
	if (netns >= 0)
		bug_on(setns(own, CLONE_NEWNET) < 0);
}

size_t resolver_serving(const struct resolver *r, uint32_t ret[AGENT_MAX_RESOLVERS])
{
	for (size_t i = 0; i < r->n; i++)
		ret[i] = r->server[i].addr;
	return r->n;
}

int resolver_init(struct resolver *r, struct evloop *l, int listen)
{
	r->loop = l;
	r->in = r->out = (struct buf)BUF_INIT(2 * MAX_OUT);
	r->channel.fd = -1;
	for (size_t i = 0; i < RESOLVER_CLIENTS; i++) {
		r->client[i].r = r;
		r->client[i].src.fd = -1;
	}
	r->listen = (struct evsrc){ .fd = listen, .fn = on_listen, .name = "resolver listener" };
	return listen < 0 ? 0 : evloop_add(l, &r->listen, EPOLLIN);
}

void resolver_done(struct resolver *r)
{
	if (!r->loop)
		return;
	stop_serving(r);
	drop_channel(r);
	evloop_del(&r->listen);
	close_and_reset(&r->listen.fd);
}
