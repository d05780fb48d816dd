/* SPDX-License-Identifier: Apache-2.0 */
/* Who a container's process is and what it may. Called in the process itself, after all that needs
 * the agent's own rights, in the order of this file. */
#ifndef AGENT_PROTO_AGENT_CREDS_H
#define AGENT_PROTO_AGENT_CREDS_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/*
 * Bounding set, groups, ids, the other four sets, no_new_privs; in between it goes to the working directory,
 * with the old rights first and the new ones if they did not do. @admin_later: CAP_SYS_ADMIN stays permitted, for
 * creds_admin(). It never reaches a program: what a process may before execve(2) does not count after it, but for the
 * ambient and the inheritable set, which do not get it.
 */
int creds_become(const Husk__Agent__V1__Process *p, bool admin_later, struct err *e);
/* Makes it effective; the last thing before the filter of system calls. */
int creds_admin(struct err *e);

#endif
