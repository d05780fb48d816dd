// SPDX-License-Identifier: Apache-2.0
/*
 * From one kernel's tables to another's: husk-net's list of a network namespace, made so in a second one by the agent's code,
 * and listed there, says the same. Needs root; the namespaces are this test's own.
 */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent-proto/agent/network.h"
#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "runtime/net/devices.h"
#include "runtime/net/net.h"

#define MAC(n) "02:00:00:00:00:0" #n

static pid_t far;     /* in the namespace of the links' other ends */
static int a, b, own; /* namespaces */

static char *str(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void check_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static int sh(const char *script)
{
	char cmd[8192];

	snprintf(cmd, sizeof(cmd), "FAR=%d; set -e; %s", far, script);
	return system(cmd);
}

static int new_netns(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(sh("ip link set lo up"), 0);
	return fd;
}

static void go(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

/* A link of each name whose other end is far away and up. */
#define LINK(name, mac, end) \
	"ip link add " name " address " mac " type veth peer name " end "; ip link set " end " netns $FAR; " \
	"nsenter -t $FAR -n ip link set " end " up; "

static int set_up(void **state)
{
	int there[2];
	char c;

	(void)state;
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pipe2(there, O_CLOEXEC), 0);
	far = fork();
	if (far == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) == 0 && write(there[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(there[1]);
	/* Its namespace is another one by now; or it could not be made. */
	assert_int_equal(read(there[0], &c, 1), 1);
	close(there[0]);
	a = new_netns();
	b = new_netns();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill(far, SIGKILL);
	waitpid(far, NULL, 0);
	setns(own, CLONE_NEWNET);
	close(a);
	close(b);
	close(own);
	return 0;
}

static struct nl_sock *sock_in(int ns)
{
	struct nl_sock *sk = nl_socket_alloc();

	go(ns);
	assert_int_equal(nl_connect(sk, NETLINK_ROUTE), 0);
	return sk;
}

/* What the namespace holds, packed. */
static void list(int ns, struct buf *out, size_t links)
{
	struct nl_sock *sk = sock_in(ns);
	struct net_scan s;
	struct err e = ERR_INIT;

	if (scan_links(sk, NULL, 0, true, &s, &e) < 0 || scan_pack(sk, "c", &s, out, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(s.n, links);
	nl_socket_free(sk);
}

static pb_network *unpack(const struct buf *m)
{
	pb_network *net = husk__agent__v1__update_network_request__unpack(NULL, m->len, m->data);
	struct err e = ERR_INIT;

	assert_non_null(net);
	if (network_check(net, &e) < 0)
		fail_msg("%s", e.msg);
	return net;
}

/* The names of those that went. */
static struct network_gone make_so(int ns, const pb_network *was, const pb_network *next)
{
	struct rtn *n = calloc(1, sizeof(*n));
	struct network_gone gone = { .n = 0 };
	struct err e = ERR_INIT;

	go(ns);
	assert_int_equal(rtn_open(n, &e), 0);
	if (network_set(n, NULL, -1, was, next, &gone, &e) < 0)
		fail_msg("%s", e.msg);
	rtn_close(n);
	free(n);
	return gone;
}

static void show(int ns, const char *name)
{
	go(ns);
	printf("# %s\n", name);
	sh("ip addr; ip route show table all; ip -6 route show table all; ip neigh; ip -6 neigh");
	fflush(stdout);
}

static void same_here_and_there(void **state)
{
	struct buf m = BUF_INIT(NET_MAX_STATE), again = BUF_INIT(NET_MAX_STATE), less = BUF_INIT(NET_MAX_STATE);
	struct network_gone gone;
	pb_network *net, *fewer;

	(void)state;
	go(a);
	assert_int_equal(
		sh(LINK("eth0", MAC(1), "end1") LINK("net1", MAC(2), "end2") LINK("down0", MAC(3), "end3")
		   "ip link set eth0 mtu 1400 up; ip link set net1 arp off up;"
		   "ip addr add 10.1.0.2/24 broadcast 10.1.0.255 dev eth0; ip addr add 10.1.0.3/32 dev eth0 scope link;"
		   "ip addr add 192.0.2.1 peer 192.0.2.9/32 dev net1;"
		   "ip -6 addr add fd00:1::2/64 dev eth0 nodad;"
		   "ip route add default via 10.1.0.1 dev eth0; ip route add default via 10.1.0.254 dev eth0 metric 50;"
		   "ip route add 198.51.100.0/24 via 203.0.113.1 dev eth0 onlink src 10.1.0.2 mtu 1300 table 100;"
		   "ip route add 10.9.0.0/16 dev net1 scope link; ip route add blackhole 10.66.0.0/16;"
		   "ip route add 10.8.0.0/16 nexthop via 10.1.0.1 dev eth0 weight 3 nexthop dev net1 weight 1;"
		   /* The first of two counts. */
		   "ip route add 10.5.0.0/16 via 10.1.0.254; ip route append 10.5.0.0/16 via 10.1.0.1;"
		   "ip -6 route add default via fd00:1::1 dev eth0 metric 77; ip -6 route add fd00:9::/64 dev eth0;"
		   "ip rule add from 10.1.0.2 lookup 100 priority 1000; ip rule add fwmark 5/7 iif eth0 lookup 300;"
		   "ip -6 rule add to fd00:9::/64 lookup 100 priority 77; ip rule add to 10.250.0.0/16 prohibit priority 9;"
		   "ip rule add ipproto tcp dport 80 lookup 100 priority 2000;"
		   "ip rule add sport 1000-2000 lookup 100 priority 2001;"
		   "ip rule add not fwmark 0xca6c lookup 51820 priority 2002;"
		   "ip -6 rule add not from fd00::/8 prohibit priority 78;"
		   "ip rule add lookup main suppress_prefixlength 0 priority 2003;"
		   "ip rule add tos 0x10 lookup 100 priority 2004;"
		   /* Left out, as they narrow what the message cannot. */
		   "ip rule add uidrange 5-6 lookup 100; ip rule add lookup 100 suppress_ifgroup 5; ip rule add goto 32766;"
		   "ip neigh add 10.1.0.77 lladdr 02:11:22:33:44:55 dev eth0 nud permanent;"
		   "ip -6 neigh add fd00:1::77 lladdr 02:11:22:33:44:56 dev eth0 nud permanent;"),
		0);
	go(b);
	/* Their names are crossed, and one more has an address that belongs to nobody. */
	assert_int_equal(sh(LINK("net1", MAC(1), "end4") LINK("eth0", MAC(2), "end5") LINK("mine", MAC(9), "end6")), 0);
	list(a, &m, 2);
	net = unpack(&m);
	assert_int_equal(net->n_interfaces, 2);
	assert_int_equal(net->interfaces[0]->mtu, 1400);
	assert_true(net->interfaces[1]->no_arp);
	assert_int_equal(net->n_neighbours, 2);
	assert_int_equal(net->n_rules, 10);
	make_so(b, NULL, net);
	list(b, &again, 2);
	if (again.len != m.len || memcmp(again.data, m.data, m.len) != 0) {
		show(a, "here");
		show(b, "there");
		fail_msg("it is not the same there");
	}
	go(b);
	assert_int_equal(sh("for i in eth0 net1; do ip -6 route show fe80::/64 dev $i | grep -q fe80; done"), 0);
	/* Told again: nothing happens. What goes takes its own with it, and nothing of the container's. */
	make_so(b, net, net);
	go(b);
	assert_int_equal(sh("ip addr add 10.1.0.99/24 dev eth0; ip route add 10.77.0.0/16 dev eth0"), 0);
	go(a);
	assert_int_equal(sh("ip addr del 10.1.0.3/32 dev eth0; ip route del default via 10.1.0.254; ip route del 10.9.0.0/16;"
			    "ip link set net1 down; for i in 1000 2000 2003; do ip rule del priority $i; done;"
			    "ip neigh del 10.1.0.77 dev eth0; ip link set eth0 mtu 1450"), 0);
	list(a, &less, 1);
	fewer = unpack(&less);
	gone = make_so(b, net, fewer);
	assert_int_equal(gone.n, 1);
	assert_string_equal(gone.name[0], "net1");
	go(b);
	assert_int_equal(sh("ip addr show dev eth0 | grep -q 10.1.0.99; ip route | grep -q 10.77.0.0;"
			    "! ip addr | grep -q 10.1.0.3/; ! ip route | grep -q 10.1.0.254; ! ip route | grep -q 10.9.0.0;"
			    "! ip neigh | grep -q 10.1.0.77; ip -6 neigh show nud permanent | grep -q fd00:1::77;"
			    "! ip rule | grep -q 1000:; ip rule | grep -q 10.250; ip rule | grep -q 2002:;"
			    "! ip rule | grep -q 2003:; ! ip rule | grep -q 2000:;"
			    "ip link show eth0 | grep -q 'mtu 1450'; ! ip link show up | grep -q net1"), 0);
	husk__agent__v1__update_network_request__free_unpacked(net, NULL);
	husk__agent__v1__update_network_request__free_unpacked(fewer, NULL);
	buf_free(&m);
	buf_free(&again);
	buf_free(&less);
}

/* A device that is not there yet is asked for again later; nothing was done then. */
static void not_there_yet(void **state)
{
	struct buf m = BUF_INIT(NET_MAX_STATE);
	struct rtn *n = calloc(1, sizeof(*n));
	struct err e = ERR_INIT;
	pb_network *net;

	(void)state;
	list(a, &m, 1);
	net = unpack(&m);
	net->interfaces[0]->mac.data[5] = 0x42;
	go(b);
	assert_int_equal(rtn_open(n, &e), 0);
	assert_int_equal(network_set(n, NULL, -1, NULL, net, NULL, &e), -EAGAIN);
	check_contains(e.msg, "interface eth0: no device has its address 02:00:00:00:00:42");
	/* Into a namespace of its own, from where devices turn up. */
	assert_int_equal(sh(LINK("new0", "02:00:00:00:00:42", "end7")), 0);
	{
		int c = new_netns();
		struct rtn *there = calloc(1, sizeof(*there));

		assert_int_equal(rtn_open(there, &e), 0);
		if (network_set(there, n, c, NULL, net, NULL, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(sh("ip link show up | grep -q eth0; ip route | grep -q default"), 0);
		rtn_close(there);
		free(there);
		close(c);
	}
	rtn_close(n);
	free(n);
	husk__agent__v1__update_network_request__free_unpacked(net, NULL);
	buf_free(&m);
}

/* What cannot be carried is named. */
static void refused(void **state)
{
	struct nl_sock *sk;
	struct net_scan s;
	struct err e = ERR_INIT;
	int c = new_netns();

	(void)state;
	assert_int_equal(sh("ip tuntap add dev tun9 mode tun; ip link set tun9 up"), 0);
	sk = sock_in(c);
	assert_int_equal(scan_links(sk, NULL, 0, true, &s, &e), -EINVAL);
	check_contains(e.msg, "interface tun9: a virtual machine cannot have one that is not Ethernet");
	/* A running container goes without it. */
	assert_int_equal(scan_links(sk, NULL, 0, false, &s, &e), 0);
	assert_int_equal(s.n, 0);
	check_contains(s.without, "interface tun9: ");
	assert_int_equal(sh("ip link set tun9 down"), 0);
	assert_int_equal(sh(LINK("d1", "02:00:00:00:00:88", "end88") LINK("d2", "02:00:00:00:00:88", "end89")
			    "ip link set d1 up; ip link set d2 up"), 0);
	assert_int_equal(scan_links(sk, NULL, 0, true, &s, &e), -EINVAL);
	check_contains(e.msg, "interface d2: has the hardware address of d1, which a virtual machine cannot have twice");
	assert_int_equal(scan_links(sk, NULL, 0, false, &s, &e), 0);
	assert_int_equal(s.n, 1);
	check_contains(s.without, "interface d2: ");
	assert_int_equal(sh("ip link del d1; ip link del d2"), 0);
	assert_int_equal(scan_links(sk, NULL, 0, true, &s, &e), 0);
	assert_int_equal(s.n, 0);
	/* Ours are nobody's. */
	assert_int_equal(sh("ip tuntap add dev husk0 mode tap; ip link set husk0 up"), 0);
	assert_int_equal(scan_links(sk, NULL, 0, true, &s, &e), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(scan_links(sk, &s.link[0].index, 1, true, &s, &e), 0);
	assert_int_equal(s.n, 0);
	nl_socket_free(sk);
	close(c);
}

/* A device of one namespace with its addresses to another, under another name. */
static void moved(void **state)
{
	struct net_device d = { .host = "phys0", .name = "eth7" };
	struct err e = ERR_INIT;
	int from = new_netns(), to;
	struct nl_sock *host, *there;

	(void)state;
	assert_int_equal(sh(LINK("phys0", "02:00:00:00:00:77", "end77") "ip addr add 10.7.0.2/24 dev phys0;"
			    "ip -6 addr add fd07::2/64 dev phys0 nodad; ip link set phys0 up"), 0);
	host = sock_in(from);
	to = new_netns();
	there = sock_in(to);
	if (devices_move(host, there, to, &d, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(sh("ip link show up | grep -q eth7; ip addr show dev eth7 | grep -q 10.7.0.2/24;"
			    "ip addr show dev eth7 | grep -q fd07::2/64"), 0);
	assert_int_equal(devices_move(host, there, to, &d, &e), -ENODEV);
	check_contains(e.msg, "netDevices: phys0: no such device");
	nl_socket_free(host);
	nl_socket_free(there);
	close(from);
	close(to);
}

/* ---- the agent's checks: each case is one step from what passes ---------------------------------------------- */

struct sample {
	pb_network m;
	Husk__Agent__V1__Interface f[2], *fs[AGENT_MAX_INTERFACES + 1];
	Husk__Agent__V1__Address addr, *addrs[AGENT_MAX_ADDRESSES + 1];
	Husk__Agent__V1__Route r, *rs[AGENT_MAX_ROUTES + 1];
	Husk__Agent__V1__NextHop h, *hs[AGENT_MAX_HOPS + 1];
	Husk__Agent__V1__Neighbour b, *bs[1];
	Husk__Agent__V1__Rule rule, *rules[AGENT_MAX_RULES + 1];
	uint8_t mac[2][6], ip[16];
};

static void good(struct sample *s)
{
	memset(s, 0, sizeof(*s));
	husk__agent__v1__update_network_request__init(&s->m);
	s->m.container_id = str("c");
	for (int i = 0; i < 2; i++) {
		husk__agent__v1__interface__init(&s->f[i]);
		s->f[i].name = i ? str("eth1") : str("eth0");
		s->mac[i][0] = 2;
		s->mac[i][5] = (uint8_t)i;
		s->f[i].mac = (ProtobufCBinaryData){ 6, s->mac[i] };
		s->f[i].mtu = 1500;
		s->fs[i] = &s->f[i];
	}
	s->m.n_interfaces = 2;
	s->m.interfaces = s->fs;
	husk__agent__v1__address__init(&s->addr);
	s->addr.local = (ProtobufCBinaryData){ 4, s->ip };
	s->addr.prefix_length = 24;
	for (size_t i = 0; i < ARRAY_SIZE(s->addrs); i++)
		s->addrs[i] = &s->addr;
	s->f[0].addresses = s->addrs;
	s->f[0].n_addresses = 1;
	husk__agent__v1__next_hop__init(&s->h);
	s->h.device = str("eth0");
	for (size_t i = 0; i < ARRAY_SIZE(s->hs); i++)
		s->hs[i] = &s->h;
	husk__agent__v1__route__init(&s->r);
	s->r.hops = s->hs;
	s->r.n_hops = 1;
	s->r.table = 254;
	s->r.type = 1;
	for (size_t i = 0; i < ARRAY_SIZE(s->rs); i++)
		s->rs[i] = &s->r;
	s->m.routes = s->rs;
	s->m.n_routes = 1;
	husk__agent__v1__neighbour__init(&s->b);
	s->b.device = str("eth0");
	s->b.address = s->addr.local;
	s->b.mac = s->f[0].mac;
	husk__agent__v1__rule__init(&s->rule);
	s->rule.source = s->addr.local;
	s->rule.source_length = 32;
	s->rule.table = 100;
	s->rule.action = 1;
	for (size_t i = 0; i < ARRAY_SIZE(s->rules); i++)
		s->rules[i] = &s->rule;
	s->m.rules = s->rules;
	s->m.n_rules = 1;
	s->bs[0] = &s->b;
	s->m.neighbours = s->bs;
	s->m.n_neighbours = 1;
}

#define BAD(why, change, code, text)                                     \
	do {                                                             \
		struct err bad_e = ERR_INIT;                             \
		good(s);                                                 \
		assert_int_equal(network_check(&s->m, &bad_e), 0);       \
		change;                                                  \
		if (network_check(&s->m, &bad_e) != -(code))             \
			fail_msg("passed, or otherwise: %s: %s", why, bad_e.msg); \
		check_contains(bad_e.msg, text);                         \
	} while (0)

static void checks(void **state)
{
	struct sample *s = calloc(1, sizeof(*s));

	(void)state;
	BAD("no container", s->m.container_id = str(""), EINVAL, "container_id");
	BAD("a path for a name", s->f[0].name = str("a/b"), EINVAL, "interfaces.name");
	BAD("a long name", s->f[1].name = str("abcdefghijklmnop"), EINVAL, "interfaces.name");
	BAD("the loopback", s->f[1].name = str("lo"), EINVAL, "interfaces.name");
	BAD("a group's address", s->mac[0][0] = 3, EINVAL, "interfaces.mac");
	BAD("half an address", s->f[0].mac.len = 5, EINVAL, "interfaces.mac");
	BAD("two of a name", s->f[1].name = str("eth0"), EINVAL, "interface eth0: another has its name");
	BAD("two of an address", s->mac[1][5] = 0, EINVAL, "interface eth1: another has its name or its address");
	BAD("a small MTU", s->f[0].mtu = 67, EINVAL, "interfaces.mtu");
	BAD("a large MTU", s->f[0].mtu = 65536, EINVAL, "interfaces.mtu");
	BAD("many interfaces", s->m.n_interfaces = AGENT_MAX_INTERFACES + 1, ENOSPC, "more than 32 interfaces");
	BAD("many addresses", s->f[0].n_addresses = AGENT_MAX_ADDRESSES + 1, ENOSPC, "interface eth0: too many");
	BAD("five bytes", s->addr.local.len = 5, EINVAL, "interfaces.addresses");
	BAD("a long prefix", s->addr.prefix_length = 33, EINVAL, "interfaces.addresses");
	BAD("a peer of another kind", s->addr.peer = ((ProtobufCBinaryData){ 16, s->ip }), EINVAL, "interfaces.addresses");
	BAD("many routes", s->m.n_routes = AGENT_MAX_ROUTES + 1, ENOSPC, "more than 1024 routes");
	BAD("a route to nowhere", s->r.n_hops = 0, EINVAL, "routes.hops");
	BAD("many hops", s->r.n_hops = AGENT_MAX_HOPS + 1, EINVAL, "routes.hops");
	BAD("a hop without weight", s->r.n_hops = 2, EINVAL, "routes.hops");
	BAD("a hop on nothing", s->h.device = str("eth2"), EINVAL, "routes.hops.device");
	BAD("a gateway on nothing", { s->h.device = str(""); s->h.gateway = s->addr.local; }, EINVAL, "routes.hops.device");
	BAD("flags", s->h.flags = 1, EINVAL, "routes.hops");
	BAD("destination of another kind", { s->r.ipv6 = 1; s->r.destination = s->addr.local; s->r.prefix_length = 8; }, EINVAL,
	    "routes.destination");
	BAD("a prefix of nothing", s->r.prefix_length = 8, EINVAL, "routes.destination");
	BAD("no table", s->r.table = 0, EINVAL, "routes.type");
	BAD("no type", s->r.type = 12, EINVAL, "routes.type");
	BAD("many rules", s->m.n_rules = AGENT_MAX_RULES + 1, ENOSPC, "more than 256 rules");
	BAD("a rule's long prefix", s->rule.source_length = 33, EINVAL, "rules.source");
	BAD("a rule's address of another kind", s->rule.ipv6 = 1, EINVAL, "rules.source");
	BAD("a rule's interface", s->rule.input = str("a/b"), EINVAL, "rules.input");
	BAD("a rule's action", s->rule.action = 2, EINVAL, "rules.action");
	BAD("a rule's type of service", s->rule.tos = 256, EINVAL, "rules.tos");
	BAD("a rule's protocol", s->rule.ip_protocol = 256, EINVAL, "rules.tos");
	BAD("a rule's ports", (s->rule.source_port = 9, s->rule.source_port_last = 8), EINVAL, "rules.ports");
	BAD("a rule's last port alone", s->rule.destination_port_last = 8, EINVAL, "rules.ports");
	BAD("a rule's port", (s->rule.source_port = 9, s->rule.source_port_last = 65536), EINVAL, "rules.ports");
	BAD("a rule's suppressor", s->rule.suppress = 34, EINVAL, "rules.suppress");
	BAD("a rule without a table", s->rule.table = 0, EINVAL, "rules.table");
	BAD("a neighbour of nobody", s->b.device = str("eth2"), EINVAL, "neighbours");
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_here_and_there),
		cmocka_unit_test(not_there_yet),
		cmocka_unit_test(refused),
		cmocka_unit_test(moved),
		cmocka_unit_test(checks),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
