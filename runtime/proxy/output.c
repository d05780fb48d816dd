// SPDX-License-Identifier: Apache-2.0
/* What a process that has ended still has to say. */
#include "runtime/proxy/session_internal.h"

/* Output that nothing comes of for so long after the process's end. */
#define STUCK_MS  10000
/* A reader of a process that was killed who takes nothing for so long is waited for no more. */
#define KILLED_MS 2000

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
	unsigned ms = s->stuck_ms ? s->stuck_ms : STUCK_MS;

	evtimer_set_ns(&s->stuck, (s->killed ? min_t(unsigned, ms, KILLED_MS) : ms) * UINT64_C(1000000));
}

/* A process that is alive says nothing as long as it likes. */
static void look_at(struct session *s, struct relay *r)
{
	bool silent = relay_is_silent(r), stuck = relay_is_stuck(r);

	if ((s->state == PROXY_ST_ENDED && silent) || (s->killed && stuck))
		relay_give_up(r);
}

/* The guest has handed everything over before it tells of the end: of what it does not end, nothing is to be expected. A
 * reader on the host may take as long as it likes, unless somebody has said by SIGKILL that the end matters more: under
 * runc that ends a process at once, whoever reads. */
static void output_stuck(struct evtimer *t)
{
	struct session *s = container_of(t, struct session, stuck);

	look_at(s, &s->out);
	look_at(s, &s->err);
	extra_each_output(s, look_at);
	look_again(s);
	session_drained(s);
}

static void watch(struct session *s)
{
	if (s->stuck.fn || evtimer_init(s->loop, &s->stuck, "stuck output", output_stuck) == 0)
		look_again(s);
}

/* What was taken before is no sign of a reader. */
static void begin_at(struct session *s, struct relay *r)
{
	(void)s;
	relay_is_silent(r);
	relay_is_stuck(r);
}

static void watch_killed(struct session *s)
{
	begin_at(s, &s->out);
	begin_at(s, &s->err);
	extra_each_output(s, begin_at);
	watch(s);
}

void output_await_end(struct session *s)
{
	if (drained(s))
		session_end(s);
	else if (s->killed)
		watch_killed(s);
	else
		watch(s);
}

void output_killed(struct session *s)
{
	if (s->killed || s->deleting || s->torn_down)
		return;
	s->killed = true;
	watch_killed(s);
}

void output_stop(struct session *s)
{
	relay_give_up(&s->out);
	relay_give_up(&s->err);
	extra_stop(s);
	listen_stop(s);
	sockets_stop(s);
	if (s->stuck.fn)
		evtimer_done(&s->stuck);
}
