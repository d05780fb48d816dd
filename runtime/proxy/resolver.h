/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's end of the questions to name servers: see resolver.c. */
#ifndef RUNTIME_PROXY_RESOLVER_H
#define RUNTIME_PROXY_RESOLVER_H

#include "lib/evloop.h"

struct resolver;

/* @channel: connected to the agent, the resolver's on success; @addr: @n servers, network byte order. NULL: out of memory. */
struct resolver *resolver_new(struct evloop *l, int channel, const uint32_t *addr, uint32_t n);
/* @fn: the agent has closed the channel, and nothing comes of this one any more; free it, but not in there. One that broke the
 * protocol is not told of. */
void resolver_on_end(struct resolver *r, void (*fn)(void *arg), void *arg);
void resolver_free(struct resolver *r); /* NULL is fine */
/* What the channel brought. -EBADMSG: the guest broke the protocol. For tests; the loop calls it. */
int resolver_input(struct resolver *r, const uint8_t *data, size_t len);

#endif
