// SPDX-License-Identifier: Apache-2.0
/* How long a guest is waited for that does not come up, by the processor time that its machine had: here a child's. */
#include "tests/unit/check.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/proxy_setup.h"
#include "runtime/proxy/session_internal.h"

enum machine { NONE, GONE, IDLE, BUSY };

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

static void test_patience(void **state)
{
	static const struct {
		const char *why;
		enum machine kind;
		unsigned timeout_ms, cpu_ms, least_ms, most_ms;
	} rows[] = {
		{ "a machine that is not known", NONE, 60, 100000, 60, 200 },
		{ "one that has gone", GONE, 60, 100000, 60, 200 },
		{ "one that does nothing", IDLE, 60, 100000, 60, 200 },
		{ "one that had its share", BUSY, 400, 20, 400, 600 },
		{ "one that runs, until it had it", BUSY, 600, 800, 700, 2900 },
		{ "one that runs, up to five times as long", BUSY, 400, 100000, 1900, 2300 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fakeworld_plan plan = { 0 };
		struct err e = ERR_INIT;
		int ready[2], control, rc;
		struct session s = { .first = NULL };
		struct fakeworld *w = fakeworld_new(&plan, &control);
		pid_t pid = machine_start(rows[i].kind);
		uint64_t ms;

		if (rows[i].kind == GONE)
			assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(ncl_new(&s.machine, control, NULL), 0);
		assert_int_equal(pipe(ready), 0);
		s.at.timeout_ms = rows[i].timeout_ms;
		s.at.machine_pid = (uint32_t)pid;
		s.at.machine_cpu_ms = rows[i].cpu_ms;
		ms = io_now_ns() / 1000000u;
		rc = ready_wait(&s, ready[0], &e);
		ms = io_now_ns() / 1000000u - ms;
		if (rc != -ETIMEDOUT || ms < rows[i].least_ms || ms > rows[i].most_ms * 2)
			fail_msg("%s: %d after %u ms", rows[i].why, rc, (unsigned)ms);
		if (rows[i].kind > GONE) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		close(ready[0]);
		close(ready[1]);
		ncl_free(s.machine);
		fakeworld_end(w);
		fakeworld_free(w);
	}
}

/* One that comes up late, but while it was still waited for. */
static void test_late(void **state)
{
	struct fakeworld_plan plan = { 0 };
	struct err e = ERR_INIT;
	int ready[2], control;
	struct session s = { .first = NULL };
	struct fakeworld *w = fakeworld_new(&plan, &control);
	pid_t pid = machine_start(BUSY), late;

	(void)state;
	assert_int_equal(ncl_new(&s.machine, control, NULL), 0);
	assert_int_equal(pipe(ready), 0);
	s.at.timeout_ms = 400;
	s.at.machine_pid = (uint32_t)pid;
	s.at.machine_cpu_ms = 100000;
	late = fork();
	if (late == 0) {
		usleep(900000);
		_exit(write(ready[1], "", 1) == 1 ? 0 : 1);
	}
	assert_int_equal(ready_wait(&s, ready[0], &e), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	waitpid(late, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	ncl_free(s.machine);
	fakeworld_end(w);
	fakeworld_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_patience), cmocka_unit_test(test_late) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
