// SPDX-License-Identifier: Apache-2.0
/*
 * What steer.c does by a BPF program, for whom the kernel lets load none: in a user namespace. A table of nftables in the
 * namespace hands TCP connections that come in by its loopback, which are those of its own processes, to the same sockets
 * (tproxy). The table belongs to the netlink socket that made it and goes with that, whatever this process ends of.
 *
 * For UDP there is a table of its own, always: here an answer looks like a question, and a program at the look-up cannot
 * see whether a socket of the namespace has the port. Who sent without connect() would have its answer handed to the guest.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "runtime/net/steer.h"

#define CHAIN "steer"

#define LOOPBACK_INDEX 1 /* in every network namespace */
#define PRIORITY       -150 /* that of mangle, where tproxy is usual */
#define SADDR_OFFSET   12 /* in the header of IPv4 */
#define DADDR_OFFSET   16
#define MAX_RULES      6
#define MAX_BATCH      8192
#define ANSWER_S       5

/* ---- messages ---------------------------------------------------------------------------------------------- */

static struct nl_msg *message(uint16_t type, uint16_t flags, uint8_t family, uint16_t res_id)
{
	struct nfgenmsg g = { .nfgen_family = family,
			      .version = NFNETLINK_V0,
			      .res_id = htons(res_id) };
	struct nl_msg *m = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (m && nlmsg_append(m, &g, sizeof(g), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(m);
		m = NULL;
	}
	return m;
}

static struct nl_msg *table_message(uint16_t what)
{
	return message((NFNL_SUBSYS_NFTABLES << 8) | what, NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET,
		       0);
}

static void put32(struct nl_msg *m, int attr, uint32_t v)
{
	nla_put_u32(m, attr, htonl(v));
}

/* ---- expressions of a rule --------------------------------------------------------------------------------- */

struct expr {
	struct nl_msg *m;
	struct nlattr *elem, *data;
};

static struct expr begin(struct nl_msg *m, const char *name)
{
	struct expr x = { .m = m, .elem = nla_nest_start(m, NFTA_LIST_ELEM) };

	nla_put_string(m, NFTA_EXPR_NAME, name);
	x.data = nla_nest_start(m, NFTA_EXPR_DATA);
	return x;
}

static void end(struct expr x)
{
	nla_nest_end(x.m, x.data);
	nla_nest_end(x.m, x.elem);
}

static void value(struct nl_msg *m, int attr, const void *v, int len)
{
	struct nlattr *nest = nla_nest_start(m, attr);

	nla_put(m, NFTA_DATA_VALUE, len, v);
	nla_nest_end(m, nest);
}

static void load_meta(struct nl_msg *m, uint32_t key)
{
	struct expr x = begin(m, "meta");

	put32(m, NFTA_META_DREG, NFT_REG_1);
	put32(m, NFTA_META_KEY, key);
	end(x);
}

static void compare(struct nl_msg *m, uint32_t op, const void *v, int len)
{
	struct expr x = begin(m, "cmp");

	put32(m, NFTA_CMP_SREG, NFT_REG_1);
	put32(m, NFTA_CMP_OP, op);
	value(m, NFTA_CMP_DATA, v, len);
	end(x);
}

static void accept_it(struct nl_msg *m)
{
	struct expr x = begin(m, "immediate");
	struct nlattr *data, *verdict;

	put32(m, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nla_nest_start(m, NFTA_IMMEDIATE_DATA);
	verdict = nla_nest_start(m, NFTA_DATA_VERDICT);
	put32(m, NFTA_VERDICT_CODE, NF_ACCEPT);
	nla_nest_end(m, verdict);
	nla_nest_end(m, data);
	end(x);
}

/* ---- rules ------------------------------------------------------------------------------------------------- */

/* What a table is for. */
struct kind {
	const char *table;
	uint8_t protocol;
};

/* By loopback, of the protocol; @family 0: either. */
static struct nl_msg *rule_begin(const struct kind *k, uint8_t family, struct nlattr **ret_list)
{
	const uint32_t index = LOOPBACK_INDEX;
	struct nl_msg *m = table_message(NFT_MSG_NEWRULE);

	if (!m)
		return NULL;
	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_APPEND;
	nla_put_string(m, NFTA_RULE_TABLE, k->table);
	nla_put_string(m, NFTA_RULE_CHAIN, CHAIN);
	*ret_list = nla_nest_start(m, NFTA_RULE_EXPRESSIONS);
	load_meta(m, NFT_META_IIF);
	compare(m, NFT_CMP_EQ, &index, sizeof(index));
	if (family) {
		load_meta(m, NFT_META_NFPROTO);
		compare(m, NFT_CMP_EQ, &family, sizeof(family));
	}
	load_meta(m, NFT_META_L4PROTO);
	compare(m, NFT_CMP_EQ, &k->protocol, sizeof(k->protocol));
	return m;
}

/* 127.0.0.2 and on are where engines have servers of their own: what is for them, and what they answer, which under rules
 * that translate addresses is not from where a socket is connected to. */
static struct nl_msg *rule_others(const struct kind *k, uint32_t offset)
{
	const uint32_t first = htonl(INADDR_LOOPBACK + 1), last = htonl(0x7fffffff);
	struct nlattr *list;
	struct nl_msg *m = rule_begin(k, NFPROTO_IPV4, &list);
	struct expr x;

	if (!m)
		return NULL;
	x = begin(m, "payload");
	put32(m, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put32(m, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	put32(m, NFTA_PAYLOAD_OFFSET, offset);
	put32(m, NFTA_PAYLOAD_LEN, sizeof(first));
	end(x);
	compare(m, NFT_CMP_GTE, &first, sizeof(first));
	compare(m, NFT_CMP_LTE, &last, sizeof(last));
	accept_it(m);
	nla_nest_end(m, list);
	return m;
}

/* The guest's answers: where their receiver has gone they are no questions. */
static struct nl_msg *rule_answers(const struct kind *k)
{
	const uint32_t mark = STEER_MARK;
	struct nlattr *list;
	struct nl_msg *m = rule_begin(k, 0, &list);

	if (!m)
		return NULL;
	load_meta(m, NFT_META_MARK);
	compare(m, NFT_CMP_EQ, &mark, sizeof(mark));
	accept_it(m);
	nla_nest_end(m, list);
	return m;
}

/* A socket of the namespace has the port. Which of its properties is loaded does not matter: without a socket there is none,
 * and the rule does not match. */
static struct nl_msg *rule_taken(const struct kind *k)
{
	struct nlattr *list;
	struct nl_msg *m = rule_begin(k, 0, &list);
	struct expr x;

	if (!m)
		return NULL;
	x = begin(m, "socket");
	put32(m, NFTA_SOCKET_KEY, NFT_SOCKET_TRANSPARENT);
	put32(m, NFTA_SOCKET_DREG, NFT_REG_1);
	end(x);
	accept_it(m);
	nla_nest_end(m, list);
	return m;
}

static struct nl_msg *rule_steer(const struct kind *k, uint8_t family, uint16_t port_be)
{
	struct nlattr *list;
	struct nl_msg *m = rule_begin(k, family, &list);
	struct expr x;

	if (!m)
		return NULL;
	x = begin(m, "immediate");
	put32(m, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	value(m, NFTA_IMMEDIATE_DATA, &port_be, sizeof(port_be));
	end(x);
	x = begin(m, "tproxy");
	put32(m, NFTA_TPROXY_FAMILY, family);
	put32(m, NFTA_TPROXY_REG_PORT, NFT_REG_1);
	end(x);
	nla_nest_end(m, list);
	return m;
}

static struct nl_msg *new_table(const struct kind *k)
{
	struct nl_msg *m = table_message(NFT_MSG_NEWTABLE);

	if (!m)
		return NULL;
	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_EXCL;
	nla_put_string(m, NFTA_TABLE_NAME, k->table);
	put32(m, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
	return m;
}

static struct nl_msg *new_chain(const struct kind *k)
{
	struct nl_msg *m = table_message(NFT_MSG_NEWCHAIN);
	struct nlattr *hook;

	if (!m)
		return NULL;
	nla_put_string(m, NFTA_CHAIN_TABLE, k->table);
	nla_put_string(m, NFTA_CHAIN_NAME, CHAIN);
	nla_put_string(m, NFTA_CHAIN_TYPE, "filter");
	hook = nla_nest_start(m, NFTA_CHAIN_HOOK);
	put32(m, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
	put32(m, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY);
	nla_nest_end(m, hook);
	return m;
}

/* ---- all of it, or nothing ------------------------------------------------------------------------------- */

/* A socket that tproxy may hand connections, or datagrams, to. *ret_port: in network order. -ENOTCONN: none. */
static int prepare(int sock, uint16_t *ret_port)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int one = 1;

	if (sock < 0)
		return -ENOTCONN;
	if (setsockopt(sock, SOL_IP, IP_TRANSPARENT, &one, sizeof(one)) < 0 ||
	    getsockname(sock, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	*ret_port = a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
					   : ((struct sockaddr_in6 *)&a)->sin6_port;
	return 0;
}

static int build(const struct kind *k, struct buf *batch, const int sock[STEER_SOCKETS])
{
	static const uint8_t families[STEER_SOCKETS] = { NFPROTO_IPV4, NFPROTO_IPV6 };
	struct nl_msg *m[4 + MAX_RULES];
	size_t n = 0;
	int rc = 0;

	m[n++] = message(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	m[n++] = new_table(k);
	m[n++] = new_chain(k);
	m[n++] = rule_others(k, DADDR_OFFSET);
	m[n++] = rule_others(k, SADDR_OFFSET);
	if (k->protocol == IPPROTO_UDP) {
		m[n++] = rule_answers(k);
		m[n++] = rule_taken(k);
	}
	for (unsigned i = 0; i < STEER_SOCKETS; i++) {
		uint16_t port = 0;
		int got = prepare(sock[i], &port);

		if (got == 0)
			m[n++] = rule_steer(k, families[i], port);
		else if (got != -ENOTCONN)
			rc = got;
	}
	m[n++] = message(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	for (size_t i = 0; i < n; i++) {
		if (!m[i])
			rc = -ENOMEM;
		else
			buf_append(batch, nlmsg_hdr(m[i]), NLMSG_ALIGN(nlmsg_hdr(m[i])->nlmsg_len));
		nlmsg_free(m[i]);
	}
	return rc < 0 ? rc : batch->failed ? -ENOMEM : (int)n - 2;
}

/* @n acknowledgements, or the first error. */
static int hear(int nl, int n)
{
	union {
		struct nlmsghdr h;
		char bytes[8192];
	} in;

	while (n > 0) {
		ssize_t got = recv(nl, &in, sizeof(in), 0);
		int len = (int)got;

		if (got < 0 && errno != EINTR)
			return -errno;
		for (struct nlmsghdr *h = &in.h; got > 0 && NLMSG_OK(h, (unsigned)len);
		     h = NLMSG_NEXT(h, len)) {
			const struct nlmsgerr *a = NLMSG_DATA(h);

			if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*a)))
				continue;
			if (a->error)
				return a->error;
			n--;
		}
	}
	return 0;
}

int steer_by_nft(int type, const int sock[STEER_SOCKETS], int *ret_table, struct err *e)
{
	static const struct kind tcp = { "husk", IPPROTO_TCP }, udp = { "husk-udp", IPPROTO_UDP };
	struct timeval patience = { .tv_sec = ANSWER_S };
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct buf batch = BUF_INIT(MAX_BATCH);
	_cleanup_close_ int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int rc = nl < 0 ? -errno : build(type == SOCK_DGRAM ? &udp : &tcp, &batch, sock), n = rc;

	if (rc > 0 &&
	    (setsockopt(nl, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	     sendto(nl, batch.data, batch.len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0))
		rc = -errno;
	if (rc > 0)
		rc = hear(nl, n);
	buf_free(&batch);
	if (rc < 0)
		return err_errno(e, -rc, "nftables");
	*ret_table = steal_fd(&nl);
	return 0;
}
