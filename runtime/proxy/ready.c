// SPDX-License-Identifier: Apache-2.0
/* Waiting for the guest to come up. */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "lib/io.h"
#include "runtime/proxy/session_internal.h"

/* A machine that has its time and is not up may still be one that got little of its processor: it is looked at so often,
 * and goes on as long as it runs. */
#define LOOKS 6
#define LEAST_SHARE 200 /* of the time between two looks, in processor time: more than an idle guest's ticks take */

struct patience {
	uint64_t step, end, last;
	uint64_t cpu; /* the machine's, at the last look */
};

/* Processor time of all its threads; 0: not known. The clock of a process is no file and needs no right. */
static uint64_t machine_cpu(const struct session *s)
{
	/* clock_getcpuclockid(3) without its trial */
	clockid_t clock = (clockid_t)(~(uint32_t)s->at.machine_pid << 3 | 2u);
	struct timespec t;

	if (!s->at.machine_pid || clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool starved(const struct session *s, struct patience *w, uint64_t now)
{
	uint64_t cpu = machine_cpu(s), had = cpu - w->cpu;

	if (now >= w->last || had < w->step / LEAST_SHARE || cpu >= (uint64_t)s->at.machine_cpu_ms * 1000000u)
		return false;
	w->cpu = cpu;
	w->end = now + w->step;
	return true;
}

int ready_wait(struct session *s, int ready, struct err *e)
{
	uint64_t now = io_now_ns(), all = (uint64_t)s->at.timeout_ms * 1000000u;
	struct patience w = { .step = all / LOOKS, .end = now + all, .last = now + all * PROXY_STARVED_TIMES };

	for (;;) {
		struct pollfd p[] = {
			{ .fd = ready, .events = POLLIN },
			{ .fd = ncl_fd(s->machine), .events = POLLIN },
			{ .fd = s->first ? s->first->src.fd : -1, .events = POLLRDHUP },
		};
		int n;

		now = io_now_ns();
		n = now >= w.end ? 0 : poll(p, 3, (int)((w.end - now) / 1000000u) + 1);
		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (n == 0 && !starved(s, &w, io_now_ns()))
			return err_set(e, ETIMEDOUT,
				       "the guest's agent did not come up in %u seconds",
				       s->at.timeout_ms / 1000);
		if (n > 0 && p[2].revents)
			return err_set(e, ECANCELED, "husk has gone");
		if (n > 0 && (p[0].revents & POLLIN))
			return 0;
		if (n > 0 && (p[0].revents || (p[1].revents && session_machine_ended(s, 0))))
			return -EPIPE;
	}
}
