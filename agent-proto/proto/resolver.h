/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel of questions to name servers, a connection of the host to AGENT_PORT_RESOLVER: frames both ways, each a head and
 * a message as DNS over UDP carries it. The agent asks; an answer bears the tag of its question. A question may stay without an
 * answer, as with UDP; the answer to one by TCP without a message says that there is none.
 */
#ifndef AGENT_PROTO_PROTO_RESOLVER_H
#define AGENT_PROTO_PROTO_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOLVER_HEAD        8
#define RESOLVER_MAX_MESSAGE 65535
#define RESOLVER_MIN_MESSAGE 12 /* DNS's own head, which begins with an id of two bytes */

struct resolver_head {
	uint16_t len; /* of the message */
	uint16_t tag; /* the agent's */
	uint8_t server; /* index into UpdateNetworkResponse.resolvers */
	bool tcp;
};

/* Little-endian: len, tag, server, tcp, two zeros. */
static inline void resolver_put(uint8_t out[RESOLVER_HEAD], const struct resolver_head *h)
{
	out[0] = (uint8_t)h->len;
	out[1] = (uint8_t)(h->len >> 8);
	out[2] = (uint8_t)h->tag;
	out[3] = (uint8_t)(h->tag >> 8);
	out[4] = h->server;
	out[5] = h->tcp;
	out[6] = out[7] = 0;
}

/* The frame at the beginning of @len bytes: its size, 0 when it is not whole, -1 when it is none. */
static inline long resolver_get(const uint8_t *p, size_t len, struct resolver_head *ret)
{
	if (len < RESOLVER_HEAD)
		return 0;
	*ret = (struct resolver_head){ .len = (uint16_t)(p[0] | p[1] << 8),
				       .tag = (uint16_t)(p[2] | p[3] << 8),
				       .server = p[4],
				       .tcp = p[5] == 1 };
	if (p[5] > 1 || p[6] || p[7] || (ret->len && ret->len < RESOLVER_MIN_MESSAGE) || (!ret->len && !ret->tcp))
		return -1;
	return len < RESOLVER_HEAD + (size_t)ret->len ? 0 : (long)(RESOLVER_HEAD + ret->len);
}

#endif
