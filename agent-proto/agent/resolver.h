/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name servers that live on the loopback of the host's namespace, where an engine has put them (Docker's is 127.0.0.11).
 * The guest's loopback has nobody there, so the agent listens in their place and hands each question to the host's
 * proxy, which asks them (agent-proto/proto/resolver.h).
 *
 * The servers are those of the container's resolv.conf when its network is told last before its start.
 */
#ifndef AGENT_PROTO_AGENT_RESOLVER_H
#define AGENT_PROTO_AGENT_RESOLVER_H

#include <netinet/in.h>

#include "agent-proto/proto/limits.h"
#include "lib/buf.h"
#include "lib/evloop.h"

struct container;

#define RESOLVER_SLOTS   256 /* questions under way; the oldest goes for a new one */
#define RESOLVER_QUESTION 4096 /* bytes by TCP, the two of its length in it */
#define RESOLVER_CLIENTS 16  /* connections by TCP */

struct resolver;

struct resolver_server {
	struct resolver *r;
	uint32_t addr; /* network byte order */
	struct evsrc udp, tcp; /* fd -1: somebody else has the port */
};

/* Who asks by TCP: one question after the other. */
struct resolver_client {
	struct resolver *r;
	struct evsrc src; /* fd -1: free */
	unsigned server;
	uint16_t tag; /* of its question, while one is under way */
	bool asking;
	size_t got;
	uint8_t *in; /* RESOLVER_QUESTION bytes; NULL with fd -1 */
};

struct resolver {
	struct evloop *loop;
	struct evsrc listen;  /* for the host's connection; fd -1: none */
	struct evsrc channel; /* it */
	uint32_t events;
	struct buf in, out;
	size_t n;
	struct resolver_server server[AGENT_MAX_RESOLVERS];
	struct resolver_slot {
		uint16_t tag; /* 0: free */
		uint8_t server;
		struct sockaddr_in from;
		struct resolver_client *client; /* by TCP */
	} slot[RESOLVER_SLOTS];
	uint16_t last_tag;
	struct resolver_client client[RESOLVER_CLIENTS];
};

/* @listen: a listening socket for the host, the resolver's from now on; -1: none. */
int resolver_init(struct resolver *r, struct evloop *l, int listen);
void resolver_done(struct resolver *r);
/* Listens in the network namespace @netns (-1: this one) for those servers; the ones before are left. */
void resolver_serve(struct resolver *r, int netns, const uint32_t *addr, size_t n);

/* Those that it listens for. */
size_t resolver_serving(const struct resolver *r, uint32_t ret[AGENT_MAX_RESOLVERS]);

/* Addresses (network byte order) of such servers in the resolv.conf of @ct, which has not been started. 127.0.0.1 is not
 * one: a server of the container's own would be there. Returns how many; 0 for a NULL. */
size_t resolver_look(const struct container *ct, uint32_t ret[AGENT_MAX_RESOLVERS]);

#endif
