/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of the test's thread, which here is the test's: for one source of a program. */
#ifndef TESTS_UNIT_SCHED_SEEN_H
#define TESTS_UNIT_SCHED_SEEN_H

#include <sched.h>

#include "tests/unit/check.h"

static int policy;
static unsigned changes;

int sched_getscheduler(pid_t tid)
{
	assert_int_equal(tid, 0);
	return policy;
}

int sched_setscheduler(pid_t tid, int to, const struct sched_param *p)
{
	assert_int_equal(tid, 0);
	assert_int_equal(p->sched_priority, 0);
	policy = to;
	changes++;
	return 0;
}

#endif
