/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of the host to AGENT_PORT_FORWARD stands for one to a TCP port of the container: it begins with this head,
 * and then the bytes go both ways. The agent closes it when nobody listens there.
 */
#ifndef AGENT_PROTO_PROTO_FORWARD_H
#define AGENT_PROTO_PROTO_FORWARD_H

#include <stdint.h>

struct forward_head {
	uint8_t family;  /* 4, 6 */
	uint8_t zero;
	uint8_t port[2]; /* network byte order, as all of it */
	uint8_t addr[16]; /* of IPv4 the first four bytes; one of the container's own or of its loopback */
};

#endif
