/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for what must come, however slow the machine that runs the tests is. */
#ifndef TESTS_LIB_UNTIL_H
#define TESTS_LIB_UNTIL_H

#include <time.h>

#include "lib/evloop.h"
#include "lib/io.h"

/* Turns the loop until @cond; false when it does not come true within half a minute. */
#define until(loop, cond)                                                     \
	({                                                                    \
		uint64_t until_end = io_now_ns() + 30000000000ull;            \
		bool until_ok;                                                \
		while (!(until_ok = (cond)) && io_now_ns() < until_end)       \
			evloop_turn(loop, 1);                                 \
		until_ok;                                                     \
	})

/* The processor time that this thread had: as long as others have the processor, what it runs takes none. */
static inline uint64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* True when the loop comes to have nothing to do: readiness that is not served spins it for ever. */
static inline bool loop_sleeps(struct evloop *loop)
{
	for (int i = 0; i < 2000; i++) {
		uint64_t before = io_now_ns();

		evloop_turn(loop, 20);
		if (io_now_ns() - before >= 19000000u)
			return true;
	}
	return false;
}

#endif
