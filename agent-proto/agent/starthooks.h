/* SPDX-License-Identifier: Apache-2.0 */
/* startContainer hooks: in the container, as its user, between Start and the exec of its process. */
#ifndef AGENT_PROTO_AGENT_STARTHOOKS_H
#define AGENT_PROTO_AGENT_STARTHOOKS_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* In the container's process, whose environment is @env. @enter, of @arg, is the last thing that a hook's own process does
 * before it becomes the hook (struct runprog). The first failure ends it: -EIO, in runc's words. */
int starthooks_run(const Husk__Agent__V1__Container *ct, char *const *env, int (*enter)(const int *fds, const void *arg),
		   const void *arg, struct err *e);

#endif
