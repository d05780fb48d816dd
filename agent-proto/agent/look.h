/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container that is to be made has a disk that is not there: it came to the machine with it, and the bus is looked over
 * first. A disk that does not answer keeps whoever looks at it waiting, so a fork does that, for AGENT_DEVICE_MS at most.
 */
#ifndef AGENT_PROTO_AGENT_LOOK_H
#define AGENT_PROTO_AGENT_LOOK_H

#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/ttrpc/server.h"

struct agent;
struct conn;

typedef void look_fn(struct agent *a, const Husk__Agent__V1__CreateContainerRequest *req, struct ttrpc_call *call,
		     const struct conn *owner);

/* True: @then is called later, with a copy of @req, unless @call is cancelled before. False: there is nothing to look over. */
bool look_begin(struct agent *a, const Husk__Agent__V1__CreateContainerRequest *req, struct ttrpc_call *call,
		const struct conn *owner, look_fn *then);

#endif
