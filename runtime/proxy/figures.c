// SPDX-License-Identifier: Apache-2.0
/* What runs in the container, what it has used, and who is told when its memory has run out. */
#include <stdio.h>
#include <string.h>

#include "lib/io.h"
#include "runtime/proxy/session.h"

/* At most so often: a guest sets the pace of what it tells, not of what it costs. */
#define OOM_PAUSE_NS UINT64_C(100000000)

static void ps_row(void *arg, const struct agent_ps_info *p)
{
	struct session_client *c = arg;
	struct proxy_ps r = {
		.hdr = { .version = PROXY_VERSION, .cmd = PROXY_PS, .size = sizeof(r) },
		.more = 1,
		.pid = p->pid,
		.ppid = p->ppid,
		.uid = p->uid,
		.start_ns = p->start_ns,
		.cpu_ns = p->cpu_ns,
		.now_ns = io_now_ns() - c->s->guest_boot_ns,
		.virtual_bytes = p->virtual_bytes,
		.resident_bytes = p->resident_bytes,
		.resident_permille = p->resident_permille,
		.threads = p->threads,
	};

	snprintf(r.state, sizeof(r.state), "%s", p->state);
	snprintf(r.name, sizeof(r.name), "%s", p->name);
	snprintf(r.tty, sizeof(r.tty), "%s", p->tty);
	snprintf(r.command, sizeof(r.command), "%s", p->command);
	serve_send(c, &r, sizeof(r));
}

static void ps_answered(void *arg, const struct agent_reply *r)
{
	struct session_client *c = arg;
	struct proxy_ps last = { .hdr = { .version = PROXY_VERSION,
					  .cmd = PROXY_PS,
					  .rc = r->rc,
					  .size = sizeof(last) },
				 .more = 0 };

	snprintf(last.command, sizeof(last.command), "%s", r->rc < 0 ? r->err.msg : "");
	serve_send(c, &last, sizeof(last));
	serve_done(c);
}

int figures_ps(struct session_client *c, struct err *e)
{
	return agent_list(c->s->agent, c->s->at.container_id, ps_row, ps_answered, c, e);
}

static void stats_answered(void *arg, const struct agent_reply *r)
{
	struct session_client *c = arg;
	struct proxy_stats m = {
		.hdr = { .version = PROXY_VERSION, .cmd = PROXY_STATS, .rc = r->rc, .size = sizeof(m) },
	};

	if (r->rc < 0)
		memcpy(m.text, r->err.msg, sizeof(m.text));
	else
		m.s = r->stats;
	serve_send(c, &m, sizeof(m));
	serve_done(c);
}

int figures_stats(struct session_client *c, struct err *e)
{
	return agent_stats(c->s->agent, c->s->at.container_id, stats_answered, c, e);
}

static int ask_oom(struct session *s, struct err *e);

static void oom_again(struct evtimer *t)
{
	struct session *s = container_of(t, struct session, oom_again);

	/* Who watches is told of nothing else: as long as there is an agent it is asked. */
	if (ask_oom(s, NULL) < 0)
		evtimer_set_ns(&s->oom_again, OOM_PAUSE_NS);
}

static void oom_answered(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;
	bool first = s->oom_seen == UINT64_MAX;

	s->oom_asked = false;
	/* It has gone, or it cannot tell. */
	if (r->rc < 0 || s->torn_down)
		return;
	s->oom_seen = min_t(uint64_t, r->oom_kills, UINT64_MAX - 1);
	for (size_t i = 0; !first && i < SESSION_MAX_CLIENTS; i++)
		if (s->clients[i].s && s->clients[i].watches)
			serve_reply(&s->clients[i], PROXY_OOM, 0, "");
	if (first)
		ask_oom(s, NULL);
	else
		evtimer_set_ns(&s->oom_again, OOM_PAUSE_NS);
}

static int ask_oom(struct session *s, struct err *e)
{
	int rc;

	if (s->oom_asked || !s->agent)
		return 0;
	rc = agent_wait_oom(s->agent, s->at.container_id, s->oom_seen, oom_answered, s, e);
	s->oom_asked = rc == 0;
	return rc;
}

int figures_watch(struct session_client *c, struct err *e)
{
	struct session *s = c->s;
	int rc = 0;

	if (!s->oom_again.fn) {
		s->oom_seen = UINT64_MAX;
		rc = evtimer_init(s->loop, &s->oom_again, "oom", oom_again);
		if (rc < 0)
			return err_errno(e, -rc, "timer");
	}
	rc = ask_oom(s, e);
	c->watches = rc == 0;
	return rc;
}
