// SPDX-License-Identifier: Apache-2.0
/* The process that connects to sockets of the host: which, as whom, what it answers when that fails, and its end. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/proxy/connector.h"

#define N 4

static struct sockaddr_un at[N];
static int server[N], conn = -1;

/* For everybody, for user 1000 alone, one where nobody listens, one for datagrams. */
static int set_up(void **state)
{
	struct err e = ERR_INIT;
	int fds[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		at[i].sun_family = AF_UNIX;
		snprintf(at[i].sun_path, sizeof(at[i].sun_path), "/tmp/husk-connector-%d-%d", getpid(), i);
		server[i] = socket(AF_UNIX, (i == 3 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (bind(server[i], (struct sockaddr *)&at[i], sizeof(at[i])) < 0 || (i < 2 && listen(server[i], 8) < 0) ||
		    chmod(at[i].sun_path, i == 1 ? 0600 : 0666) < 0)
			return -1;
		if (i == 1 && geteuid() == 0 && chown(at[i].sun_path, 1000, 1000) < 0)
			return -1;
		fds[i] = open(at[i].sun_path, O_PATH | O_CLOEXEC);
	}
	if (connector_start(open("/proc", O_PATH | O_CLOEXEC), fds, N, &conn, &e) < 0)
		return -1;
	for (int i = 0; i < N; i++)
		close(fds[i]);
	return 0;
}

static int ask(uint32_t socket, uint32_t uid, int *ret_fd)
{
	struct connector_ask q = { .socket = socket, .uid = uid, .gid = uid };
	struct connector_answer a = { .rc = 1 };
	size_t n = 1;

	*ret_fd = -1;
	assert_true(io_send_fds(conn, &q, sizeof(q), NULL, 0) >= 0);
	assert_int_equal(io_recv_fds(conn, &a, sizeof(a), ret_fd, &n, 0), sizeof(a));
	assert_int_equal(n, a.rc == 0);
	assert_int_equal(a.datagram, socket == 3);
	return a.rc;
}

static void connects(void **state)
{
	static const struct {
		const char *why;
		uint32_t socket, uid;
		int rc;
	} rows[] = {
		{ "as root", 0, 0, 0 },
		{ "as a user", 0, 1000, 0 },
		{ "as root again: its rights came back", 0, 0, 0 },
		{ "the owner", 1, 1000, 0 },
		{ "another user", 1, 1001, -EACCES },
		{ "root may everywhere", 1, 0, 0 },
		{ "nobody listens", 2, 0, -ECONNREFUSED },
		{ "no such socket", N, 0, -EINVAL },
		{ "no such socket, far off", UINT32_MAX - 3, 0, -EINVAL },
	};

	(void)state;
	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ucred peer;
		socklen_t len = sizeof(peer);
		int fd, theirs;

		check_row(rows[i].why, ask(rows[i].socket, rows[i].uid, &fd) == rows[i].rc);
		if (rows[i].rc < 0)
			continue;
		theirs = accept(server[rows[i].socket], NULL, NULL);
		assert_true(theirs >= 0);
		assert_int_equal(getsockopt(theirs, SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
		check_row(rows[i].why, peer.uid == rows[i].uid && peer.gid == rows[i].uid);
		check_row(rows[i].why, write(theirs, "x", 1) == 1 && read(fd, &len, 1) == 1);
		close(theirs);
		close(fd);
	}
}

static void datagrams(void **state)
{
	char byte = 0;
	int fd;

	(void)state;
	assert_int_equal(ask(3, geteuid(), &fd), 0);
	assert_int_equal(send(fd, "d", 1, 0), 1);
	assert_int_equal(recv(server[3], &byte, 1, 0), 1);
	assert_int_equal(byte, 'd');
	close(fd);
}

/* What is no question is answered as one that is wrong; the end of the connection is its end. */
static void ends(void **state)
{
	struct connector_answer a = { .rc = 1 };
	int status;

	(void)state;
	assert_true(io_send_fds(conn, "x", 1, NULL, 0) >= 0);
	assert_int_equal(io_recv_fds(conn, &a, sizeof(a), NULL, NULL, 0), sizeof(a));
	assert_int_equal(a.rc, -EINVAL);
	close(conn);
	assert_true(wait(&status) > 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++) {
		close(server[i]);
		unlink(at[i].sun_path);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(connects), cmocka_unit_test(datagrams), cmocka_unit_test(ends) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
