// SPDX-License-Identifier: Apache-2.0
/*
 * Questions of the guest to name servers on the loopback of the container's network namespace (agent-proto/proto/resolver.h). The
 * guest says which of the servers that it was granted, and what is asked; neither is looked at but for the id, which is made
 * another so that answers find their question.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/proto/resolver.h"
#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/proxy/resolver.h"
#include "runtime/proxy/session_internal.h"

#define PORT      53
#define QUESTIONS 256 /* by UDP, under way; the oldest goes for a new one */
#define BY_TCP    8 /* one that is older than this goes for a new one */
#define TCP_NS    UINT64_C(10000000000)
#define MAX_OUT   (4u * RESOLVER_MAX_MESSAGE)

struct by_udp {
	struct resolver *r;
	struct evsrc src; /* fd -1: no question yet */
	struct {
		bool used;
		uint16_t tag, theirs, ours; /* ids */
	} q[QUESTIONS];
	unsigned next;
};

struct by_tcp {
	struct resolver *r;
	struct evsrc src;
	uint64_t began_ns;
	uint16_t tag;
	uint8_t server;
	size_t sent, to_send, got; /* of what is in the buffer: a question, then its answer */
	uint8_t bytes[2 + RESOLVER_MAX_MESSAGE];
};

struct resolver {
	struct evloop *loop;
	struct evsrc channel; /* to the agent */
	uint32_t events;
	struct buf in, out;
	uint32_t n, addr[AGENT_MAX_RESOLVERS];
	struct by_udp udp[AGENT_MAX_RESOLVERS];
	struct by_tcp *tcp[BY_TCP];
	void (*ended)(void *arg);
	void *arg;
};

/* ---- to the agent ----------------------------------------------------------------------------------------- */

static void flush(struct resolver *r)
{
	uint32_t events;

	buf_send(&r->out, r->channel.fd);
	events = EPOLLIN | (r->out.len ? EPOLLOUT : 0u);
	if (events != r->events && evloop_mod(&r->channel, events) == 0)
		r->events = events;
}

/* A guest that asks and does not listen goes without answers. */
static void tell(struct resolver *r, const struct resolver_head *h, const uint8_t *message)
{
	uint8_t *at;

	if (r->channel.fd < 0 || r->out.len + RESOLVER_HEAD + h->len > MAX_OUT)
		return;
	at = buf_reserve(&r->out, RESOLVER_HEAD + (size_t)h->len);
	if (!at) {
		r->out.failed = false;
		return;
	}
	resolver_put(at, h);
	if (h->len)
		memcpy(at + RESOLVER_HEAD, message, h->len);
	buf_commit(&r->out, RESOLVER_HEAD + (size_t)h->len);
	flush(r);
}

/* ---- by UDP -------------------------------------------------------------------------------------------------- */

static int dial(const struct resolver *r, unsigned server, int type)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = r->addr[server] };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		close_and_reset(&fd);
	return fd;
}

static uint16_t id_of(const uint8_t *message)
{
	return (uint16_t)(message[0] << 8 | message[1]);
}

static void set_id(uint8_t *message, uint16_t id)
{
	message[0] = (uint8_t)(id >> 8);
	message[1] = (uint8_t)id;
}

static void drop_udp(struct by_udp *u)
{
	evloop_del(&u->src);
	close_and_reset(&u->src.fd);
}

static void on_udp(struct evsrc *src, uint32_t events)
{
	static uint8_t message[RESOLVER_MAX_MESSAGE];
	struct by_udp *u = container_of(src, struct by_udp, src);
	struct resolver_head h = { .server = (uint8_t)(u - u->r->udp) };
	ssize_t n = recv(src->fd, message, sizeof(message), MSG_DONTWAIT);
	unsigned i;

	(void)events;
	/* An error is the answer to a question that nobody took: the guest asks again. By another port then: who translates
	 * addresses (Docker, for its server) goes on sending this one's where the server was before it was restarted. */
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		drop_udp(u);
	if (n < RESOLVER_MIN_MESSAGE)
		return;
	i = id_of(message) % QUESTIONS;
	if (!u->q[i].used || u->q[i].ours != id_of(message))
		return;
	u->q[i].used = false;
	set_id(message, u->q[i].theirs);
	h.len = (uint16_t)n;
	h.tag = u->q[i].tag;
	tell(u->r, &h, message);
}

static bool have_udp(struct by_udp *u)
{
	if (u->src.fd >= 0)
		return true;
	u->src = (struct evsrc){ .fd = dial(u->r, (unsigned)(u - u->r->udp), SOCK_DGRAM), .fn = on_udp, .name = "name server" };
	if (u->src.fd < 0 || evloop_add(u->r->loop, &u->src, EPOLLIN) < 0) {
		close_and_reset(&u->src.fd);
		return false;
	}
	return true;
}

static void ask_udp(struct resolver *r, const struct resolver_head *h, uint8_t *message)
{
	struct by_udp *u = &r->udp[h->server];
	unsigned i = u->next++ % QUESTIONS;
	uint8_t salt = 0;

	if (getrandom(&salt, 1, GRND_NONBLOCK) != 1)
		salt = (uint8_t)(u->next >> 8);
	u->q[i].used = true;
	u->q[i].tag = h->tag;
	u->q[i].theirs = id_of(message);
	u->q[i].ours = (uint16_t)(salt << 8 | i);
	set_id(message, u->q[i].ours);
	/* A refusal is of the question before. */
	for (int tries = 0; tries < 2 && have_udp(u); tries++) {
		if (send(u->src.fd, message, h->len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != ECONNREFUSED)
			break;
		drop_udp(u);
	}
}

/* ---- by TCP: a connection a question ----------------------------------------------------------------------------- */

static void end_tcp(struct by_tcp *t, size_t len)
{
	struct resolver *r = t->r;
	struct resolver_head h = { .len = (uint16_t)len, .tag = t->tag, .server = t->server, .tcp = true };

	tell(r, &h, t->bytes + 2);
	for (size_t i = 0; i < BY_TCP; i++)
		if (r->tcp[i] == t)
			r->tcp[i] = NULL;
	evloop_del(&t->src);
	close(t->src.fd);
	free(t);
}

static void on_tcp(struct evsrc *src, uint32_t events)
{
	struct by_tcp *t = container_of(src, struct by_tcp, src);
	size_t want;
	ssize_t n;

	(void)events;
	if (t->sent < t->to_send) {
		n = send(src->fd, t->bytes + t->sent, t->to_send - t->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			end_tcp(t, 0);
			return;
		}
		t->sent += (size_t)n;
		if (t->sent == t->to_send)
			evloop_mod(src, EPOLLIN);
		return;
	}
	want = t->got < 2 ? 2 : 2 + (size_t)id_of(t->bytes);
	n = recv(src->fd, t->bytes + t->got, want - t->got, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end_tcp(t, 0);
		return;
	}
	t->got += (size_t)n;
	want = t->got < 2 ? 2 : 2 + (size_t)id_of(t->bytes);
	if (t->got >= 2 && want < 2 + RESOLVER_MIN_MESSAGE)
		end_tcp(t, 0);
	else if (t->got > 2 && t->got == want)
		end_tcp(t, want - 2);
}

/* A place for one more, BY_TCP: there is none. A server that takes a question and never answers keeps its place no longer
 * than who asked waits. */
static size_t place_tcp(struct resolver *r)
{
	size_t oldest = 0;

	for (size_t i = 0; i < BY_TCP; i++) {
		if (!r->tcp[i])
			return i;
		if (r->tcp[i]->began_ns < r->tcp[oldest]->began_ns)
			oldest = i;
	}
	if (io_now_ns() - r->tcp[oldest]->began_ns < TCP_NS)
		return BY_TCP;
	end_tcp(r->tcp[oldest], 0);
	return oldest;
}

static void ask_tcp(struct resolver *r, const struct resolver_head *h, const uint8_t *message)
{
	struct resolver_head none = { .tag = h->tag, .server = h->server, .tcp = true };
	struct by_tcp *t;
	size_t i = place_tcp(r);

	t = i < BY_TCP ? malloc(sizeof(*t)) : NULL;
	if (t) {
		t->src = (struct evsrc){ .fd = dial(r, h->server, SOCK_STREAM), .fn = on_tcp, .name = "name server" };
		if (t->src.fd < 0 || evloop_add(r->loop, &t->src, EPOLLOUT) < 0) {
			close_and_reset(&t->src.fd);
			free(t);
			t = NULL;
		}
	}
	if (!t) {
		tell(r, &none, NULL);
		return;
	}
	t->r = r;
	t->began_ns = io_now_ns();
	t->tag = h->tag;
	t->server = h->server;
	t->sent = t->got = 0;
	t->to_send = 2 + (size_t)h->len;
	set_id(t->bytes, h->len);
	memcpy(t->bytes + 2, message, h->len);
	r->tcp[i] = t;
}

/* ---- from the agent: the guest's word ------------------------------------------------------------------------------ */

static void drop_channel(struct resolver *r)
{
	evloop_del(&r->channel);
	close_and_reset(&r->channel.fd);
}

int resolver_input(struct resolver *r, const uint8_t *data, size_t len)
{
	struct resolver_head h;
	long size;

	if (buf_append(&r->in, data, len) < 0)
		return -EBADMSG;
	while ((size = resolver_get(r->in.data, r->in.len, &h)) > 0) {
		if (h.server >= r->n || !h.len)
			return -EBADMSG;
		if (h.tcp)
			ask_tcp(r, &h, r->in.data + RESOLVER_HEAD);
		else
			ask_udp(r, &h, r->in.data + RESOLVER_HEAD);
		buf_consume(&r->in, (size_t)size);
	}
	return size < 0 ? -EBADMSG : 0;
}

static void on_channel(struct evsrc *src, uint32_t events)
{
	struct resolver *r = container_of(src, struct resolver, channel);
	uint8_t in[16384];
	ssize_t n;

	if (events & EPOLLOUT)
		flush(r);
	n = recv(src->fd, in, sizeof(in), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_channel(r);
		if (r->ended)
			r->ended(r->arg);
	} else if (resolver_input(r, in, (size_t)n) < 0) {
		log_guest("the guest's agent asks no name server that it has: it gets no more answers");
		drop_channel(r);
	}
}

struct resolver *resolver_new(struct evloop *l, int channel, const uint32_t *addr, uint32_t n)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r || n > AGENT_MAX_RESOLVERS) {
		free(r);
		return NULL;
	}
	r->loop = l;
	r->n = n;
	memcpy(r->addr, addr, n * sizeof(*addr));
	/* A whole frame and what one read brings beyond it. */
	r->in = (struct buf)BUF_INIT(RESOLVER_HEAD + RESOLVER_MAX_MESSAGE + 16384);
	r->out = (struct buf)BUF_INIT(2 * MAX_OUT);
	for (uint32_t i = 0; i < AGENT_MAX_RESOLVERS; i++) {
		r->udp[i].r = r;
		r->udp[i].src.fd = -1;
	}
	r->channel = (struct evsrc){ .fd = channel, .fn = on_channel, .name = "resolver" };
	r->events = EPOLLIN;
	if (evloop_add(l, &r->channel, EPOLLIN) < 0) {
		free(r);
		return NULL;
	}
	return r;
}

void resolver_on_end(struct resolver *r, void (*fn)(void *arg), void *arg)
{
	r->ended = fn;
	r->arg = arg;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	drop_channel(r);
	for (uint32_t i = 0; i < AGENT_MAX_RESOLVERS; i++) {
		evloop_del(&r->udp[i].src);
		close_and_reset(&r->udp[i].src.fd);
	}
	for (size_t i = 0; i < BY_TCP; i++)
		if (r->tcp[i])
			end_tcp(r->tcp[i], 0);
	buf_free(&r->in);
	buf_free(&r->out);
	free(r);
}
