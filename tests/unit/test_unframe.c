// SPDX-License-Identifier: Apache-2.0
/* Datagrams out of a guest's stream, however it is cut up, whatever lengths it claims, and a receiver that does not read. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/proxy/unframe.h"

struct bench {
	struct evloop *l;
	struct unframe u;
	int guest, server; /* our ends */
	unsigned done;
};

static void done(struct unframe *u)
{
	((struct bench *)u->arg)->done++;
}

static struct bench *bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	int a[2], c[2];

	assert_int_equal(evloop_new(&b->l, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, c), 0);
	b->guest = a[0];
	b->server = c[0];
	unframe_start(&b->u, b->l, a[1], c[1], done, b);
	return b;
}

static void bench_end(struct bench *b)
{
	unframe_stop(&b->u);
	close(b->guest);
	if (b->server >= 0)
		close(b->server);
	evloop_free(b->l);
	free(b);
}

static void turn(struct bench *b)
{
	for (int i = 0; i < 3; i++)
		evloop_turn(b->l, 0);
}

static void any_cut(void **state)
{
	static const char stream[] = "\3\0\0\0abc" "\0\0\0\0" "\1\0\0\0x";
	static const struct {
		const char *text;
		ssize_t len;
	} want[] = { { "abc", 3 }, { "", 0 }, { "x", 1 } };

	(void)state;
	for (size_t cut = 1; cut < sizeof(stream); cut++) {
		struct bench *b = bench_new();
		char got[8];

		for (size_t at = 0; at < sizeof(stream) - 1; at += cut) {
			size_t n = min_t(size_t, cut, sizeof(stream) - 1 - at);

			assert_int_equal(io_write_full(b->guest, stream + at, n), 0);
			turn(b);
		}
		for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
			assert_int_equal(recv(b->server, got, sizeof(got), MSG_DONTWAIT), want[i].len);
			assert_memory_equal(got, want[i].text, (size_t)want[i].len);
		}
		assert_int_equal(b->done, 0);
		shutdown(b->guest, SHUT_WR);
		turn(b);
		assert_int_equal(b->done, 1);
		bench_end(b);
	}
}

static void lengths(void **state)
{
	static const struct {
		const char *why;
		uint8_t head[4];
		unsigned done;
	} rows[] = {
		{ "the longest", { 0, 0, 1, 0 }, 0 },
		{ "one more", { 1, 0, 1, 0 }, 1 },
		{ "as long as can be said", { 0xff, 0xff, 0xff, 0xff }, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_new();

		assert_int_equal(io_write_full(b->guest, rows[i].head, 4), 0);
		turn(b);
		check_row(rows[i].why, b->done == rows[i].done);
		bench_end(b);
	}
}

/* A server that does not read stops the guest, and nothing is lost; one that is gone ends it. */
static void a_slow_server(void **state)
{
	static uint8_t frame[4 + 1000] = { 0xe8, 3 };
	struct bench *b = bench_new();
	unsigned sent = 0, got = 0;

	(void)state;
	fcntl(b->guest, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 5000; i++) {
		ssize_t n = send(b->guest, frame, sizeof(frame), MSG_DONTWAIT);

		if (n < 0)
			break;
		assert_int_equal(n, sizeof(frame));
		sent++;
		turn(b);
	}
	assert_true(sent > 10 && sent < 5000);
	for (int idle = 0; idle < 3;) {
		static uint8_t datagram[2000];
		ssize_t n = recv(b->server, datagram, sizeof(datagram), MSG_DONTWAIT);

		if (n > 0) {
			assert_int_equal(n, 1000);
			got++;
			idle = 0;
		} else {
			idle++;
		}
		turn(b);
	}
	assert_int_equal(got, sent);
	close(b->server);
	b->server = -1;
	assert_int_equal(io_write_full(b->guest, frame, sizeof(frame)), 0);
	turn(b);
	assert_int_equal(b->done, 1);
	bench_end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_cut),
		cmocka_unit_test(lengths),
		cmocka_unit_test(a_slow_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
