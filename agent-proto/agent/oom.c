// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/oom.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/cleanup.h"

static void answer(struct ttrpc_call *call, uint64_t kills)
{
	Husk__Agent__V1__WaitOomResponse m;

	husk__agent__v1__wait_oom_response__init(&m);
	m.oom_kills = kills;
	ttrpc_reply(call, &m.base);
}

static void on_event(struct evsrc *src, uint32_t events)
{
	struct oom *o = container_of(src, struct oom, events);
	uint64_t kills = cgroup_oom_kills(o->cg);
	char text[16];

	(void)events;
	/* Reading it arms the next event. */
	if (pread(src->fd, text, sizeof(text), 0) < 0)
		evloop_del(src);
	for (size_t i = 0; i < OOM_MAX_WAITERS; i++)
		if (o->waiters[i].call && o->waiters[i].seen != kills)
			answer(steal_ptr(&o->waiters[i].call), kills);
}

void oom_init(struct oom *o, const struct cgroup *cg, struct evloop *l)
{
	*o = (struct oom){ .cg = cg, .loop = l };
	o->events = (struct evsrc){ .fd = -1, .fn = on_event, .name = "oom" };
}

void oom_done(struct oom *o)
{
	evloop_del(&o->events);
	close_and_reset(&o->events.fd);
	for (size_t i = 0; i < OOM_MAX_WAITERS; i++)
		if (o->waiters[i].call)
			ttrpc_reply_err(steal_ptr(&o->waiters[i].call), -ESRCH,
					"container not running");
}

/* The connection that waited has ended. */
static void cancelled(struct ttrpc_call *call)
{
	struct oom_waiter *w = call->arg;

	w->call = NULL;
	ttrpc_reply(call, NULL);
}

static int listen_to(struct oom *o)
{
	int rc;

	if (o->events.fd >= 0)
		return 0;
	o->events.fd = openat(o->cg->fd, "memory.events", O_RDONLY | O_CLOEXEC);
	if (o->events.fd < 0)
		return -errno;
	rc = evloop_add(o->loop, &o->events, EPOLLPRI);
	if (rc < 0)
		close_and_reset(&o->events.fd);
	return rc;
}

void oom_wait(struct oom *o, uint64_t seen, struct ttrpc_call *call)
{
	struct oom_waiter *w = o->waiters;
	int rc = listen_to(o);

	while (w < o->waiters + OOM_MAX_WAITERS && w->call)
		w++;
	if (rc < 0) {
		ttrpc_reply_err(call, -EIO, "memory of the container is not counted");
	} else if (w == o->waiters + OOM_MAX_WAITERS) {
		ttrpc_reply_err(call, -ENOSPC, "too many wait for this");
	} else {
		w->call = call;
		w->seen = seen;
		call->arg = w;
		call->cancel = cancelled;
		/* What came before the file was listened to. */
		on_event(&o->events, 0);
	}
}
