/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk-net: the host's end of a container's network. It lives in the container's network namespace and control group and
 * keeps CAP_NET_ADMIN there, since interfaces come and go as long as the container runs; it hears the kernel, husk, the
 * proxy and the machine's control socket, and no guest.
 *
 *	scan.c    the namespace's tables as the agent's message     mirror.c  a tap beside a link
 *	links.c   which links have one, and which are to go         main.c    who says what when
 */
#ifndef RUNTIME_NET_NET_H
#define RUNTIME_NET_NET_H

#include <fcntl.h>
#include <stdbool.h>
#include <netlink/netlink.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "runtime/net/wire.h"
#include "vmm/control/native_client.h"

/* A link that the guest is to have. */
struct net_link {
	int index;
	char name[16];
	uint8_t mac[6];
	uint32_t mtu;
	bool no_arp;
};

struct net_scan {
	struct net_link link[NET_MAX_LINKS];
	size_t n;
	char without[500]; /* why the first one that is left out is */
};

/* scan.c. Links that are up, Ethernet, nobody's port; not those in @own (indices of our taps). One that is up and cannot be
 * carried, or is one too many: @strict, -EINVAL or -E2BIG with a text that names it; else it is left out. */
/* Notes that one is left out; 0. */
int net_go_without(struct net_scan *s, const struct err *why);
int scan_links(struct nl_sock *sk, const int *own, size_t nown, bool strict, struct net_scan *ret, struct err *e);
/* Appends the packed UpdateNetworkRequest: those links with their addresses, routes and permanent neighbours. */
int scan_pack(struct nl_sock *sk, const char *container_id, const struct net_scan *links, struct buf *out, struct err *e);

/* mirror.c. Makes a tap on @tun (/dev/net/tun, opened in this namespace) and mirrors @l both ways. *ret_index: the tap's. */
int mirror_make(struct nl_sock *sk, int tun, const struct net_link *l, int *ret_index, struct err *e);
/* Takes away what mirror_make() put on the link @index; the tap goes with its descriptors. */
void mirror_remove(struct nl_sock *sk, int index);
int mirror_set_mtu(struct nl_sock *sk, int tap, const struct net_link *l, struct err *e);

/* links.c */
#define NET_SPARE_TAPS 4 /* /dev/net/tun opened ahead, for when the control group's filter would refuse it */
#define NET_TUN_FLAGS  (O_RDWR | O_CLOEXEC | O_NONBLOCK) /* with which alone a file may be opened then */

enum link_life { LINK_FREE, LINK_HERE, LINK_GOING /* the guest is to let go of it */ };

struct net_slot {
	enum link_life life;
	struct net_link link;
	int tap;   /* its index */
	int tun;   /* its descriptor until the machine has it; -1 */
	bool plugged; /* the machine has a device for it */
	unsigned serial; /* of its device's id */
	uint64_t gone_in; /* LINK_GOING: the number of the first state without it */
};

/* A link that could get no tap. */
struct net_refusal {
	struct net_link link; /* index 0: none */
	uint64_t again_ns, pause_ns; /* when it is tried again, and how long that was put off */
	struct err why;
};

struct net_links {
	struct nl_sock *sk;
	struct ncl *machine; /* NULL: none yet */
	struct net_slot slot[NET_MAX_LINKS];
	int spare[NET_SPARE_TAPS];
	size_t nspare;
	unsigned serial;
	struct net_refusal refused[NET_MAX_LINKS];
	uint64_t again_ns; /* when links_update() is worth another try, though nothing happens; 0: it is not */
};

/* Opens the spares. */
void links_init(struct net_links *n, struct nl_sock *sk);
/* Lists the namespace's links, makes taps for new ones, gives them to the machine. *ret: what the guest is to have now.
 * @number: of the state that will say so. @strict: one that it cannot have is an error; a running container goes without.
 * *ret_changed: something is other than before. Not @strict, what failed is tried again when @n->again_ns has come or it is
 * another link by then, and no sooner. */
int links_update(struct net_links *n, uint64_t number, bool strict, struct net_scan *ret, bool *ret_changed, struct err *e);
/* The machine has come: it gets all taps. */
int links_plug(struct net_links *n, struct ncl *machine, struct err *e);
/* The guest has made state @number so: devices that were not in it go. */
void links_settle(struct net_links *n, uint64_t number);
void links_done(struct net_links *n);
size_t links_count(const struct net_links *n);

/* drop.c: nobody, with CAP_NET_ADMIN alone, few system calls, and no way to get more. */
int net_drop_privileges(struct err *e);

#endif
