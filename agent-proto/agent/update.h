/* SPDX-License-Identifier: Apache-2.0 */
/* New values for a living container's control group: all of them or none. */
#ifndef AGENT_PROTO_AGENT_UPDATE_H
#define AGENT_PROTO_AGENT_UPDATE_H

#include "agent-proto/agent/cgroup.h"

/* @req: checked. A value that the kernel refuses is named in @e, and those that were written before it have their old
 * ones again. */
int update_apply(const struct cgroup *cg, const Husk__Agent__V1__UpdateRequest *req, struct err *e);

#endif
