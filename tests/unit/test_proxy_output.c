// SPDX-License-Identifier: Apache-2.0
/* A process that is killed and the readers of its last output: one who stands still keeps nobody, one who reads gets all. */
#include "tests/unit/proxy_setup.h"

#include <poll.h>
#include <signal.h>

/* As much of @n bytes as is taken. */
static void write_what_fits(int fd, size_t n)
{
	static const char bytes[10000];

	while (n >= sizeof(bytes)) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		ssize_t rc;

		if (poll(&p, 1, 500) == 0)
			return;
		rc = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		assert_true(rc > 0 || errno == EAGAIN);
		n -= rc > 0 ? (size_t)rc : 0;
	}
}

/* Who kills the process means its end, whoever reads what it wrote to other descriptors than the three, whether the guest still
 * has some of it or not. */
static void a_killed_process_and_a_preserved_descriptor(void **state)
{
	static const struct {
		const char *why;
		size_t words;
		bool ended;
	} rows[] = {
		{ "the guest cannot hand it over", 8 << 20, false },
		{ "all of it is here, and it has ended", 300000, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fakeworld_plan plan = { .exit_status = 7, .echo = 77 };
		struct proxy_signal kill = { .signo = SIGKILL };
		struct bench *b;
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		next_preserved = pair[1];
		b = bench_new(&plan, LAST);
		assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
		assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
		write_what_fits(pair[0], rows[i].words);
		await_full(pair[0]);
		shutdown(b->stdio[0], SHUT_WR);
		if (rows[i].ended)
			await_ended(b);
		assert_int_equal(proxy_send(b->husk, PROXY_SIGNAL, &kill, sizeof(kill), NULL, 0, NULL), 0);
		check_row(rows[i].why, proxy_wait(b->husk, PROXY_EXITED, NULL, 5000, NULL) == 0);
		bench_end(b);
		check_row(rows[i].why, b->s.exit_code == 7);
		bench_free(b);
		close(pair[0]);
	}
}

/* A terminal's one connection is ended both ways: the guest's process stands in a write to it. */
static void a_killed_process_and_a_terminal(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 7 };
	struct bench *b = bench_new(&plan, LAST | PROXY_ATTACH_TERMINAL);
	struct proxy_signal kill = { .signo = SIGKILL };

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	write_what_fits(b->stdio[0], 8 << 20);
	await_full(b->stdio[1]);
	assert_int_equal(proxy_send(b->husk, PROXY_SIGNAL, &kill, sizeof(kill), NULL, 0, NULL), 0);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, NULL, 5000, NULL), 0);
	bench_end(b);
	bench_free(b);
}

/* Who reads, if slowly, loses nothing by a kill. */
static void a_kill_after_the_end_cuts_no_reader_off(void **state)
{
	static const struct fakeworld_plan plan = { .exit_status = 7, .last_words = 200000 };
	struct bench *b;
	size_t sum = 0;
	char buf[5000];
	ssize_t n;

	(void)state;
	next_room = 20000;
	b = bench_new(&plan, LAST);
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
	assert_int_equal(sum, 200000);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL), 0);
	bench_end(b);
	assert_int_equal(b->s.exit_code, 7);
	bench_free(b);
}

static void terminate(void *arg)
{
	session_forward_signal(arg, SIGTERM);
}

/* But a SIGTERM to the proxy itself, which who wants an end sends after that, is no question of reading. */
static void a_killed_process_whose_output_is_given_up(void **state)
{
	static const struct {
		const char *why;
		size_t words;
	} rows[] = {
		{ "the guest has most of it", 8 << 20 },
		{ "all of it is here, and it has ended", 400000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fakeworld_plan plan = { .exit_status = 7, .last_words = rows[i].words };
		struct proxy_signal kill = { .signo = SIGKILL };
		struct bench *b = bench_new(&plan, LAST);
		const uint64_t begin = io_now_ns();
		char buf[20000];

		assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
		assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
		shutdown(b->stdio[0], SHUT_WR);
		await_full(b->stdio[2]);
		assert_int_equal(proxy_send(b->husk, PROXY_SIGNAL, &kill, sizeof(kill), NULL, 0, NULL), 0);
		assert_int_equal(proxy_call(b->husk, PROXY_STATUS, NULL, WAIT_MS, NULL), 0);
		evloop_call(b->s.loop, terminate, &b->s);
		/* It is being read all the time. */
		while (proxy_wait(b->husk, PROXY_EXITED, NULL, 100, NULL) == -ETIMEDOUT) {
			check_row(rows[i].why, io_now_ns() - begin < UINT64_C(5000000000));
			assert_true(read(b->stdio[2], buf, sizeof(buf)) > 0);
		}
		assert_non_null(strstr(bench_end(b), "delete share-remove:s0 "));
		check_row(rows[i].why, b->s.exit_code == 7);
		bench_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_process_and_a_preserved_descriptor),
		cmocka_unit_test(a_killed_process_and_a_terminal),
		cmocka_unit_test(a_kill_after_the_end_cuts_no_reader_off),
		cmocka_unit_test(a_killed_process_whose_output_is_given_up),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
