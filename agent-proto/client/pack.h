/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime needs to pack a CreateContainerRequest or an ExecRequest for agent_create() and
 * agent_exec(): the generated messages, the limits, and nothing that reads a guest's bytes. Link
 * $(AGENT_PROTO_GEN_OBJS) as *_GEN_OBJS and -lprotobuf-c.
 */
#ifndef AGENT_PROTO_CLIENT_PACK_H
#define AGENT_PROTO_CLIENT_PACK_H

#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"

#endif
