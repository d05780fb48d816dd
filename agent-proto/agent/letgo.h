/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last that is held of a container that has ended: its mount namespace, and a disk that was its root. Letting go of them
 * writes back what its file systems hold, which may be gigabytes to a slow host; so a fork of the agent does it, and the
 * agent's one thread has others to answer meanwhile.
 */
#ifndef AGENT_PROTO_AGENT_LETGO_H
#define AGENT_PROTO_AGENT_LETGO_H

#include "lib/evloop.h"

struct container;

struct letgo {
	struct evsrc result; /* its end is the fork's; fd -1: none is under way */
	bool over;
};

void letgo_init(struct letgo *g);
/* True: all has been written, and nothing is held; false: the container's retry timer goes off when it is so. */
bool letgo_over(struct container *ct);
void letgo_done(struct letgo *g);

#endif
