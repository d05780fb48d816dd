// SPDX-License-Identifier: Apache-2.0
/*
 * husk-net and a link that can get no tap: when it is tried again. Needs root; the namespace is this test's own. On the link's
 * ingress hook is somebody's filter, with the priority of ours; a kernel that has no filters has none for us either.
 */
#include "tests/unit/check.h"

#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/net/net.h"

#define SECOND UINT64_C(1000000000)

static struct nl_sock *sk;
static struct net_links links;
static int events = -1; /* what husk-net looks again at */

static void sh(const char *command)
{
	assert_int_equal(system(command), 0);
}

static bool heard(void)
{
	char skipped[8192];
	bool any = false;

	while (recv(events, skipped, sizeof(skipped), MSG_DONTWAIT) > 0)
		any = true;
	return any;
}

static int set_up(void **state)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	sh("ip link add v0 address 02:00:00:00:00:01 type veth peer name v1 && ip link set v0 up");
	sh("tc qdisc add dev v0 clsact && tc filter add dev v0 ingress prio 1 protocol all u32 match u32 0 0 classid 1:1 || :");
	sk = nl_socket_alloc();
	assert_int_equal(nl_connect(sk, NETLINK_ROUTE), 0);
	events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	assert_int_equal(bind(events, (struct sockaddr *)&at, sizeof(at)), 0);
	links_init(&links, sk);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	links_done(&links);
	nl_socket_free(sk);
	close(events);
	return 0;
}

static uint64_t before, after; /* when it was tried last */

/* Whether a tap was made for it, which went again. */
static bool tried(bool strict)
{
	struct err e = ERR_INIT;
	struct net_scan s;
	bool changed;
	int rc;

	heard();
	before = io_now_ns();
	rc = links_update(&links, 1, strict, &s, &changed, &e);
	after = io_now_ns();
	check_row("refused", strict ? rc == -EIO || rc == -EBUSY : rc == 0);
	check_row("the link is named", strstr(strict ? e.msg : s.without, "interface v0: "));
	assert_true(strict || (!s.n && !changed));
	assert_int_equal(links_count(&links), 0);
	return heard();
}

static bool is_put_off(uint64_t pause)
{
	return links.again_ns >= before + pause && links.again_ns <= after + pause;
}

/* When it is time: at once, or never as long as this test looks at it, however slow it is. */
static void set_again(uint64_t ns)
{
	for (size_t k = 0; k < NET_MAX_LINKS; k++)
		if (links.refused[k].link.index)
			links.refused[k].again_ns = ns;
}

static void test_own_events(void **state)
{
	(void)state;
	assert_true(tried(false));
	check_row("a second", is_put_off(SECOND));
	set_again(UINT64_MAX);
	for (int i = 0; i < 3; i++)
		check_row("not by what it did itself", !tried(false));
	check_row("still to come", links.again_ns == UINT64_MAX);
}

static void test_again(void **state)
{
	uint64_t pause = SECOND;

	(void)state;
	for (int i = 0; i < 8; i++) {
		set_again(1);
		check_row("when it is time", tried(false));
		pause = min_t(uint64_t, 2 * pause, 64 * SECOND);
		check_row("later and later", is_put_off(pause));
		set_again(UINT64_MAX);
		check_row("and not before", !tried(false));
	}
	check_row("at once when somebody waits for it", tried(true));
}

static void test_another(void **state)
{
	(void)state;
	set_again(UINT64_MAX);
	check_row("not yet", !tried(false));
	sh("ip link set v0 mtu 1400");
	check_row("another link now", tried(false));
	check_row("like a new one", is_put_off(SECOND));
	sh("ip link del v0");
	heard();
	assert_int_equal(links_update(&links, 1, false, &(struct net_scan){ .n = 0 }, &(bool){ false }, NULL), 0);
	check_row("forgotten", links.again_ns == 0 && !heard());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_events),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_another),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
