// SPDX-License-Identifier: Apache-2.0
/* What a process that has ended still has to say. */
#include "runtime/proxy/session_internal.h"

/* Output that nothing comes of for so long after the process's end. */
#define STUCK_MS 10000

static bool drained(const struct session *s)
{
	return s->give_up_output ||
	       ((!s->out.loop || s->out.done) && (!s->err.loop || s->err.done) && extra_drained(s) && sockets_drained(s));
}

void session_drained(struct session *s)
{
	if (s->state == PROXY_ST_ENDED && drained(s))
		session_end(s);
}

void session_out_done(struct relay *r)
{
	session_drained(container_of(r, struct session, out));
}

void session_err_done(struct relay *r)
{
	session_drained(container_of(r, struct session, err));
}

static void look_again(struct session *s)
{
	evtimer_set_ns(&s->stuck, (s->stuck_ms ? s->stuck_ms : STUCK_MS) * UINT64_C(1000000));
}

/* The guest has handed everything over before it tells of the end: of what it does not end, nothing is to be expected. A
 * reader on the host may take as long as it likes. */
static void output_stuck(struct evtimer *t)
{
	struct session *s = container_of(t, struct session, stuck);

	if (relay_is_silent(&s->out))
		relay_stop(&s->out);
	if (relay_is_silent(&s->err))
		relay_stop(&s->err);
	extra_stop_silent(s);
	look_again(s);
	session_drained(s);
}

void output_await_end(struct session *s)
{
	if (drained(s))
		session_end(s);
	else if (evtimer_init(s->loop, &s->stuck, "stuck output", output_stuck) == 0)
		look_again(s);
}

void output_stop(struct session *s)
{
	relay_stop(&s->out);
	relay_stop(&s->err);
	extra_stop(s);
	listen_stop(s);
	sockets_stop(s);
	if (s->stuck.fn)
		evtimer_done(&s->stuck);
}
