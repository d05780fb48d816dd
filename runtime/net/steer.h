/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_NET_STEER_H
#define RUNTIME_NET_STEER_H

#include <stdint.h>
#include "lib/err.h"

#define STEER_SOCKETS 2 /* IPv4, IPv6 */

/* From now on, until *ret_link is closed, TCP connections to the network namespace @netns (which this process is in) itself
 * arrive at the listening sockets *ret_listen (-1: none of that family). Takes CAP_NET_ADMIN, and CAP_BPF or, as in a user
 * namespace, a kernel with nftables and its tproxy. */
int steer_start(int netns, int ret_listen[STEER_SOCKETS], int *ret_link, struct err *e);

/* steer_nft.c: the second of these ways, for sockets that listen already. */
int steer_by_nft(const int listen[STEER_SOCKETS], int *ret_table, struct err *e);

#endif
