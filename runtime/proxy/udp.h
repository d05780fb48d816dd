/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams to the container's network namespace itself: see udp.c. On the loop's thread. */
#ifndef RUNTIME_PROXY_UDP_H
#define RUNTIME_PROXY_UDP_H

#include "lib/evloop.h"

struct udp_relay;

/* @dial: connects to the agent's AGENT_PORT_UDP: the descriptor; -EINPROGRESS, and udp_dialled() follows; or another -errno.
 * Called with @arg when there is something to say, which waits for the connection. NULL: out of memory. */
struct udp_relay *udp_new(struct evloop *l, int (*dial)(void *arg), void *arg);
/* @fd: taken; negative: it cannot be had for now. */
void udp_dialled(struct udp_relay *u, int fd);
void udp_free(struct udp_relay *u); /* NULL is fine */
/* Sockets as runtime/net/steer.h has them, of @family 4 or 6, are taken in any case. */
int udp_add(struct udp_relay *u, unsigned family, int in, int out);
/* What the agent's connection brought. -EBADMSG: the guest broke the protocol. For tests; the loop calls it. */
int udp_input(struct udp_relay *u, const uint8_t *data, size_t len);

#endif
