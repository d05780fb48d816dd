// SPDX-License-Identifier: Apache-2.0
/* The process that connects to sockets of the host: which, as whom, what it answers when that fails, and its end. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/proxy/connector.h"

#define N 6

static struct sockaddr_un at[N];
static int server[N], conn = -1, bound = -1;

/* Of a container with a user namespace. */
static const struct connector_ids some = {
	.n_uids = 2,
	.n_gids = 1,
	.uids = { { 5000, 10 }, { 1000, 1 } },
	.gids = { { 1000, 4010 } },
};

/* For everybody, for user 1000 alone, one where nobody listens, one for datagrams, for root and its group, for root and
 * a group that is mapped. */
static int set_up(void **state)
{
	const struct connector_ids anybody = { .n_uids = 0 };
	const gid_t root = 0;
	struct err e = ERR_INIT;
	int fds[N], proc = open("/proc", O_PATH | O_CLOEXEC);

	(void)state;
	/* As root has it after a login. */
	if (geteuid() == 0 && setgroups(1, &root) < 0)
		return -1;
	for (int i = 0; i < N; i++) {
		at[i].sun_family = AF_UNIX;
		snprintf(at[i].sun_path, sizeof(at[i].sun_path), "/tmp/husk-connector-%d-%d", getpid(), i);
		server[i] = socket(AF_UNIX, (i == 3 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (bind(server[i], (struct sockaddr *)&at[i], sizeof(at[i])) < 0 ||
		    ((i < 2 || i >= 4) && listen(server[i], 8) < 0) ||
		    chmod(at[i].sun_path, i == 1 ? 0600 : i >= 4 ? 0660 : 0666) < 0)
			return -1;
		if (i == 1 && geteuid() == 0 && chown(at[i].sun_path, 1000, 1000) < 0)
			return -1;
		if (i == 5 && geteuid() == 0 && chown(at[i].sun_path, 0, 2000) < 0)
			return -1;
		fds[i] = open(at[i].sun_path, O_PATH | O_CLOEXEC);
	}
	if (connector_start(proc, fds, N, &anybody, &conn, &e) < 0 || connector_start(proc, fds, N, &some, &bound, &e) < 0)
		return -1;
	close(proc);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	return 0;
}

static int ask(int whom, const struct connector_ask *q, int *ret_fd)
{
	struct connector_answer a = { .rc = 1 };
	size_t n = 1;

	*ret_fd = -1;
	assert_true(io_send_fds(whom, q, sizeof(*q), NULL, 0) >= 0);
	assert_int_equal(io_recv_fds(whom, &a, sizeof(a), ret_fd, &n, 0), sizeof(a));
	assert_int_equal(n, a.rc == 0);
	assert_int_equal(a.datagram, q->socket == 3 && a.rc == 0);
	return a.rc;
}

struct row {
	const char *why;
	uint32_t socket, uid, gid;
	int rc;
};

struct grouped {
	struct row r;
	uint32_t n, groups[3];
};

static void try_one(int whom, const struct row *r, const uint32_t *groups, uint32_t n)
{
	struct connector_ask q = { .socket = r->socket, .uid = r->uid, .gid = r->gid, .ngroups = n };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd, theirs;

	if (groups)
		memcpy(q.groups, groups, 3 * sizeof(*groups));
	check_row(r->why, ask(whom, &q, &fd) == r->rc);
	if (r->rc < 0)
		return;
	theirs = accept(server[r->socket], NULL, NULL);
	assert_true(theirs >= 0);
	assert_int_equal(getsockopt(theirs, SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
	check_row(r->why, peer.uid == r->uid && peer.gid == r->gid);
	check_row(r->why, write(theirs, "x", 1) == 1 && read(fd, &len, 1) == 1);
	close(theirs);
	close(fd);
}

static void try_each(int whom, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n && geteuid() == 0; i++)
		try_one(whom, &rows[i], NULL, 0);
}

static void connects(void **state)
{
	static const struct row rows[] = {
		{ "as root", 0, 0, 0, 0 },
		{ "as a user", 0, 1000, 1000, 0 },
		{ "as root again: its rights came back", 0, 0, 0, 0 },
		{ "the owner", 1, 1000, 1000, 0 },
		{ "another user", 1, 1001, 1001, -EACCES },
		{ "root may everywhere", 1, 0, 0, 0 },
		{ "nobody listens", 2, 0, 0, -ECONNREFUSED },
		{ "no such socket", N, 0, 0, -EINVAL },
		{ "no such socket, far off", UINT32_MAX - 3, 0, 0, -EINVAL },
		{ "nobody, for whom the kernel would take the connector itself", 0, UINT32_MAX, 0, -EPERM },
		{ "no group", 0, 0, UINT32_MAX, -EPERM },
		{ "not by the groups of whoever runs husk", 4, 1000, 1000, -EACCES },
		{ "and once more", 0, 0, 0, 0 },
	};

	(void)state;
	try_each(conn, rows, ARRAY_SIZE(rows));
}

/* A guest's word is worth what the container's user namespace is. */
static void mapped_ids_alone(void **state)
{
	static const struct row rows[] = {
		{ "the first one", 0, 5000, 1000, 0 },
		{ "the last one", 0, 5009, 5009, 0 },
		{ "of another mapping", 1, 1000, 1000, 0 },
		{ "root", 0, 0, 0, -EPERM },
		{ "root, of a group that is mapped", 1, 0, 1000, -EPERM },
		{ "of root's group", 4, 1000, 0, -EPERM },
		{ "below the first", 0, 4999, 1000, -EPERM },
		{ "behind the last", 0, 5010, 1000, -EPERM },
		{ "a group below", 0, 5000, 999, -EPERM },
		{ "a group behind", 0, 5000, 5010, -EPERM },
		{ "nobody", 0, UINT32_MAX, 1000, -EPERM },
		{ "no group", 0, 5000, UINT32_MAX, -EPERM },
		{ "for datagrams", 3, 0, 0, -EPERM },
		{ "another's", 1, 5000, 1000, -EACCES },
		{ "of the caller's groups", 4, 5000, 1000, -EACCES },
		{ "no such socket", N, 5000, 1000, -EINVAL },
		{ "and once more", 0, 5000, 1000, 0 },
	};

	(void)state;
	try_each(bound, rows, ARRAY_SIZE(rows));
}

static void datagrams(void **state)
{
	const struct connector_ask q = { .socket = 3, .uid = geteuid(), .gid = getegid() };
	char byte = 0;
	int fd;

	(void)state;
	assert_int_equal(ask(conn, &q, &fd), 0);
	assert_int_equal(send(fd, "d", 1, 0), 1);
	assert_int_equal(recv(server[3], &byte, 1, 0), 1);
	assert_int_equal(byte, 'd');
	close(fd);
}

static void supplementary_groups(void **state)
{
	static const struct grouped anybody[] = {
		{ { "by a group", 4, 1000, 1000, 0 }, 1, { 0 } },
		{ { "by the last of some", 5, 1000, 1000, 0 }, 3, { 7, 8, 2000 } },
		{ { "which did not stay", 5, 1000, 1000, -EACCES }, 0, { 0 } },
		{ { "by one beyond those told", 5, 1000, 1000, -EACCES }, 2, { 7, 8, 2000 } },
		{ { "one of them is none: without any", 5, 1000, 1000, -EACCES }, 2, { 2000, UINT32_MAX } },
	};
	static const struct grouped mapped[] = {
		{ { "by a group that is not mapped", 4, 5000, 1000, -EACCES }, 1, { 0 } },
		{ { "by one that is, beside it", 5, 5000, 1000, 0 }, 2, { 0, 2000 } },
	};
	struct connector_ask q = { .socket = 5, .uid = 1000, .gid = 1000, .ngroups = UINT32_MAX };
	int fd;

	(void)state;
	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(anybody); i++)
		try_one(conn, &anybody[i].r, anybody[i].groups, anybody[i].n);
	for (size_t i = 0; i < ARRAY_SIZE(mapped); i++)
		try_one(bound, &mapped[i].r, mapped[i].groups, mapped[i].n);
	/* More than a question holds is as many as it holds. */
	q.groups[AGENT_MAX_PEER_GROUPS - 1] = 2000;
	assert_int_equal(ask(conn, &q, &fd), 0);
	close(accept(server[5], NULL, NULL));
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
	close(bound);
	for (int i = 0; i < 2; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(connects), cmocka_unit_test(mapped_ids_alone),
					    cmocka_unit_test(supplementary_groups),
					    cmocka_unit_test(datagrams), cmocka_unit_test(ends) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
