/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The freezer of a container's cgroup: Pause and Resume. Freezing takes the kernel a moment (each process must come to
 * a point where it can stand still), so Pause is answered by the group's own event; one that does not come in
 * AGENT_FREEZE_MS (a process deep in a file system, say) is taken back. SIGKILL ends frozen processes, too.
 */
#ifndef AGENT_PROTO_AGENT_FREEZER_H
#define AGENT_PROTO_AGENT_FREEZER_H

#include "agent-proto/agent/cgroup.h"
#include "agent-proto/ttrpc/server.h"
#include "lib/evloop.h"

struct freezer {
	const struct cgroup *cg;
	struct evloop *loop;
	struct evsrc events; /* cgroup.events, while a Pause is awaited */
	struct evtimer late;
	struct ttrpc_call *call; /* that Pause */
	bool frozen; /* asked for and not taken back */
};

/* @cg may be made later. */
void freezer_init(struct freezer *f, const struct cgroup *cg, struct evloop *l);
/* A Pause that is under way is answered with -ECANCELED. Nothing is thawed. */
void freezer_done(struct freezer *f);

/* These keep or answer @call; either may come when it is so already. */
void freezer_pause(struct freezer *f, struct ttrpc_call *call);
void freezer_resume(struct freezer *f, struct ttrpc_call *call);
/* Lets all go on, whatever was asked for. 0 or -errno. */
int freezer_thaw(struct freezer *f);

#endif
