// SPDX-License-Identifier: Apache-2.0
/* A process that is killed and the readers of its last output: one who stands still keeps nobody, one who reads gets all. */
#include "tests/unit/proxy_setup.h"

#include <signal.h>

/* Who reads, if slowly, loses nothing by a kill. */
static void a_kill_after_the_end_cuts_no_reader_off(void **state)
{
	static const struct fakeworld_plan plan = { .exit_status = 7, .last_words = 400000 };
	struct bench *b = bench_new(&plan, LAST);
	size_t sum = 0;
	char buf[10000];
	ssize_t n;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	shutdown(b->stdio[0], SHUT_WR);
	await_ended(b);
	for (int i = 0; i < 2; i++)
		assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), -ESRCH);
	while ((n = read(b->stdio[2], buf, sizeof(buf))) > 0) {
		sum += (size_t)n;
		usleep(100000);
	}
	assert_int_equal(sum, 400000);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL), 0);
	bench_end(b);
	assert_int_equal(b->s.exit_code, 7);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_after_the_end_cuts_no_reader_off),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
