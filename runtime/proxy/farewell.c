// SPDX-License-Identifier: Apache-2.0
/*
 * Delete of the container. What its files hold is written back first, which may take far longer than an agent has for an
 * answer: it is waited for as long as the agent answers other questions meanwhile.
 */
#include "lib/log.h"
#include "runtime/proxy/session_internal.h"

#define ASK_NS UINT64_C(5000000000)

/* An agent that does not answer is lost, and that is told by session_agent_dead(). */
static void answered(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	(void)r;
	s->alive_asked = false;
}

static void ask(struct evtimer *t)
{
	struct session *s = container_of(t, struct session, alive);

	/* The null signal: of all there is the least to do. What the answer says is of no interest. */
	if (s->agent && !s->alive_asked)
		s->alive_asked = agent_signal(s->agent, s->at.container_id, "", 0, false, answered, s, NULL) == 0;
	evtimer_set_ns(t, ASK_NS);
}

int session_delete(struct session *s, agent_reply_fn *fn, struct err *e)
{
	int rc = agent_delete(s->agent, s->at.container_id, exec_id(s), fn, s, e);

	if (rc < 0 || is_exec(s))
		return rc;
	if (evtimer_init(s->loop, &s->alive, "agent alive", ask) < 0 || evtimer_set_ns(&s->alive, ASK_NS) < 0)
		log_warn("whether the agent lives is not asked: no timer");
	return 0;
}

void session_deleted(struct session *s)
{
	if (s->alive.fn)
		evtimer_done(&s->alive);
}
