// SPDX-License-Identifier: Apache-2.0
/* How long a guest is waited for that does not come up, by the processor time that its machine had: here a child's. */
#include "tests/unit/check.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/proxy/session_internal.h"
#include "tests/unit/proxy_setup.h"

enum machine { NONE, GONE, IDLE, BUSY };

struct wait {
	struct session s;
	struct fakeworld *world;
	pid_t machine;
	int ready[2];
};

static pid_t machine_start(enum machine kind)
{
	pid_t pid = kind == NONE ? 0 : fork();

	if (pid || kind == NONE)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (kind == IDLE)
		pause();
	while (kind == BUSY)
		__asm__ volatile("");
	_exit(0);
}

static void begin(struct wait *w, enum machine kind, unsigned timeout_ms, unsigned cpu_ms)
{
	struct fakeworld_plan plan = { 0 };
	int control;

	*w = (struct wait){ .world = fakeworld_new(&plan, &control) };
	w->machine = machine_start(kind);
	if (kind == GONE)
		assert_int_equal(waitpid(w->machine, NULL, 0), w->machine);
	assert_int_equal(ncl_new(&w->s.machine, control, NULL), 0);
	assert_int_equal(pipe(w->ready), 0);
	w->s.at.timeout_ms = timeout_ms;
	w->s.at.machine_pid = (uint32_t)w->machine;
	w->s.at.machine_cpu_ms = cpu_ms;
}

static void end(struct wait *w, enum machine kind)
{
	if (kind > GONE) {
		kill(w->machine, SIGKILL);
		waitpid(w->machine, NULL, 0);
	}
	close(w->ready[0]);
	close(w->ready[1]);
	ncl_free(w->s.machine);
	fakeworld_end(w->world);
	fakeworld_free(w->world);
}

/* How long a guest that does not come up is waited for. */
static uint64_t waits_ms(const char *why, enum machine kind, unsigned timeout_ms, unsigned cpu_ms)
{
	struct err e = ERR_INIT;
	struct wait w;
	uint64_t ms;
	int rc;

	begin(&w, kind, timeout_ms, cpu_ms);
	ms = io_now_ns() / 1000000u;
	rc = ready_wait(&w.s, w.ready[0], &e);
	ms = io_now_ns() / 1000000u - ms;
	end(&w, kind);
	if (rc != -ETIMEDOUT)
		fail_msg("%s: %d after %u ms", why, rc, (unsigned)ms);
	return ms;
}

static void test_patience(void **state)
{
	static const struct {
		const char *why;
		enum machine kind;
		unsigned timeout_ms, cpu_ms, least_ms, most_ms;
	} rows[] = {
		{ "a machine that is not known", NONE, 60, 100000, 60, 250 },
		{ "one that has gone", GONE, 60, 100000, 60, 250 },
		{ "one that does nothing", IDLE, 60, 100000, 60, 250 },
		{ "one that had its share", BUSY, 400, 20, 400, 1200 },
		{ "one that runs, until it had it", BUSY, 600, 800, 700, 5800 },
		{ "one that runs, up to five times as long", BUSY, 400, 100000, 1900, 4600 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t ms = 0;

		/* A test that stands still is no wait that is too long, and a child that has no processor for long is one that
		 * does nothing: one of five tells. Before its time is up none is given up. */
		for (unsigned tries = 0; tries < 5 && (ms < rows[i].least_ms || ms > rows[i].most_ms); tries++) {
			ms = waits_ms(rows[i].why, rows[i].kind, rows[i].timeout_ms, rows[i].cpu_ms);
			if (ms < rows[i].timeout_ms)
				break;
		}
		if (ms < rows[i].least_ms || ms > rows[i].most_ms)
			fail_msg("%s: after %u ms", rows[i].why, (unsigned)ms);
	}
}

static int comes_late(void)
{
	struct err e = ERR_INIT;
	struct wait w;
	pid_t late;
	int rc;

	begin(&w, BUSY, 1200, 100000);
	late = fork();
	if (late == 0) {
		usleep(2000000);
		_exit(write(w.ready[1], "", 1) == 1 ? 0 : 1);
	}
	rc = ready_wait(&w.s, w.ready[0], &e);
	end(&w, BUSY);
	waitpid(late, NULL, 0);
	return rc;
}

/* One that comes up late, but while it was still waited for. */
static void test_late(void **state)
{
	int rc = -ETIMEDOUT;

	(void)state;
	for (unsigned tries = 0; tries < 5 && rc == -ETIMEDOUT; tries++)
		rc = comes_late();
	assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_patience), cmocka_unit_test(test_late) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
