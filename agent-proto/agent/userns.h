/* SPDX-License-Identifier: Apache-2.0 */
/* User and time namespaces of a container. */
#ifndef AGENT_PROTO_AGENT_USERNS_H
#define AGENT_PROTO_AGENT_USERNS_H

#include <sys/types.h>

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* What an id of the container is outside of it; @id itself without mappings, (uint32_t)-1 for one that is not mapped. */
uint32_t userns_outside(Husk__Agent__V1__IdMapping *const *m, size_t n, uint32_t id);

/* In the agent: the maps of the process @pid, which waits in userns_enter(). */
int userns_map(pid_t pid, const Husk__Agent__V1__Container *ct, struct err *e);
/* In the agent: hands the group @fd to the user of the container's process, as runc does, if the container has a cgroup
 * namespace and a mount of it that it may write to. With a user namespace or without. */
int userns_own_cgroup(int fd, const Husk__Agent__V1__Container *ct, struct err *e);

/* In the process, with its maps there: becomes the namespace's root. */
int userns_become_root(struct err *e);

/* In the process: a new time namespace, entered by the exec. */
int userns_new_time(const Husk__Agent__V1__Container *ct, struct err *e);
/* In the process: joins the one that @pid has for its children, @pid's own once that has executed its program. */
int userns_join_time(pid_t pid, struct err *e);

#endif
