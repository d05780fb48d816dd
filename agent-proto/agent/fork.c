// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/fork.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/util.h"

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void fork_enter(int *keep, size_t n)
{
	int from = 3;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	qsort(keep, n, sizeof(*keep), by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] > from)
			close_range((unsigned)from, (unsigned)keep[i] - 1, 0);
		from = max_t(int, from, keep[i] + 1);
	}
	close_range((unsigned)from, ~0u, 0);
}
