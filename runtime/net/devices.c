// SPDX-License-Identifier: Apache-2.0
/* Devices of the host's that config.json names, moved into the container's namespace with their addresses, as runc does. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/cache.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>

#include "runtime/net/devices.h"

static int nl_fail(struct err *e, int rc, const struct net_device *d, const char *what)
{
	return err_set(e, rc == -NLE_OBJ_NOTFOUND || rc == -NLE_NODEV ? ENODEV : EIO, "netDevices: %s: %s: %s", d->host, what,
		       nl_geterror(rc));
}

static bool is_kept(struct rtnl_addr *a, int index)
{
	return rtnl_addr_get_ifindex(a) == index && rtnl_addr_get_scope(a) == RT_SCOPE_UNIVERSE &&
	       rtnl_addr_get_flags(a) & IFA_F_PERMANENT;
}

/* Keeps those alone. */
static int list_addresses(struct nl_sock *sk, int index, struct nl_cache **ret)
{
	struct nl_object *o, *next;
	int rc = rtnl_addr_alloc_cache(sk, ret);

	for (o = rc < 0 ? NULL : nl_cache_get_first(*ret); o; o = next) {
		next = nl_cache_get_next(o);
		if (!is_kept((struct rtnl_addr *)o, index))
			nl_cache_remove(o);
	}
	return rc;
}

static int move(struct nl_sock *sk, struct rtnl_link *l, int netns, const char *name)
{
	struct rtnl_link *to = rtnl_link_alloc();
	int rc = -NLE_NOMEM;

	if (to) {
		rtnl_link_set_ns_fd(to, netns);
		rtnl_link_set_name(to, name);
		rc = rtnl_link_change(sk, l, to, 0);
	}
	rtnl_link_put(to);
	return rc;
}

static int put_up(struct nl_sock *sk, const struct net_device *d, struct nl_cache *addresses)
{
	struct rtnl_link *l = NULL, *up = rtnl_link_alloc();
	int rc = up ? rtnl_link_get_kernel(sk, 0, d->name, &l) : -NLE_NOMEM;

	for (struct nl_object *o = rc < 0 ? NULL : nl_cache_get_first(addresses); rc == 0 && o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *a = (struct rtnl_addr *)nl_object_clone(o);

		rc = -NLE_NOMEM;
		if (a) {
			rtnl_addr_set_ifindex(a, rtnl_link_get_ifindex(l));
			rc = rtnl_addr_add(sk, a, 0);
			rtnl_addr_put(a);
		}
		if (rc == -NLE_EXIST)
			rc = 0;
	}
	if (rc == 0) {
		rtnl_link_set_flags(up, IFF_UP);
		rc = rtnl_link_change(sk, l, up, 0);
	}
	rtnl_link_put(l);
	rtnl_link_put(up);
	return rc;
}

int devices_move(struct nl_sock *host, struct nl_sock *there, int netns, const struct net_device *d, struct err *e)
{
	struct nl_cache *addresses = NULL;
	struct rtnl_link *l = NULL;
	int rc = rtnl_link_get_kernel(host, 0, d->host, &l);

	if (rc < 0)
		return nl_fail(e, rc, d, "no such device");
	rc = list_addresses(host, rtnl_link_get_ifindex(l), &addresses);
	if (rc == 0)
		rc = move(host, l, netns, d->name);
	rtnl_link_put(l);
	if (rc < 0) {
		nl_cache_free(addresses);
		return nl_fail(e, rc, d, "cannot be moved to the container");
	}
	rc = put_up(there, d, addresses);
	nl_cache_free(addresses);
	return rc < 0 ? nl_fail(e, rc, d, "in the container") : 0;
}
