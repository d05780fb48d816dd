/* SPDX-License-Identifier: Apache-2.0 */
/* A network namespace becoming a message: what the parts of the scan share. */
#ifndef RUNTIME_NET_SCAN_INTERNAL_H
#define RUNTIME_NET_SCAN_INTERNAL_H

#include <netlink/handlers.h>

#include "agent-proto/client/pack.h"
#include "agent-proto/ttrpc/arena.h"
#include "runtime/net/net.h"

struct packing {
	struct arena arena; /* all that the message points to */
	const struct net_scan *links;
	Husk__Agent__V1__UpdateNetworkRequest m;
	bool no_memory; /* said once, at the end */
};

/* Zeroed memory of the message's, @n times @size and a byte more; NULL: there is none, which is noted. */
void *packing_take(struct packing *p, size_t n, size_t size);

/* A new message at the end of a list that has room for it. */
#define PACKING_ADD(p, list, n, type, init)                        \
	({                                                         \
		type *add_m = packing_take((p), 1, sizeof(type));  \
		if (add_m) {                                       \
			init(add_m);                               \
			(list)[(n)++] = add_m;                     \
		}                                                  \
		add_m;                                             \
	})

/* Asks for all of a @type (RTM_GET…), of every family; @fn is called with each as it comes. */
int scan_dump(struct nl_sock *sk, int type, nl_recvmsg_msg_cb_t fn, void *arg, const char *what, struct err *e);

/* scan_rules.c. The rules of policy routing that the message can say. */
int scan_rules(struct packing *p, struct nl_sock *sk, struct err *e);

#endif
