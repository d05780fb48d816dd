// SPDX-License-Identifier: Apache-2.0
/* The proxy's end of a guest's questions to name servers: this test is the agent, by a socket pair, and the server, in a network
 * namespace of its own (root). */
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/proto/resolver.h"
#include "lib/io.h"
#include "runtime/proxy/resolver.h"
#include "tests/unit/own_net.h"

#define ADDR 0x7f00000b /* 127.0.0.11 */

struct bench {
	struct evloop *loop;
	struct resolver *r;
	int guest, udp, tcp;
};

static int server(int type)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(ADDR) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;
	struct timeval soon = { .tv_sec = 5 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void begin(struct bench *b)
{
	uint32_t addr = htonl(ADDR);
	int pair[2];

	assert_int_equal(evloop_new(&b->loop, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	b->udp = server(SOCK_DGRAM);
	b->tcp = server(SOCK_STREAM);
	b->guest = pair[1];
	b->r = resolver_new(b->loop, pair[0], &addr, 1);
	assert_non_null(b->r);
}

static void end(struct bench *b)
{
	resolver_free(b->r);
	evloop_free(b->loop);
	close(b->guest);
	close(b->udp);
	close(b->tcp);
}

static void turn(struct bench *b)
{
	for (int i = 0; i < 8; i++)
		evloop_turn(b->loop, 20);
}

/* A message of 12 bytes: an id, and a word to know it by. */
static void question(struct bench *b, uint16_t id, const char *word, uint16_t tag, uint8_t where, bool tcp)
{
	struct resolver_head h = { .len = 12, .tag = tag, .server = where, .tcp = tcp };
	uint8_t f[RESOLVER_HEAD + 12] = { 0 };

	resolver_put(f, &h);
	f[8] = (uint8_t)(id >> 8);
	f[9] = (uint8_t)id;
	snprintf((char *)f + 10, 10, "%s", word);
	assert_int_equal(write(b->guest, f, sizeof(f)), sizeof(f));
	turn(b);
}

/* The next frame at the guest; false: none, or the channel has ended (*ended). */
static bool answer(struct bench *b, struct resolver_head *h, uint8_t *message, bool *ended)
{
	uint8_t head[RESOLVER_HEAD];
	ssize_t n;

	turn(b);
	n = recv(b->guest, head, sizeof(head), MSG_DONTWAIT);
	*ended = n == 0;
	if (n != (ssize_t)sizeof(head))
		return false;
	assert_true(resolver_get(head, sizeof(head), h) >= 0);
	if (h->len)
		assert_int_equal(recv(b->guest, message, h->len, MSG_DONTWAIT), h->len);
	return true;
}

/* Two with one id are two questions, answered in whatever order. */
static void by_udp(void **state)
{
	struct resolver_head h;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t one[64], two[64], got[64];
	struct bench b;
	bool ended;

	(void)state;
	begin(&b);
	question(&b, 0x1234, "one", 7, 0, false);
	question(&b, 0x1234, "two", 8, 0, false);
	assert_int_equal(recvfrom(b.udp, one, sizeof(one), 0, (struct sockaddr *)&from, &len), 12);
	assert_int_equal(recvfrom(b.udp, two, sizeof(two), 0, (struct sockaddr *)&from, &len), 12);
	assert_string_equal((char *)one + 2, "one");
	assert_memory_not_equal(one, two, 2);
	assert_int_equal(sendto(b.udp, two, 12, 0, (struct sockaddr *)&from, len), 12);
	assert_true(answer(&b, &h, got, &ended));
	assert_int_equal(h.tag, 8);
	assert_int_equal(got[0] << 8 | got[1], 0x1234);
	assert_string_equal((char *)got + 2, "two");
	/* Once each; and nobody asked for that. */
	assert_int_equal(sendto(b.udp, two, 12, 0, (struct sockaddr *)&from, len), 12);
	one[0] ^= 0x80;
	assert_int_equal(sendto(b.udp, one, 12, 0, (struct sockaddr *)&from, len), 12);
	assert_false(answer(&b, &h, got, &ended));
	one[0] ^= 0x80;
	assert_int_equal(sendto(b.udp, one, 12, 0, (struct sockaddr *)&from, len), 12);
	assert_true(answer(&b, &h, got, &ended));
	assert_int_equal(h.tag, 7);
	end(&b);
}

/* A server that was away may be found by a new flow only: what translated the old one's addresses still does. */
static void by_another_port(void **state)
{
	struct sockaddr_in before, after;
	socklen_t len = sizeof(before);
	uint8_t got[64];
	struct bench b;

	(void)state;
	begin(&b);
	question(&b, 1, "one", 1, 0, false);
	assert_int_equal(recvfrom(b.udp, got, sizeof(got), 0, (struct sockaddr *)&before, &len), 12);
	close(b.udp);
	question(&b, 2, "two", 2, 0, false);
	turn(&b);
	b.udp = server(SOCK_DGRAM);
	question(&b, 3, "six", 3, 0, false);
	assert_int_equal(recvfrom(b.udp, got, sizeof(got), 0, (struct sockaddr *)&after, &len), 12);
	assert_string_equal((char *)got + 2, "six");
	assert_int_not_equal(before.sin_port, after.sin_port);
	end(&b);
}

static void by_tcp(void **state)
{
	struct resolver_head h;
	uint8_t got[64], in[64];
	struct bench b;
	bool ended;
	int c;

	(void)state;
	begin(&b);
	question(&b, 0x1234, "one", 7, 0, true);
	c = accept(b.tcp, NULL, NULL);
	turn(&b);
	assert_int_equal(recv(c, in, sizeof(in), 0), 14);
	assert_memory_equal(in, "\0\14\x12\x34one", 7);
	/* In pieces. */
	assert_int_equal(send(c, in, 1, 0), 1);
	turn(&b);
	assert_int_equal(send(c, in + 1, 6, 0), 6);
	assert_false(answer(&b, &h, got, &ended));
	assert_int_equal(send(c, in + 7, 7, 0), 7);
	assert_true(answer(&b, &h, got, &ended));
	assert_true(h.tcp && h.tag == 7 && h.len == 12);
	assert_memory_equal(got, in + 2, 12);
	close(c);
	/* One that says nothing, and one that says too little: there is no answer, and that is told. */
	for (int i = 0; i < 2; i++) {
		question(&b, 1, "x", 9, 0, true);
		c = accept(b.tcp, NULL, NULL);
		turn(&b);
		if (i)
			assert_int_equal(send(c, "\0\13", 2, 0), 2);
		else
			close(c);
		assert_true(answer(&b, &h, got, &ended));
		assert_true(h.tcp && h.tag == 9 && h.len == 0);
		if (i)
			close(c);
	}
	end(&b);
}

/* A guest that keeps to nothing loses its channel, and has made nobody ask anything. */
/* Servers that take a question and never answer: others come to theirs all the same. */
static void by_tcp_without_an_answer(void **state)
{
	struct resolver_head h;
	uint8_t got[64];
	struct bench b;
	bool ended;
	int c[9];

	(void)state;
	begin(&b);
	for (int i = 0; i < 8; i++) {
		question(&b, 1, "mute", (uint16_t)i, 0, true);
		c[i] = accept(b.tcp, NULL, NULL);
		assert_true(c[i] >= 0);
	}
	question(&b, 1, "soon", 100, 0, true);
	assert_true(answer(&b, &h, got, &ended));
	assert_true(h.tag == 100 && h.len == 0);
	sleep(10);
	question(&b, 1, "late", 101, 0, true);
	/* The oldest has its end told. */
	assert_true(answer(&b, &h, got, &ended));
	assert_true(h.tag == 0 && h.len == 0);
	c[8] = accept(b.tcp, NULL, NULL);
	assert_true(c[8] >= 0);
	assert_int_equal(recv(c[8], got, 14, MSG_WAITALL), 14);
	assert_memory_equal(got, "\0\14\0\1late", 8);
	for (int i = 0; i < 9; i++)
		close(c[i]);
	end(&b);
}

static void lies(void **state)
{
	static const struct {
		const char *why;
		uint8_t frame[RESOLVER_HEAD];
	} cases[] = {
		{ "a server that it was not granted", { 12, 0, 1, 0, 1, 0, 0, 0 } },
		{ "neither UDP nor TCP", { 12, 0, 1, 0, 0, 2, 0, 0 } },
		{ "what must be nothing", { 12, 0, 1, 0, 0, 0, 1, 0 } },
		{ "a message that is none", { 11, 0, 1, 0, 0, 0, 0, 0 } },
		{ "nothing", { 0, 0, 1, 0, 0, 0, 0, 0 } },
		{ "nothing, by TCP", { 0, 0, 1, 0, 0, 1, 0, 0 } },
	};
	uint8_t got[64];
	struct resolver_head h;
	bool ended;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t frame[RESOLVER_HEAD + 12] = { 0 };
		struct bench b;

		begin(&b);
		memcpy(frame, cases[i].frame, RESOLVER_HEAD);
		assert_int_equal(write(b.guest, frame, sizeof(frame)), sizeof(frame));
		answer(&b, &h, got, &ended);
		check_row(cases[i].why, ended);
		check_row(cases[i].why, recv(b.udp, got, sizeof(got), MSG_DONTWAIT) < 0);
		end(&b);
	}
}

/* Any number of questions that nobody answers cost what one does. */
static void flood(void **state)
{
	struct bench b;
	bool ended;
	struct resolver_head h;
	uint8_t got[64];

	(void)state;
	begin(&b);
	for (uint16_t i = 1; i < 2000; i++) {
		struct resolver_head q = { .len = 12, .tag = i, .tcp = i % 8 == 0 };
		uint8_t f[RESOLVER_HEAD + 12] = { 0 };

		resolver_put(f, &q);
		assert_int_equal(resolver_input(b.r, f, 5), 0);
		assert_int_equal(resolver_input(b.r, f + 5, sizeof(f) - 5), 0);
	}
	/* Those by TCP beyond the limit are told at once. */
	assert_true(answer(&b, &h, got, &ended));
	assert_true(h.tcp && !h.len);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_udp),
		cmocka_unit_test(by_another_port),
		cmocka_unit_test(by_tcp),
		cmocka_unit_test(by_tcp_without_an_answer),
		cmocka_unit_test(lies),
		cmocka_unit_test(flood),
	};

	return cmocka_run_group_tests(tests, own_net, NULL);
}
