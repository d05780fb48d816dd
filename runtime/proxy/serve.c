// SPDX-License-Identifier: Apache-2.0
/* husk's commands to a living proxy: packets in, the agent's answers out in fixed-size structs. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "runtime/proxy/session_internal.h"

static void answered(struct session_client *c, uint32_t cmd, const struct agent_reply *r)
{
	serve_reply(c, cmd, r->rc, r->rc < 0 ? r->err.msg : "");
	serve_done(c);
}

static void start_answered(void *arg, const struct agent_reply *r)
{
	struct session_client *c = arg;

	if (r->rc == 0 && c->s->state == PROXY_ST_CREATED)
		session_started(c->s);
	if (r->rc < 0)
		c->s->starting = false;
	answered(c, PROXY_START, r);
}

static void signal_answered(void *arg, const struct agent_reply *r)
{
	answered(arg, PROXY_SIGNAL, r);
}

static void kill_answered(void *arg, const struct agent_reply *r)
{
	struct session_client *c = arg;

	/* The agent has let go of what it froze: nobody waits for a dead one's resumption. */
	if (r->rc == 0)
		session_set_paused(c->s, false);
	answered(c, PROXY_SIGNAL, r);
}

static void pause_answered(void *arg, const struct agent_reply *r)
{
	struct session_client *c = arg;

	c->s->pausing = false;
	if (r->rc == 0)
		session_set_paused(c->s, true);
	answered(c, PROXY_PAUSE, r);
}

static void resume_answered(void *arg, const struct agent_reply *r)
{
	struct session_client *c = arg;

	c->s->pausing = false;
	if (r->rc == 0)
		session_set_paused(c->s, false);
	answered(c, PROXY_RESUME, r);
}

static void resize_answered(void *arg, const struct agent_reply *r)
{
	answered(arg, PROXY_RESIZE, r);
}

/* ---- commands --------------------------------------------------------------------------------- */

static int start_process(struct session_client *c, struct err *e)
{
	struct session *s = c->s;

	return agent_start(s->agent, s->at.container_id, "", s->at.start_timeout_ms, start_answered, c, e);
}

/* The network is as the host's: the process may go. */
static void start_connected(struct session_client *c, int rc, const struct err *why)
{
	struct err e = *why;

	if (rc == 0 && !c->s->agent)
		rc = err_set(&e, ESRCH, "container not running");
	if (rc == 0)
		rc = start_process(c, &e);
	if (rc == 0)
		return;
	c->s->starting = false;
	serve_reply(c, PROXY_START, rc, e.msg);
	serve_done(c);
}

static int do_start(struct session_client *c, const void *msg, struct err *e)
{
	struct session *s = c->s;
	int rc;

	(void)msg;
	if (s->state != PROXY_ST_CREATED || s->starting)
		return err_set(e, EBUSY, "cannot start an already running container");
	/* It would not answer before it goes on, and one who does not answer in time is lost. */
	if (s->paused || s->pausing)
		return err_set(e, EBUSY, "cannot start a container in the paused state");
	s->starting = true;
	s->committed = true;
	rc = network_sync(c, start_connected, e);
	if (rc == 0)
		rc = start_process(c, e);
	else if (rc > 0)
		return 0; /* start_connected() follows */
	s->starting = rc == 0;
	return rc;
}

static int do_signal(struct session_client *c, const void *msg, struct err *e)
{
	const struct proxy_signal *m = msg;
	struct session *s = c->s;

	if (m->signo == SIGKILL)
		output_killed(s);
	return agent_signal(s->agent, s->at.container_id,
			    s->at.flags & PROXY_ATTACH_EXEC ? s->at.exec_id : "", m->signo,
			    m->all != 0,
			    m->signo == SIGKILL && s->paused ? kill_answered : signal_answered, c,
			    e);
}

static int do_pause(struct session_client *c, const void *msg, struct err *e)
{
	struct session *s = c->s;
	int rc;

	(void)msg;
	if (s->paused || s->pausing || is_exec(s))
		return err_set(e, ESRCH, "container not running");
	if (s->state == PROXY_ST_CREATED && s->starting)
		return err_set(e, EBUSY, "container is being started");
	rc = agent_pause(s->agent, s->at.container_id, pause_answered, c, e);
	s->pausing = rc == 0;
	return rc;
}

static int do_resume(struct session_client *c, const void *msg, struct err *e)
{
	struct session *s = c->s;
	int rc;

	(void)msg;
	if (!s->paused || s->pausing)
		return err_set(e, ESRCH, "container not paused");
	rc = agent_resume(s->agent, s->at.container_id, resume_answered, c, e);
	s->pausing = rc == 0;
	return rc;
}

static int do_resize(struct session_client *c, const void *msg, struct err *e)
{
	const struct proxy_resize *m = msg;
	struct session *s = c->s;

	return agent_resize(s->agent, s->at.container_id,
			    s->at.flags & PROXY_ATTACH_EXEC ? s->at.exec_id : "", m->rows,
			    m->columns, resize_answered, c, e);
}

static int do_ps(struct session_client *c, const void *msg, struct err *e)
{
	(void)msg;
	return figures_ps(c, e);
}

static void update_answered(void *arg, const struct agent_reply *r)
{
	answered(arg, PROXY_UPDATE, r);
}

static int do_update(struct session_client *c, const void *msg, struct err *e)
{
	const struct proxy_update *m = msg;

	if (m->len > sizeof(m->request) || is_exec(c->s))
		return err_set(e, EINVAL, "malformed update");
	return agent_update(c->s->agent, m->request, m->len, update_answered, c, e);
}

static void disks_answered(void *arg, const struct agent_reply *r)
{
	answered(arg, PROXY_DISKS, r);
}

static int do_disks(struct session_client *c, const void *msg, struct err *e)
{
	const struct proxy_update *m = msg;

	if (m->len > sizeof(m->request) || is_exec(c->s))
		return err_set(e, EINVAL, "malformed update");
	return agent_disks(c->s->agent, m->request, m->len, disks_answered, c, e);
}

static int do_stats(struct session_client *c, const void *msg, struct err *e)
{
	(void)msg;
	return figures_stats(c, e);
}

static int do_watch(struct session_client *c, const void *msg, struct err *e)
{
	int rc = figures_watch(c, e);

	(void)msg;
	if (rc < 0)
		return rc;
	serve_reply(c, PROXY_WATCH, 0, "");
	return 1;
}

static int do_host(struct session_client *c, const void *msg, struct err *e)
{
	(void)msg;
	(void)e;
	c->s->at.flags &= ~(uint32_t)PROXY_ATTACH_HOSTED;
	serve_reply(c, PROXY_HOST, 0, "");
	return 1;
}

static const struct {
	uint32_t cmd;
	size_t size;
	/* Asks the agent: 0; 1: has answered; or -errno. NULL: answered at once. */
	int (*fn)(struct session_client *c, const void *msg, struct err *e);
} commands[] = {
	{ PROXY_START, sizeof(struct proxy_simple), do_start },
	{ PROXY_SIGNAL, sizeof(struct proxy_signal), do_signal },
	{ PROXY_RESIZE, sizeof(struct proxy_resize), do_resize },
	{ PROXY_PS, sizeof(struct proxy_simple), do_ps },
	{ PROXY_PAUSE, sizeof(struct proxy_simple), do_pause },
	{ PROXY_RESUME, sizeof(struct proxy_simple), do_resume },
	{ PROXY_UPDATE, sizeof(struct proxy_update), do_update },
	{ PROXY_DISKS, sizeof(struct proxy_update), do_disks },
	{ PROXY_STATS, sizeof(struct proxy_simple), do_stats },
	{ PROXY_WATCH, sizeof(struct proxy_simple), do_watch },
	{ PROXY_HOST, sizeof(struct proxy_simple), do_host },
	{ PROXY_STATUS, sizeof(struct proxy_simple), NULL },
	{ PROXY_COMMIT, sizeof(struct proxy_simple), NULL },
};

static void run(struct session_client *c, uint32_t cmd, const void *msg, size_t len)
{
	struct session *s = c->s;
	struct err e = ERR_INIT;
	int rc = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].cmd != cmd || commands[i].size != len)
			continue;
		if (!commands[i].fn) {
			bool content = cmd == PROXY_COMMIT && c == s->first;

			s->committed |= content;
			serve_reply(c, cmd, 0, "");
			if (content && s->unheard)
				session_last_word(s);
			return;
		}
		if (!s->agent || !s->created || s->state == PROXY_ST_ENDED) {
			serve_reply(c, cmd, -ESRCH, "container not running");
			/* It has ended, and its last output keeps the proxy: who kills it means that, too, if nobody reads. */
			if (cmd == PROXY_SIGNAL && ((const struct proxy_signal *)msg)->signo == SIGKILL &&
			    s->state == PROXY_ST_ENDED)
				output_killed(s);
			return;
		}
		rc = commands[i].fn(c, msg, &e);
		if (rc == 0)
			c->in_flight++;
		if (rc >= 0)
			return;
		break;
	}
	serve_reply(c, cmd, rc, e.code ? e.msg : "unknown command");
}

/* The first client has gone without having said that it is content. */
static void lost_first(struct session *s)
{
	static const struct err gone = { .code = ECANCELED, .msg = "husk has gone" };

	if (s->committed)
		return;
	s->committed = true;
	if (s->unheard)
		session_last_word(s);
	else if (s->at.flags & PROXY_ATTACH_EXEC && s->created)
		session_forward_signal(s, 9);
	else
		session_fail(s, -ECANCELED, &gone);
}

static void client_event(struct evsrc *src, uint32_t events)
{
	struct session_client *c = container_of(src, struct session_client, src);
	struct session *s = c->s;
	bool first = s->first == c;
	union {
		struct proxy_hdr hdr;
		struct proxy_signal signal;
		struct proxy_resize resize;
		struct proxy_update update;
	} m;
	ssize_t n;

	(void)events;
	/* One that has an answer to read asks for nothing until then. */
	n = serve_flush(c) ? io_recv_fds(src->fd, &m, sizeof(m), NULL, NULL, MSG_DONTWAIT) : -EAGAIN;
	if (n == -EAGAIN && src->fd >= 0)
		return;
	if (n < (ssize_t)sizeof(m.hdr) || m.hdr.version != PROXY_VERSION ||
	    m.hdr.size != (size_t)n) {
		serve_close(c);
		if (first)
			lost_first(s);
		return;
	}
	run(c, m.hdr.cmd, &m, (size_t)n);
}

int serve_add(struct session *s, int sock, struct session_client **ret)
{
	for (size_t i = 0; i < SESSION_MAX_CLIENTS; i++) {
		struct session_client *c = &s->clients[i];

		if (c->s)
			continue;
		*c = (struct session_client){
			.src = { .fd = sock, .fn = client_event, .name = "client" }
		};
		if (evloop_add(s->loop, &c->src, EPOLLIN) < 0)
			return -EIO;
		c->s = s;
		if (ret)
			*ret = c;
		return 0;
	}
	return -ENOSPC;
}

static void listen_event(struct evsrc *src, uint32_t events)
{
	struct session *s = container_of(src, struct session, listen);
	int fd = evloop_accept(src, SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0 && serve_add(s, fd, NULL) < 0)
		close(fd);
}

int serve_listen(struct session *s, int sock)
{
	s->listen = (struct evsrc){ .fd = sock, .fn = listen_event, .name = "listen" };
	return evloop_add(s->loop, &s->listen, EPOLLIN);
}
