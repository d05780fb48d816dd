// SPDX-License-Identifier: Apache-2.0
/* husk-proxy's session between a husk (this test) and a fake machine and agent: what it answers, what
 * it asks for in which order, its exit status, and every byte of output. */
#include "tests/unit/proxy_setup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"

static void a_container_from_create_to_its_end(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 7, .last_words = 300000 };
	struct bench *b = bench_new(&plan, LAST);
	struct proxy_reply r;
	struct err e = ERR_INIT;
	char text[6] = "";

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, &r, WAIT_MS, &e), 0);
	assert_int_equal(r.state, PROXY_ST_CREATED);
	assert_int_equal(proxy_call(b->husk, PROXY_COMMIT, NULL, WAIT_MS, &e), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, &r, WAIT_MS, &e), 0);
	assert_int_equal(r.state, PROXY_ST_RUNNING);
	assert_true(r.stamp[PROXY_T_STARTED] >= r.stamp[PROXY_T_CREATED]);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, &e), -EBUSY);
	assert_string_equal(e.msg, "cannot start an already running container");
	assert_int_equal(write(b->stdio[0], "hello", 5), 5);
	assert_int_equal(io_read_full(b->stdio[1], text, 5), 0);
	assert_string_equal(text, "hello");
	shutdown(b->stdio[0], SHUT_WR);
	assert_int_equal(read_to_end(b->stdio[2]), 300000);
	assert_int_equal(read_to_end(b->stdio[1]), 0);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, &r, WAIT_MS, &e), 0);
	assert_int_equal(r.state, PROXY_ST_ENDED);
	assert_int_equal(r.exit_status, 7);
	/* The order of the end: the shares are dropped when nothing is left in the guest. */
	assert_string_equal(bench_end(b),
			    "create wait start delete share-remove:s0 share-remove:s1 left ");
	assert_int_equal(b->s.exit_code, 7);
	bench_free(b);
}

static void output_that_is_read_late_is_not_lost(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0, .last_words = 4 << 20 };
	struct bench *b = bench_new(&plan, LAST);
	struct proxy_reply r;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, &r, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	shutdown(b->stdio[0], SHUT_WR);
	/* Nobody reads; commands are answered all the same. */
	usleep(100000);
	assert_int_equal(proxy_call(b->husk, PROXY_STATUS, &r, WAIT_MS, NULL), 0);
	assert_int_equal(read_to_end(b->stdio[2]), 4 << 20);
	bench_end(b);
	assert_int_equal(b->s.exit_code, 0);
	bench_free(b);
}

static void signals_reach_the_process(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0 };
	struct bench *b = bench_new(&plan, LAST);

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_signal(b->husk, SIGHUP, false, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_signal(b->husk, SIGTERM, true, WAIT_MS, NULL), 0);
	assert_string_equal(bench_end(b),
			    "create wait start signal:1 signal:15a delete share-remove:s0 "
			    "share-remove:s1 left ");
	assert_int_equal(b->s.exit_code, 128 + SIGTERM);
	bench_free(b);
}

static int client_of(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(write(fd, "abc", 3), 3);
	return fd;
}

static void expect_echo(int fd, bool comes)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[3];

	assert_int_equal(poll(&p, 1, comes ? WAIT_MS : 300), comes);
	if (!comes)
		return;
	assert_int_equal(io_read_full(fd, text, 3), 0);
	assert_memory_equal(text, "abc", 3);
}

/* Nothing is taken before the start or past the bound, an end makes room, and the socket is left as it was. */
static void a_listening_socket(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 3, .echo = 77 };
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "" };
	int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd[SESSION_MAX_ACCEPTED + 1];
	struct bench *b;

	(void)state;
	snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "husk-proxy-%d", getpid());
	assert_int_equal(bind(own, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(own, SESSION_MAX_ACCEPTED), 0);
	listener = fcntl(own, F_DUPFD_CLOEXEC, 3);
	b = bench_new(&plan, LAST);
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	fd[0] = client_of(&at);
	expect_echo(fd[0], false);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	expect_echo(fd[0], true);
	for (int i = 1; i <= SESSION_MAX_ACCEPTED; i++)
		fd[i] = client_of(&at);
	for (int i = 1; i < SESSION_MAX_ACCEPTED; i++)
		expect_echo(fd[i], true);
	expect_echo(fd[SESSION_MAX_ACCEPTED], false);
	/* One side's end is passed on, and the other's comes back. */
	shutdown(fd[0], SHUT_WR);
	assert_int_equal(read_to_end(fd[0]), 0);
	expect_echo(fd[SESSION_MAX_ACCEPTED], true);
	for (int i = 0; i <= SESSION_MAX_ACCEPTED; i++)
		close(fd[i]);
	assert_true(fcntl(own, F_GETFL) & O_NONBLOCK);
	shutdown(b->stdio[0], SHUT_WR);
	assert_string_equal(bench_end(b), "create wait start delete share-remove:s0 share-remove:s1 left ");
	assert_false(fcntl(own, F_GETFL) & O_NONBLOCK);
	/* It is the caller's again. */
	fd[0] = client_of(&at);
	fd[1] = accept(own, NULL, NULL);
	assert_true(fd[1] >= 0);
	close(fd[0]);
	close(fd[1]);
	close(own);
	bench_free(b);
}

static void count_row(void *arg, const struct proxy_ps *p)
{
	unsigned *n = arg;

	assert_int_equal(p->pid, 100 + *n);
	assert_string_equal(p->tty, "pts/0");
	assert_string_equal(p->command, "pts");
	(*n)++;
}

static void processes_are_listed(void **state)
{
	const struct fakeworld_plan plan = { .processes = 3 };
	struct bench *b = bench_new(&plan, LAST);
	unsigned n = 0;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_ps(b->husk, count_row, &n, WAIT_MS, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	bench_end(b);
	assert_int_equal(b->s.exit_code, 128 + SIGKILL);
	bench_free(b);
}

/* The proxy's own word on what it stands for: its thread's name. */
static void is_called(const struct bench *b, const char *name)
{
	char now[16] = "";

	assert_int_equal(pthread_getname_np(b->thread, now, sizeof(now)), 0);
	assert_string_equal(now, name);
}

static void paused_and_resumed(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0 };
	struct bench *b = bench_new(&plan, LAST);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	is_called(b, PROXY_COMM_NEW);
	assert_int_equal(proxy_call(b->husk, PROXY_RESUME, NULL, WAIT_MS, &e), -ESRCH);
	assert_string_equal(e.msg, "container not paused");
	assert_int_equal(proxy_call(b->husk, PROXY_PAUSE, NULL, WAIT_MS, &e), 0);
	is_called(b, PROXY_COMM_HELD);
	assert_int_equal(proxy_call(b->husk, PROXY_PAUSE, NULL, WAIT_MS, &e), -ESRCH);
	assert_string_equal(e.msg, "container not running");
	/* Not even asked of the agent: it could not answer. */
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, &e), -EBUSY);
	assert_string_equal(e.msg, "cannot start a container in the paused state");
	assert_int_equal(proxy_call(b->husk, PROXY_RESUME, NULL, WAIT_MS, &e), 0);
	is_called(b, PROXY_COMM_NEW);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, &e), 0);
	is_called(b, PROXY_COMM_RUN);
	assert_int_equal(proxy_call(b->husk, PROXY_PAUSE, NULL, WAIT_MS, &e), 0);
	assert_int_equal(proxy_signal(b->husk, SIGHUP, false, WAIT_MS, NULL), 0);
	is_called(b, PROXY_COMM_HELD);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	assert_string_equal(bench_end(b), "create wait pause resume start pause signal:1 signal:9 "
					  "delete share-remove:s0 share-remove:s1 left ");
	assert_int_equal(b->s.exit_code, 128 + SIGKILL);
	bench_free(b);
}

static void figures_and_the_oom_killer(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0 };
	struct bench *b = bench_new(&plan, LAST);
	struct agent_stats s;
	int rc = 1;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_stats(b->husk, &s, WAIT_MS, NULL), 0);
	assert_int_equal(s.cpu_ns, 1234);
	assert_int_equal(s.n_memory_stat, 1);
	assert_string_equal(s.memory_stat[0].name, "anon");
	assert_int_equal(s.memory_stat[0].value, 5);
	/* What was before is no event; what comes is one for each who watches, and is told once. */
	assert_int_equal(proxy_watch(b->husk, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_event(b->husk, &s, &rc, WAIT_MS, NULL), PROXY_OOM);
	assert_int_equal(proxy_event(b->husk, &s, &rc, 300, NULL), -ETIMEDOUT);
	assert_int_equal(proxy_ask_stats(b->husk, NULL), 0);
	assert_int_equal(proxy_event(b->husk, &s, &rc, WAIT_MS, NULL), PROXY_STATS);
	assert_int_equal(rc, 0);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	assert_string_equal(bench_end(b), "create wait oom:-1 oom:2 oom:3 signal:9 delete share-remove:s0 "
					  "share-remove:s1 left ");
	bench_free(b);
}

/* A proxy that was taken over says what it likes. */
static void figures_out_of_range(void **state)
{
	static const struct {
		const char *why;
		uint32_t n_memory, n_block, n_huge, n_interfaces;
		char name[AGENT_MAX_COUNTER_NAME + 1];
		int rc;
	} rows[] = {
		{ "good", AGENT_MAX_COUNTERS, AGENT_MAX_BLOCK_STATS, 0, AGENT_MAX_INTERFACE_STATS, "a_9", 0 },
		{ "counters", AGENT_MAX_COUNTERS + 1, 0, 0, 0, "a", -EPROTO },
		{ "block devices", 0, AGENT_MAX_BLOCK_STATS + 1, 0, 0, "a", -EPROTO },
		{ "sizes", 0, 0, AGENT_MAX_HUGE_SIZES + 1, 0, "a", -EPROTO },
		{ "interfaces", 0, 0, 0, AGENT_MAX_INTERFACE_STATS + 1, "a", -EPROTO },
		{ "an empty name of an interface", 0, 0, 0, 1, "", -EPROTO },
		{ "an empty name", 1, 0, 0, 0, "", -EPROTO },
		{ "a name with a quote", 1, 0, 0, 0, "\"", -EPROTO },
		{ "a name without an end", 1, 0, 0, 0,
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proxy_stats m = { .hdr = { PROXY_VERSION, PROXY_STATS, 0, sizeof(m) } };
		struct agent_stats s;
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		m.s.n_memory_stat = rows[i].n_memory;
		m.s.n_block = rows[i].n_block;
		m.s.n_huge = rows[i].n_huge;
		m.s.n_interfaces = rows[i].n_interfaces;
		for (size_t k = 0; k < AGENT_MAX_INTERFACE_STATS; k++)
			memcpy(m.s.interfaces[k].name, rows[i].name, 15);
		for (size_t k = 0; k < AGENT_MAX_COUNTERS; k++)
			memcpy(m.s.memory_stat[k].name, rows[i].name, sizeof(rows[i].name));
		assert_int_equal(send(pair[1], &m, sizeof(m), 0), sizeof(m));
		check_row(rows[i].why, proxy_stats(pair[0], &s, WAIT_MS, NULL) == rows[i].rc);
		close(pair[0]);
		close(pair[1]);
	}
}

static void a_pause_that_fails_is_none(void **state)
{
	const struct fakeworld_plan plan = { .pause_rc = -EIO };
	struct bench *b = bench_new(&plan, LAST);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_PAUSE, NULL, WAIT_MS, &e), -EIO);
	assert_string_equal(e.msg, "cannot");
	is_called(b, PROXY_COMM_NEW);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, &e), 0);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	bench_end(b);
	bench_free(b);
}

/* Who tries again is told by the guest, not that it is under way. */
static void a_refused_start_is_none(void **state)
{
	const struct fakeworld_plan plan = { .start_rc = -EIO };
	struct bench *b = bench_new(&plan, LAST);

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	for (int i = 0; i < 2; i++) {
		struct err e = ERR_INIT;

		assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, &e), -EIO);
		assert_string_equal(e.msg, "no such program");
	}
	assert_int_equal(proxy_call(b->husk, PROXY_PAUSE, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	bench_end(b);
	bench_free(b);
}

static void a_refused_create_is_told(void **state)
{
	const struct fakeworld_plan plan = { .create_rc = -ENOENT,
					     .create_text = "exec: \"x\": not found" };
	struct bench *b = bench_new(&plan, LAST);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, &e), -ENOENT);
	assert_string_equal(e.msg, "exec: \"x\": not found");
	assert_string_equal(bench_end(b), "create lost ");
	assert_int_equal(b->s.exit_code, EXIT_LOST);
	bench_free(b);
}

static void an_exec_runs_at_once_and_leaves_the_machine_alone(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 3 };
	struct bench *b = bench_new(&plan, PROXY_ATTACH_EXEC);
	struct proxy_reply r;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, &r, WAIT_MS, NULL), 0);
	assert_int_equal(r.state, PROXY_ST_RUNNING);
	assert_int_equal(proxy_call(b->husk, PROXY_COMMIT, NULL, WAIT_MS, NULL), 0);
	shutdown(b->stdio[0], SHUT_WR);
	assert_string_equal(bench_end(b), "create wait delete lost ");
	assert_int_equal(b->s.exit_code, 3);
	bench_free(b);
}

static void a_machine_that_dies(void **state)
{
	static const struct {
		const char *why;
		struct fakeworld_plan plan;
		bool started;
		const char *text;
	} rows[] = {
		{ "while creating",
		  { .die_at_create = true, .end_text = "Oops: 0002" },
		  false,
		  "the virtual machine has ended: guest kernel panic; last on its console: Oops: "
		  "0002" },
		{ "while running",
		  { .die_at_start = true, .end_text = "Oops: 0003" },
		  true,
		  "the virtual machine has ended: guest kernel panic; last on its console: Oops: "
		  "0003" },
		{ "without a word", { .die_at_start = true }, true, "" },
		{ "by a lying agent", { .lie_at_wait = true }, true, "agent broke the protocol" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_new(&rows[i].plan, LAST);
		struct err e = ERR_INIT;
		int rc = proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, &e);

		if (rows[i].started) {
			check_row(rows[i].why, rc == 0);
			proxy_call(b->husk, PROXY_START, NULL, 300, NULL);
			shutdown(b->stdio[0], SHUT_WR);
			rc = proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, &e);
		}
		if (rc != -EIO || !strstr(e.msg, rows[i].text))
			fail_msg("%s: %d %s", rows[i].why, rc, e.msg);
		bench_end(b);
		check_row(rows[i].why, b->s.exit_code == EXIT_LOST);
		bench_free(b);
	}
}

/* Its end is told once husk has asked for it, and not lost in between. */
static void an_exec_ends_before_husk_is_content(void **state)
{
	static const struct {
		const char *why;
		bool commit;
	} rows[] = {
		{ "husk was slow", true },
		{ "husk has gone", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fakeworld_plan plan = { .exit_status = 7 };
		struct bench *b = bench_new(&plan, PROXY_ATTACH_EXEC);
		struct pollfd p = { .fd = b->husk, .events = POLLIN };
		struct err e = ERR_INIT;

		check_row(rows[i].why, proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL) == 0);
		shutdown(b->stdio[0], SHUT_WR);
		/* All of it is over by then, and nothing was said. */
		assert_int_equal(read_to_end(b->stdio[1]), 0);
		check_row(rows[i].why, poll(&p, 1, 200) == 0);
		if (rows[i].commit) {
			check_row(rows[i].why, proxy_call(b->husk, PROXY_COMMIT, NULL, WAIT_MS, &e) == 0);
			check_row(rows[i].why, proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL) == 0);
		} else {
			close(b->husk);
			b->husk = -1;
		}
		if (strcmp(bench_end(b), "create wait delete lost "))
			fail_msg("%s: %s", rows[i].why, bench_end(b));
		check_row(rows[i].why, b->s.exit_code == 7);
		bench_free(b);
	}
}

static void husk_is_killed(void **state)
{
	static const struct {
		const char *why;
		uint32_t flags;
		bool commit;
		const char *said;
	} rows[] = {
		{ "before it was content: gone", LAST, false, "create wait lost " },
		{ "an exec before it was content: killed", PROXY_ATTACH_EXEC, false,
		  "create wait signal:9 delete lost " },
		{ "after: nothing happens, until it is told to end", LAST, true,
		  "create wait signal:9 delete share-remove:s0 share-remove:s1 left " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fakeworld_plan plan = { .exit_status = 0 };
		struct bench *b = bench_new(&plan, rows[i].flags);
		int later[2] = { -1, -1 };
		const char *said;

		assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
		if (rows[i].commit) {
			assert_int_equal(proxy_call(b->husk, PROXY_COMMIT, NULL, WAIT_MS, NULL), 0);
			assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, later), 0);
			assert_int_equal(serve_add(&b->s, later[1], NULL), 0);
		}
		close(b->husk);
		b->husk = -1;
		if (rows[i].commit) {
			usleep(50000);
			assert_int_equal(proxy_signal(later[0], SIGKILL, false, WAIT_MS, NULL), 0);
			close(later[0]);
		}
		said = bench_end(b);
		if (strcmp(said, rows[i].said))
			fail_msg("%s: %s", rows[i].why, said);
		bench_free(b);
	}
}

static void reply_to_nobody(void *arg)
{
	struct bench *b = arg;

	close(b->husk);
	b->husk = -1;
	serve_reply(b->s.first, PROXY_ATTACH, 0, "");
}

/* An answer meets its end before the loop does. */
static void husk_is_killed_before_an_answer(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0 };
	struct bench *b = bench_new(&plan, PROXY_ATTACH_EXEC);

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	evloop_call(b->s.loop, reply_to_nobody, b);
	usleep(200000);
	/* A process that nobody was told of is gone by now; this would end it, too. */
	shutdown(b->stdio[0], SHUT_WR);
	assert_string_equal(bench_end(b), "create wait signal:9 delete lost ");
	bench_free(b);
}

static void the_hosts_group_is_told_of_an_oom_kill_only(void **state)
{
	static const struct {
		const char *why;
		bool oom;
		uint32_t flags;
		bool alone, told;
	} rows[] = {
		{ "the container's own process", true, PROXY_ATTACH_LIFELINE, true, true },
		{ "another end", false, PROXY_ATTACH_LIFELINE, true, false },
		{ "an exec: the container lives", true, PROXY_ATTACH_EXEC, true, false },
		{ "others live in the machine", true, PROXY_ATTACH_LIFELINE, false, false },
		{ "which is in another group", true, PROXY_ATTACH_LIFELINE | PROXY_ATTACH_HOSTED, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct session *s = calloc(1, sizeof(*s));
		char got[4] = "";
		int p[2];

		assert_int_equal(pipe(p), 0);
		s->oom = rows[i].oom;
		s->at.flags = rows[i].flags;
		s->alone = rows[i].alone;
		session_tell_oom(s, p[1], false);
		session_tell_oom(s, -1, true);
		close(p[1]);
		check_row(rows[i].why, read(p[0], got, sizeof(got)) == rows[i].told);
		check_row(rows[i].why, !strcmp(got, rows[i].told ? "0" : ""));
		close(p[0]);
		free(s);
	}
}

static pid_t only_child(void)
{
	char path[64], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return (pid_t)strtol(text, NULL, 10);
}

/* False: this test stood still, and the copy may well have ended by itself before it was looked for or told to. */
static bool one_stays_behind(const struct session *s, bool by_signal)
{
	const uint64_t begin = io_now_ns(), soon = 400 * 1000000ull;
	char got[4] = "";
	bool lives, in_time;
	int p[2], st;
	pid_t proxy;

	assert_int_equal(pipe(p), 0);
	proxy = fork();
	if (proxy == 0) {
		sigset_t all;

		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		session_tell_oom(s, p[1], true);
		_exit(137);
	}
	close(p[1]);
	assert_int_equal(waitpid(proxy, &st, 0), proxy);
	assert_int_equal(WEXITSTATUS(st), 137);
	/* The copy lives, and the pipe is at its end all the same. */
	assert_int_equal(read(p[0], got, sizeof(got)), 1);
	assert_int_equal(read(p[0], got, sizeof(got)), 0);
	close(p[0]);
	lives = waitpid(-1, &st, WNOHANG) == 0;
	if (lives && by_signal)
		assert_int_equal(kill(only_child(), SIGTERM), 0);
	in_time = io_now_ns() - begin < soon;
	if (lives)
		assert_true(waitpid(-1, &st, 0) > 0);
	if (!in_time && (!lives || (by_signal && WIFEXITED(st))))
		return false;
	assert_true(lives);
	assert_true(by_signal ? WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM : WIFEXITED(st) && WEXITSTATUS(st) == 0);
	assert_true(by_signal || io_now_ns() - begin > soon);
	return true;
}

/* In a unit of systemd's a copy stays behind, which holds nothing open and ends by itself or by the first signal. */
static void one_stays_behind_in_a_unit(void **state)
{
	struct session s = { .oom = true, .alone = true };
	int st;

	(void)state;
	/* Those of the tests before. */
	while (waitpid(-1, &st, 0) > 0)
		continue;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	for (int round = 0; round < 2; round++) {
		unsigned tries = 0;

		while (!one_stays_behind(&s, round == 1))
			assert_true(++tries < 10);
	}
	assert_int_equal(waitpid(-1, &st, WNOHANG), -1);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

static void malformed_commands_end_their_connection_only(void **state)
{
	static const struct {
		const char *why;
		struct proxy_hdr hdr;
		size_t len;
		bool answered;
	} rows[] = {
		{ "short", { PROXY_VERSION, PROXY_STATUS, 0, 8 }, 8, false },
		{ "another version", { 99, PROXY_STATUS, 0, 16 }, 16, false },
		{ "size that is not the packet's",
		  { PROXY_VERSION, PROXY_STATUS, 0, 17 },
		  16,
		  false },
		{ "unknown command", { PROXY_VERSION, 77, 0, 16 }, 16, true },
		{ "a command without its arguments",
		  { PROXY_VERSION, PROXY_SIGNAL, 0, 16 },
		  16,
		  true },
	};
	const struct fakeworld_plan plan = { .exit_status = 0 };
	struct bench *b = bench_new(&plan, LAST);

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proxy_reply r;
		int pair[2];
		ssize_t n;

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		assert_int_equal(serve_add(&b->s, pair[1], NULL), 0);
		assert_int_equal(send(pair[0], &rows[i].hdr, rows[i].len, 0), rows[i].len);
		n = recv(pair[0], &r, sizeof(r), 0);
		if (rows[i].answered ? n != sizeof(r) || r.hdr.rc != -EINVAL : n != 0)
			fail_msg("%s: %zd", rows[i].why, n);
		close(pair[0]);
		usleep(20000);
	}
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	bench_end(b);
	bench_free(b);
}

/* A proxy that nobody could speak to later is none. */
static void a_socket_that_cannot_be_listened_to(void **state)
{
	static struct session s;
	_cleanup_close_ int no_socket = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(evloop_new(&s.loop, NULL), 0);
	assert_int_equal(serve_listen(&s, no_socket), -EPERM);
	evloop_free(s.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listening_socket),
		cmocka_unit_test(a_container_from_create_to_its_end),
		cmocka_unit_test(output_that_is_read_late_is_not_lost),
		cmocka_unit_test(signals_reach_the_process),
		cmocka_unit_test(processes_are_listed),
		cmocka_unit_test(paused_and_resumed),
		cmocka_unit_test(a_pause_that_fails_is_none),
		cmocka_unit_test(figures_and_the_oom_killer),
		cmocka_unit_test(figures_out_of_range),
		cmocka_unit_test(a_refused_start_is_none),
		cmocka_unit_test(a_refused_create_is_told),
		cmocka_unit_test(an_exec_runs_at_once_and_leaves_the_machine_alone),
		cmocka_unit_test(a_machine_that_dies),
		cmocka_unit_test(an_exec_ends_before_husk_is_content),
		cmocka_unit_test(husk_is_killed),
		cmocka_unit_test(husk_is_killed_before_an_answer),
		cmocka_unit_test(the_hosts_group_is_told_of_an_oom_kill_only),
		cmocka_unit_test(one_stays_behind_in_a_unit),
		cmocka_unit_test(a_socket_that_cannot_be_listened_to),
		cmocka_unit_test(malformed_commands_end_their_connection_only),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
