// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/freezer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"

static void on_event(struct evsrc *src, uint32_t events);
static void on_late(struct evtimer *t);

void freezer_init(struct freezer *f, const struct cgroup *cg, struct evloop *l)
{
	*f = (struct freezer){ .cg = cg, .loop = l };
	f->events = (struct evsrc){ .fd = -1, .fn = on_event, .name = "freezer" };
	f->late.src.fd = -1;
}

/* Nothing is awaited any more; the call that did is the caller's. */
static struct ttrpc_call *stop_waiting(struct freezer *f)
{
	evloop_del(&f->events);
	close_and_reset(&f->events.fd);
	evtimer_done(&f->late);
	f->late.src.fd = -1;
	return steal_ptr(&f->call);
}

void freezer_done(struct freezer *f)
{
	struct ttrpc_call *call = stop_waiting(f);

	if (call)
		ttrpc_reply_err(call, -ECANCELED, "container has gone");
}

int freezer_thaw(struct freezer *f)
{
	struct ttrpc_call *call = stop_waiting(f);

	if (call)
		ttrpc_reply_err(call, -ECANCELED, "container was resumed");
	f->frozen = false;
	return io_write_str(f->cg->fd, "cgroup.freeze", "0");
}

static void give_up(struct freezer *f, const char *why)
{
	struct ttrpc_call *call = stop_waiting(f);

	freezer_thaw(f);
	ttrpc_reply_err(call, -EIO, why);
}

static void on_late(struct evtimer *t)
{
	give_up(container_of(t, struct freezer, late),
		"timeout reached waiting for the cgroup to freeze");
}

static void on_event(struct evsrc *src, uint32_t events)
{
	struct freezer *f = container_of(src, struct freezer, events);
	char text[128];
	/* Reading it arms the next event. */
	ssize_t n = pread(src->fd, text, sizeof(text) - 1, 0);

	(void)events;
	if (n < 0) {
		give_up(f, "state of the cgroup cannot be read");
		return;
	}
	text[n] = 0;
	if (strstr(text, "frozen 1"))
		ttrpc_reply(stop_waiting(f), NULL);
}

void freezer_pause(struct freezer *f, struct ttrpc_call *call)
{
	if (f->call) {
		ttrpc_reply_err(call, -ESRCH, "container is being paused");
		return;
	}
	if (f->frozen) {
		ttrpc_reply(call, NULL);
		return;
	}
	f->call = call;
	f->events.fd = openat(f->cg->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (f->events.fd < 0 || evloop_add(f->loop, &f->events, EPOLLPRI) < 0 ||
	    evtimer_init(f->loop, &f->late, "freezer", on_late) < 0 ||
	    evtimer_set_ns(&f->late, AGENT_FREEZE_MS * UINT64_C(1000000)) < 0 ||
	    io_write_str(f->cg->fd, "cgroup.freeze", "1") < 0) {
		give_up(f, "cgroup cannot be frozen");
		return;
	}
	f->frozen = true;
	on_event(&f->events, 0);
}

void freezer_resume(struct freezer *f, struct ttrpc_call *call)
{
	if (freezer_thaw(f) < 0)
		ttrpc_reply_err(call, -EIO, "cgroup cannot be thawed");
	else
		ttrpc_reply(call, NULL);
}
