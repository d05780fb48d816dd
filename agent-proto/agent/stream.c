// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/stream.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/io.h"

#define DEADLINE_NS (AGENT_STREAM_DEADLINE_MS * UINT64_C(1000000))

/* A connection before it is known whose it is. */
struct pending {
	struct pending *next;
	struct stream_hub *hub;
	struct evsrc src;
	struct evtimer deadline;
	uint8_t token[8];
	size_t got;
};

struct stream_hub {
	struct evloop *loop;
	struct stream *waiting;
	struct stream_acceptor *acceptors;
	struct pending *pending;
	unsigned npending;
};

int stream_hub_new(struct stream_hub **ret, struct evloop *l, struct err *e)
{
	struct stream_hub *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ENOMEM, "out of memory");
	h->loop = l;
	*ret = h;
	return 0;
}

/* Takes it out; its descriptor is the caller's from here. */
static int take_pending(struct pending *p)
{
	struct pending **at = &p->hub->pending;
	int fd = p->src.fd;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->hub->npending--;
	evloop_del(&p->src);
	evtimer_done(&p->deadline);
	free(p);
	return fd;
}

void stream_hub_free(struct stream_hub *h)
{
	if (!h)
		return;
	while (h->pending)
		close(take_pending(h->pending));
	bug_on(h->waiting || h->acceptors);
	free(h);
}

static uint64_t token_of(const struct pending *p)
{
	uint64_t v;

	memcpy(&v, p->token, sizeof(v));
	return le64toh(v);
}

static void stop_waiting(struct stream *s)
{
	struct stream **at = &s->hub->waiting;

	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	evtimer_done(&s->deadline);
}

static void match(struct pending *p)
{
	uint64_t token = token_of(p);

	for (struct stream *s = p->hub->waiting; s; s = s->next) {
		if (s->token != token)
			continue;
		stop_waiting(s);
		relay_set_conn(&s->relay, take_pending(p));
		return;
	}
	for (struct stream_acceptor *a = p->hub->acceptors; a; a = a->next) {
		if (a->token != token)
			continue;
		a->fn(a, take_pending(p));
		return;
	}
	/* Its process may be asked for in a moment; until then nothing is read. */
	evloop_del(&p->src);
}

static void on_pending(struct evsrc *src, uint32_t events)
{
	struct pending *p = container_of(src, struct pending, src);
	ssize_t n = read(src->fd, p->token + p->got, sizeof(p->token) - p->got);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(take_pending(p));
		return;
	}
	p->got += (size_t)n;
	if (p->got < sizeof(p->token))
		return;
	if (token_of(p) == 0)
		close(take_pending(p));
	else
		match(p);
}

static void pending_late(struct evtimer *t)
{
	close(take_pending(container_of(t, struct pending, deadline)));
}

void stream_hub_accept(struct stream_hub *h, int fd)
{
	struct pending *p = h->npending < STREAM_MAX_PENDING ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		close(fd);
		return;
	}
	p->hub = h;
	p->src = (struct evsrc){ .fd = fd, .fn = on_pending, .name = "stream token" };
	p->deadline.src.fd = -1;
	p->next = h->pending;
	h->pending = p;
	h->npending++;
	if (io_set_nonblock(fd, true) < 0 ||
	    evtimer_init(h->loop, &p->deadline, "stream token", pending_late) < 0 ||
	    evtimer_set_ns(&p->deadline, DEADLINE_NS) < 0 ||
	    evloop_add(h->loop, &p->src, EPOLLIN) < 0)
		close(take_pending(p));
}

static void stream_late(struct evtimer *t)
{
	struct stream *s = container_of(t, struct stream, deadline);

	stop_waiting(s);
	relay_no_conn(&s->relay);
}

int stream_open(struct stream *s, struct stream_hub *h, uint64_t token, enum relay_kind kind,
		void (*done)(struct relay *r), struct err *e)
{
	int rc;

	if (!token)
		return err_set(e, EINVAL, "stream without a token");
	for (struct stream *o = h->waiting; o; o = o->next)
		if (o->token == token)
			return err_set(e, EEXIST, "stream token is in use");
	memset(s, 0, sizeof(*s));
	s->hub = h;
	s->token = token;
	s->deadline.src.fd = -1;
	relay_init(&s->relay, h->loop, kind, done);
	for (struct pending *p = h->pending; p; p = p->next) {
		if (p->got == sizeof(p->token) && token_of(p) == token) {
			relay_set_conn(&s->relay, take_pending(p));
			return 0;
		}
	}
	rc = evtimer_init(h->loop, &s->deadline, "stream", stream_late);
	if (rc == 0)
		rc = evtimer_set_ns(&s->deadline, DEADLINE_NS);
	if (rc < 0) {
		evtimer_done(&s->deadline);
		s->hub = NULL;
		return err_errno(e, -rc, "stream's deadline");
	}
	s->next = h->waiting;
	h->waiting = s;
	return 0;
}

void stream_accept(struct stream_acceptor *a, struct stream_hub *h)
{
	a->hub = h;
	a->next = h->acceptors;
	h->acceptors = a;
}

void stream_accept_end(struct stream_acceptor *a)
{
	struct stream_acceptor **at;

	if (!a->hub)
		return;
	at = &a->hub->acceptors;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	a->hub = NULL;
}

void stream_close(struct stream *s)
{
	if (!s->hub)
		return;
	stop_waiting(s);
	relay_close(&s->relay);
	s->hub = NULL;
}
