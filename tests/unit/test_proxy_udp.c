// SPDX-License-Identifier: Apache-2.0
/*
 * The proxy's end of datagrams to the namespace: the table of flows; and all of it, where this test is the agent, by a socket
 * pair, and the senders, in a network namespace of its own (root). What is steered there is here sent to the socket's own port.
 */
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/proxy/udp.h"
#include "runtime/proxy/udp_flows.h"
#include "tests/unit/own_net.h"

static struct udp_addr addr(uint8_t last)
{
	return (struct udp_addr){ .family = 4, .port = { 1, 2 }, .addr = { 127, 0, 0, last } };
}

static struct udp_addr numbered(unsigned i)
{
	return (struct udp_addr){ .family = 6, .port = { (uint8_t)(i >> 8), (uint8_t)i }, .addr = { 9 } };
}

static void flows(void **state)
{
	static struct udp_flows f;
	struct udp_addr a = addr(1), b = addr(2);
	uint32_t first, second, again;

	(void)state;
	first = udp_flow_of(&f, &a, &b, 10)->tag;
	second = udp_flow_of(&f, &b, &a, 20)->tag;
	assert_true(first && second && first != second);
	assert_int_equal(udp_flow_of(&f, &a, &b, 30)->tag, first);
	assert_null(udp_flow_tagged(&f, 0, 30));
	assert_null(udp_flow_tagged(&f, first + UDP_FLOWS, 30));
	assert_null(udp_flow_tagged(&f, first % UDP_FLOWS + 7, 30));
	assert_memory_equal(&udp_flow_tagged(&f, second, 40)->client, &b, sizeof(b));

	/* Both are the oldest by and by; the first was used before the second. */
	for (unsigned i = 0; i < UDP_FLOWS - 2; i++) {
		struct udp_addr c = numbered(i);

		udp_flow_of(&f, &c, &a, 100 + i);
	}
	assert_non_null(udp_flow_tagged(&f, second, 1000));
	for (unsigned i = UDP_FLOWS; i < UDP_FLOWS + 2; i++) {
		struct udp_addr c = numbered(i);

		udp_flow_of(&f, &c, &a, 2000);
	}
	assert_null(udp_flow_tagged(&f, first, 2000));
	assert_non_null(udp_flow_tagged(&f, second, 2000));
	again = udp_flow_of(&f, &a, &b, 2001)->tag;
	assert_int_not_equal(again, first);

	/* An answer in time gives it that time again. */
	assert_non_null(udp_flow_tagged(&f, second, 2000 + UDP_IDLE_NS));
	assert_non_null(udp_flow_tagged(&f, second, 2000 + 2 * UDP_IDLE_NS));
	assert_null(udp_flow_tagged(&f, second, 2000 + 3 * UDP_IDLE_NS + 1));
	assert_null(udp_flow_tagged(&f, again, 2001 + UDP_IDLE_NS + 1));

	/* Tags come round, and none is 0. */
	f.round = UINT32_MAX / UDP_FLOWS;
	for (unsigned i = 0; i < UDP_FLOWS + 1; i++) {
		struct udp_addr c = numbered(1000 + i);

		assert_int_not_equal(udp_flow_of(&f, &c, &a, 5000 + i)->tag, 0);
	}
}

struct bench {
	struct evloop *loop;
	struct udp_relay *u;
	int agent[2], dials;
	bool later; /* the connection is told of by the test */
	struct sockaddr_storage at;
	socklen_t at_len;
	int client;
};

static int dial(void *arg)
{
	struct bench *b = arg;

	b->dials++;
	if (b->later)
		return -EINPROGRESS;
	return b->agent[0] < 0 ? -1 : dup(b->agent[0]);
}

static void begin(struct bench *b, int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const bool is_v6 = family == AF_INET6;
	int in = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0), out = socket(family, SOCK_RAW, IPPROTO_UDP), one = 1, offset = 6;
	struct timeval soon = { .tv_sec = 30 };

	memset(b, 0, sizeof(*b));
	b->at_len = is_v6 ? sizeof(v6) : sizeof(v4);
	assert_int_equal(bind(in, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, b->at_len), 0);
	assert_int_equal(getsockname(in, (struct sockaddr *)&b->at, &b->at_len), 0);
	assert_int_equal(setsockopt(in, is_v6 ? SOL_IPV6 : SOL_IP, is_v6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, &one,
				    sizeof(one)), 0);
	assert_true(out >= 0);
	if (is_v6)
		assert_int_equal(setsockopt(out, IPPROTO_IPV6, IPV6_CHECKSUM, &offset, sizeof(offset)), 0);
	b->client = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(b->client, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	assert_int_equal(connect(b->client, (struct sockaddr *)&b->at, b->at_len), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b->agent), 0);
	assert_int_equal(evloop_new(&b->loop, NULL), 0);
	b->u = udp_new(b->loop, dial, b);
	assert_non_null(b->u);
	assert_int_equal(udp_add(b->u, is_v6 ? 6 : 4, in, out), 0);
}

static void end(struct bench *b)
{
	udp_free(b->u);
	evloop_free(b->loop);
	close(b->client);
	close(b->agent[0]);
	close(b->agent[1]);
}

/* What was sent over loopback is there when the send returns, unless the kernel has much else to do. */
static void turn(struct bench *b)
{
	for (int i = 0; i < 8; i++)
		evloop_turn(b->loop, 1);
}

/* Once it has been dialled: for the first datagram, and for none after it. */
static void dials_once(struct bench *b)
{
	for (int i = 0; i < 1000 && !b->dials; i++)
		turn(b);
	assert_int_equal(b->dials, 1);
}

/* The next frame that is at the agent by now. */
static bool has_heard(struct bench *b, struct udp_head *h, uint8_t *data)
{
	uint8_t head[UDP_HEAD];

	turn(b);
	if (recv(b->agent[1], head, sizeof(head), MSG_DONTWAIT) != sizeof(head))
		return false;
	assert_true(udp_get(head, sizeof(head), h) >= 0);
	for (size_t got = 0; got < h->len;) {
		ssize_t n = recv(b->agent[1], data + got, h->len - got, MSG_DONTWAIT);

		turn(b);
		if (n > 0)
			got += (size_t)n;
	}
	return true;
}

/* The next frame at the agent; false: none comes in five seconds. */
static bool hears(struct bench *b, struct udp_head *h, uint8_t *data)
{
	const uint64_t end = io_now_ns() + 5000000000ull;

	while (!has_heard(b, h, data))
		if (io_now_ns() >= end)
			return false;
	return true;
}

static void says(struct bench *b, const struct udp_head *h, const void *data)
{
	uint8_t head[UDP_HEAD];

	udp_put(head, h);
	assert_int_equal(write(b->agent[1], head, sizeof(head)), sizeof(head));
	for (size_t at = 0; at < h->len; at += 10000) {
		size_t n = h->len - at < 10000 ? h->len - at : 10000;

		assert_int_equal(write(b->agent[1], (const uint8_t *)data + at, n), n);
		turn(b);
	}
	turn(b);
}

static void there_and_back(int family)
{
	static uint8_t big[UDP_MAX_PAYLOAD], got[UDP_MAX_PAYLOAD];
	const uint8_t v4[16] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };
	const int room = 1 << 20;
	struct bench b;
	struct udp_head h;

	begin(&b, family);
	/* What there is no agent for is dropped, and it is not asked for each. */
	close(b.agent[0]);
	b.agent[0] = -1;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send(b.client, "lost", 4, 0), 4);
		turn(&b);
	}
	dials_once(&b);
	end(&b);

	begin(&b, family);
	setsockopt(b.client, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	assert_int_equal(send(b.client, "asked", 5, 0), 5);
	assert_true(hears(&b, &h, got));
	assert_int_equal(h.family, family == AF_INET ? 4 : 6);
	assert_memory_equal(h.addr, family == AF_INET ? v4 : v6, 16);
	assert_memory_equal(h.port, &((struct sockaddr_in *)&b.at)->sin_port, 2);
	assert_int_equal(h.len, 5);
	assert_memory_equal(got, "asked", 5);
	h.family = 0;
	/* The client is connected: it hears none that is not from there. */
	says(&b, &h, "heard");
	assert_int_equal(recv(b.client, got, sizeof(got), 0), 5);
	assert_memory_equal(got, "heard", 5);
	h.len = 0;
	says(&b, &h, "");
	assert_int_equal(recv(b.client, got, sizeof(got), 0), 0);
	/* Of no flow, and then of that one. */
	h.tag++;
	h.len = 3;
	says(&b, &h, "not");
	h.tag--;
	says(&b, &h, "yes");
	assert_int_equal(recv(b.client, got, sizeof(got), 0), 3);
	assert_memory_equal(got, "yes", 3);
	/* The largest, both ways, in the same flow. */
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 >> 3);
	assert_int_equal(send(b.client, big, 65507, 0), 65507);
	says(&b, &(struct udp_head){ .len = 65507, .tag = h.tag }, big);
	assert_int_equal(recv(b.client, got, sizeof(got), 0), 65507);
	assert_memory_equal(got, big, 65507);
	assert_true(hears(&b, &h, got));
	assert_int_equal(h.len, 65507);
	assert_memory_equal(got, big, 65507);
	assert_int_equal(b.dials, 1);
	end(&b);
}

/* A guest that takes its time: what comes meanwhile waits, as much of it as there is room for, or is dropped in the end. */
static void dialled_later(void **state)
{
	static uint8_t big[30000], got[UDP_MAX_PAYLOAD];
	struct bench b;
	struct udp_head h;

	(void)state;
	begin(&b, AF_INET);
	b.later = true;
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(send(b.client, big, sizeof(big), 0), sizeof(big));
		turn(&b);
		if (i % 50 == 0)
			dials_once(&b);
	}
	udp_dialled(b.u, -1);
	/* Dropped, and not asked for again at once. */
	assert_int_equal(send(b.client, "lost", 4, 0), 4);
	turn(&b);
	assert_int_equal(b.dials, 1);
	end(&b);

	begin(&b, AF_INET);
	b.later = true;
	assert_int_equal(send(b.client, "one", 3, 0), 3);
	turn(&b);
	assert_int_equal(send(b.client, "two", 3, 0), 3);
	turn(&b);
	dials_once(&b);
	udp_dialled(b.u, dup(b.agent[0]));
	assert_true(hears(&b, &h, got));
	assert_memory_equal(got, "one", 3);
	assert_true(hears(&b, &h, got));
	assert_memory_equal(got, "two", 3);
	h.family = 0;
	says(&b, &h, "yes");
	assert_int_equal(recv(b.client, got, sizeof(got), 0), 3);
	assert_int_equal(b.dials, 1);
	end(&b);

	/* It goes before the answer comes. */
	begin(&b, AF_INET);
	b.later = true;
	assert_int_equal(send(b.client, "one", 3, 0), 3);
	turn(&b);
	end(&b);
}

static void v4(void **state)
{
	(void)state;
	there_and_back(AF_INET);
}

static void v6(void **state)
{
	(void)state;
	there_and_back(AF_INET6);
}

/* An agent that does not read: what waits for it has a bound, the loop comes to rest, and what fits still comes when it does. */
static void flood(void **state)
{
	static uint8_t big[60000];
	struct bench b;
	struct udp_head h;
	int n = 0;

	(void)state;
	begin(&b, AF_INET);
	for (int i = 0; i < 100; i++) {
		send(b.client, big, sizeof(big), MSG_DONTWAIT);
		turn(&b);
	}
	assert_int_equal(evloop_turn(b.loop, 0), 0);
	while (has_heard(&b, &h, big)) {
		assert_int_equal(h.len, sizeof(big));
		n++;
	}
	assert_true(n >= 8 && n < 20);
	send(b.client, "after", 5, 0);
	assert_true(hears(&b, &h, big));
	assert_int_equal(h.len, 5);
	end(&b);
}

/* One byte from an answer. */
static void lies(void **state)
{
	static const struct {
		const char *why;
		unsigned at;
		uint8_t byte;
	} cases[] = {
		{ "longer than any", 1, 0xff },
		{ "to an address", 2, 4 },
		{ "of no family", 2, 5 },
		{ "not zero", 3, 1 },
		{ "not zero behind the port", 10, 1 },
		{ "nor there", 11, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t f[UDP_HEAD + 5], got[16];
		struct bench b;
		struct udp_head h;

		begin(&b, AF_INET);
		send(b.client, "asked", 5, 0);
		assert_true(hears(&b, &h, got));
		h.family = 0;
		udp_put(f, &h);
		memset(f + UDP_HEAD, 'x', 5);
		if (cases[i].at == 1)
			f[0] = 0xff;
		f[cases[i].at] = cases[i].byte;
		check_row(cases[i].why, udp_input(b.u, f, sizeof(f)) == -EBADMSG);
		check_row(cases[i].why, recv(b.client, got, sizeof(got), MSG_DONTWAIT) < 0);
		end(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(flows), cmocka_unit_test(dialled_later),
					    cmocka_unit_test(v4), cmocka_unit_test(v6),
					    cmocka_unit_test(flood), cmocka_unit_test(lies) };

	return cmocka_run_group_tests(tests, own_net, NULL);
}
