/* SPDX-License-Identifier: Apache-2.0 */
/* Who has sent datagrams to the container's network namespace, and to where: a table of fixed size (agent-proto/proto/udp.h). */
#ifndef RUNTIME_PROXY_UDP_FLOWS_H
#define RUNTIME_PROXY_UDP_FLOWS_H

#include "agent-proto/proto/udp.h"

/* Compared as bytes: to be cleared first. */
struct udp_addr {
	uint8_t family; /* 4, 6 */
	uint8_t zero;
	uint8_t port[2]; /* network byte order, as the address */
	uint32_t scope; /* of a link-local address */
	uint8_t addr[16];
};

struct udp_flow {
	uint32_t tag; /* 0: free */
	uint64_t used_ns;
	struct udp_addr client, dialled;
};

struct udp_flows {
	struct udp_flow flow[UDP_FLOWS];
	uint32_t round; /* no tag is used again soon */
};

/* The flow of these two, used @now_ns; a new one takes a free place, or that of the one that was not used for longest. */
struct udp_flow *udp_flow_of(struct udp_flows *f, const struct udp_addr *client, const struct udp_addr *dialled, uint64_t now_ns);
/* For an answer, which uses it. NULL: there is none, or none any more. */
struct udp_flow *udp_flow_tagged(struct udp_flows *f, uint32_t tag, uint64_t now_ns);

#endif
