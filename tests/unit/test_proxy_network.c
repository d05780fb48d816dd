// SPDX-License-Identifier: Apache-2.0
/* husk-proxy between husk-net, which is this test, and the agent: what comes when, and what of it fails. */
#include "tests/unit/proxy_setup.h"

#include <signal.h>
#include <stdio.h>

#include "runtime/net/wire.h"

static int net_pair(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	next_net = pair[1];
	return pair[0];
}

static void net_state(int net, uint64_t token, uint64_t number, uint32_t links, int rc)
{
	struct {
		struct net_state s;
		uint8_t packed[3];
	} m = { .s = { .hdr = { .version = NET_VERSION, .cmd = NET_STATE, .rc = rc },
		       .token = token,
		       .number = number,
		       .links = links,
		       .len = rc < 0 ? 0 : 3,
		       .text = "interface eth0: no" },
		.packed = { 0x0a, 1, 'c' } };

	m.s.hdr.size = (uint32_t)sizeof(m.s) + m.s.len;
	assert_int_equal(send(net, &m, m.s.hdr.size, 0), m.s.hdr.size);
}

static uint64_t net_sync(int net)
{
	struct net_sync m;

	assert_int_equal(recv(net, &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(m.hdr.cmd, NET_SYNC);
	assert_true(m.token != 0);
	return m.token;
}

static int net_done(int net, uint64_t number)
{
	struct net_done m;

	assert_int_equal(recv(net, &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(m.hdr.cmd, NET_DONE);
	assert_int_equal(m.number, number);
	return m.hdr.rc;
}

static void send_start(struct bench *b)
{
	struct proxy_simple m;

	assert_int_equal(proxy_send(b->husk, PROXY_START, &m, sizeof(m), NULL, 0, NULL), 0);
}

/* The first network of @net is the agent's before the container; the start is under way. */
static struct bench *started_with(const struct fakeworld_plan *plan, int net)
{
	struct bench *b;

	net_state(net, 0, 1, 1, 0);
	b = bench_new(plan, LAST);
	assert_int_equal(net_done(net, 1), 0);
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	send_start(b);
	return b;
}

/* And the process runs, by a network that is known. */
static struct bench *started_with_names(const struct fakeworld_plan *plan, int net)
{
	struct bench *b = started_with(plan, net);

	net_state(net, net_sync(net), 2, 1, 0);
	assert_int_equal(net_done(net, 2), 0);
	assert_int_equal(proxy_wait(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	return b;
}

/* What is known comes before the container; the start waits for the list that it asks for. */
static void the_network_comes_before_the_process(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0 };
	int net = net_pair();
	struct bench *b;
	uint64_t token;

	(void)state;
	b = started_with(&plan, net);
	/* One that comes unasked in between is not the one that is waited for. */
	token = net_sync(net);
	net_state(net, 0, 2, 1, 0);
	assert_int_equal(net_done(net, 2), 0);
	net_state(net, token, 3, 1, 0);
	assert_int_equal(net_done(net, 3), 0);
	assert_int_equal(proxy_wait(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	/* It is told by the end of its connection. */
	assert_int_equal(recv(net, &(char){ 0 }, 1, 0), 0);
	close(net);
	assert_string_equal(bench_end(b), "network create wait network network start signal:9 delete share-remove:s0 "
					  "share-remove:s1 left ");
	bench_free(b);
}

/* The process finds a name server that answers: who asks it is connected, once, before the state counts as made so. */
static void a_name_server_of_the_namespace(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0, .names = true };
	int net = net_pair();
	struct bench *b;
	const char *said;

	(void)state;
	b = started_with_names(&plan, net);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	close(net);
	said = bench_end(b);
	assert_non_null(strstr(said, "names "));
	assert_null(strstr(strstr(said, "names ") + 1, "names "));
	assert_true(strstr(said, "names ") < strstr(said, "start "));
	bench_free(b);
}

/* The channel of questions is dialled anew when its end has gone. */
static void a_channel_of_questions_that_ends(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0, .names = true, .names_end = true };
	int net = net_pair();
	struct bench *b;
	const char *said;

	(void)state;
	b = started_with_names(&plan, net);
	usleep(1500000);
	/* Another state changes nothing about that. */
	net_state(net, 0, 3, 1, 0);
	assert_int_equal(net_done(net, 3), 0);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	close(net);
	said = bench_end(b);
	assert_non_null(strstr(said, "start names "));
	assert_null(strstr(strstr(said, "start names ") + 8, "names "));
	bench_free(b);
}

/* One that is reached at the second attempt, which a change of the network makes, is kept. */
static void a_channel_of_questions_that_comes_late(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0, .names = true, .names_refused = 1 };
	int net = net_pair();
	struct bench *b;
	const char *said;

	(void)state;
	b = started_with_names(&plan, net);
	usleep(1500000);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	close(net);
	said = bench_end(b);
	assert_non_null(strstr(said, "names start "));
	assert_null(strstr(strstr(said, "names start ") + 1, "names "));
	bench_free(b);
}

/* Without any interface the agent need not be asked. */
static void no_network_is_no_work(void **state)
{
	const struct fakeworld_plan plan = { .exit_status = 0 };
	int net = net_pair();
	struct bench *b = bench_new(&plan, LAST);

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	send_start(b);
	net_state(net, net_sync(net), 1, 0, 0);
	assert_int_equal(net_done(net, 1), 0);
	assert_int_equal(proxy_wait(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	assert_int_equal(recv(net, &(char){ 0 }, 1, 0), 0);
	close(net);
	assert_string_equal(bench_end(b), "create wait start signal:9 delete share-remove:s0 share-remove:s1 left ");
	bench_free(b);
}

/* husk-net that cannot, a guest that cannot, a husk-net that has gone: the start fails with the reason, and may be tried
 * again. */
static void a_network_that_cannot_be_had(void **state)
{
	const struct fakeworld_plan plan = { .network_rc = -EIO };
	int net = net_pair();
	struct bench *b = bench_new(&plan, LAST);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	send_start(b);
	net_state(net, net_sync(net), 1, 1, -EINVAL);
	assert_int_equal(proxy_wait(b->husk, PROXY_START, NULL, WAIT_MS, &e), -EINVAL);
	assert_string_equal(e.msg, "interface eth0: no");
	send_start(b);
	net_state(net, net_sync(net), 1, 1, 0);
	assert_int_equal(net_done(net, 1), -EIO);
	assert_int_equal(proxy_wait(b->husk, PROXY_START, NULL, WAIT_MS, &e), -EIO);
	assert_string_equal(e.msg, "interface eth0: cannot");
	send_start(b);
	net_sync(net);
	close(net);
	assert_int_equal(proxy_wait(b->husk, PROXY_START, NULL, WAIT_MS, &e), -EPIPE);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, &e), -EPIPE);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	bench_end(b);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_network_comes_before_the_process),
		cmocka_unit_test(a_name_server_of_the_namespace),
		cmocka_unit_test(a_channel_of_questions_that_ends),
		cmocka_unit_test(a_channel_of_questions_that_comes_late),
		cmocka_unit_test(no_network_is_no_work),
		cmocka_unit_test(a_network_that_cannot_be_had),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
