// SPDX-License-Identifier: Apache-2.0
/* What of the network the real agent serves a container: names of an engine's server, and connections that the host brings. */
#include "tests/unit/check.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/proto/forward.h"
#include "agent-proto/proto/resolver.h"
#include "lib/io.h"
#include "tests/lib/agenthost.h"

AGENTHOST_FIXTURE

static const struct agent_network_info *tell_network(const char *id, struct reply *r)
{
	Husk__Agent__V1__UpdateNetworkRequest m;
	uint8_t packed[256];
	char name[64];
	size_t len;

	husk__agent__v1__update_network_request__init(&m);
	snprintf(name, sizeof(name), "%s", id);
	m.container_id = name;
	len = husk__agent__v1__update_network_request__pack(&m, packed);
	memset(r, 0, sizeof(*r));
	assert_int_equal(reply_wait(h, r, agent_network(h->c, packed, len, reply_fn, r, NULL))->rc, 0);
	return &r->r.network;
}

static void receive(int fd, void *to, size_t len)
{
	size_t got = 0;

	while (got < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		agenthost_turn(h, 1);
		if (poll(&p, 1, 10000) != 1)
			fail_msg("nothing came");
		n = read(fd, (uint8_t *)to + got, len - got);
		if (n <= 0)
			fail_msg("it has ended");
		got += (size_t)n;
	}
}

/* A question that the container asks, answered as the host would. */
static void question(int fd, bool tcp, const char *address)
{
	struct resolver_head head;
	uint8_t frame[RESOLVER_HEAD + 4096];

	receive(fd, frame, RESOLVER_HEAD);
	/* Of a message that is not there yet it says that it is not whole. */
	assert_int_equal(resolver_get(frame, RESOLVER_HEAD, &head), 0);
	assert_true(head.len > 12 && head.len < 512 && head.server == 0 && head.tcp == tcp && head.tag);
	receive(fd, frame + RESOLVER_HEAD, head.len);
	frame[RESOLVER_HEAD + 2] = 0x81;
	frame[RESOLVER_HEAD + 3] = 0x80;
	/* Of the two that nslookup asks, the one for an IPv4 address. */
	if (frame[RESOLVER_HEAD + head.len - 3] == 1) {
		frame[RESOLVER_HEAD + 7] = 1;
		memcpy(frame + RESOLVER_HEAD + head.len, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4", 12);
		memcpy(frame + RESOLVER_HEAD + head.len + 12, address, 4);
		head.len = (uint16_t)(head.len + 16);
	}
	resolver_put(frame, &head);
	/* One to nobody's question is passed over. */
	frame[2] ^= 0x55;
	assert_int_equal(io_write_full(fd, frame, RESOLVER_HEAD + (size_t)head.len), 0);
	frame[2] ^= 0x55;
	assert_int_equal(io_write_full(fd, frame, RESOLVER_HEAD + (size_t)head.len), 0);
}

static void names(void **state)
{
	struct ct_request q;
	struct reply r = { 0 };
	char *text;
	int fd, out;

	(void)state;
	if (!h)
		return;
	assert_int_equal(agenthost_sh(h, "printf 'nameserver 127.0.0.1\\nnameserver  127.0.0.11 \\nnameserver 10.0.0.1\\n"
					 "#nameserver 127.0.0.12\\n' >\"$0\"/shares/root/etc/resolv.conf"), 0);
	request_init(&q, "names");
	request_sh(&q, "nslookup db.test 127.0.0.11; "
		       "printf '\\0\\31\\22\\64\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\2db\\4test\\0\\0\\1\\0\\1' |"
		       "nc 127.0.0.11 53 | hexdump -C");
	q.streams.stdout = agenthost_token();
	out = agenthost_stream(h, q.streams.stdout);
	/* Of a container that is not there nothing is known. */
	assert_int_equal(tell_network("names", &r)->n, 0);
	memset(&r, 0, sizeof(r));
	assert_int_equal(request_create(h, &q, &r)->rc, 0);
	assert_int_equal(tell_network("names", &r)->n, 1);
	assert_memory_equal(&r.r.network.resolver[0], "\177\0\0\13", 4);
	fd = agenthost_dial(h, "resolver");
	assert_int_equal(agenthost_start(h, "names"), 0);
	question(fd, false, "\1\2\3\4");
	question(fd, false, "\1\2\3\4");
	question(fd, true, "\5\6\7\x8");
	text = agenthost_read_all(out, NULL);
	if (!strstr(text, "1.2.3.4") || !strstr(text, "06 07 08"))
		fail_msg("the container has read: %s", text);
	free(text);
	/* What is no answer ends the channel, and nothing else. */
	assert_int_equal(io_write_full(fd, "\1\0\0\0\0\7\0\0", 8), 0);
	agenthost_turn(h, 50);
	assert_int_equal(read(fd, &r, 1), 0);
	close(fd);
	close(out);
	assert_int_equal(agenthost_delete(h, "names", ""), 0);
}

static int forward(uint8_t family, uint16_t port)
{
	struct forward_head head = { .family = family,
				     .port = { (uint8_t)(port >> 8), (uint8_t)port },
				     .addr = { 127, 0, 0, 1 } };
	int fd = agenthost_dial(h, "forward");

	/* In pieces. */
	assert_int_equal(io_write_full(fd, &head, 3), 0);
	agenthost_turn(h, 20);
	assert_int_equal(io_write_full(fd, (uint8_t *)&head + 3, sizeof(head) - 3), 0);
	return fd;
}

static void connections(void **state)
{
	struct ct_request q;
	struct reply r = { 0 };
	char back[12];
	int fd;

	(void)state;
	if (!h)
		return;
	request_init(&q, "server");
	request_sh(&q, "nc -ll -p 7000 -e cat");
	assert_int_equal(request_create(h, &q, &r)->rc, 0);
	assert_int_equal(agenthost_start(h, "server"), 0);
	usleep(300000);
	/* Where nobody listens, and what is no address: the end. */
	fd = forward(4, 7009);
	assert_int_equal(read(fd, back, 1), 0);
	close(fd);
	fd = forward(5, 7000);
	assert_int_equal(read(fd, back, 1), 0);
	close(fd);
	fd = forward(4, 7000);
	assert_int_equal(io_write_full(fd, "there & back", 12), 0);
	receive(fd, back, 12);
	assert_memory_equal(back, "there & back", 12);
	shutdown(fd, SHUT_WR);
	assert_int_equal(read(fd, back, 1), 0);
	close(fd);
	assert_int_equal(agenthost_send_signal(h, "server", "", SIGKILL, true), 0);
	assert_int_equal(agenthost_delete(h, "server", ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(connections) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
