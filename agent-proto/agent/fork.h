/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forks of the agent. What may take long (memory that is taken back, files that are written back, disks that are looked for)
 * is done by one, as the agent has one thread and many to answer.
 */
#ifndef AGENT_PROTO_AGENT_FORK_H
#define AGENT_PROTO_AGENT_FORK_H

#include <stddef.h>

/* The first thing that a fork does: nobody reads it, which is the agent's memory, not even in a user namespace of its own; and of
 * its descriptors it has the first three and @keep (sorted by this, -1: none) alone, as what the agent closes meanwhile has to be
 * closed: a connection, a mount namespace that is let go of, the write end of somebody's standard input. */
void fork_enter(int *keep, size_t n);

#endif
