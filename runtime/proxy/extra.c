// SPDX-License-Identifier: Apache-2.0
/* Descriptors of the process's beyond the three: pipes, one way, and connected sockets, both ways. Listening ones: listen.c. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/proxy/session_internal.h"

int extra_add(struct session *s, const struct proxy_stream *m, int fd, struct err *e)
{
	struct session_extra *x = &s->extra[s->nextra];

	if (s->nextra == PROXY_MAX_EXTRA || m->kind < PROXY_STREAM_IN ||
	    m->kind > PROXY_STREAM_LISTEN || !m->token)
		return err_set(e, EBADMSG, "stream: malformed");
	*x = (struct session_extra){ .s = s, .kind = m->kind, .token = m->token };
	if (m->kind == PROXY_STREAM_LISTEN) {
		x->listen.fd = fd;
		s->nextra++;
		return 0;
	}
	x->host = relay_prepare(fd, m->kind == PROXY_STREAM_OUT);
	if (m->kind != PROXY_STREAM_OUT)
		x->in = calloc(1, sizeof(*x->in));
	if (m->kind != PROXY_STREAM_IN)
		x->out = calloc(1, sizeof(*x->out));
	s->nextra++;
	return x->in || x->out ? 0 : err_set(e, ENOMEM, "out of memory");
}

static struct session_extra *of_relay(struct session *s, const struct relay *r)
{
	for (unsigned i = 0; i < s->nextra; i++)
		if (s->extra[i].in == r || s->extra[i].out == r)
			return &s->extra[i];
	return NULL;
}

/* With both directions at their end the two sockets are closed, so that either side learns of the other's going. */
static void one_done(struct relay *r)
{
	/* There is one session in a process; a relay knows its loop alone. */
	struct session *s = r->arg;
	struct session_extra *x = of_relay(s, r);

	if (x && x->in && x->out && x->in->done && x->out->done) {
		relay_stop(x->in);
		relay_stop(x->out);
	}
	if (x && r == x->out)
		session_drained(s);
}

static int copy(int fd, struct err *e)
{
	int new = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return new < 0 ? err_errno(e, errno, "dup") : new;
}

/* Each direction has descriptors of its own, as each closes them in its time. */
static int start_socket(struct session_extra *x, int stream, struct err *e)
{
	const struct relay_end guest = { .fd = stream, .kind = RELAY_SOCKET };
	struct relay_end host2 = x->host, guest2 = guest;

	host2.fd = copy(x->host.fd, e);
	if (host2.fd < 0)
		return host2.fd;
	guest2.fd = copy(stream, e);
	if (guest2.fd < 0) {
		close(host2.fd);
		return guest2.fd;
	}
	relay_start(x->in, x->s->loop, "extra in", x->host, guest, RELAY_END_SHUTDOWN, one_done);
	relay_start(x->out, x->s->loop, "extra out", guest2, host2, RELAY_END_SHUTDOWN, one_done);
	x->host.fd = -1;
	return 0;
}

int extra_start(struct session_extra *x, int stream, struct err *e)
{
	const struct relay_end guest = { .fd = stream, .kind = RELAY_SOCKET };
	struct relay_end host = x->host;
	int rc = 0;

	if (x->in)
		x->in->arg = x->s;
	if (x->out)
		x->out->arg = x->s;
	if (x->in && x->out) {
		rc = start_socket(x, stream, e);
		if (rc < 0)
			close(stream);
		return rc;
	}
	x->host.fd = -1;
	if (x->in)
		relay_start(x->in, x->s->loop, "extra in", host, guest, RELAY_END_SHUTDOWN, one_done);
	else
		relay_start(x->out, x->s->loop, "extra out", guest, host, RELAY_END_CLOSE, one_done);
	return 0;
}

bool extra_drained(const struct session *s)
{
	for (unsigned i = 0; i < s->nextra; i++) {
		const struct relay *out = s->extra[i].out;

		if (out && out->loop && !out->done)
			return false;
	}
	return true;
}

void extra_each_output(struct session *s, void (*fn)(struct session *s, struct relay *r))
{
	for (unsigned i = 0; i < s->nextra; i++)
		if (s->extra[i].out)
			fn(s, s->extra[i].out);
}

void extra_stop_input(struct session *s)
{
	for (unsigned i = 0; i < s->nextra; i++)
		if (s->extra[i].in)
			relay_stop(s->extra[i].in);
}

static void stop_output(struct session *s, struct relay *r)
{
	(void)s;
	relay_stop(r);
}

void extra_stop(struct session *s)
{
	extra_stop_input(s);
	extra_each_output(s, stop_output);
}
