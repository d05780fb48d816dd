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

/* steer_udp.c: likewise datagrams. @in hears them, with the address that they were for as ancillary data; @out, a raw socket
 * that hears nothing, answers from such an address. -1 both: that family is not there. */
struct steer_udp {
	int in, out;
};

/* In the order of STEER_SOCKETS. Takes CAP_NET_ADMIN and CAP_NET_RAW, and a kernel with nftables, its tproxy and socket. */
int steer_udp_start(struct steer_udp ret[STEER_SOCKETS], int *ret_table, struct err *e);

/* Of what the guest answers, so that it is told from what is for the guest. */
#define STEER_MARK 0x6875736bu

/* steer_nft.c: the second of the ways for @type SOCK_STREAM, the only one for SOCK_DGRAM; @sock are bound. */
int steer_by_nft(int type, const int sock[STEER_SOCKETS], int *ret_table, struct err *e);

#endif
