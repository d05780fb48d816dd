// SPDX-License-Identifier: Apache-2.0
#include "vmm/core/runstate.h"

#define TO(s) (1u << (s))

static const struct {
	const char *name;
	unsigned next;
} states[] = {
	[NC_STATE_NEW] = { "new", TO(NC_STATE_CREATED) | TO(NC_STATE_ENDED) },
	[NC_STATE_CREATED] = { "created", TO(NC_STATE_RUNNING) | TO(NC_STATE_ENDED) },
	[NC_STATE_RUNNING] = { "running", TO(NC_STATE_PAUSED) | TO(NC_STATE_ENDED) },
	[NC_STATE_PAUSED] = { "paused", TO(NC_STATE_RUNNING) | TO(NC_STATE_ENDED) },
	[NC_STATE_ENDED] = { "ended", 0 },
};

const char *runstate_name(enum nc_state s)
{
	bug_on((size_t)s >= ARRAY_SIZE(states));
	return states[s].name;
}

bool runstate_allowed(enum nc_state from, enum nc_state to)
{
	bug_on((size_t)from >= ARRAY_SIZE(states));
	return states[from].next & TO(to);
}

int runstate_check(enum nc_state from, enum nc_state to, const char *verb, struct err *e)
{
	if (runstate_allowed(from, to))
		return 0;
	return err_set(e, EINVAL, "cannot %s a machine that is %s", verb, runstate_name(from));
}
