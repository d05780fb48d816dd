// SPDX-License-Identifier: Apache-2.0
/*
 * Connections to the guest that the loop does not wait for. The machine answers each when the guest has, on its control socket,
 * which the loop looks at while any is under way; other commands to the machine, which are waited for, may come upon such an
 * answer first.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/proxy/session_internal.h"

/* In line with what is under way. */
static void watch(struct session *s)
{
	uint64_t at = ncl_connect_deadline(s->machine), now = io_now_ns();

	if (!at)
		evloop_del(&s->machine_src);
	else if (!s->machine_src.loop && evloop_add(s->loop, &s->machine_src, EPOLLIN) < 0)
		log_warn("connections to the guest: the machine's answers are seen late");
	evtimer_set_ns(&s->dial_late, at ? max_t(uint64_t, at, now + 1) - now : 0);
}

static void look(void *arg)
{
	struct session *s = arg;

	ncl_look(s->machine);
	if (s->dial_late.fn)
		watch(s);
}

static void on_machine(struct evsrc *src, uint32_t events)
{
	(void)events;
	look(container_of(src, struct session, machine_src));
}

static void on_late(struct evtimer *t)
{
	look(container_of(t, struct session, dial_late));
}

/* In the middle of another command. Without memory it is seen at the deadline. */
static void on_kept(void *arg)
{
	struct session *s = arg;

	evloop_post(s->loop, look, s);
}

static int begin_watching(struct session *s)
{
	if (s->dial_late.fn)
		return 0;
	s->machine_src = (struct evsrc){ .fd = ncl_fd(s->machine), .fn = on_machine, .name = "machine" };
	ncl_on_kept(s->machine, on_kept, s);
	return evtimer_init(s->loop, &s->dial_late, "dial", on_late);
}

/* Into a socket that is new, so all of it or nothing. */
static void on_connected(struct ncl_connecting *k, int rc, int fd)
{
	struct session_dial *d = container_of(k, struct session_dial, k);

	if (rc == 0 && d->head_len && send(fd, d->head, d->head_len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)d->head_len) {
		close_and_reset(&fd);
		rc = -EIO;
	}
	d->done(d, rc, fd);
}

int session_dial(struct session *s, struct session_dial *d, uint32_t port, uint32_t timeout_ms, const void *head, size_t len,
		 struct err *e)
{
	int rc = begin_watching(s);

	bug_on(len > sizeof(d->head));
	if (rc < 0)
		return err_errno(e, -rc, "timer");
	d->s = s;
	d->k.done = on_connected;
	d->head_len = len;
	if (len)
		memcpy(d->head, head, len);
	rc = ncl_connect_begin(s->machine, port, timeout_ms, &d->k, e);
	watch(s);
	return rc;
}

int session_dial_stream(struct session *s, struct session_dial *d, uint64_t token, struct err *e)
{
	uint8_t wire[8];

	for (unsigned i = 0; i < sizeof(wire); i++)
		wire[i] = (uint8_t)(token >> (8 * i));
	return session_dial(s, d, AGENT_PORT_STREAM, AGENT_STREAM_DEADLINE_MS, wire, sizeof(wire), e);
}

void session_dial_cancel(struct session_dial *d)
{
	if (d->s)
		ncl_connect_cancel(d->s->machine, &d->k);
}

void session_dial_stop(struct session *s)
{
	if (!s->dial_late.fn)
		return;
	ncl_on_kept(s->machine, NULL, NULL);
	evloop_cancel(s->loop, s);
	evloop_del(&s->machine_src);
	evtimer_done(&s->dial_late);
	s->dial_late.fn = NULL;
}
