/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taps as husk-vmm opens or makes them: that takes CAP_NET_ADMIN in this network namespace, unless
 * somebody has made the interface and given it to this user.
 */
#ifndef VMM_FRONT_TAP_OPEN_H
#define VMM_FRONT_TAP_OPEN_H

#include "vmm/front/net_option.h"

struct tap_link {
	int fd[NET_OPTION_PAIRS]; /* -1 beyond @n */
	unsigned n;
	unsigned offloads; /* TAP_… */
	uint16_t mtu;      /* 0: unknown */
};

/* As @o says: opens its interface, makes and configures it when it is not there, or looks at the descriptors
 * that were given, which are copied. */
int tap_open(const struct net_option *o, struct tap_link *ret, struct err *e);
void tap_close(struct tap_link *t);
/* @n descriptors of vhost-net: each serves one machine, so each machine gets its own. On failure none. */
int tap_open_vhost(int *fds, unsigned n, struct err *e);

#endif
