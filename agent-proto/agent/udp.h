/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that somebody sent to the loopback, or an own address, of the host's network namespace: the proxy has taken them
 * there and brings them here (agent-proto/proto/udp.h), where the container listens. A socket a flow, so that who answers
 * answers to it.
 */
#ifndef AGENT_PROTO_AGENT_UDP_H
#define AGENT_PROTO_AGENT_UDP_H

#include "agent-proto/proto/udp.h"
#include "lib/buf.h"
#include "lib/evloop.h"

struct udp_ports {
	struct evloop *loop;
	struct evsrc listen;  /* for the host's connection; fd -1: none */
	struct evsrc channel; /* it */
	uint32_t events;
	struct buf in, out;
	struct udp_port_flow {
		struct udp_ports *all;
		struct evsrc src; /* fd -1: free */
		uint32_t tag;
		uint64_t used_ns;
	} flow[UDP_FLOWS];
	struct evtimer sweep; /* while there are flows */
	bool sweeps;
};

/* @listen: a listening socket for the host, taken; -1: none, and nothing happens here. */
int udp_ports_init(struct udp_ports *u, struct evloop *l, int listen);
void udp_ports_done(struct udp_ports *u);

#endif
