// SPDX-License-Identifier: Apache-2.0
/*
 * Listening sockets of the caller's that the process has as descriptors (socket activation). The process listens in the guest;
 * here the connections are accepted, as many at a time as SESSION_MAX_ACCEPTED says, and each goes to the guest as a stream with
 * the socket's token. What is more waits where it would on the host: in the queue of the caller's own socket. Until the process
 * runs nothing is accepted, and nothing once it has ended, so that whoever has the socket next finds it all.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "runtime/proxy/session_internal.h"

#define AGAIN_NS UINT64_C(1000000000)

/* Not in the guest yet. */
struct session_accepted {
	struct session_accepted *next;
	struct session_dial dial;
	int host;
};

static bool is_listener(const struct session_extra *x)
{
	return x->kind == PROXY_STREAM_LISTEN && x->listen.fd >= 0;
}

static void set_on(struct session_extra *x, bool on)
{
	if (on && !x->listens)
		x->listens = evloop_add(x->s->loop, &x->listen, EPOLLIN) == 0;
	else if (!on && x->listens)
		evloop_del(&x->listen);
	x->listens = on && x->listens;
}

void listen_look(struct session *s)
{
	bool on = s->agent && s->state == PROXY_ST_RUNNING && sockets_live(s, true) + s->n_accepted < SESSION_MAX_ACCEPTED;

	for (unsigned i = 0; i < s->nextra; i++)
		if (is_listener(&s->extra[i]) && s->extra[i].listen.fn)
			set_on(&s->extra[i], on);
}

static void look_again(struct evtimer *t)
{
	listen_look(container_of(t, struct session, listen_again));
}

/* @a is over; its end of the host's is the caller's. */
static int forget(struct session *s, struct session_accepted *a)
{
	struct session_accepted **at = &s->accepted;
	int host = a->host;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	s->n_accepted--;
	session_dial_cancel(&a->dial);
	free(a);
	return host;
}

static void on_guest(struct session_dial *d, int rc, int guest)
{
	struct session *s = d->s;
	int host = forget(s, container_of(d, struct session_accepted, dial));

	if (rc == 0)
		rc = sockets_carry(s, host, guest, true);
	if (rc < 0) {
		log_debug("connection to a preserved socket: error %d", -rc);
		close_and_reset(&guest);
		close(host);
	}
	listen_look(s);
}

static int dial_guest(struct session *s, uint64_t token, int host, struct err *e)
{
	struct session_accepted *a = s->agent ? calloc(1, sizeof(*a)) : NULL;
	int rc;

	if (!a)
		return err_set(e, s->agent ? ENOMEM : ESRCH, s->agent ? "out of memory" : "container not running");
	a->host = host;
	a->dial.done = on_guest;
	rc = session_dial_stream(s, &a->dial, token, e);
	if (rc < 0) {
		free(a);
		return rc;
	}
	a->next = s->accepted;
	s->accepted = a;
	s->n_accepted++;
	return 0;
}

static void on_connection(struct evsrc *src, uint32_t events)
{
	struct session_extra *x = container_of(src, struct session_extra, listen);
	int host = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC), why = errno;
	struct err e = ERR_INIT;

	(void)events;
	if (host < 0) {
		if (why != EAGAIN && why != EINTR && why != ECONNABORTED) {
			/* What there is too little of may be there again after a while. */
			if (!x->failed)
				log_warn("a preserved socket takes no more connections for now: error %d", why);
			x->failed = true;
			set_on(x, false);
			evtimer_set_ns(&x->s->listen_again, AGAIN_NS);
		}
		return;
	}
	x->failed = false;
	if (dial_guest(x->s, x->token, host, &e) < 0) {
		log_debug("connection to a preserved socket: %s", e.msg);
		close(host);
	}
	listen_look(x->s);
}

void listen_begin(struct session *s)
{
	bool any = false;

	for (unsigned i = 0; i < s->nextra; i++) {
		struct session_extra *x = &s->extra[i];
		int flags = is_listener(x) ? fcntl(x->listen.fd, F_GETFL) : -1;

		if (flags < 0)
			continue;
		/* There is no accept() that does not block, but on a socket that does not; somebody else who has it may be
		 * the quicker one. As with a service manager's; it is put back. */
		x->was_blocking = !(flags & O_NONBLOCK);
		fcntl(x->listen.fd, F_SETFL, flags | O_NONBLOCK);
		x->listen.fn = on_connection;
		x->listen.name = "preserved listener";
		any = true;
	}
	s->listen_again.src.fd = -1;
	if (any && evtimer_init(s->loop, &s->listen_again, "preserved listeners", look_again) < 0)
		log_warn("preserved sockets: no timer");
	listen_look(s);
}

void listen_stop(struct session *s)
{
	if (s->listen_again.fn)
		evtimer_done(&s->listen_again);
	while (s->accepted)
		close(forget(s, s->accepted));
	for (unsigned i = 0; i < s->nextra; i++) {
		struct session_extra *x = &s->extra[i];
		int flags;

		if (!is_listener(x))
			continue;
		set_on(x, false);
		flags = fcntl(x->listen.fd, F_GETFL);
		if (x->was_blocking && flags >= 0)
			fcntl(x->listen.fd, F_SETFL, flags & ~O_NONBLOCK);
		close_and_reset(&x->listen.fd);
	}
}
