// SPDX-License-Identifier: Apache-2.0
/* What husk says when one of its own programs has gone: its last words, or how it ended. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/host/spawn.h"
#include "runtime/proxy/client.h"
#include "tests/unit/check.h"

enum asks { SENDS, WAITS };

static void last_words_of_a_proxy(void **state)
{
	static const struct {
		const char *why;
		enum asks asks;
		bool unread; /* it leaves something */
		int said; /* rc of its last packet; 0: none */
		uint32_t version;
		int rc;
		const char *text;
	} rows[] = {
		{ "it said why", SENDS, false, -EPERM, PROXY_VERSION, -EPERM, "no such luck" },
		{ "and left something unread", SENDS, true, -EPERM, PROXY_VERSION, -EPERM, "no such luck" },
		{ "it said nothing", SENDS, false, 0, 0, -EPIPE, "husk-proxy has ended" },
		{ "nor read what it was told", SENDS, true, 0, 0, -EPIPE, "husk-proxy has ended" },
		{ "what it said is no answer", SENDS, false, -EPERM, PROXY_VERSION + 1, -EPIPE, "husk-proxy has ended" },
		{ "its number is none", SENDS, false, -5000, PROXY_VERSION, -EPIPE, "husk-proxy has ended" },
		{ "awaited: it said why", WAITS, false, -EPERM, PROXY_VERSION, -EPERM, "no such luck" },
		{ "awaited: and left something unread", WAITS, true, -EPERM, PROXY_VERSION, -EPERM, "no such luck" },
		{ "awaited: it said nothing", WAITS, true, 0, 0, -EPIPE, "husk-proxy has ended" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proxy_reply last = { .hdr = { .version = rows[i].version, .cmd = PROXY_ATTACH, .rc = rows[i].said,
						     .size = sizeof(last) }, .text = "no such luck" };
		struct err e = ERR_INIT;
		struct proxy_simple m;
		int pair[2], rc;

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		if (rows[i].unread)
			assert_int_equal(proxy_send(pair[0], PROXY_SYNC, &m, sizeof(m), NULL, 0, &e), 0);
		if (rows[i].said)
			assert_int_equal(io_send_fds(pair[1], &last, sizeof(last), NULL, 0), 0);
		close(pair[1]);
		rc = rows[i].asks == SENDS ? proxy_send(pair[0], PROXY_ATTACH, &m, sizeof(m), NULL, 0, &e) :
					     proxy_wait(pair[0], PROXY_ATTACH, NULL, 1000, &e);
		if (rc != rows[i].rc || strcmp(e.msg, rows[i].text))
			fail_msg("%s: %d %s", rows[i].why, rc, e.msg);
		close(pair[0]);
	}
}

static void a_program_that_does_not_start(void **state)
{
	struct spawn s = { .program = "husk-proxy", .path = "/proc/self/status", .stdio = { -1, -1, -1 }, .cgroup = -1 };
	struct err e = ERR_INIT;
	struct proc_id id;
	int sock;

	(void)state;
	assert_int_equal(spawn_start(&s, &id, &sock, &e), -EACCES);
	assert_string_equal(e.msg, "cannot start /proc/self/status: Permission denied");
	/* Nobody is left to wait for. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void how_a_program_ended(void **state)
{
	static const struct {
		const char *path;
		int kill;
		const char *text;
	} rows[] = {
		{ "/bin/false", 0, "it has gone (husk-proxy ended with status 1)" },
		{ "/bin/cat", SIGKILL, "it has gone (husk-proxy was killed by signal 9)" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spawn s = { .program = "husk-proxy", .path = rows[i].path, .cgroup = -1 };
		struct err e = { .code = EPIPE, .msg = "it has gone" };
		struct proc_id id;
		int sock, in[2];

		assert_int_equal(pipe2(in, O_CLOEXEC), 0);
		s.stdio[0] = in[0];
		s.stdio[1] = s.stdio[2] = -1;
		assert_int_equal(spawn_start(&s, &id, &sock, &e), 0);
		if (rows[i].kill) {
			/* It lives: nothing to say. */
			spawn_reap("husk-proxy", &id, WNOHANG, &e);
			assert_string_equal(e.msg, "it has gone");
			kill(id.pid, rows[i].kill);
		}
		spawn_reap("husk-proxy", &id, 0, &e);
		assert_string_equal(e.msg, rows[i].text);
		assert_int_equal(e.code, EPIPE);
		assert_int_equal(id.pid, 0);
		close(in[0]);
		close(in[1]);
		close(sock);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_words_of_a_proxy),
		cmocka_unit_test(a_program_that_does_not_start),
		cmocka_unit_test(how_a_program_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
