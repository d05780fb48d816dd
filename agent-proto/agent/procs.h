/* SPDX-License-Identifier: Apache-2.0 */
/* What ListProcesses answers: a container's processes out of /proc. */
#ifndef AGENT_PROTO_AGENT_PROCS_H
#define AGENT_PROTO_AGENT_PROCS_H

#include "agent-proto/ttrpc/server.h"

struct container;

/* Answers @call within some seconds, whatever the processes do. */
void procs_list(struct container *ct, struct ttrpc_call *call);

#endif
