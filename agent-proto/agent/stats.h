/* SPDX-License-Identifier: Apache-2.0 */
/* What a container has used, from its control group's files; and what its interfaces have carried. */
#ifndef AGENT_PROTO_AGENT_STATS_H
#define AGENT_PROTO_AGENT_STATS_H

#include "agent-proto/agent/cgroup.h"
#include "agent-proto/ttrpc/server.h"

/* Answers @call. A controller that the group does not have counts nothing: zeros. */
/* @netns: of whose interfaces it tells; -1: this one. */
void stats_reply(const struct cgroup *cg, int netns, struct ttrpc_call *call);

#endif
