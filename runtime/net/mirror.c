// SPDX-License-Identifier: Apache-2.0
/*
 * A tap beside a link, what comes in on either going out by the other: tc's ingress hook and its mirred action. The
 * namespace's own stack sees nothing of what the guest gets; it keeps the addresses, for whoever looks and for the
 * neighbours that engines ask about.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/matchall.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/net/net.h"

#define OWN_PRIO 1 /* of our filter among those of others on the same hook */

static int nl_fail(struct err *e, int rc, const struct net_link *l, const char *what)
{
	return err_set(e, EIO, "interface %s: %s: %s", l->name, what, nl_geterror(rc));
}

/* ---- tap ----------------------------------------------------------------------------------------------- */

static int tap_create(int tun, const struct net_link *l, int *ret_index, struct err *e)
{
	_cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, .ifr_name = "husk%d" };

	/* Not persistent: it goes with the last descriptor. */
	if (sock < 0 || ioctl(tun, TUNSETIFF, &ifr) < 0)
		return err_errno(e, errno, "interface %s: cannot make a tap for it", l->name);
	if (ioctl(sock, SIOCGIFINDEX, &ifr) < 0)
		return err_errno(e, errno, "interface %s: its tap", l->name);
	*ret_index = ifr.ifr_ifindex;
	return 0;
}

static int tap_change(struct nl_sock *sk, int tap, const struct net_link *l, bool new, struct err *e)
{
	struct rtnl_link *at = rtnl_link_alloc(), *to = rtnl_link_alloc();
	int rc = -NLE_NOMEM;

	if (at && to) {
		rtnl_link_set_ifindex(at, tap);
		rtnl_link_set_mtu(to, l->mtu);
		/* Nobody but the guest speaks there. */
		if (new)
			rtnl_link_inet6_set_addr_gen_mode(to, IN6_ADDR_GEN_MODE_NONE);
		rc = rtnl_link_change(sk, at, to, 0);
		if (rc < 0 && new) { /* a kernel without IPv6 */
			rtnl_link_put(to);
			to = rtnl_link_alloc();
			if (to) {
				rtnl_link_set_mtu(to, l->mtu);
				rc = rtnl_link_change(sk, at, to, 0);
			}
		}
		if (rc == 0 && new) {
			rtnl_link_set_flags(to, IFF_UP);
			rc = rtnl_link_change(sk, at, to, 0);
		}
	}
	rtnl_link_put(at);
	rtnl_link_put(to);
	return rc < 0 ? nl_fail(e, rc, l, "its tap") : 0;
}

int mirror_set_mtu(struct nl_sock *sk, int tap, const struct net_link *l, struct err *e)
{
	return tap_change(sk, tap, l, false, e);
}

/* ---- hooks ---------------------------------------------------------------------------------------------- */

static int ingress(struct nl_sock *sk, int index, bool add)
{
	struct rtnl_qdisc *q = rtnl_qdisc_alloc();
	int rc = -NLE_NOMEM;

	if (!q)
		return rc;
	rtnl_tc_set_ifindex(TC_CAST(q), index);
	rtnl_tc_set_parent(TC_CAST(q), TC_H_INGRESS);
	rtnl_tc_set_handle(TC_CAST(q), TC_HANDLE(0xffffu, 0));
	rc = rtnl_tc_set_kind(TC_CAST(q), "ingress");
	if (rc == 0)
		rc = add ? rtnl_qdisc_add(sk, q, NLM_F_CREATE | NLM_F_EXCL) : rtnl_qdisc_delete(sk, q);
	rtnl_qdisc_put(q);
	return rc;
}

static struct rtnl_cls *new_filter(int index)
{
	struct rtnl_cls *c = rtnl_cls_alloc();

	if (c) {
		rtnl_tc_set_ifindex(TC_CAST(c), index);
		rtnl_tc_set_parent(TC_CAST(c), TC_HANDLE(0xffffu, 0));
		rtnl_cls_set_prio(c, OWN_PRIO);
		rtnl_cls_set_protocol(c, ETH_P_ALL);
	}
	return c;
}

static struct rtnl_act *redirect_to(int index)
{
	struct rtnl_act *a = rtnl_act_alloc();

	if (a && (rtnl_tc_set_kind(TC_CAST(a), "mirred") < 0 || rtnl_mirred_set_action(a, TCA_EGRESS_REDIR) < 0 ||
		  rtnl_mirred_set_policy(a, TC_ACT_STOLEN) < 0 || rtnl_mirred_set_ifindex(a, (uint32_t)index) < 0)) {
		rtnl_act_put(a);
		a = NULL;
	}
	return a;
}

/* All that comes in on @from goes out by @to. @all: by the classifier for just that, which old kernels lack. */
static int redirect_by(struct nl_sock *sk, int from, int to, bool all)
{
	struct rtnl_cls *c = new_filter(from);
	struct rtnl_act *a = redirect_to(to);
	int rc = -NLE_NOMEM;

	if (c && a && all) {
		rc = rtnl_tc_set_kind(TC_CAST(c), "matchall");
		if (rc == 0)
			rc = rtnl_mall_append_action(c, a);
	} else if (c && a) {
		rc = rtnl_tc_set_kind(TC_CAST(c), "u32");
		if (rc == 0)
			rc = rtnl_u32_add_key_uint32(c, 0, 0, 0, 0);
		if (rc == 0)
			rc = rtnl_u32_set_cls_terminal(c);
		if (rc == 0)
			rc = rtnl_u32_add_action(c, a);
	}
	if (rc == 0)
		rc = rtnl_cls_add(sk, c, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_act_put(a);
	rtnl_cls_put(c);
	return rc;
}

static int redirect(struct nl_sock *sk, int from, int to)
{
	int rc = redirect_by(sk, from, to, true);

	return rc == 0 || rc == -NLE_EXIST ? rc : redirect_by(sk, from, to, false);
}

static void remove_filter(struct nl_sock *sk, int index)
{
	struct rtnl_cls *c = new_filter(index);

	if (c)
		rtnl_cls_delete(sk, c, 0);
	rtnl_cls_put(c);
}

/* Where our kind of filter on @index leads: a link's index, 0 when there is none. */
static int leads_to(struct nl_sock *sk, int index)
{
	struct nl_cache *cache = NULL;
	int to = 0;

	if (rtnl_cls_alloc_cache(sk, index, TC_HANDLE(0xffffu, 0), &cache) < 0)
		return 0;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct rtnl_cls *c = (struct rtnl_cls *)o;
		const char *kind = rtnl_tc_get_kind(TC_CAST(c));
		struct rtnl_act *a = NULL;

		if (rtnl_cls_get_prio(c) != OWN_PRIO || !kind)
			continue;
		if (strcmp(kind, "matchall") == 0)
			a = rtnl_mall_get_first_action(c);
		else if (strcmp(kind, "u32") == 0)
			a = rtnl_u32_get_action(c);
		if (a && strcmp(rtnl_tc_get_kind(TC_CAST(a)) ?: "", "mirred") == 0)
			to = (int)rtnl_mirred_get_ifindex(a);
		rtnl_act_put(a);
	}
	nl_cache_free(cache);
	return to;
}

/* Not if_indextoname(): what kind of socket that opens is the C library's business, and the filter allows one kind. */
static bool is_there(int index, struct ifreq *ret)
{
	_cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret = (struct ifreq){ .ifr_ifindex = index };
	return sock >= 0 && ioctl(sock, SIOCGIFNAME, ret) == 0;
}

/* Another machine's, living: it would lose its network. What a killed husk-net left leads nowhere. */
static int take_over(struct nl_sock *sk, const struct net_link *l, struct err *e)
{
	struct ifreq ifr;
	int to = leads_to(sk, l->index);

	if (to && is_there(to, &ifr))
		return err_set(e, EBUSY, "interface %s: leads to %s already: another virtual machine has it", l->name,
			       ifr.ifr_name);
	remove_filter(sk, l->index);
	return 0;
}

static int attach(struct nl_sock *sk, const struct net_link *l, int tap, struct err *e)
{
	int rc = ingress(sk, l->index, true);

	/* Somebody else may have use for the hook, too. */
	if (rc == -NLE_EXIST) {
		rc = take_over(sk, l, e);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		rc = ingress(sk, tap, true);
	if (rc == 0)
		rc = redirect(sk, tap, l->index);
	if (rc == 0)
		rc = redirect(sk, l->index, tap);
	return rc < 0 ? nl_fail(e, rc, l, "cannot be mirrored") : 0;
}

int mirror_make(struct nl_sock *sk, int tun, const struct net_link *l, int *ret_index, struct err *e)
{
	int rc = tap_create(tun, l, ret_index, e);

	if (rc == 0)
		rc = tap_change(sk, *ret_index, l, true, e);
	return rc < 0 ? rc : attach(sk, l, *ret_index, e);
}

void mirror_remove(struct nl_sock *sk, int index)
{
	struct nl_cache *cache = NULL;
	int left = 0;

	remove_filter(sk, index);
	if (rtnl_cls_alloc_cache(sk, index, TC_HANDLE(0xffffu, 0), &cache) == 0) {
		left = nl_cache_nitems(cache);
		nl_cache_free(cache);
	}
	if (!left)
		ingress(sk, index, false);
}
