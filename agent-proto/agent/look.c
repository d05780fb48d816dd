// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/look.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/fork.h"
#include "agent-proto/agent/message.h"
#include "lib/cleanup.h"

struct look {
	struct agent *agent;
	Husk__Agent__V1__CreateContainerRequest *req;
	struct ttrpc_call *call;
	const struct conn *owner;
	look_fn *then;
	pid_t pid; /* of the fork; -1: there is none */
	struct evsrc done; /* its end */
	struct evtimer late;
};

/* Of mounts that show a disk's node disks_resolve() makes the subpath, which is not the message's to free. */
static void forget_subpaths(const Husk__Agent__V1__Container *ct, bool ours)
{
	for (size_t i = 0; i < ct->n_mounts; i++) {
		Husk__Agent__V1__Mount *m = ct->mounts[i];

		if (!m->block_node)
			continue;
		if (ours && m->subpath != protobuf_c_empty_string)
			free(m->subpath);
		m->subpath = (char *)(uintptr_t)protobuf_c_empty_string;
	}
}

static void look_free(struct look *l)
{
	evloop_del(&l->done);
	close_and_reset(&l->done.fd);
	evtimer_done(&l->late);
	if (l->req)
		husk__agent__v1__create_container_request__free_unpacked(l->req, NULL);
	free(l);
}

static void over(struct look *l)
{
	l->call->cancel = NULL;
	l->call->arg = NULL;
	forget_subpaths(l->req->container, true);
	l->then(l->agent, l->req, l->call, l->owner);
	forget_subpaths(l->req->container, false);
	look_free(l);
}

static void on_done(struct evsrc *src, uint32_t events)
{
	(void)events;
	over(container_of(src, struct look, done));
}

/* The fork is left to its fate: it may hang in the kernel, and the disk may come still. */
static void on_late(struct evtimer *t)
{
	over(container_of(t, struct look, late));
}

/* The connection has ended. */
static void cancelled(struct ttrpc_call *call)
{
	struct look *l = call->arg;

	ttrpc_reply(call, NULL);
	look_free(l);
}

static _Noreturn void run(const struct agent *a, int end)
{
	fork_enter(&end, 1);
	a->cfg.find_devices();
	_exit(0);
}

bool look_begin(struct agent *a, const Husk__Agent__V1__CreateContainerRequest *req, struct ttrpc_call *call,
		const struct conn *owner, look_fn *then)
{
	struct look *l;
	int end[2];

	if (!a->cfg.find_devices || agent_need_sysfs(a, NULL) < 0 || pipe2(end, O_CLOEXEC) < 0)
		return false;
	l = calloc(1, sizeof(*l));
	if (l) {
		*l = (struct look){ .agent = a, .call = call, .owner = owner, .then = then, .pid = -1, .late.src.fd = -1 };
		l->done = (struct evsrc){ .fd = end[0], .fn = on_done, .name = "looking for disks" };
		l->req = message_copy(&req->base);
	}
	if (l && l->req && evloop_add(a->loop, &l->done, EPOLLIN) == 0 &&
	    evtimer_init(a->loop, &l->late, "looking for disks", on_late) == 0 &&
	    evtimer_set_ns(&l->late, AGENT_DEVICE_MS * UINT64_C(1000000)) == 0)
		l->pid = fork();
	if (l && l->pid == 0)
		run(a, end[1]);
	close(end[1]);
	if (l && l->pid > 0) {
		call->arg = l;
		call->cancel = cancelled;
		return true;
	}
	if (l)
		look_free(l);
	else
		close(end[0]);
	return false;
}
