/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process may have of the machine, and when: rlimits, oom score, scheduler, I/O priority, CPUs, memory policy. The
 * kernel asks for rights over the whole machine for some of it, so for a container with a user namespace
 * limits_privileged() is called from outside of that: by the agent, or by an exec's process before it joins.
 */
#ifndef AGENT_PROTO_AGENT_LIMITS_H
#define AGENT_PROTO_AGENT_LIMITS_H

#include <sys/types.h>

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* For the process @pid, 0: this one. Oom score, and hard limits that are above those it has. */
int limits_privileged(pid_t pid, const Husk__Agent__V1__Process *p, struct err *e);
/* Scheduler and I/O priority, likewise. */
int limits_sched(pid_t pid, const Husk__Agent__V1__Process *p, struct err *e);

/* The rest is for this process itself. As asked; what is not named is the agent's, but for 1024 open files (and as
 * many as may be, if the process wants them). */
int limits_rlimits(const Husk__Agent__V1__Process *p, struct err *e);
/* The CPUs of an exec at its beginning, and those that its program gets. */
int limits_first_cpus(const Husk__Agent__V1__Process *p, struct err *e);
int limits_last_cpus(const Husk__Agent__V1__Process *p, struct err *e);
/* @m may be NULL. A kernel without memory nodes has one, number 0: what asks for no other is as it wants it. */
int limits_memory(const Husk__Agent__V1__MemoryPolicy *m, struct err *e);

/* The number of "RLIMIT_NOFILE", or -EINVAL. */
int limits_rlimit_by_name(const char *name);

#endif
