// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/rtn.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define DUMP_SIZE 32768

int rtn_open(struct rtn *n, struct err *e)
{
	struct timeval soon = { .tv_sec = 5 };

	n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (n->fd < 0)
		return err_errno(e, errno, "netlink");
	/* The kernel answers within the call; should it not, the agent goes on. */
	setsockopt(n->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	return 0;
}

int rtn_open_in(struct rtn *n, int netns, struct err *e)
{
	_cleanup_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int rc;

	if (own < 0 || setns(netns, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "container's network namespace");
	rc = rtn_open(n, e);
	bug_on(setns(own, CLONE_NEWNET) < 0);
	return rc;
}

void rtn_close(struct rtn *n)
{
	close_and_reset(&n->fd);
}

void rtn_begin(struct rtn *n, uint16_t type, uint16_t flags, const void *head, size_t len)
{
	memset(&n->m.hdr, 0, NLMSG_SPACE(len));
	n->full = false;
	n->m.hdr = (struct nlmsghdr){ .nlmsg_len = (uint32_t)NLMSG_LENGTH(len),
				      .nlmsg_type = type,
				      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
				      .nlmsg_seq = ++n->seq };
	memcpy(NLMSG_DATA(&n->m.hdr), head, len);
}

void rtn_put(struct rtn *n, uint16_t attr, const void *data, size_t len)
{
	size_t at = NLMSG_ALIGN(n->m.hdr.nlmsg_len);
	struct rtattr a = { .rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = attr };

	if (len > UINT16_MAX - RTA_LENGTH(0) || at + RTA_SPACE(len) > sizeof(n->m)) {
		n->full = true;
		return;
	}
	memset(n->m.bytes + at, 0, RTA_SPACE(len));
	memcpy(n->m.bytes + at, &a, sizeof(a));
	if (len)
		memcpy(n->m.bytes + at + RTA_LENGTH(0), data, len);
	n->m.hdr.nlmsg_len = (uint32_t)(at + RTA_LENGTH(len));
}

void rtn_put_u32(struct rtn *n, uint16_t attr, uint32_t v)
{
	rtn_put(n, attr, &v, sizeof(v));
}

void rtn_put_str(struct rtn *n, uint16_t attr, const char *s)
{
	rtn_put(n, attr, s, strlen(s) + 1);
}

size_t rtn_nest(struct rtn *n, uint16_t attr)
{
	size_t at = NLMSG_ALIGN(n->m.hdr.nlmsg_len);

	rtn_put(n, attr, NULL, 0);
	return at;
}

void rtn_nest_end(struct rtn *n, size_t at)
{
	uint16_t len = (uint16_t)(n->m.hdr.nlmsg_len - at);

	if (!n->full)
		memcpy(n->m.bytes + at, &len, sizeof(len));
}

static int ask(struct rtn *n)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (n->full)
		return -EMSGSIZE;
	return sendto(n->fd, &n->m, n->m.hdr.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0 ?
		       -errno :
		       0;
}

static int error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = NLMSG_DATA(h);

	return h->nlmsg_len < NLMSG_LENGTH(sizeof(*err)) ? -EBADMSG : err->error;
}

int rtn_call(struct rtn *n)
{
	uint32_t seq = n->m.hdr.nlmsg_seq;
	int rc = ask(n);

	while (rc == 0) {
		ssize_t got = recv(n->fd, &n->m, sizeof(n->m), 0);

		if (got < 0)
			return -errno;
		if (NLMSG_OK(&n->m.hdr, (size_t)got) && n->m.hdr.nlmsg_seq == seq && n->m.hdr.nlmsg_type == NLMSG_ERROR)
			return error_of(&n->m.hdr);
	}
	return rc;
}

static void take_stats(struct rtn_link *l, const struct rtattr *a)
{
	struct rtnl_link_stats64 s = { 0 };

	memcpy(&s, RTA_DATA(a), min_t(size_t, RTA_PAYLOAD(a), sizeof(s)));
	l->rx_bytes = s.rx_bytes;
	l->rx_packets = s.rx_packets;
	l->rx_errors = s.rx_errors;
	l->rx_dropped = s.rx_dropped;
	l->tx_bytes = s.tx_bytes;
	l->tx_packets = s.tx_packets;
	l->tx_errors = s.tx_errors;
	l->tx_dropped = s.tx_dropped;
}

static void take_link(const struct nlmsghdr *h, rtn_link_fn *fn, void *arg)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	struct rtn_link l = { .index = i->ifi_index, .flags = i->ifi_flags, .type = i->ifi_type };
	int left = (int)IFLA_PAYLOAD(h);

	for (const struct rtattr *a = IFLA_RTA(i); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_IFNAME)
			memcpy(l.name, RTA_DATA(a), min_t(size_t, RTA_PAYLOAD(a), sizeof(l.name) - 1));
		else if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == sizeof(l.mac))
			memcpy(l.mac, RTA_DATA(a), sizeof(l.mac));
		else if (a->rta_type == IFLA_STATS64)
			take_stats(&l, a);
	}
	fn(arg, &l);
}

int rtn_links(struct rtn *n, rtn_link_fn *fn, void *arg)
{
	struct ifinfomsg any = { .ifi_family = AF_UNSPEC };
	_cleanup_free_ uint8_t *in = malloc(DUMP_SIZE);
	int rc;

	if (!in)
		return -ENOMEM;
	rtn_begin(n, RTM_GETLINK, NLM_F_DUMP, &any, sizeof(any));
	rc = ask(n);
	while (rc == 0) {
		ssize_t got = recv(n->fd, in, DUMP_SIZE, 0);
		size_t left = (size_t)got;

		if (got < 0)
			return -errno;
		for (const struct nlmsghdr *h = (void *)in; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq != n->seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR)
				return error_of(h);
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == RTM_NEWLINK && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifinfomsg)))
				take_link(h, fn, arg);
		}
	}
	return rc;
}
