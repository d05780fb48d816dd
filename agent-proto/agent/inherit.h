/* SPDX-License-Identifier: Apache-2.0 */
/* What an exec has from its container: the rules for all processes, and what its own request leaves open. */
#ifndef AGENT_PROTO_AGENT_INHERIT_H
#define AGENT_PROTO_AGENT_INHERIT_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* A copy of those parts of @ct; husk__agent__v1__container__free_unpacked(…, NULL) frees it. NULL: no memory. */
Husk__Agent__V1__Container *inherit_keep(const Husk__Agent__V1__Container *ct);

/* @out: @p with what it lacks from @kept, as runc does: capabilities, rlimits, oom score, umask, scheduler, I/O
 * priority, CPUs. It points into both; @user is where its user goes. */
void inherit_fill(const Husk__Agent__V1__Process *p, const Husk__Agent__V1__Container *kept,
		  Husk__Agent__V1__Process *out, Husk__Agent__V1__User *user);

#endif
