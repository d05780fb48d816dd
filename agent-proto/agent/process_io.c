// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/child.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/listener.h"
#include "agent-proto/agent/process_internal.h"

struct waiter {
	struct waiter *next;
	struct process *p;
	struct ttrpc_call *call;
};

static void relay_done(struct relay *r)
{
	struct stream *s = container_of(r, struct stream, relay);
	struct process *p = s->owner;

	if (p->state == PROC_ENDED)
		process_answer_waiters(p);
}

static int open_stream(struct process *p, unsigned i, uint64_t token, enum relay_kind kind,
		       struct err *e)
{
	int rc = stream_open(&p->io[i], p->ct->agent->streams, token, kind, relay_done, e);

	p->io[i].owner = p;
	return rc;
}

/* The pipe behind descriptor @i of the process; our end goes to the relay. */
static int make_pipe(struct process *p, unsigned i, uint64_t token, int *ret_child, struct err *e)
{
	unsigned child = i == 0 ? 0 : 1;
	int ends[2], rc;

	if (!token)
		return 0;
	rc = open_stream(p, i, token, i == 0 ? RELAY_IN : RELAY_OUT, e);
	if (rc < 0)
		return rc;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	*ret_child = ends[child];
	relay_set_local(&p->io[i].relay, ends[!child]);
	return 0;
}

int process_make_streams(struct process *p, const Husk__Agent__V1__Process *spec, int stdio[3],
			 struct err *e)
{
	static const Husk__Agent__V1__Streams none;
	const Husk__Agent__V1__Streams *s = spec->streams ? spec->streams : &none;
	const uint64_t token[3] = { s->stdin, s->stdout, s->stderr };
	int rc = 0;

	if (p->terminal)
		return open_stream(p, 0, token[0], RELAY_TTY, e);
	for (unsigned i = 0; rc == 0 && i < 3; i++)
		rc = make_pipe(p, i, token[i], &stdio[i], e);
	return rc;
}

/* The process's own copy, out of the way of where it is to be; @fd is closed. */
static int move_high(int fd, int *ret_child, struct err *e)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_HIGH_FD), why = errno;

	close(fd);
	if (high < 0)
		return err_errno(e, why, "descriptor for the process");
	*ret_child = high;
	return 0;
}

/* The process's end of @kind, and ours. */
static int make_ends(enum relay_kind kind, int *ret_child, int *ret_ours, struct err *e)
{
	unsigned child = kind == RELAY_IN ? 0 : 1;
	int ends[2];
	int rc = kind == RELAY_SOCKET ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) :
					pipe2(ends, O_CLOEXEC);

	if (rc < 0)
		return err_errno(e, errno, "descriptor for the process");
	*ret_ours = ends[!child];
	rc = move_high(ends[child], ret_child, e);
	if (rc < 0)
		close(*ret_ours);
	return rc;
}

static int make_listener(struct process *p, const Husk__Agent__V1__ExtraStream *s, int *ret_child, struct err *e)
{
	struct agent *a = p->ct->agent;
	int fd = -1, rc = s->family ? 0 : agent_need_sockets(a, e);

	if (rc == 0)
		rc = listener_new(&p->listeners, a->loop, a->streams, a->cfg.sockets_dir, s, &fd, e);
	return rc < 0 ? rc : move_high(fd, ret_child, e);
}

static int make_stream(struct process *p, struct stream *to, const Husk__Agent__V1__ExtraStream *s, int *ret_child,
		       struct err *e)
{
	static const enum relay_kind kinds[] = {
		[HUSK__AGENT__V1__STREAM_KIND__STREAM_IN] = RELAY_IN,
		[HUSK__AGENT__V1__STREAM_KIND__STREAM_OUT] = RELAY_OUT,
		[HUSK__AGENT__V1__STREAM_KIND__STREAM_SOCKET] = RELAY_SOCKET,
	};
	int ours = -1, rc = stream_open(to, p->ct->agent->streams, s->token, kinds[s->kind], relay_done, e);

	if (rc < 0)
		return rc;
	to->owner = p;
	rc = make_ends(kinds[s->kind], ret_child, &ours, e);
	if (rc == 0)
		relay_set_local(&to->relay, ours);
	return rc;
}

int process_make_extra(struct process *p, const Husk__Agent__V1__Process *spec,
		       int fds[AGENT_MAX_EXTRA], struct err *e)
{
	if (!spec->n_extra_streams)
		return 0;
	p->extra = calloc(spec->n_extra_streams, sizeof(*p->extra));
	if (!p->extra)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < spec->n_extra_streams; i++) {
		const Husk__Agent__V1__ExtraStream *s = spec->extra_streams[i];
		int rc;

		fds[i] = -1;
		p->nextra++;
		if (s->kind == HUSK__AGENT__V1__STREAM_KIND__STREAM_NULL)
			continue;
		rc = s->kind == HUSK__AGENT__V1__STREAM_KIND__STREAM_LISTEN ? make_listener(p, s, &fds[i], e) :
									      make_stream(p, &p->extra[i], s, &fds[i], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void process_close_streams(struct process *p)
{
	for (unsigned i = 0; i < 3; i++)
		stream_close(&p->io[i]);
	for (unsigned i = 0; i < p->nextra; i++)
		stream_close(&p->extra[i]);
	free(p->extra);
	p->extra = NULL;
	p->nextra = 0;
	listeners_free(&p->listeners);
}

static bool streams_over(const struct process *p)
{
	for (unsigned i = 0; i < p->nextra; i++)
		if (p->extra[i].hub && !p->extra[i].relay.over)
			return false;
	for (unsigned i = 0; i < 3; i++)
		if (p->io[i].hub && !p->io[i].relay.over)
			return false;
	return true;
}

static void reply_wait(const struct process *p, struct ttrpc_call *call)
{
	Husk__Agent__V1__WaitResponse m;

	husk__agent__v1__wait_response__init(&m);
	m.exit_status = p->status;
	m.exited_at_sec = p->at.tv_sec;
	m.exited_at_nsec = (uint32_t)p->at.tv_nsec;
	m.oom = p->oom;
	ttrpc_reply(call, &m.base);
}

void process_answer_waiters(struct process *p)
{
	struct waiter *w;

	if (!p->drained && !streams_over(p))
		return;
	while ((w = p->waiters)) {
		p->waiters = w->next;
		p->nwaiters--;
		reply_wait(p, w->call);
		free(w);
	}
}

static void drain_late(struct evtimer *t)
{
	struct process *p = container_of(t, struct process, drain);

	p->drained = true;
	process_answer_waiters(p);
}

/* The connection that waited has ended. */
static void wait_cancelled(struct ttrpc_call *call)
{
	struct waiter *w = call->arg, **at = &w->p->waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->p->nwaiters--;
	free(w);
	ttrpc_reply(call, NULL);
}

void process_wait(struct process *p, struct ttrpc_call *call)
{
	struct waiter *w;

	if (p->state == PROC_ENDED && (p->drained || streams_over(p))) {
		reply_wait(p, call);
		return;
	}
	w = p->nwaiters < PROCESS_MAX_WAITERS ? malloc(sizeof(*w)) : NULL;
	if (!w) {
		ttrpc_reply_err(call, -ENOSPC, "too many wait for this process");
		return;
	}
	*w = (struct waiter){ .next = p->waiters, .p = p, .call = call };
	p->waiters = w;
	p->nwaiters++;
	call->arg = w;
	call->cancel = wait_cancelled;
}

void process_forget_waiters(struct process *p)
{
	struct waiter *w;

	while ((w = p->waiters)) {
		p->waiters = w->next;
		ttrpc_reply_err(w->call, -ECANCELED, "process was forgotten");
		free(w);
	}
}

void process_drain(struct process *p)
{
	if (evtimer_init(p->ct->agent->loop, &p->drain, "drain", drain_late) < 0 ||
	    evtimer_set_ns(&p->drain, AGENT_DRAIN_MS * UINT64_C(1000000)) < 0)
		p->drained = true;
	for (unsigned i = 0; i < 3; i++)
		if (p->io[i].hub)
			relay_finish(&p->io[i].relay);
	for (unsigned i = 0; i < p->nextra; i++)
		if (p->extra[i].hub)
			relay_finish(&p->extra[i].relay);
	listeners_finish(p->listeners);
	process_answer_waiters(p);
}
