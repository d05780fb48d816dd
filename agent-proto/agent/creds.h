/* SPDX-License-Identifier: Apache-2.0 */
/* Who a container's process is and what it may. Called in the process itself, after all that needs
 * the agent's own rights, in the order of this file. */
#ifndef AGENT_PROTO_AGENT_CREDS_H
#define AGENT_PROTO_AGENT_CREDS_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* As asked; what is not named is the agent's, but for 1024 open files (and as many as may be, if the process
 * wants them). */
int creds_rlimits(const Husk__Agent__V1__Process *p, struct err *e);
/* Bounding set, groups, ids, the other four sets, no_new_privs; in between it goes to the working
 * directory, with the old rights first and the new ones if they did not do. */
int creds_become(const Husk__Agent__V1__Process *p, struct err *e);
/* The number of "RLIMIT_NOFILE", or -EINVAL. */
int creds_rlimit_by_name(const char *name);

#endif
