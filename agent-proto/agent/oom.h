/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for the OOM killer to act on a container. Told by the kernel's event on memory.events, whatever
 * killed: the container's own limit or a machine that has no more. */
#ifndef AGENT_PROTO_AGENT_OOM_H
#define AGENT_PROTO_AGENT_OOM_H

#include "agent-proto/agent/cgroup.h"
#include "agent-proto/ttrpc/server.h"
#include "lib/evloop.h"

#define OOM_MAX_WAITERS 8

struct oom {
	const struct cgroup *cg;
	struct evloop *loop;
	struct evsrc events; /* memory.events, from the first that waits on */
	struct oom_waiter {
		struct ttrpc_call *call; /* NULL: free */
		uint64_t seen;
	} waiters[OOM_MAX_WAITERS];
};

/* @cg may be made later. */
void oom_init(struct oom *o, const struct cgroup *cg, struct evloop *l);
/* Those who wait are answered with -ESRCH. */
void oom_done(struct oom *o);
/* Keeps or answers @call: when the number of kills is not @seen. */
void oom_wait(struct oom *o, uint64_t seen, struct ttrpc_call *call);

#endif
