// SPDX-License-Identifier: Apache-2.0
/*
 * What a hostile guest says to its neighbours on eth0: questions and answers of ARP, solicitations and router advertisements of
 * IPv6 from senders that there are not, and IP headers that lie about their lengths.
 */
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/guest/guest.h"

static pid_t child;

/* A new sender in each: xorshift, so that runs are alike. */
static uint32_t any(void)
{
	static uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static void put16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put_any(uint8_t *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)any();
}

static size_t ethernet(uint8_t *f, unsigned type)
{
	memset(f, 0xff, 6);
	put_any(f + 6, 6);
	f[6] = 2;
	put16(f + 12, type);
	return 14;
}

/* RFC 826, about 10.7.0.1: who it is (1), or that it is somebody else (2). */
static size_t arp(uint8_t *f, unsigned op)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0 }, host[] = { 10, 7, 0, 1 };
	uint8_t *p = f + ethernet(f, ETH_P_ARP);

	memcpy(p, head, sizeof(head));
	p[7] = (uint8_t)op;
	memcpy(p + 8, f + 6, 6);
	memcpy(p + 14, host, 4);
	if (op == 1)
		put_any(p + 17, 1);
	memset(p + 18, 0, 6);
	memcpy(p + 24, host, 4);
	return 14 + 28;
}

static void checksum(uint8_t *ip, size_t len)
{
	uint32_t sum = 58 + (uint32_t)len;

	for (size_t i = 8; i < 40 + len; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 42, ~sum & 0xffff);
}

/* RFC 4861, to all nodes: a router that is none with a prefix that is none (134), a solicitation (135). */
static size_t icmp6(uint8_t *f, unsigned type)
{
	const size_t len = type == 134 ? 16 + 32 : 24 + 8;
	uint8_t *ip = f + ethernet(f, ETH_P_IPV6), *p = ip + 40;

	memset(ip, 0, 40 + len);
	ip[0] = 0x60;
	put16(ip + 4, (unsigned)len);
	ip[6] = 58;
	ip[7] = 255;
	put16(ip + 8, 0xfe80);
	put_any(ip + 16, 8);
	put16(ip + 24, 0xff02);
	ip[39] = 1;
	p[0] = (uint8_t)type;
	if (type == 134) {
		static const uint8_t prefix[] = { 3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0xfd };

		put16(p + 6, 1800);
		memcpy(p + 16, prefix, sizeof(prefix));
		put_any(p + 16 + sizeof(prefix), 7);
	} else {
		put16(p + 8, 0xfe80);
		put_any(p + 16, 8);
		p[24] = 1;
		p[25] = 1;
		memcpy(p + 26, f + 6, 6);
	}
	checksum(ip, len);
	return 14 + 40 + len;
}

static size_t lie(uint8_t *f, unsigned type)
{
	size_t len = 1 + any() % 1000;

	ethernet(f, type);
	put_any(f + 14, len);
	f[14] = type == ETH_P_IP ? 0x4f : 0x60;
	return 14 + len;
}

static size_t frame(uint8_t *f)
{
	switch (any() % 6) {
	case 0:
		return arp(f, 1);
	case 1:
		return arp(f, 2);
	case 2:
		return icmp6(f, 134);
	case 3:
		return icmp6(f, 135);
	case 4:
		return lie(f, ETH_P_IPV6);
	default:
		return lie(f, ETH_P_IP);
	}
}

void noise_begin(const char *count)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth0") };
	static uint8_t f[1514];
	int n = atoi(count), sent = 0;

	child = fork();
	if (child)
		return;
	int s = socket(AF_PACKET, SOCK_RAW, 0);

	for (int i = 0; i < n; i++) {
		size_t len = frame(f);

		sent += sendto(s, f, len, 0, (const struct sockaddr *)&to, sizeof(to)) == (ssize_t)len;
	}
	say(sent ? "noise: ok, %d frames" : "noise: FAILED, %d frames", sent);
	_exit(0);
}

void noise_end(void)
{
	waitpid(child, NULL, 0);
}
