/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What husk and husk-proxy say to husk-net, and it to them: SOCK_SEQPACKET, one struct a packet. All of them are on the
 * host. Nothing of it is the guest's word but the number in NET_DONE.
 *
 *	husk      NET_SETUP     the namespace; its links are listed, taps made and mirrored    NET_REPLY
 *	          NET_MACHINE   the machine that gets the taps                                NET_REPLY
 *	proxy     NET_SYNC      list again                                                    NET_STATE
 *	          NET_DONE      what the guest made of a NET_STATE
 *	husk-net  NET_LISTEN    once, before all else: where connections to the namespace itself arrive
 *	          NET_UDP       likewise datagrams, once for IPv4 and for IPv6
 *	          NET_STATE     unasked, when something has changed
 *
 * Where several containers share the machine each one's proxy has a connection, the first by NET_SETUP, the others by
 * the listening socket. One of them, the oldest, is told what it did not ask for; when that one goes the next one is told
 * everything.
 * It ends with the last one's connection, having taken away what it added to the namespace.
 */
#ifndef RUNTIME_NET_WIRE_H
#define RUNTIME_NET_WIRE_H

#include <stdint.h>

#define NET_VERSION   1
#define NET_MAX_LINKS 16
#define NET_MAX_PROXIES 64
#define NET_MAX_STATE 131072 /* bytes of a packed UpdateNetworkRequest */

enum net_cmd {
	NET_SETUP = 1,
	NET_REPLY = 2,
	NET_MACHINE = 3,
	NET_SYNC = 4,
	NET_STATE = 5,
	NET_DONE = 6,
	NET_LISTEN = 7,
	NET_UDP = 8,
};

struct net_hdr {
	uint32_t version;
	uint32_t cmd;
	int32_t rc; /* NET_REPLY, NET_STATE, NET_DONE: 0 or -errno */
	uint32_t size; /* of the whole packet */
};

enum net_setup_flags {
	NET_SETUP_LOG = 1u << 0, /* a fourth descriptor, for log lines */
	NET_SETUP_LOG_JSON = 1u << 1,
	NET_SETUP_DEBUG = 1u << 2,
	NET_SETUP_FRESH = 1u << 3, /* a namespace of the container's own: its loopback is brought up, as runc does */
};

struct net_device {
	char host[16], name[16]; /* where husk-net starts, and in the namespace */
};

/* + the network namespace, the connection to the proxy, a listening socket for further ones, the log. */
struct net_setup {
	struct net_hdr hdr;
	uint32_t flags;
	uint32_t n_devices; /* to be moved there first */
	struct net_device device[NET_MAX_LINKS];
	char container_id[1025];
	char pad[3];
};

#define NET_LISTENERS 2

/* NET_LISTEN: + at most NET_LISTENERS listening sockets. NET_MACHINE: + a connected client of the machine's control socket
 * with NC_MAY_DEVICES. */
struct net_simple {
	struct net_hdr hdr;
};

/* + the socket that hears, and a raw one to answer by (runtime/net/steer.h). */
struct net_udp {
	struct net_hdr hdr;
	uint32_t family; /* 4, 6 */
	uint32_t pad;
};

struct net_reply {
	struct net_hdr hdr;
	uint32_t links; /* that are mirrored */
	uint32_t pad;
	char text[500]; /* rc < 0: one line */
};

struct net_sync {
	struct net_hdr hdr;
	uint64_t token; /* not 0 */
};

/* @len bytes follow: a packed UpdateNetworkRequest. With rc < 0 there are none. */
struct net_state {
	struct net_hdr hdr;
	uint64_t token; /* of the NET_SYNC that it answers, or 0 */
	uint64_t number; /* counts up */
	uint32_t links;
	uint32_t len;
	char text[500];
	char pad[4];
};

struct net_done {
	struct net_hdr hdr;
	uint64_t number; /* of the NET_STATE */
};

#endif
