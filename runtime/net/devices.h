/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_NET_DEVICES_H
#define RUNTIME_NET_DEVICES_H

#include <netlink/netlink.h>

#include "lib/err.h"
#include "runtime/net/wire.h"

/* From the namespace of @host to @netns, which @there is in; global addresses go along, and it is up then. -ENODEV: no such.
 * The text begins with the field's name. */
int devices_move(struct nl_sock *host, struct nl_sock *there, int netns, const struct net_device *d, struct err *e);

#endif
