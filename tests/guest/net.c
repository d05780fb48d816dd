// SPDX-License-Identifier: Apache-2.0
/*
 * The test guest's words about networks; fields are separated by slashes:
 *
 *	net:ADDR               gives eth0 the address (of a /24), sets it up, waits for its carrier
 *	ping:ADDR              one ICMP echo
 *	put:ADDR/PORT/MIB/N    N TCP connections at once, each sends so much of the pattern, and gets "ok"
 *	get:ADDR/PORT/MIB/N    each receives and compares so much
 *	spray:ADDR/PORT/N/LEN  N UDP datagrams
 *	turns:ADDR/PORT/N/LEN  N UDP datagrams that each wait for an answer
 *	flood:ADDR/PORT/N/LEN  N UDP datagrams, then asks the other end how many it got
 *	noise:N                N frames of a hostile neighbour, beside the words that follow
 *	quiet:                 waits for the end of that
 *	offload:on|off         what eth0 leaves to its device
 *	feature:NAME/on|off    a feature of eth0 that has a name alone, such as rx-gro-hw
 *	pairs:N                queue pairs of eth0 in use
 *	mac:LAST               eth0's address: 02:00:00:00:00:LAST
 *	hot:N                  N times: waits for an eth0 to appear, looking for it; pings its first address + 1;
 *	                       lets go of it
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "tests/guest/guest.h"

#define BLOCK 65536

static unsigned char block[BLOCK];

static struct ifreq eth0(void)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	strcpy(r.ifr_name, "eth0");
	return r;
}

static int request(unsigned long cmd, struct ifreq *r)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), rc = ioctl(s, cmd, r);

	close(s);
	return rc;
}

static void doze(unsigned ms)
{
	const struct timespec t = { .tv_nsec = (long)ms * 1000000 };

	nanosleep(&t, NULL);
}

static unsigned long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long)t.tv_sec * 1000000 + (unsigned long)t.tv_nsec / 1000;
}

/* At once: IFF_RUNNING follows up to a second later. */
static bool await_carrier(char want, unsigned ms)
{
	for (; ms; ms -= 10) {
		int fd = open("/sys/class/net/eth0/carrier", O_RDONLY);
		char now = 0;
		bool there = fd >= 0 && read(fd, &now, 1) == 1 && now == want;

		close(fd);
		if (there)
			return true;
		doze(10);
	}
	return false;
}

static bool set_up(const char *addr)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(addr) };
	struct sockaddr_in m = { .sin_family = AF_INET,
				 .sin_addr.s_addr = inet_addr("255.255.255.0") };
	struct ifreq r = eth0();

	memcpy(&r.ifr_addr, &a, sizeof(a));
	if (request(SIOCSIFADDR, &r) < 0)
		return false;
	memcpy(&r.ifr_addr, &m, sizeof(m));
	if (request(SIOCSIFNETMASK, &r) < 0 || request(SIOCGIFFLAGS, &r) < 0)
		return false;
	r.ifr_flags |= IFF_UP;
	return request(SIOCSIFFLAGS, &r) == 0;
}

static void do_net(const char *addr)
{
	struct ifreq r = eth0();

	if (!set_up(addr))
		say("net: FAILED %s", strerror(errno));
	else if (!await_carrier('1', 5000))
		say("net: FAILED no carrier");
	else if (request(SIOCGIFMTU, &r) == 0)
		say("net: ok, mtu %d", r.ifr_mtu);
}

static unsigned short sum16(const void *p, size_t len)
{
	const unsigned short *w = p;
	unsigned sum = 0;

	for (; len > 1; len -= 2)
		sum += *w++;
	return (unsigned short)~(sum + (sum >> 16));
}

static bool ping(const char *addr)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(addr) };
	const struct timeval second = { .tv_sec = 1 };
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	bool ok = false;

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	for (unsigned tries = 0; tries < 5 && !ok; tries++) {
		struct icmphdr h = { .type = ICMP_ECHO };
		unsigned char got[256];
		ssize_t n;

		h.un.echo.id = (unsigned short)(getpid() + 77);
		h.checksum = sum16(&h, sizeof(h));
		if (sendto(s, &h, sizeof(h), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			continue;
		while (!ok && (n = recv(s, got, sizeof(got), 0)) >= 28)
			ok = got[20] == ICMP_ECHOREPLY && memcmp(got + 24, &h.un.echo.id, 2) == 0;
	}
	close(s);
	return ok;
}

/* --- streams ----------------------------------------------------------------------------------------- */

struct target {
	char addr[32];
	int port, count, more;
};

static bool parse(const char *text, struct target *t)
{
	return sscanf(text, "%31[0-9.]/%d/%d/%d", t->addr, &t->port, &t->count, &t->more) == 4;
}

static void fill_block(void)
{
	for (unsigned i = 0; i < BLOCK; i++)
		block[i] = (unsigned char)(i * 7 + (i >> 8));
}

static bool put(int s, int mib)
{
	char answer[2];

	for (int i = 0; i < mib * 16; i++)
		for (size_t off = 0; off < BLOCK;) {
			ssize_t n = write(s, block + off, BLOCK - off);

			if (n <= 0)
				return false;
			off += (size_t)n;
		}
	shutdown(s, SHUT_WR);
	return recv(s, answer, 2, MSG_WAITALL) == 2 && memcmp(answer, "ok", 2) == 0;
}

static bool get(int s, int mib)
{
	static unsigned char got[BLOCK];

	for (int i = 0; i < mib * 16; i++)
		if (recv(s, got, BLOCK, MSG_WAITALL) != BLOCK || memcmp(got, block, BLOCK) != 0)
			return false;
	return true;
}

static int stream(const struct target *t, bool (*run)(int s, int mib))
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((unsigned short)t->port),
				  .sin_addr.s_addr = inet_addr(t->addr) };
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(s, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 2;
	return run(s, t->count) ? 0 : 1;
}

static void streams(const char *name, const char *text, bool (*run)(int s, int mib))
{
	unsigned long start = now_us();
	struct target t;
	int status, bad = 0;

	if (!parse(text, &t)) {
		say("%s: FAILED %s", name, text);
		return;
	}
	fill_block();
	for (int i = 0; i < t.more; i++)
		if (fork() == 0)
			_exit(stream(&t, run));
	while (wait(&status) > 0)
		bad |= status;
	if (bad)
		say("%s: FAILED status %#x", name, bad);
	else
		say("%s: ok, %d MiB in each of %d, %lu us", name, t.count, t.more,
		    now_us() - start);
}

#define LATE_S 20

/* @late: how many seconds more the answers to come may be late, all in all. */
static bool answered(int s, int len, int *late)
{
	static unsigned char answer[BLOCK];

	for (;;) {
		ssize_t n = recv(s, answer, sizeof(answer), 0);

		if (n >= 0 || errno != EAGAIN || *late == 0)
			return n == len;
		--*late;
	}
}

/* A socket for datagrams to @t, which waits a second for an answer; -1. */
static int datagram_socket(const struct target *t)
{
	const struct timeval second = { .tv_sec = 1 };
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons((unsigned short)t->port),
					.sin_addr.s_addr = inet_addr(t->addr) };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (connect(s, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return s;
	close(s);
	return -1;
}

/* One way, or with an answer to each. */
static void datagrams(const char *name, const char *text, bool turns)
{
	int s, done = 0, late = LATE_S;
	unsigned long start;
	struct target t;

	if (!parse(text, &t))
		return;
	s = datagram_socket(&t);
	if (s < 0)
		return;
	start = now_us();
	for (int i = 0; i < t.count; i++)
		done += send(s, block, (size_t)t.more, 0) == t.more &&
			(!turns || answered(s, t.more, &late));
	say("%s: ok, %d of %d, %lu us", name, done, t.count, now_us() - start);
	close(s);
}

/*
 * A datagram of one byte asks for the number of those received since the last such question, as decimal text: what
 * a queue on the way dropped is not counted, and the time runs until the last one has been taken.
 */
static int ask_received(int s)
{
	char answer[16] = "";

	for (int tries = 0; tries < 5; tries++)
		if (send(s, "?", 1, 0) == 1 && recv(s, answer, sizeof(answer) - 1, 0) > 0)
			return atoi(answer);
	return -1;
}

static void flood(const char *text)
{
	unsigned long start;
	struct target t;
	int s, received;

	if (!parse(text, &t))
		return;
	s = datagram_socket(&t);
	if (s < 0 || ask_received(s) < 0) {
		say("flood: FAILED no answer");
		return;
	}
	start = now_us();
	for (int i = 0; i < t.count; i++)
		if (send(s, block, (size_t)t.more, 0) != t.more)
			say("flood: FAILED %s", strerror(errno));
	received = ask_received(s);
	say("flood: ok, %d of %d, %lu us", received, t.count, now_us() - start);
	close(s);
}

/* --- settings ---------------------------------------------------------------------------------------- */

static int ethtool(void *cmd)
{
	struct ifreq r = eth0();

	r.ifr_data = cmd;
	return request(SIOCETHTOOL, &r);
}

#define FEATURES_MAX 128

/* One of those that have a name alone. */
static bool set_feature(const char *name, bool on, int *ret_left)
{
	static struct {
		struct ethtool_gstrings h;
		char text[FEATURES_MAX][ETH_GSTRING_LEN];
	} s = { .h = { .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES } };
	struct {
		struct ethtool_sfeatures h;
		struct ethtool_set_features_block b[FEATURES_MAX / 32];
	} set = { .h = { .cmd = ETHTOOL_SFEATURES, .size = FEATURES_MAX / 32 } };

	if (ethtool(&s) < 0)
		return false;
	for (unsigned i = 0; i < s.h.len && i < FEATURES_MAX; i++)
		if (!strcmp(s.text[i], name)) {
			set.b[i / 32].valid = 1u << (i % 32);
			set.b[i / 32].requested = on ? 1u << (i % 32) : 0;
			set.h.size = (s.h.len + 31) / 32;
			*ret_left = ethtool(&set);
			return *ret_left == 0;
		}
	errno = ENOENT;
	return false;
}

static void do_offload(bool on)
{
	static const unsigned cmds[] = { ETHTOOL_STXCSUM, ETHTOOL_SSG, ETHTOOL_STSO };

	for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		struct ethtool_value v = { .cmd = cmds[i], .data = on };

		if (ethtool(&v) < 0) {
			say("offload: FAILED %#x: %s", cmds[i], strerror(errno));
			return;
		}
	}
	say("offload: ok, %s", on ? "on" : "off");
}

static void do_feature(const char *text)
{
	char name[ETH_GSTRING_LEN];
	int left = 0;

	if (sscanf(text, "%31[^/]/", name) != 1)
		return;
	if (set_feature(name, strstr(text, "/on"), &left))
		say("feature: ok, %s", text);
	else
		say("feature: FAILED %s: %d %s", text, left, strerror(errno));
}

static void do_pairs(int n)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_SCHANNELS, .combined_count = (unsigned)n };
	struct ethtool_channels g = { .cmd = ETHTOOL_GCHANNELS };

	if (ethtool(&c) < 0 || ethtool(&g) < 0)
		say("pairs: FAILED %s", strerror(errno));
	else
		say("pairs: ok, %u of %u", g.combined_count, g.max_combined);
}

static void do_mac(const char *last)
{
	struct ifreq r = eth0();

	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	r.ifr_hwaddr.sa_data[0] = 2;
	r.ifr_hwaddr.sa_data[5] = (char)strtol(last, NULL, 16);
	say(request(SIOCSIFHWADDR, &r) < 0 ? "mac: FAILED %s" : "mac: ok %s", last);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

static bool present(void)
{
	return access("/sys/class/net/eth0", F_OK) == 0;
}

static void do_hot(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		unsigned tries = 0;

		say("hot: looking");
		for (; !present() && tries < 300; tries++) {
			write_file("/sys/bus/pci/rescan", "1");
			doze(20);
		}
		if (!set_up("10.7.0.2") || !await_carrier('1', 5000) || !ping("10.7.0.1")) {
			say("hot: FAILED round %d", i);
			return;
		}
		say("hot: round %d works", i);
		/* The host takes the tap away, and gives it back. */
		if (!await_carrier('0', 20000)) {
			say("hot: FAILED round %d, carrier stays", i);
			return;
		}
		say("hot: carrier gone");
		if (!await_carrier('1', 20000) || !ping("10.7.0.1")) {
			say("hot: FAILED round %d, later", i);
			return;
		}
		if (!write_file("/sys/class/net/eth0/device/../remove", "1") || present()) {
			say("hot: FAILED to let go: %s", strerror(errno));
			return;
		}
		say("hot: let go");
	}
	say("hot: ok");
}

bool net_word(const char *word)
{
	const char *arg = strchr(word, ':');
	size_t len = arg ? (size_t)(arg++ - word) : 0;

#define IS(name) (len == sizeof(name) - 1 && !memcmp(word, name, len))
	if (IS("net"))
		do_net(arg);
	else if (IS("ping"))
		say(ping(arg) ? "ping: ok %s" : "ping: FAILED %s", arg);
	else if (IS("put"))
		streams("put", arg, put);
	else if (IS("get"))
		streams("get", arg, get);
	else if (IS("spray"))
		datagrams("spray", arg, false);
	else if (IS("flood"))
		flood(arg);
	else if (IS("turns"))
		datagrams("turns", arg, true);
	else if (IS("noise"))
		noise_begin(arg);
	else if (IS("quiet"))
		noise_end();
	else if (IS("offload"))
		do_offload(strcmp(arg, "on") == 0);
	else if (IS("feature"))
		do_feature(arg);
	else if (IS("pairs"))
		do_pairs(atoi(arg));
	else if (IS("mac"))
		do_mac(arg);
	else if (IS("hot"))
		do_hot(atoi(arg));
	else
		return false;
	return true;
}
