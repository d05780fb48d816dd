// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/relay.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Buffers moved before other sources get their turn. */
#define MAX_ROUNDS 16

struct relay_end relay_prepare(int fd, bool write)
{
	struct relay_end end = { .fd = fd, .kind = RELAY_FILE };
	char path[40];
	struct stat st;
	int again;

	if (fstat(fd, &st) < 0) {
		end.fd = -1;
		return end;
	}
	if (S_ISSOCK(st.st_mode)) {
		end.kind = RELAY_SOCKET;
		return end;
	}
	if (!S_ISFIFO(st.st_mode) && !(S_ISCHR(st.st_mode) && isatty(fd)))
		return end;
	end.kind = RELAY_POLLED;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, (write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (again < 0)
		return end;
	/* Under the same number: a terminal's is known by it, and the inherited one must go. */
	if (dup3(again, fd, O_CLOEXEC) >= 0)
		end.kind = RELAY_NONBLOCK;
	close(again);
	return end;
}

static ssize_t end_read(const struct relay_end *s, void *p, size_t n)
{
	ssize_t rc;

	do
		rc = s->kind == RELAY_SOCKET ? recv(s->fd, p, n, MSG_DONTWAIT) : read(s->fd, p, n);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

static ssize_t end_write(const struct relay_end *s, const void *p, size_t n)
{
	ssize_t rc;

	/* A pipe that poll calls writable takes this much at once. */
	if (s->kind == RELAY_POLLED && n > PIPE_BUF)
		n = PIPE_BUF;
	do
		rc = s->kind == RELAY_SOCKET ? send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL)
					     : write(s->fd, p, n);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

static void end_close(struct evsrc *ev, struct relay_end *end, bool *added)
{
	evloop_del(ev);
	*added = false;
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
}

static void set_events(struct relay *r, struct evsrc *ev, struct relay_end *end, bool *added,
		       uint32_t *on, uint32_t want)
{
	if (end->fd < 0 || end->kind == RELAY_FILE)
		return;
	if (!*added && want) {
		ev->fd = end->fd;
		if (evloop_add(r->loop, ev, want) == 0) {
			*added = true;
			*on = want;
		} else {
			/* What epoll refuses is always ready. */
			end->kind = RELAY_FILE;
		}
		return;
	}
	if (*added && !want) {
		/* Not merely masked: a hang-up would be reported for ever. */
		evloop_del(ev);
		*added = false;
	} else if (*added && *on != want && evloop_mod(ev, want) == 0) {
		*on = want;
	}
}

static void finish(struct relay *r)
{
	if (r->done)
		return;
	r->done = true;
	end_close(&r->src, &r->from, &r->src_added);
	if (r->to.fd >= 0 && r->at_end == RELAY_END_SHUTDOWN)
		shutdown(r->to.fd, SHUT_WR);
	if (r->at_end == RELAY_END_CLOSE)
		end_close(&r->dst, &r->to, &r->dst_added);
	else
		evloop_del(&r->dst);
	r->dst_added = false;
	r->fn(r);
}

static void fill(struct relay *r)
{
	ssize_t n = end_read(&r->from, r->buf, sizeof(r->buf));

	if (n > 0) {
		r->head = 0;
		r->len = (size_t)n;
		r->moved += (size_t)n;
	} else if (n != -EAGAIN) {
		r->eof = true; /* end, or an error that is one (EIO of a terminal that hung up) */
	}
}

/* Returns whether the sink took something (or is gone). */
static bool drain(struct relay *r)
{
	ssize_t n = end_write(&r->to, r->buf + r->head, r->len);

	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		r->len = 0;
		r->eof = true;
		r->at_end = RELAY_END_CLOSE;
		return true;
	}
	r->head += (size_t)n;
	r->len -= (size_t)n;
	r->taken += (size_t)n;
	return true;
}

/* One step may wait for poll on a descriptor that may block. */
static bool must_poll(const struct relay_end *end)
{
	return end->kind == RELAY_POLLED;
}

static void move(struct relay *r, bool src_ready, bool dst_ready)
{
	for (int i = 0; i < MAX_ROUNDS && !r->done; i++) {
		if (!r->len && !r->eof) {
			if (must_poll(&r->from) && !src_ready)
				break;
			src_ready = false;
			fill(r);
		}
		if (!r->len && r->eof) {
			finish(r);
			return;
		}
		if (!r->len)
			break;
		if (must_poll(&r->to) && !dst_ready)
			break;
		dst_ready = false;
		if (!drain(r))
			break;
	}
	if (!r->len && r->eof) {
		finish(r);
		return;
	}
	/* With a file as the source, the sink's readiness is what drives us. */
	set_events(r, &r->src, &r->from, &r->src_added, &r->src_on, r->len ? 0 : EPOLLIN);
	set_events(r, &r->dst, &r->to, &r->dst_added, &r->dst_on,
		   r->len || r->from.kind == RELAY_FILE ? EPOLLOUT : 0);
}

static void src_event(struct evsrc *ev, uint32_t events)
{
	(void)events;
	move(container_of(ev, struct relay, src), true, false);
}

static void dst_event(struct evsrc *ev, uint32_t events)
{
	(void)events;
	move(container_of(ev, struct relay, dst), false, true);
}

int relay_start(struct relay *r, struct evloop *l, const char *name, struct relay_end from,
		struct relay_end to, enum relay_at_end at_end, void (*fn)(struct relay *r))
{
	r->loop = l;
	r->src = (struct evsrc){ .fn = src_event, .name = name };
	r->dst = (struct evsrc){ .fn = dst_event, .name = name };
	r->from = from;
	r->to = to;
	r->at_end = at_end;
	r->fn = fn;
	r->head = r->len = 0;
	r->moved = r->moved_before = 0;
	r->taken = r->taken_before = 0;
	r->eof = from.fd < 0;
	r->done = false;
	r->src_added = r->dst_added = false;
	move(r, false, false);
	return 0;
}

bool relay_is_silent(struct relay *r)
{
	bool silent = r->loop && !r->done && !r->len && r->moved == r->moved_before;

	r->moved_before = r->moved;
	return silent;
}

bool relay_is_stuck(struct relay *r)
{
	bool stuck = r->loop && !r->done && r->len && r->taken == r->taken_before;

	r->taken_before = r->taken;
	return stuck;
}

void relay_stop(struct relay *r)
{
	if (!r->loop)
		return;
	r->done = true;
	end_close(&r->src, &r->from, &r->src_added);
	end_close(&r->dst, &r->to, &r->dst_added);
}

void relay_give_up(struct relay *r)
{
	if (r->loop && r->from.fd >= 0 && r->from.kind == RELAY_SOCKET)
		shutdown(r->from.fd, SHUT_RDWR);
	relay_stop(r);
}
