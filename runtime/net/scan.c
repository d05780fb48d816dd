// SPDX-License-Identifier: Apache-2.0
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent-proto/client/pack.h"
#include "agent-proto/ttrpc/arena.h"
#include "runtime/net/scan_internal.h"

#define MAX_MEMORY (8u << 20)

static int nl_fail(struct err *e, int rc, const char *what)
{
	return err_set(e, EIO, "%s: %s", what, nl_geterror(rc));
}

int scan_dump(struct nl_sock *sk, int type, nl_recvmsg_msg_cb_t fn, void *arg, const char *what, struct err *e)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int rc = cb ? nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, fn, arg) : -NLE_NOMEM;

	if (rc >= 0)
		rc = nl_rtgen_request(sk, type, AF_UNSPEC, NLM_F_DUMP);
	if (rc >= 0)
		rc = nl_recvmsgs(sk, cb);
	nl_cb_put(cb);
	return rc < 0 ? nl_fail(e, rc, what) : 0;
}

/* ---- links ------------------------------------------------------------------------------------------ */

static bool is_ours(int index, const int *own, size_t nown)
{
	for (size_t i = 0; i < nown; i++)
		if (own[i] == index)
			return true;
	return false;
}

/* A port of a bridge or bond belongs to that, which is a link of its own. */
static bool is_candidate(struct rtnl_link *l)
{
	unsigned flags = rtnl_link_get_flags(l);

	return (flags & IFF_UP) && !(flags & IFF_LOOPBACK) && !rtnl_link_get_master(l);
}

/* On top of a link of this namespace, whose frames all go to the guest: nothing would come in. */
static bool lies_here(struct rtnl_link *l, const char *kind)
{
	static const char *const kinds[] = { "vlan", "macvlan", "macvtap", "ipvlan", "macsec" };
	int32_t elsewhere;

	for (size_t i = 0; kind && i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return rtnl_link_get_link(l) && rtnl_link_get_link_netnsid(l, &elsewhere) < 0;
	return false;
}

/* A tap's largest, less than that of other kinds by an Ethernet header. */
#define TAP_MTU (65535 - ETH_HLEN)

static int take_link(struct rtnl_link *l, struct net_scan *s, struct err *e)
{
	struct nl_addr *mac = rtnl_link_get_addr(l);
	const char *name = rtnl_link_get_name(l), *kind = rtnl_link_get_type(l);
	struct net_link *to = &s->link[s->n];

	if (rtnl_link_get_arptype(l) != ARPHRD_ETHER || !mac || nl_addr_get_len(mac) != sizeof(to->mac))
		return err_set(e, EINVAL, "interface %s: a virtual machine cannot have one that is not Ethernet%s%s", name,
			       kind ? ", like " : "", kind ? kind : "");
	if (lies_here(l, kind))
		return err_set(e, EINVAL,
			       "interface %s: a virtual machine cannot have a %s on an interface of the same namespace; "
			       "make it inside", name, kind);
	/* The guest knows its interfaces by their addresses. */
	for (size_t i = 0; i < s->n; i++)
		if (memcmp(s->link[i].mac, nl_addr_get_binary_addr(mac), sizeof(to->mac)) == 0)
			return err_set(e, EINVAL,
				       "interface %s: has the hardware address of %s, which a virtual machine cannot have "
				       "twice", name, s->link[i].name);
	if (s->n == NET_MAX_LINKS)
		return err_set(e, E2BIG, "interface %s: more than %d in one network namespace", name, NET_MAX_LINKS);
	*to = (struct net_link){ .index = rtnl_link_get_ifindex(l),
				 .mtu = min_t(unsigned, rtnl_link_get_mtu(l), TAP_MTU),
				 .no_arp = rtnl_link_get_flags(l) & IFF_NOARP };
	memcpy(to->mac, nl_addr_get_binary_addr(mac), sizeof(to->mac));
	strncpy(to->name, name, sizeof(to->name) - 1);
	s->n++;
	return 0;
}

int net_go_without(struct net_scan *s, const struct err *why)
{
	if (!s->without[0])
		snprintf(s->without, sizeof(s->without), "%s", why->msg);
	return 0;
}

int scan_links(struct nl_sock *sk, const int *own, size_t nown, bool strict, struct net_scan *ret, struct err *e)
{
	struct nl_cache *cache;
	int rc = rtnl_link_alloc_cache(sk, AF_UNSPEC, &cache);

	ret->n = 0;
	ret->without[0] = 0;
	if (rc < 0)
		return nl_fail(e, rc, "list of interfaces");
	for (struct nl_object *o = nl_cache_get_first(cache); rc == 0 && o; o = nl_cache_get_next(o)) {
		struct rtnl_link *l = (struct rtnl_link *)o;
		struct err why = ERR_INIT;

		if (!is_candidate(l) || is_ours(rtnl_link_get_ifindex(l), own, nown))
			continue;
		rc = take_link(l, ret, &why);
		if (rc < 0 && strict && e)
			*e = why;
		if (rc < 0 && !strict)
			rc = net_go_without(ret, &why);
	}
	nl_cache_free(cache);
	return rc;
}

/* ---- their addresses, routes and neighbours as messages -------------------------------------------------- */

void *packing_take(struct packing *p, size_t n, size_t size)
{
	void *v = arena_alloc(&p->arena, n * size + 1);

	if (v)
		memset(v, 0, n * size + 1);
	else
		p->no_memory = true;
	return v;
}

static size_t link_at(const struct packing *p, int index)
{
	size_t i = 0;

	while (i < p->links->n && p->links->link[i].index != index)
		i++;
	return i;
}

/* The name of a link that the guest has, "lo"; NULL: it has none. */
static char *device_name(struct packing *p, int index)
{
	size_t i = link_at(p, index);

	if (i < p->links->n)
		return p->m.interfaces[i]->name;
	return index == 1 ? (char *)(uintptr_t)"lo" : NULL;
}

/* All bytes of an address, or none of a prefix of length 0. */
static ProtobufCBinaryData bytes_of(struct packing *p, struct nl_addr *a)
{
	ProtobufCBinaryData b = { 0 };

	if (!a || !nl_addr_get_len(a))
		return b;
	b.data = packing_take(p, nl_addr_get_len(a), 1);
	if (b.data) {
		b.len = nl_addr_get_len(a);
		memcpy(b.data, nl_addr_get_binary_addr(a), b.len);
	}
	return b;
}

static bool is_inet(int family)
{
	return family == AF_INET || family == AF_INET6;
}

/* What a router's advertisement brought the guest hears itself, and then it lives as long as that says. */
static bool is_advertised(struct rtnl_addr *a)
{
	return rtnl_addr_get_family(a) == AF_INET6 && !(rtnl_addr_get_flags(a) & IFA_F_PERMANENT);
}

static int add_addresses(struct packing *p, struct nl_cache *cache, struct err *e)
{
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *from = (struct rtnl_addr *)o;
		size_t i = link_at(p, rtnl_addr_get_ifindex(from));
		Husk__Agent__V1__Interface *f;
		Husk__Agent__V1__Address *a;

		if (i == p->links->n || !is_inet(rtnl_addr_get_family(from)) || is_advertised(from) ||
		    rtnl_addr_get_flags(from) & IFA_F_DADFAILED)
			continue;
		f = p->m.interfaces[i];
		if (f->n_addresses == AGENT_MAX_ADDRESSES)
			return err_set(e, E2BIG, "interface %s: more than %d addresses", f->name, AGENT_MAX_ADDRESSES);
		if (!f->addresses)
			f->addresses = packing_take(p, AGENT_MAX_ADDRESSES, sizeof(*f->addresses));
		a = f->addresses ? PACKING_ADD(p, f->addresses, f->n_addresses, Husk__Agent__V1__Address,
				       husk__agent__v1__address__init) : NULL;
		if (!a)
			return 0;
		a->local = bytes_of(p, rtnl_addr_get_local(from));
		a->peer = bytes_of(p, rtnl_addr_get_peer(from));
		a->broadcast = bytes_of(p, rtnl_addr_get_broadcast(from));
		a->prefix_length = (uint32_t)rtnl_addr_get_prefixlen(from);
		a->scope = (uint32_t)rtnl_addr_get_scope(from);
	}
	return 0;
}

/* Those that the guest's kernel makes itself, those that routers tell it, and those of no lasting kind. */
static bool is_wanted(struct rtnl_route *r)
{
	static const uint8_t own_types[] = { RTN_UNICAST, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT };
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(own_types); i++)
		known |= rtnl_route_get_type(r) == own_types[i];
	return known && is_inet(rtnl_route_get_family(r)) && rtnl_route_get_table(r) != RT_TABLE_LOCAL &&
	       !(rtnl_route_get_flags(r) & RTM_F_CLONED) && rtnl_route_get_protocol(r) != RTPROT_RA &&
	       rtnl_route_get_protocol(r) != RTPROT_REDIRECT;
}

static bool add_hops(struct packing *p, struct rtnl_route *from, Husk__Agent__V1__Route *r)
{
	int n = rtnl_route_get_nnexthops(from);

	r->hops = packing_take(p, (size_t)(n > 0 ? n : 1), sizeof(*r->hops));
	/* A blackhole and its like need no device. */
	if (r->hops && rtnl_route_get_type(from) != RTN_UNICAST)
		return PACKING_ADD(p, r->hops, r->n_hops, Husk__Agent__V1__NextHop, husk__agent__v1__next_hop__init) != NULL;
	for (int i = 0; r->hops && i < n; i++) {
		struct rtnl_nexthop *nh = rtnl_route_nexthop_n(from, i);
		struct nl_addr *via = rtnl_route_nh_get_gateway(nh);
		char *device = device_name(p, rtnl_route_nh_get_ifindex(nh));
		Husk__Agent__V1__NextHop *h;

		/* On a link that the guest does not have. */
		if (!device)
			return false;
		h = PACKING_ADD(p, r->hops, r->n_hops, Husk__Agent__V1__NextHop, husk__agent__v1__next_hop__init);
		if (!h)
			return false;
		h->device = device;
		h->gateway = bytes_of(p, via ? via : rtnl_route_nh_get_via(nh));
		h->flags = rtnl_route_nh_get_flags(nh) & RTNH_F_ONLINK;
		h->weight = (uint32_t)rtnl_route_nh_get_weight(nh) + 1;
	}
	return r->n_hops > 0;
}

static int add_route(struct packing *p, struct rtnl_route *from, struct err *e)
{
	Husk__Agent__V1__Route *r = packing_take(p, 1, sizeof(*r));
	struct nl_addr *dst = rtnl_route_get_dst(from);
	unsigned mtu = 0;

	if (!r)
		return 0;
	husk__agent__v1__route__init(r);
	if (!add_hops(p, from, r))
		return 0;
	if (p->m.n_routes == AGENT_MAX_ROUTES || r->n_hops > AGENT_MAX_HOPS)
		return err_set(e, E2BIG, "interface %s: more than %d routes, or %d hops of one", r->hops[0]->device,
			       AGENT_MAX_ROUTES, AGENT_MAX_HOPS);
	r->ipv6 = rtnl_route_get_family(from) == AF_INET6;
	if (dst && nl_addr_get_prefixlen(dst)) {
		r->destination = bytes_of(p, dst);
		r->prefix_length = nl_addr_get_prefixlen(dst);
	}
	r->source = bytes_of(p, rtnl_route_get_pref_src(from));
	r->metric = rtnl_route_get_priority(from);
	r->table = rtnl_route_get_table(from);
	r->scope = rtnl_route_get_scope(from);
	r->protocol = rtnl_route_get_protocol(from);
	r->type = rtnl_route_get_type(from);
	if (rtnl_route_get_metric(from, RTAX_MTU, &mtu) == 0)
		r->mtu = mtu;
	p->m.routes[p->m.n_routes++] = r;
	return 0;
}

static bool has_gateway(struct rtnl_route *r)
{
	for (int i = 0; i < rtnl_route_get_nnexthops(r); i++) {
		struct rtnl_nexthop *nh = rtnl_route_nexthop_n(r, i);

		if (rtnl_route_nh_get_gateway(nh) || rtnl_route_nh_get_via(nh))
			return true;
	}
	return false;
}

/* The library's cache knows one route to a place by one metric; the kernel, one for each link. So: as they come. */
struct routes {
	struct rtnl_route *v[2 * AGENT_MAX_ROUTES];
	size_t n;
	bool too_many;
};

static int take_route(struct nl_msg *msg, void *arg)
{
	struct routes *l = arg;
	struct rtnl_route *r;

	if (rtnl_route_parse(nlmsg_hdr(msg), &r) < 0)
		return NL_SKIP;
	if (!is_wanted(r) || l->n == ARRAY_SIZE(l->v)) {
		l->too_many |= is_wanted(r);
		rtnl_route_put(r);
		return NL_SKIP;
	}
	l->v[l->n++] = r;
	return NL_OK;
}

static int list_routes(struct nl_sock *sk, struct routes *l, struct err *e)
{
	int rc = scan_dump(sk, RTM_GETROUTE, take_route, l, "list of routes", e);

	if (rc < 0)
		return rc;
	return l->too_many ? err_set(e, E2BIG, "network namespace: more than %d routes", AGENT_MAX_ROUTES) : 0;
}

/* A gateway must be reachable when its route is made: those without one come first. */
static int add_routes(struct packing *p, struct nl_sock *sk, struct err *e)
{
	struct routes *l = calloc(1, sizeof(*l));
	int rc = l ? list_routes(sk, l, e) : err_set(e, ENOMEM, "out of memory");

	p->m.routes = packing_take(p, AGENT_MAX_ROUTES, sizeof(*p->m.routes));
	for (int pass = 0; p->m.routes && pass < 2; pass++)
		for (size_t i = 0; rc == 0 && i < l->n; i++)
			if (has_gateway(l->v[i]) == (pass == 1))
				rc = add_route(p, l->v[i], e);
	while (l && l->n)
		rtnl_route_put(l->v[--l->n]);
	free(l);
	return rc;
}

static int add_neighbours(struct packing *p, struct nl_cache *cache, struct err *e)
{
	p->m.neighbours = packing_take(p, AGENT_MAX_NEIGHBOURS, sizeof(*p->m.neighbours));
	for (struct nl_object *o = nl_cache_get_first(cache); p->m.neighbours && o; o = nl_cache_get_next(o)) {
		struct rtnl_neigh *from = (struct rtnl_neigh *)o;
		size_t i = link_at(p, rtnl_neigh_get_ifindex(from));
		struct nl_addr *mac = rtnl_neigh_get_lladdr(from);
		Husk__Agent__V1__Neighbour *b;

		if (i == p->links->n || !is_inet(rtnl_neigh_get_family(from)) || !mac || nl_addr_get_len(mac) != 6 ||
		    !(rtnl_neigh_get_state(from) & NUD_PERMANENT))
			continue;
		if (p->m.n_neighbours == AGENT_MAX_NEIGHBOURS)
			return err_set(e, E2BIG, "interface %s: more than %d neighbours", p->m.interfaces[i]->name,
				       AGENT_MAX_NEIGHBOURS);
		b = PACKING_ADD(p, p->m.neighbours, p->m.n_neighbours, Husk__Agent__V1__Neighbour,
				husk__agent__v1__neighbour__init);
		if (!b)
			return 0;
		b->device = p->m.interfaces[i]->name;
		b->address = bytes_of(p, rtnl_neigh_get_dst(from));
		b->mac = bytes_of(p, mac);
	}
	return 0;
}

static void add_interfaces(struct packing *p)
{
	p->m.interfaces = packing_take(p, p->links->n, sizeof(*p->m.interfaces));
	for (size_t i = 0; p->m.interfaces && i < p->links->n; i++) {
		const struct net_link *l = &p->links->link[i];
		Husk__Agent__V1__Interface *f = PACKING_ADD(p, p->m.interfaces, p->m.n_interfaces, Husk__Agent__V1__Interface,
						    husk__agent__v1__interface__init);

		if (!f)
			return;
		f->name = (char *)(uintptr_t)l->name;
		f->mac = (ProtobufCBinaryData){ .len = sizeof(l->mac), .data = (uint8_t *)(uintptr_t)l->mac };
		f->mtu = l->mtu;
		f->no_arp = l->no_arp;
	}
}

typedef int add_fn(struct packing *p, struct nl_cache *cache, struct err *e);

/* @rc: of the call that filled @cache in. */
static int with_cache(struct packing *p, int rc, struct nl_cache **cache, add_fn *fn, const char *what, struct err *e)
{
	if (rc < 0)
		return nl_fail(e, rc, what);
	rc = p->no_memory ? 0 : fn(p, *cache, e);
	nl_cache_free(*cache);
	return rc;
}

static int list_all(struct packing *p, struct nl_sock *sk, struct err *e)
{
	struct nl_cache *cache = NULL;
	int rc = with_cache(p, rtnl_addr_alloc_cache(sk, &cache), &cache, add_addresses, "list of addresses", e);

	if (rc == 0)
		rc = add_routes(p, sk, e);
	if (rc == 0)
		rc = with_cache(p, rtnl_neigh_alloc_cache(sk, &cache), &cache, add_neighbours, "list of neighbours", e);
	if (rc == 0)
		rc = scan_rules(p, sk, e);
	return rc;
}

int scan_pack(struct nl_sock *sk, const char *container_id, const struct net_scan *links, struct buf *out, struct err *e)
{
	struct packing p = { .links = links };
	void *at;
	size_t len;
	int rc;

	arena_init(&p.arena, MAX_MEMORY);
	husk__agent__v1__update_network_request__init(&p.m);
	p.m.container_id = (char *)(uintptr_t)container_id;
	add_interfaces(&p);
	/* Without interfaces there is nothing on them, and most containers of a shell have none. */
	rc = links->n ? list_all(&p, sk, e) : 0;
	if (rc == 0 && p.no_memory)
		rc = err_set(e, ENOMEM, "out of memory");
	len = rc == 0 ? husk__agent__v1__update_network_request__get_packed_size(&p.m) : 0;
	at = rc == 0 ? buf_reserve(out, len) : NULL;
	if (at) {
		husk__agent__v1__update_network_request__pack(&p.m, at);
		buf_commit(out, len);
	} else if (rc == 0) {
		rc = err_set(e, E2BIG, "network namespace: too many addresses and routes");
	}
	arena_free(&p.arena);
	return rc;
}
