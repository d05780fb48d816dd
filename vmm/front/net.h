/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of husk-vmm: taps opened once, and handed to the first machine and to each that follows it when
 * the guest resets itself.
 */
#ifndef VMM_FRONT_NET_H
#define VMM_FRONT_NET_H

#include "vmm/control/native_client.h"
#include "vmm/front/tap_open.h"

struct front_net {
	struct tap_link link;
	char id[32];
	uint8_t mac[6]; /* the guest's */
	struct nc_net net; /* as it is described */
	int slot;
	bool vhost;
};

/* @index: of the option, for the id. On failure nothing stays open. */
int front_net_open(struct front_net *n, const struct net_option *o, unsigned index, struct err *e);
void front_net_close(struct front_net *n);
/* -ENOSPC: no room for another device. */
int front_net_describe(const struct front_net *n, struct ncl_desc *d, struct err *e);
/* After the machine was made, before it runs. */
int front_net_attach(const struct front_net *n, struct ncl *c, int timeout_ms, struct err *e);

#endif
