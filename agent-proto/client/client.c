// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/client/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/client/internal.h"
#include "agent-proto/ttrpc/client.h"
#include "lib/io.h"

#define READ_SIZE  16384
#define READ_TURNS 16 /* reads before others on the loop get their turn */

static const char service[] = "husk.agent.v1.Agent";
static const char *const method_name[AGENT_METHODS] = {
	[AGENT_HELLO] = "Hello",
	[AGENT_CREATE] = "CreateContainer",
	[AGENT_START] = "Start",
	[AGENT_EXEC] = "Exec",
	[AGENT_SIGNAL] = "Signal",
	[AGENT_WAIT] = "Wait",
	[AGENT_RESIZE] = "Resize",
	[AGENT_LIST] = "ListProcesses",
	[AGENT_DELETE] = "Delete",
	[AGENT_PAUSE] = "Pause",
	[AGENT_RESUME] = "Resume",
	[AGENT_STATS] = "Stats",
	[AGENT_WAIT_OOM] = "WaitOom",
	[AGENT_ACCEPT_SOCKET] = "AcceptSocket",
	[AGENT_CHANGE_MOUNT] = "ChangeMount",
	[AGENT_UPDATE] = "Update",
	[AGENT_DISKS] = "UpdateDisks",
	[AGENT_NETWORK] = "UpdateNetwork",
};

struct agent_client {
	struct evloop *loop;
	struct evsrc src;
	struct evtimer timer;
	uint64_t armed_ns; /* what the timer is set to, 0: nothing */
	uint32_t events;   /* what src waits for */
	struct ttrpc_client *rpc;
	agent_dead_fn *dead;
	void *arg;
	int dead_rc; /* 0: good */
	struct err dead_err;
	unsigned busy; /* callbacks may be running: agent_client_free() is put off */
	bool freed;
};

struct pending {
	struct agent_client *c;
	struct agent_ask ask;
};

static void update_timer(struct agent_client *c)
{
	uint64_t at = c->dead_rc ? 0 : ttrpc_client_deadline(c->rpc);
	uint64_t now;

	if (at == c->armed_ns)
		return;
	c->armed_ns = at;
	now = io_now_ns();
	evtimer_set_ns(&c->timer, !at ? 0 : at > now ? at - now : 1);
}

static void update_events(struct agent_client *c)
{
	uint32_t want = EPOLLIN | (ttrpc_client_output(c->rpc)->len ? EPOLLOUT : 0u);

	if (c->dead_rc || want == c->events)
		return;
	if (evloop_mod(&c->src, want) == 0)
		c->events = want;
}

static void destroy(struct agent_client *c)
{
	evloop_del(&c->src);
	evtimer_done(&c->timer);
	if (c->src.fd >= 0)
		close(c->src.fd);
	if (c->rpc)
		ttrpc_client_fail(c->rpc, -ECANCELED, "");
	ttrpc_client_free(c->rpc);
	free(c);
}

static void enter(struct agent_client *c)
{
	c->busy++;
}

static void leave(struct agent_client *c)
{
	if (--c->busy)
		return;
	if (c->freed) {
		destroy(c);
		return;
	}
	update_events(c);
	update_timer(c);
}

static void die(struct agent_client *c, int rc, const struct err *e)
{
	if (c->dead_rc || c->freed)
		return;
	c->dead_rc = rc;
	c->dead_err = *e;
	evloop_del(&c->src);
	ttrpc_client_fail(c->rpc, rc, c->dead_err.msg);
	if (!c->freed && c->dead)
		c->dead(c->arg, rc, &c->dead_err);
}

static int broke(struct err *e, int rc)
{
	return rc == -EPROTO ? err_wrap(e, rc, "agent broke the protocol") : rc;
}

/* agent_client_free() may come from the middle of a list. */
static void each_process(void *arg, const struct agent_ps_info *info)
{
	const struct pending *p = arg;

	if (!p->c->freed && p->ask.each)
		p->ask.each(p->ask.arg, info);
}

/* One call has its result: the agent's, or the connection's end. */
static int on_result(void *arg, const struct ttrpc_result *res, struct err *e)
{
	struct pending p = *(struct pending *)arg;
	struct agent_client *c = p.c;
	struct agent_reply reply;
	int rc = 0;

	free(arg);
	if (c->freed)
		return 0;
	if (res->is_local) {
		memset(&reply, 0, sizeof(reply));
		reply.rc = res->rc;
		err_set(&reply.err, -res->rc, "%s", res->message);
	} else if (res->rc < 0) {
		rc = agent_decode_refusal(res->rc, res->message, &reply, e);
	} else {
		rc = agent_decode(p.ask.method, res->payload, res->len, each_process, &p, &reply, e);
	}
	if (rc < 0) {
		err_wrap(e, rc, "%s", method_name[p.ask.method]);
		memset(&reply, 0, sizeof(reply));
		reply.rc = rc;
		reply.err = *e;
		broke(&reply.err, rc);
	}
	if (!c->freed)
		p.ask.fn(p.ask.arg, &reply);
	return rc;
}

static void flush(struct agent_client *c)
{
	struct buf *out = ttrpc_client_output(c->rpc);

	while (out->len) {
		ssize_t n = send(c->src.fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0) /* EAGAIN; anything else shows when reading */
			return;
		buf_consume(out, (size_t)n);
	}
	if (out->size > READ_SIZE)
		buf_free(out);
}

static void receive(struct agent_client *c)
{
	uint8_t in[READ_SIZE];
	struct err e = ERR_INIT;
	int rc;

	for (int i = 0; i < READ_TURNS && !c->freed && !c->dead_rc; i++) {
		ssize_t n = read(c->src.fd, in, sizeof(in));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			rc = err_set(&e, EPIPE, "agent closed the connection");
		else
			rc = broke(&e, ttrpc_client_input(c->rpc, in, (size_t)n, &e));
		if (rc < 0) {
			die(c, rc, &e);
			return;
		}
		if ((size_t)n < sizeof(in))
			return;
	}
}

static void on_event(struct evsrc *src, uint32_t events)
{
	struct agent_client *c = container_of(src, struct agent_client, src);

	enter(c);
	if (events & EPOLLOUT)
		flush(c);
	if (events & ~(uint32_t)EPOLLOUT)
		receive(c);
	leave(c);
}

static void on_timer(struct evtimer *t)
{
	struct agent_client *c = container_of(t, struct agent_client, timer);
	struct err e = ERR_INIT;
	int rc;

	enter(c);
	c->armed_ns = 0;
	rc = ttrpc_client_tick(c->rpc, io_now_ns(), &e);
	if (rc < 0) {
		err_wrap(&e, rc, "agent");
		die(c, rc, &e);
	}
	leave(c);
}

int agent_client_new(struct agent_client **ret, struct evloop *l, int fd, agent_dead_fn *dead,
		     void *arg, struct err *e)
{
	static const struct ttrpc_client_limits lim = { .max_frame = AGENT_MAX_FRAME,
							.max_out = AGENT_CLIENT_MAX_OUT,
							.max_unpack = AGENT_CLIENT_MAX_UNPACK,
							.max_calls = AGENT_CLIENT_MAX_CALLS };
	struct agent_client *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, ENOMEM, "agent client: out of memory");
	c->loop = l;
	c->dead = dead;
	c->arg = arg;
	c->src = (struct evsrc){ .fd = -1, .fn = on_event, .name = "agent" };
	c->timer.src.fd = -1;
	rc = ttrpc_client_new(&c->rpc, &lim, e);
	if (rc < 0)
		goto fail;
	rc = evtimer_init(l, &c->timer, "agent deadline", on_timer);
	if (rc == 0)
		rc = io_set_nonblock(fd, true);
	if (rc < 0) {
		err_errno(e, -rc, "agent client");
		goto fail;
	}
	c->src.fd = fd;
	c->events = EPOLLIN;
	rc = evloop_add(l, &c->src, EPOLLIN);
	if (rc < 0) {
		c->src.fd = -1;
		err_errno(e, -rc, "agent client: epoll");
		goto fail;
	}
	*ret = c;
	return 0;
fail:
	destroy(c);
	return rc;
}

void agent_client_free(struct agent_client *c)
{
	if (!c)
		return;
	c->freed = true;
	if (!c->busy)
		destroy(c);
}

int agent_ask_packed(struct agent_client *c, const struct agent_ask *ask, const void *req,
		     size_t len, struct err *e)
{
	struct pending *p;
	uint64_t deadline = 0;
	int rc;

	if (c->dead_rc) {
		if (e)
			*e = c->dead_err;
		return c->dead_rc;
	}
	p = malloc(sizeof(*p));
	if (!p)
		return err_set(e, ENOMEM, "agent client: out of memory");
	*p = (struct pending){ .c = c, .ask = *ask };
	if (ask->timeout_ms)
		deadline = io_now_ns() + ask->timeout_ms * UINT64_C(1000000);
	rc = ttrpc_client_call(c->rpc, service, method_name[ask->method], req, len, deadline,
			       on_result, p, e);
	if (rc < 0) {
		free(p);
		return rc;
	}
	enter(c);
	flush(c);
	leave(c);
	return 0;
}
