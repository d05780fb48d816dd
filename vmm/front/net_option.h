/* SPDX-License-Identifier: Apache-2.0 */
/* husk-vmm's --net as plain data: Cloud Hypervisor's keys, and vhost and offload_uso. */
#ifndef VMM_FRONT_NET_OPTION_H
#define VMM_FRONT_NET_OPTION_H

#include "lib/err.h"

#define NET_OPTION_PAIRS 16

struct net_option {
	char *id;
	char *tap;                    /* NULL: one is made, vmtapN; or fds are given */
	char *ip, *mask;              /* dotted; of a tap that is made */
	uint8_t mac[6], host_mac[6];  /* all 0: none given */
	uint64_t mtu;                 /* 0: the tap's */
	int fd[NET_OPTION_PAIRS];
	unsigned nfds;
	uint64_t queues, queue_size;  /* queues: two a pair */
	bool csum, tso, ufo, uso, vhost;
	uint64_t bw_size, bw_burst, bw_refill, ops_size, ops_burst, ops_refill;
	int64_t slot;                 /* -1: first free */
};

int net_option_parse(const char *text, struct net_option *o, struct err *e);
void net_option_free(struct net_option *o);

#endif
