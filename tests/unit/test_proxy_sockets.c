// SPDX-License-Identifier: Apache-2.0
/* Sockets of the host in a proxy's session with a fake machine and agent: whose the connections are, how they end, and what
 * comes of an agent that tells of none. */
#include "tests/unit/proxy_setup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/cleanup.h"
#include "runtime/proxy/connector.h"

/* A socket of the host, which the next bench's container has. */
static int socket_for_next(struct sockaddr_un *at)
{
	const struct connector_ids anybody = { .n_uids = 0 };
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), proc = open("/proc", O_PATH | O_CLOEXEC), path;

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(at->sun_path, sizeof(at->sun_path), "/tmp/husk-proxy-%d", getpid());
	assert_int_equal(bind(server, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(chmod(at->sun_path, 0666), 0);
	assert_int_equal(listen(server, 1), 0);
	path = open(at->sun_path, O_PATH | O_CLOEXEC);
	assert_int_equal(connector_start(proc, &path, 1, &anybody, &connector, NULL), 0);
	close(proc);
	close(path);
	return server;
}

/* A container with that socket, which runs. */
static struct bench *bench_with_socket(const struct fakeworld_plan *plan)
{
	struct bench *b = bench_new(plan, LAST);

	connector = -1;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	return b;
}

/* A connection of the container to a socket of the host: as its user, and read to its end before the proxy's. */
static void a_socket_of_the_host(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 3, .socket_words = 3 << 20 };
	struct sockaddr_un at;
	int server = socket_for_next(&at), fd;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct bench *b = bench_with_socket(&plan);

	(void)state;
	fd = accept(server, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
	assert_int_equal(peer.uid, geteuid() ? geteuid() : 4711);
	assert_int_equal(write(fd, "back", 4), 4);
	shutdown(b->stdio[0], SHUT_WR);
	usleep(100000);
	assert_int_equal(read_to_end(fd), 3 << 20);
	assert_string_equal(bench_end(b), "create wait start socket:back delete share-remove:s0 share-remove:s1 left ");
	assert_int_equal(b->s.exit_code, 3);
	bench_free(b);
	close(fd);
	close(server);
	unlink(at.sun_path);
}

/* A listener whose queue is full has the container wait, as it would its own host's. */
static void a_listener_whose_queue_is_full(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 3, .socket_words = 5 };
	struct sockaddr_un at;
	int server = socket_for_next(&at), before[8], n = 0, fd;
	struct bench *b;
	struct pollfd p = { .fd = server, .events = POLLIN };

	(void)state;
	do {
		assert_in_range(n, 0, ARRAY_SIZE(before) - 1);
		before[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	} while (connect(before[n++], (struct sockaddr *)&at, sizeof(at)) == 0);
	assert_int_equal(errno, EAGAIN);
	b = bench_with_socket(&plan);
	usleep(300000);
	for (int i = 0; i < n; i++) {
		if (i < n - 1)
			close(accept(server, NULL, NULL));
		close(before[i]);
	}
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	fd = accept(server, NULL, NULL);
	assert_int_equal(write(fd, "back", 4), 4);
	shutdown(b->stdio[0], SHUT_WR);
	assert_int_equal(read_to_end(fd), 5);
	close(fd);
	assert_string_equal(bench_end(b), "create wait start socket:back delete share-remove:s0 share-remove:s1 left ");
	bench_free(b);
	close(server);
	unlink(at.sun_path);
}

/* Its connections wait, as they would on the host, and those to another socket do not. */
static void a_full_queue_beside_another_socket(void **state)
{
	static const struct {
		const char *why;
		unsigned conns;
	} rows[] = {
		{ "one waits", 2 },
		{ "more than may wait", SESSION_MAX_SOCKET_TRIES + 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fakeworld_plan plan = { .exit_status = 3, .socket_words = 5, .socket_conns = rows[i].conns };
		struct connector_answer full = { .rc = -EAGAIN }, good = { .rc = 0 };
		struct connector_ask ask = { .socket = 0 };
		int pair[2], host[2];
		struct bench *b;
		uint64_t begin;

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, host), 0);
		connector = pair[1];
		b = bench_with_socket(&plan);
		begin = io_now_ns();
		for (;;) {
			assert_int_equal(recv(pair[0], &ask, sizeof(ask), 0), sizeof(ask));
			if (ask.socket)
				break;
			assert_int_equal(send(pair[0], &full, sizeof(full), 0), sizeof(full));
		}
		check_row(rows[i].why, io_now_ns() - begin < UINT64_C(3000000000));
		assert_int_equal(io_send_fds(pair[0], &good, sizeof(good), &host[1], 1), 0);
		close(host[1]);
		assert_int_equal(write(host[0], "back", 4), 4);
		/* The others are still tried, and their ends keep nobody. */
		shutdown(b->stdio[0], SHUT_WR);
		assert_int_equal(read_to_end(host[0]), 5);
		close(pair[0]);
		check_row(rows[i].why, strstr(bench_end(b), "socket:back delete share-remove:s0 "));
		check_row(rows[i].why, b->s.exit_code == 3);
		bench_free(b);
		close(host[0]);
	}
}

/* It ends while a full queue is to be asked anew: what the guest is told of that it is told once. */
static void a_connector_that_ends(void **state)
{
	static const struct fakeworld_plan plan = { .exit_status = 3, .socket_words = 5, .deaf = true };
	const struct connector_answer full = { .rc = -EAGAIN };
	struct connector_ask ask;
	struct bench *b;
	const char *said;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	connector = pair[1];
	b = bench_with_socket(&plan);
	assert_int_equal(recv(pair[0], &ask, sizeof(ask), 0), sizeof(ask));
	assert_int_equal(send(pair[0], &full, sizeof(full), 0), sizeof(full));
	close(pair[0]);
	usleep(200000);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	said = bench_end(b);
	assert_non_null(strstr(said, "dial "));
	assert_null(strstr(strstr(said, "dial ") + 1, "dial "));
	bench_free(b);
}

/* An agent that could not tell of a connection: where that may be otherwise later it is asked anew. */
static void an_agent_without_room_for_a_socket(void **state)
{
	static const struct {
		const char *why;
		int rc;
		bool again;
	} rows[] = {
		{ "out of descriptors", -EMFILE, true },	{ "out of memory", -ENOMEM, true },
		{ "for now", -EAGAIN, true },			{ "for a reason that has no number", -EIO, true },
		{ "nobody is left", -ESRCH, false },		{ "no such container", -ENOENT, false },
		{ "no such sockets", -EINVAL, false },		{ "an agent that does not know them", -ENOSYS, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fakeworld_plan plan = { .exit_status = 3, .socket_words = 5, .socket_rc = rows[i].rc };
		struct sockaddr_un at;
		int server = socket_for_next(&at), fd;
		struct pollfd p = { .fd = server, .events = POLLIN };
		struct bench *b = bench_with_socket(&plan);

		check_row(rows[i].why, poll(&p, 1, rows[i].again ? WAIT_MS : 1500) == rows[i].again);
		fd = rows[i].again ? accept(server, NULL, NULL) : -1;
		if (fd >= 0)
			assert_int_equal(write(fd, "back", 4), 4);
		shutdown(b->stdio[0], SHUT_WR);
		if (fd >= 0)
			assert_int_equal(read_to_end(fd), 5);
		close_and_reset(&fd);
		check_row(rows[i].why, !strcmp(bench_end(b), rows[i].again ?
			"create wait accept start accept accept socket:back accept delete share-remove:s0 share-remove:s1 left " :
			"create wait accept start delete share-remove:s0 share-remove:s1 left "));
		bench_free(b);
		close(server);
		unlink(at.sun_path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_of_the_host),
		cmocka_unit_test(a_listener_whose_queue_is_full),
		cmocka_unit_test(a_full_queue_beside_another_socket),
		cmocka_unit_test(a_connector_that_ends),
		cmocka_unit_test(an_agent_without_room_for_a_socket),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
