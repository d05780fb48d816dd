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
/* The ingress hook of either qdisc that may be on it: "ingress", which is ours, and "clsact", which is somebody's. */
#define HOOK TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)

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
		rtnl_tc_set_parent(TC_CAST(c), HOOK);
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

/* What is on the ingress hook of a link with our filter's priority. */
struct found {
	int to; /* where a filter of our kind leads: a link's index; 0: nowhere any more, or there is none */
	bool others; /* filters of another kind */
	int left; /* how many of any priority are not of our kind */
};

/* libnl takes some filters without an action for ones with, and crashes: there is one, if of no kind. */
static struct rtnl_act *first_action(struct rtnl_cls *matchall)
{
	struct rtnl_act *last = rtnl_act_alloc(), *first = NULL;

	if (last && rtnl_mall_append_action(matchall, last) == 0)
		first = rtnl_mall_get_first_action(matchall);
	rtnl_act_put(last);
	return first;
}

static bool is_ours(struct rtnl_cls *c, const char *kind, int *ret_to)
{
	bool all = strcmp(kind, "matchall") == 0, ours;
	struct rtnl_act *a = all ? first_action(c) : strcmp(kind, "u32") == 0 ? rtnl_u32_get_action(c) : NULL;

	ours = a && strcmp(rtnl_tc_get_kind(TC_CAST(a)) ?: "", "mirred") == 0;
	if (ours)
		*ret_to = (int)rtnl_mirred_get_ifindex(a);
	/* That of u32 stays the filter's. */
	if (all)
		rtnl_act_put(a);
	return ours;
}

/* Of u32's it is one among several that may have a priority. */
static void remove_filter(struct nl_sock *sk, int index, const char *kind, uint32_t handle)
{
	struct rtnl_cls *c = new_filter(index);

	if (c && rtnl_tc_set_kind(TC_CAST(c), kind) == 0) {
		if (strcmp(kind, "u32") == 0)
			rtnl_tc_set_handle(TC_CAST(c), handle);
		rtnl_cls_delete(sk, c, 0);
	}
	rtnl_cls_put(c);
}

/* @remove: ours go. */
static struct found look(struct nl_sock *sk, int index, bool remove)
{
	struct nl_cache *cache = NULL;
	struct found f = { .to = 0 };

	if (rtnl_cls_alloc_cache(sk, index, HOOK, &cache) < 0)
		return f;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct rtnl_cls *c = (struct rtnl_cls *)o;
		const char *kind = rtnl_tc_get_kind(TC_CAST(c)) ?: "";
		uint32_t handle = rtnl_tc_get_handle(TC_CAST(c));

		/* u32's tables are listed among its filters, and the empty handle that each kind begins with. */
		if (!handle || (strcmp(kind, "u32") == 0 && !TC_U32_NODE(handle)))
			continue;
		if (rtnl_cls_get_prio(c) != OWN_PRIO) {
			f.left++;
		} else if (!is_ours(c, kind, &f.to)) {
			f.left++;
			f.others = true;
		} else if (remove) {
			remove_filter(sk, index, kind, handle);
		}
	}
	nl_cache_free(cache);
	return f;
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
	struct found f = look(sk, l->index, false);
	struct ifreq ifr;

	if (f.to && is_there(f.to, &ifr))
		return err_set(e, EBUSY, "interface %s: leads to %s already: another virtual machine has it", l->name,
			       ifr.ifr_name);
	if (f.others)
		return err_set(e, EBUSY, "interface %s: somebody's filter has the priority %d on its ingress hook, which the "
			       "mirror needs", l->name, OWN_PRIO);
	look(sk, l->index, true);
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
	if (!look(sk, index, true).left)
		ingress(sk, index, false);
}
