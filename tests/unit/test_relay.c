// SPDX-License-Identifier: Apache-2.0
/* One direction of a stream, between every two kinds of ends; ends that stall, go away, or were there
 * before us. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/proxy/relay.h"

#define BIG (3u << 20)

static struct relay relay;
static struct evloop *loop;
static bool finished;

static void on_done(struct relay *r)
{
	assert_ptr_equal(r, &relay);
	assert_false(finished);
	finished = true;
}

/* Turns the loop until @what holds; fails after 20 s. */
#define TURN_UNTIL(what)                                                                           \
	do {                                                                                       \
		uint64_t end = io_now_ns() + 20000000000ull;                                       \
		while (!(what)) {                                                                  \
			assert_int_equal(evloop_turn(loop, 20), 0);                                \
			assert_true(io_now_ns() < end);                                            \
		}                                                                                  \
	} while (0)

static void begin(struct relay_end from, struct relay_end to, enum relay_at_end at_end)
{
	memset(&relay, 0, sizeof(relay));
	finished = false;
	assert_int_equal(evloop_new(&loop, NULL), 0);
	assert_int_equal(relay_start(&relay, loop, "test", from, to, at_end, on_done), 0);
}

static void end(void)
{
	relay_stop(&relay);
	evloop_free(loop);
}

enum kind { PIPE, SOCKET, FILE_, NULL_ };

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

struct other_end {
	int fd;
	size_t bytes; /* written, or received so far */
	bool slow, ok;
	pthread_t thread;
};

static void *write_all(void *arg)
{
	struct other_end *o = arg;
	uint8_t buf[7000];

	for (size_t at = 0; at < o->bytes;) {
		size_t n = min_t(size_t, sizeof(buf), o->bytes - at);

		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(at + i);
		if (io_write_full(o->fd, buf, n) < 0)
			break;
		at += n;
		if (o->slow && at % 70000 == 0)
			usleep(1000);
	}
	close(o->fd);
	return NULL;
}

static void *read_all(void *arg)
{
	struct other_end *o = arg;
	uint8_t buf[9000];
	ssize_t n;

	o->ok = true;
	while ((n = read(o->fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			o->ok &= buf[i] == byte_at(o->bytes + (size_t)i);
		o->bytes += (size_t)n;
		if (o->slow)
			usleep(200);
	}
	close(o->fd);
	return NULL;
}

/* A source that gives BIG bytes, with a thread behind it where it needs one. */
static struct relay_end make_source(enum kind kind, struct other_end *o)
{
	char path[] = "/tmp/husk-relay-XXXXXX";
	int fd[2];

	o->bytes = BIG;
	if (kind == FILE_) {
		o->fd = mkstemp(path);
		fd[0] = open(path, O_RDONLY);
		unlink(path);
		write_all(o);
		o->fd = -1;
		return relay_prepare(fd[0], false);
	}
	assert_int_equal(kind == PIPE ? pipe(fd) : socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	o->fd = fd[1];
	assert_int_equal(pthread_create(&o->thread, NULL, write_all, o), 0);
	return relay_prepare(fd[0], false);
}

static struct relay_end make_sink(enum kind kind, struct other_end *o)
{
	char path[] = "/tmp/husk-relay-XXXXXX";
	int fd[2];

	if (kind == FILE_) {
		fd[1] = mkstemp(path);
		o->fd = open(path, O_RDONLY);
		unlink(path);
		return relay_prepare(fd[1], true);
	}
	assert_int_equal(kind == PIPE ? pipe(fd) : socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	o->fd = fd[0];
	assert_int_equal(pthread_create(&o->thread, NULL, read_all, o), 0);
	return relay_prepare(fd[1], true);
}

static void every_byte_arrives_whatever_the_ends(void **state)
{
	static const struct {
		const char *why;
		enum kind from, to;
		bool slow_from, slow_to;
	} rows[] = {
		{ "pipe to socket", PIPE, SOCKET, false, false },
		{ "socket to pipe", SOCKET, PIPE, false, false },
		{ "socket to socket", SOCKET, SOCKET, false, false },
		{ "file to socket", FILE_, SOCKET, false, false },
		{ "socket to file", SOCKET, FILE_, false, false },
		{ "slow writer", PIPE, SOCKET, true, false },
		{ "slow reader of a socket", PIPE, SOCKET, false, true },
		{ "slow reader of a pipe", SOCKET, PIPE, false, true },
		{ "file to a slow reader", FILE_, SOCKET, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct other_end in = { .slow = rows[i].slow_from },
				 out = { .slow = rows[i].slow_to };
		struct relay_end from = make_source(rows[i].from, &in);
		struct relay_end to = make_sink(rows[i].to, &out);

		begin(from, to, RELAY_END_CLOSE);
		TURN_UNTIL(finished);
		if (rows[i].from != FILE_)
			pthread_join(in.thread, NULL);
		if (rows[i].to != FILE_)
			pthread_join(out.thread, NULL);
		else
			read_all(&out);
		if (!out.ok || out.bytes != BIG)
			fail_msg("%s: %zu bytes, %s", rows[i].why, out.bytes,
				 out.ok ? "right" : "wrong");
		end();
	}
}

/* The sink takes no more, and there is more. */
static bool is_stuck(void)
{
	struct pollfd p = { .fd = relay.to.fd, .events = POLLOUT };

	return relay.len > 0 && poll(&p, 1, 0) == 0;
}

static void a_stalled_reader_does_not_stop_the_loop(void **state)
{
	struct other_end in = { .fd = -1 };
	uint64_t t0;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	begin(make_source(SOCKET, &in), relay_prepare(fd[1], true), RELAY_END_CLOSE);
	TURN_UNTIL(is_stuck());
	for (int i = 0; i < 5; i++)
		assert_int_equal(evloop_turn(loop, 10), 0);
	assert_false(finished);
	assert_true(is_stuck());
	/* Idle, not spinning: nothing is ready. */
	t0 = io_now_ns();
	assert_int_equal(evloop_turn(loop, 100), 0);
	assert_true(io_now_ns() - t0 > 80000000u);
	/* And all of it is there once it is asked for. */
	in.slow = false;
	for (size_t got = 0; got < BIG;) {
		uint8_t buf[65536];
		struct pollfd p = { .fd = fd[0], .events = POLLIN };

		assert_int_equal(evloop_turn(loop, 0), 0);
		if (poll(&p, 1, 0) == 1) {
			ssize_t n = read(fd[0], buf, sizeof(buf));

			assert_true(n > 0);
			got += (size_t)n;
		}
	}
	TURN_UNTIL(finished);
	pthread_join(in.thread, NULL);
	close(fd[0]);
	end();
}

static void count_done(struct relay *r)
{
	*(bool *)r->arg = true;
}

/* A writer without end before a reader that never reads: it is held where it is, and another stream lives. */
static void a_flood_is_held_and_others_live(void **state)
{
	static struct relay other;
	struct other_end in = { .fd = -1 };
	bool other_done = false;
	uint8_t buf[65536] = { 0 };
	size_t flood = 0, got = 0;
	int from[2], to[2], out[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, from), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, to), 0);
	assert_int_equal(pipe(out), 0);
	begin(relay_prepare(from[1], false), relay_prepare(to[0], true), RELAY_END_CLOSE);
	other.arg = &other_done;
	relay_start(&other, loop, "other", make_source(SOCKET, &in), relay_prepare(out[1], true), RELAY_END_CLOSE, count_done);
	while (!other_done || got < BIG) {
		struct pollfd p = { .fd = out[0], .events = POLLIN };
		ssize_t n = write(from[0], buf, sizeof(buf));

		flood += n > 0 ? (size_t)n : 0;
		assert_int_equal(evloop_turn(loop, 1), 0);
		if (poll(&p, 1, 0) == 1) {
			n = read(out[0], buf, sizeof(buf));
			got += n > 0 ? (size_t)n : 0;
			memset(buf, 0, sizeof(buf));
		}
	}
	assert_int_equal(got, BIG);
	/* What the two sockets hold, and one buffer. */
	assert_in_range(flood, RELAY_BUFFER, 1u << 20);
	assert_int_equal(write(from[0], buf, 1), -1);
	pthread_join(in.thread, NULL);
	relay_stop(&other);
	close(from[0]);
	close(to[1]);
	close(out[0]);
	end();
}

static void a_sink_that_is_gone_closes_the_source(void **state)
{
	int in[2], out[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, in), 0);
	assert_int_equal(pipe(out), 0);
	begin(relay_prepare(in[0], false), relay_prepare(out[1], true), RELAY_END_CLOSE);
	close(out[0]);
	assert_int_equal(write(in[1], "x", 1), 1);
	TURN_UNTIL(finished);
	assert_int_equal(send(in[1], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	close(in[1]);
	end();
}

static void the_end_of_input_is_half_a_close(void **state)
{
	char c;
	int in[2], out[2];

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
	begin(relay_prepare(in[0], false), relay_prepare(out[1], true), RELAY_END_SHUTDOWN);
	assert_int_equal(write(in[1], "last", 4), 4);
	close(in[1]);
	TURN_UNTIL(finished);
	assert_int_equal(io_read_full(out[0], (char[4]){ 0 }, 4), 0);
	assert_int_equal(read(out[0], &c, 1), 0);
	/* The other direction lives. */
	assert_int_equal(write(out[0], "y", 1), 1);
	assert_int_equal(read(relay.to.fd, &c, 1), 1);
	close(out[0]);
	end();
}

static void no_input_at_all_ends_at_once(void **state)
{
	int out[2];
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
	begin(relay_prepare(open("/dev/null", O_RDONLY), false), relay_prepare(out[1], true),
	      RELAY_END_SHUTDOWN);
	TURN_UNTIL(finished);
	assert_int_equal(read(out[0], &c, 1), 0);
	close(out[0]);
	end();

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
	begin(relay_prepare(99999, false), relay_prepare(out[1], true), RELAY_END_SHUTDOWN);
	TURN_UNTIL(finished);
	assert_int_equal(read(out[0], &c, 1), 0);
	close(out[0]);
	end();
}

static void an_inherited_file_keeps_its_flags(void **state)
{
	int fd[2], kept;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	kept = dup(fd[0]); /* the giver's: the same open file */
	assert_int_equal(relay_prepare(fd[0], false).kind, RELAY_NONBLOCK);
	assert_true(fcntl(fd[0], F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(kept, F_GETFL) & O_NONBLOCK);
	close(kept);
	close(fd[0]);
	close(fd[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(relay_prepare(fd[0], true).kind, RELAY_SOCKET);
	assert_false(fcntl(fd[0], F_GETFL) & O_NONBLOCK);
	close(fd[0]);
	close(fd[1]);
}

static void a_terminal_carries_both_ways_and_ends_with_its_master(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, out[2], unlock = 0;
	struct termios raw;
	char c;

	(void)state;
	assert_true(master >= 0);
	assert_int_equal(ioctl(master, TIOCSPTLCK, &unlock), 0);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
	begin(relay_prepare(slave, false), relay_prepare(out[1], true), RELAY_END_NOTHING);
	assert_int_equal(relay.from.kind, RELAY_NONBLOCK);
	assert_int_equal(write(master, "k", 1), 1);
	TURN_UNTIL(recv(out[0], &c, 1, MSG_DONTWAIT) == 1);
	assert_int_equal(c, 'k');
	close(master);
	TURN_UNTIL(finished);
	/* The agent's end stays: the process in the guest may still write. */
	assert_int_equal(recv(out[0], &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(out[0]);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_arrives_whatever_the_ends),
		cmocka_unit_test(a_stalled_reader_does_not_stop_the_loop),
		cmocka_unit_test(a_flood_is_held_and_others_live),
		cmocka_unit_test(a_sink_that_is_gone_closes_the_source),
		cmocka_unit_test(the_end_of_input_is_half_a_close),
		cmocka_unit_test(no_input_at_all_ends_at_once),
		cmocka_unit_test(an_inherited_file_keeps_its_flags),
		cmocka_unit_test(a_terminal_carries_both_ways_and_ends_with_its_master),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
