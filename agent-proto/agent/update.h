/* SPDX-License-Identifier: Apache-2.0 */
/* New values for a living container's control group: all of them or none. */
#ifndef AGENT_PROTO_AGENT_UPDATE_H
#define AGENT_PROTO_AGENT_UPDATE_H

#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/ttrpc/server.h"

struct container;

/* @req: checked. Keeps or answers @call: within AGENT_UPDATE_MS and a little. One at a time for a container. */
void update_begin(struct container *ct, const Husk__Agent__V1__UpdateRequest *req, struct ttrpc_call *call);
/* Of a container that goes: what is under way ends, and is answered. */
void update_done(struct container *ct);

#endif
