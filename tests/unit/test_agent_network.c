// SPDX-License-Identifier: Apache-2.0
/* What of the network the real agent serves a container: names of an engine's server, and connections that the host brings. */
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/proto/forward.h"
#include "agent-proto/proto/resolver.h"
#include "agent-proto/proto/udp.h"
#include "lib/cleanup.h"
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
		       /* Two in one write, as the C library asks for both kinds of addresses. */
		       "q='\\0\\31\\22\\64\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\2db\\4test\\0\\0\\1\\0\\1';"
		       "printf \"$q$q\" | nc 127.0.0.11 53 | hexdump -v -e '1/1 \"%02x\"'");
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
	question(fd, true, "\x9\xa\xb\xc");
	text = agenthost_read_all(out, NULL);
	if (!strstr(text, "1.2.3.4") || !strstr(text, "05060708") || !strstr(text, "090a0b0c"))
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

/* A socket of the agent's network. */
static int udp_inside(void)
{
	_cleanup_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), theirs = -1;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", h->pid);
	theirs = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(own >= 0 && theirs >= 0);
	assert_int_equal(setns(theirs, CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setns(own, CLONE_NEWNET), 0);
	assert_true(fd >= 0);
	return fd;
}

/* A question by a connection that nobody will answer any more: the connection ends, as there is room for few. */
static void names_without_an_answer(void **state)
{
	static const uint8_t message[25] = "\22\64\1\0\0\1\0\0\0\0\0\0\2db\4test\0\0\1\0\1";
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	uint8_t frame[RESOLVER_HEAD + sizeof(message)];
	struct ct_request q;
	struct reply r = { 0 };
	int first, second, out, udp;
	char *text;

	(void)state;
	if (!h)
		return;
	assert_int_equal(agenthost_sh(h, "echo nameserver 127.0.0.11 >\"$0\"/shares/root/etc/resolv.conf"), 0);
	request_init(&q, "lost");
	request_sh(&q, "q='\\0\\31\\22\\64\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\2db\\4test\\0\\0\\1\\0\\1';"
		       "for i in one two; do printf \"$q\" | nc 127.0.0.11 53; echo $i; done");
	q.streams.stdout = agenthost_token();
	out = agenthost_stream(h, q.streams.stdout);
	assert_int_equal(request_create(h, &q, &r)->rc, 0);
	assert_int_equal(tell_network("lost", &r)->n, 1);
	first = agenthost_dial(h, "resolver");
	assert_int_equal(agenthost_start(h, "lost"), 0);
	receive(first, frame, sizeof(frame));
	/* It went to a host that has dialled anew since. */
	second = agenthost_dial(h, "resolver");
	receive(second, frame, sizeof(frame));
	/* So many come after it that its place among those under way is another's. */
	udp = udp_inside();
	inet_pton(AF_INET, "127.0.0.11", &to.sin_addr);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(sendto(udp, message, sizeof(message), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(message));
		receive(second, frame, sizeof(frame));
	}
	text = agenthost_read_all(out, NULL);
	assert_string_equal(text, "one\ntwo\n");
	free(text);
	close(udp);
	close(first);
	close(second);
	assert_int_equal(agenthost_delete(h, "lost", ""), 0);
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

/* Does the server of the container, whose network is the agent's? */
static bool listens(void)
{
	char path[64];
	_cleanup_free_ char *all = NULL;

	snprintf(path, sizeof(path), "/proc/%d/net/tcp", h->pid);
	return io_read_file(AT_FDCWD, path, 1 << 20, &all, NULL) == 0 && strstr(all, ":1B58 00000000:0000 0A");
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
	for (int i = 0; i < 1000 && !listens(); i++)
		agenthost_turn(h, 10);
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

static void send_frame(int fd, uint32_t tag, uint8_t family, const uint8_t addr[4], uint16_t port, const char *text)
{
	struct udp_head head = { .len = (uint16_t)strlen(text),
				 .family = family,
				 .tag = tag,
				 .port = { (uint8_t)(port >> 8), (uint8_t)port } };
	uint8_t f[UDP_HEAD + 32];

	memcpy(head.addr, addr, 4);
	udp_put(f, &head);
	memcpy(f + UDP_HEAD, text, head.len);
	/* In pieces. */
	assert_int_equal(io_write_full(fd, f, 5), 0);
	agenthost_turn(h, 10);
	assert_int_equal(io_write_full(fd, f + 5, UDP_HEAD + head.len - 5), 0);
	agenthost_turn(h, 20);
}

/* In the network of the agent, which is the containers' as long as there are none. */
static int socket_there(void)
{
	struct timeval soon = { .tv_sec = 5 };
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), its, fd;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", h->pid);
	its = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(its, CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setns(own, CLONE_NEWNET), 0);
	close(its);
	close(own);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	return fd;
}

static void datagrams(void **state)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 }, group[4] = { 224, 0, 0, 1 }, other[4] = { 203, 0, 113, 1 };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, from, second;
	socklen_t len = sizeof(at);
	uint8_t in[UDP_HEAD + 32];
	struct udp_head head;
	int sock, fd;
	uint16_t port;

	(void)state;
	if (!h)
		return;
	sock = socket_there();
	assert_int_equal(bind(sock, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(sock, (struct sockaddr *)&at, &len), 0);
	port = ntohs(at.sin_port);
	fd = agenthost_dial(h, "udp");
	/* To what is not its own: nothing, and the channel lives. */
	send_frame(fd, 300, 4, group, port, "group");
	send_frame(fd, 301, 4, other, port, "other");
	send_frame(fd, 302, 4, loopback, port, "first");
	len = sizeof(from);
	assert_int_equal(recvfrom(sock, in, sizeof(in), 0, (struct sockaddr *)&from, &len), 5);
	assert_memory_equal(in, "first", 5);
	assert_int_equal(sendto(sock, "answer", 6, 0, (struct sockaddr *)&from, len), 6);
	receive(fd, (char *)in, UDP_HEAD + 6);
	assert_int_equal(udp_get(in, UDP_HEAD + 6, &head), UDP_HEAD + 6);
	assert_int_equal(head.tag, 302);
	assert_int_equal(head.family, 0);
	assert_memory_equal(in + UDP_HEAD, "answer", 6);
	/* The same place, another tag: another flow, and the first is no more. */
	send_frame(fd, 302 + UDP_FLOWS, 4, loopback, port, "second");
	len = sizeof(second);
	assert_int_equal(recvfrom(sock, in, sizeof(in), 0, (struct sockaddr *)&second, &len), 6);
	assert_int_not_equal(second.sin_port, from.sin_port);
	/* What is no datagram, or an answer, ends the channel. */
	send_frame(fd, 303, 0, loopback, port, "answer");
	assert_int_equal(read(fd, in, 1), 0);
	close(fd);
	close(sock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(names_without_an_answer),
		cmocka_unit_test(connections),
		cmocka_unit_test(datagrams),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
