/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the guest's own kernel by rtnetlink: one at a time, each answered before the next. A writer and no more:
 * the agent sets what it is told and looks at links alone, and a library for all of netlink would be guest memory.
 */
#ifndef AGENT_PROTO_AGENT_RTN_H
#define AGENT_PROTO_AGENT_RTN_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "lib/err.h"

#define RTN_MAX_MESSAGE 8192

struct rtn {
	int fd; /* -1: not open */
	uint32_t seq;
	bool full; /* an attribute did not fit: rtn_call() says so */
	union {
		struct nlmsghdr hdr;
		uint8_t bytes[RTN_MAX_MESSAGE];
	} m;
};

/* In the network namespace that the thread is in; it stays there. */
int rtn_open(struct rtn *n, struct err *e);
/* In @netns; this thread is back where it was in any case. */
int rtn_open_in(struct rtn *n, int netns, struct err *e);
void rtn_close(struct rtn *n);

/* A new request: @head is what the type demands (struct ifinfomsg, rtmsg …). NLM_F_REQUEST and NLM_F_ACK are added. */
void rtn_begin(struct rtn *n, uint16_t type, uint16_t flags, const void *head, size_t len);
void rtn_put(struct rtn *n, uint16_t attr, const void *data, size_t len);
void rtn_put_u32(struct rtn *n, uint16_t attr, uint32_t v);
void rtn_put_str(struct rtn *n, uint16_t attr, const char *s);
/* Attributes between the two are inside @attr. */
size_t rtn_nest(struct rtn *n, uint16_t attr);
void rtn_nest_end(struct rtn *n, size_t at);
/* Sends it; 0, or the kernel's negative errno. */
int rtn_call(struct rtn *n);

/* A link as the dump shows it. */
struct rtn_link {
	int index;
	uint32_t flags; /* IFF_* */
	uint16_t type;  /* ARPHRD_* */
	uint8_t mac[6]; /* of Ethernet ones */
	char name[16];
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};
typedef void rtn_link_fn(void *arg, const struct rtn_link *l);
int rtn_links(struct rtn *n, rtn_link_fn *fn, void *arg);

#endif
