/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams to and from UDP ports of the container, by a connection of the host to AGENT_PORT_UDP: frames both ways, each a
 * head and what one datagram holds. A flow is all that one sender on the host sends to one address and port; the host alone
 * begins some, and says to where with each frame. An answer bears the tag of its flow, and no address. Each end forgets
 * flows, and drops what does not fit, as it likes; neither tells the other.
 */
#ifndef AGENT_PROTO_PROTO_UDP_H
#define AGENT_PROTO_PROTO_UDP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define UDP_HEAD        28
#define UDP_MAX_PAYLOAD 65527
#define UDP_FLOWS       256 /* at a time: a tag's place at both ends is its remainder by this */
#define UDP_IDLE_NS     UINT64_C(60000000000) /* a flow in which nothing was said for so long is forgotten */

struct udp_head {
	uint16_t len; /* of the datagram */
	uint8_t family; /* 4, 6; 0 in an answer */
	uint32_t tag;
	uint8_t port[2]; /* network byte order, as the address */
	uint8_t addr[16]; /* of IPv4 the first four bytes, the others are 0; one of the container's own or of its loopback */
};

/* Little-endian: len, family, a zero, tag; port, two zeros, addr. */
static inline void udp_put(uint8_t out[UDP_HEAD], const struct udp_head *h)
{
	memset(out, 0, UDP_HEAD);
	out[0] = (uint8_t)h->len;
	out[1] = (uint8_t)(h->len >> 8);
	out[2] = h->family;
	for (unsigned i = 0; i < 4; i++)
		out[4 + i] = (uint8_t)(h->tag >> (8 * i));
	memcpy(out + 8, h->port, sizeof(h->port));
	memcpy(out + 12, h->addr, sizeof(h->addr));
}

/* The frame at the beginning of @len bytes: its size, 0 when it is not whole, -1 when it is none. */
static inline long udp_get(const uint8_t *p, size_t len, struct udp_head *ret)
{
	if (len < UDP_HEAD)
		return 0;
	*ret = (struct udp_head){ .len = (uint16_t)(p[0] | p[1] << 8),
				  .family = p[2],
				  .tag = p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24 };
	memcpy(ret->port, p + 8, sizeof(ret->port));
	memcpy(ret->addr, p + 12, sizeof(ret->addr));
	if (ret->len > UDP_MAX_PAYLOAD || (ret->family != 0 && ret->family != 4 && ret->family != 6) || p[3] || p[10] || p[11])
		return -1;
	return len < UDP_HEAD + (size_t)ret->len ? 0 : (long)(UDP_HEAD + ret->len);
}

#endif
