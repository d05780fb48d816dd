// SPDX-License-Identifier: Apache-2.0
/* The kernel's tables made to say what the host's say. What is there already is no error; what was never told is not touched. */
#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent-proto/agent/network.h"
#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"

typedef Husk__Agent__V1__Interface pb_interface;
typedef Husk__Agent__V1__Address pb_address;
typedef Husk__Agent__V1__Route pb_route;
typedef Husk__Agent__V1__NextHop pb_hop;
typedef Husk__Agent__V1__Neighbour pb_neighbour;
typedef Husk__Agent__V1__Rule pb_rule;

#define LOOPBACK 1 /* its index, in every namespace */

/* The told interfaces' devices: parallel to network->interfaces. */
struct devices {
	const pb_network *net;
	struct rtn_link link[AGENT_MAX_INTERFACES]; /* index 0: not found */
};

static int family_of(const ProtobufCBinaryData *a)
{
	return a->len == 16 ? AF_INET6 : AF_INET;
}

static const char *text_of(const ProtobufCBinaryData *a, char *out, size_t size)
{
	if (!a->len || !inet_ntop(family_of(a), a->data, out, (socklen_t)size))
		snprintf(out, size, "default");
	return out;
}

/* ---- devices ----------------------------------------------------------------------------------------- */

/* What the container put on top of a device may have the same address: the oldest one is the device. */
static void match(void *arg, const struct rtn_link *l)
{
	struct devices *d = arg;

	if (l->type != ARPHRD_ETHER)
		return;
	for (size_t i = 0; i < d->net->n_interfaces; i++)
		if (memcmp(d->net->interfaces[i]->mac.data, l->mac, sizeof(l->mac)) == 0 &&
		    (!d->link[i].index || l->index < d->link[i].index))
			d->link[i] = *l;
}

static int find_devices(struct rtn *n, const pb_network *net, struct devices *d, struct err *e)
{
	int rc;

	memset(d, 0, sizeof(*d));
	d->net = net;
	rc = rtn_links(n, match, d);
	return rc < 0 ? err_errno(e, -rc, "list of interfaces") : 0;
}

static int index_of(const struct devices *d, const char *name)
{
	if (strcmp(name, "lo") == 0)
		return LOOPBACK;
	for (size_t i = 0; i < d->net->n_interfaces; i++)
		if (strcmp(d->net->interfaces[i]->name, name) == 0)
			return d->link[i].index;
	return 0;
}

static int set_link(struct rtn *n, int index, uint32_t flags, uint32_t change, const char *name)
{
	struct ifinfomsg i = { .ifi_index = index, .ifi_flags = flags, .ifi_change = change };

	rtn_begin(n, RTM_NEWLINK, 0, &i, sizeof(i));
	if (name)
		rtn_put_str(n, IFLA_IFNAME, name);
	return rtn_call(n);
}

/* From where new devices turn up to where they are wanted. */
static int move_devices(struct rtn *home, int netns, struct devices *d, const struct devices *there, struct err *e)
{
	for (size_t i = 0; i < d->net->n_interfaces; i++) {
		struct ifinfomsg m = { .ifi_index = d->link[i].index };
		char name[32];
		int rc;

		if (!m.ifi_index || there->link[i].index)
			continue;
		/* A name that nothing there has; the right one comes next. */
		snprintf(name, sizeof(name), "husk-new%zu", i);
		rtn_begin(home, RTM_NEWLINK, 0, &m, sizeof(m));
		rtn_put_u32(home, IFLA_NET_NS_FD, (uint32_t)netns);
		rtn_put_str(home, IFLA_IFNAME, name);
		rc = rtn_call(home);
		if (rc < 0)
			return err_errno(e, -rc, "interface %s: cannot be moved to the container", d->net->interfaces[i]->name);
	}
	return 0;
}

/* Back to the machine's own namespace, by the agent's pid; under a name that nothing has there. @name: it, on success. */
static void send_home(struct rtn *n, int index, char *name, size_t i)
{
	struct ifinfomsg m = { .ifi_index = index, .ifi_change = IFF_UP };
	char there[16];

	snprintf(there, sizeof(there), "husk-end%u", (unsigned)i & 0xff);
	rtn_begin(n, RTM_NEWLINK, 0, &m, sizeof(m));
	rtn_put_u32(n, IFLA_NET_NS_PID, 1);
	rtn_put_str(n, IFLA_IFNAME, there);
	if (rtn_call(n) == 0)
		memcpy(name, there, sizeof(there));
}

static int missing(const struct devices *d, const struct devices *other, struct err *e)
{
	for (size_t i = 0; i < d->net->n_interfaces; i++) {
		const pb_interface *f = d->net->interfaces[i];

		if (!d->link[i].index && !(other && other->link[i].index))
			return err_set(e, EAGAIN, "interface %s: no device has its address %02x:%02x:%02x:%02x:%02x:%02x",
				       f->name, f->mac.data[0], f->mac.data[1], f->mac.data[2], f->mac.data[3],
				       f->mac.data[4], f->mac.data[5]);
	}
	return 0;
}

/* Two may have each other's names: what is to be renamed gets out of the way first. */
static int rename_all(struct rtn *n, struct devices *d, struct err *e)
{
	char name[32];
	int rc = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < d->net->n_interfaces; i++) {
			const char *want = d->net->interfaces[i]->name;

			if (strcmp(d->link[i].name, want) == 0)
				continue;
			snprintf(name, sizeof(name), "husk-old%zu", i);
			rc = set_link(n, d->link[i].index, 0, pass ? 0 : IFF_UP, pass ? want : name);
			if (rc < 0)
				return err_errno(e, -rc, "interface %s: cannot be named so", want);
		}
	return 0;
}

/* Link-local addresses are told as all others are; the kernel would look for a double of its own, for a second. */
static void no_own_addresses(struct rtn *n, int index)
{
	struct ifinfomsg i = { .ifi_index = index };
	uint8_t none = IN6_ADDR_GEN_MODE_NONE;
	size_t spec, inet6;

	rtn_begin(n, RTM_NEWLINK, 0, &i, sizeof(i));
	spec = rtn_nest(n, IFLA_AF_SPEC);
	inet6 = rtn_nest(n, AF_INET6);
	rtn_put(n, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
	rtn_nest_end(n, inet6);
	rtn_nest_end(n, spec);
	rtn_call(n); /* without IPv6: nothing to prevent */
}

static int set_device(struct rtn *n, int index, const pb_interface *f, struct err *e)
{
	struct ifinfomsg i = { .ifi_index = index,
			       .ifi_flags = IFF_UP | (f->no_arp ? IFF_NOARP : 0u),
			       .ifi_change = IFF_UP | IFF_NOARP };
	int rc;

	no_own_addresses(n, index);
	rtn_begin(n, RTM_NEWLINK, 0, &i, sizeof(i));
	rtn_put_u32(n, IFLA_MTU, f->mtu);
	rc = rtn_call(n);
	return rc < 0 ? err_errno(e, -rc, "interface %s: MTU %u", f->name, f->mtu) : 0;
}

/* ---- addresses, routes, neighbours --------------------------------------------------------------------- */

static int tell_address(struct rtn *n, uint16_t type, int index, const pb_address *a)
{
	struct ifaddrmsg m = { .ifa_family = (uint8_t)family_of(&a->local),
			       .ifa_prefixlen = (uint8_t)a->prefix_length,
			       .ifa_scope = (uint8_t)a->scope,
			       .ifa_index = (uint32_t)index };
	const ProtobufCBinaryData *peer = a->peer.len ? &a->peer : &a->local;

	rtn_begin(n, type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0, &m, sizeof(m));
	rtn_put(n, IFA_LOCAL, a->local.data, a->local.len);
	rtn_put(n, IFA_ADDRESS, peer->data, peer->len);
	if (a->broadcast.len)
		rtn_put(n, IFA_BROADCAST, a->broadcast.data, a->broadcast.len);
	/* All routes are told, those of addresses too. The host's end has the address as well, and nobody else: it is not
	 * looked for. */
	rtn_put_u32(n, IFA_FLAGS, IFA_F_NOPREFIXROUTE | (m.ifa_family == AF_INET6 ? IFA_F_NODAD : 0u));
	return rtn_call(n);
}

static void put_gateway(struct rtn *n, const pb_hop *h, int family)
{
	uint8_t via[2 + 16];
	uint16_t f = (uint16_t)family_of(&h->gateway);

	if (!h->gateway.len)
		return;
	if (f == family) {
		rtn_put(n, RTA_GATEWAY, h->gateway.data, h->gateway.len);
		return;
	}
	memcpy(via, &f, sizeof(f));
	memcpy(via + 2, h->gateway.data, h->gateway.len);
	rtn_put(n, RTA_VIA, via, 2 + h->gateway.len);
}

/* In a list of several each is a struct rtnexthop with its attributes behind it, where an attribute's head would be. */
static void put_hops(struct rtn *n, const struct devices *d, const pb_route *r, int family)
{
	size_t list = rtn_nest(n, RTA_MULTIPATH);

	for (size_t i = 0; i < r->n_hops && !n->full; i++) {
		const pb_hop *h = r->hops[i];
		size_t at = NLMSG_ALIGN(n->m.hdr.nlmsg_len);
		struct rtnexthop hop = { .rtnh_flags = (uint8_t)h->flags,
					 .rtnh_hops = (uint8_t)(h->weight - 1),
					 .rtnh_ifindex = index_of(d, h->device) };

		/* Written as an attribute of as many bytes, then over its head. */
		rtn_put(n, 0, &hop, sizeof(hop) - RTA_LENGTH(0));
		put_gateway(n, h, family);
		if (n->full)
			return;
		hop.rtnh_len = (uint16_t)(n->m.hdr.nlmsg_len - at);
		memcpy(n->m.bytes + at, &hop, sizeof(hop));
	}
	rtn_nest_end(n, list);
}

static int tell_route(struct rtn *n, uint16_t type, const struct devices *d, const pb_route *r)
{
	const int family = r->ipv6 ? AF_INET6 : AF_INET;
	struct rtmsg m = { .rtm_family = (uint8_t)family,
			   .rtm_dst_len = (uint8_t)r->prefix_length,
			   .rtm_table = (uint8_t)(r->table < 256 ? r->table : RT_TABLE_COMPAT),
			   .rtm_protocol = (uint8_t)r->protocol,
			   .rtm_scope = (uint8_t)r->scope,
			   .rtm_type = (uint8_t)r->type };
	uint16_t how = 0;
	size_t metrics;

	if (r->n_hops == 1)
		m.rtm_flags = r->hops[0]->flags;
	/* Of two IPv4 routes that differ in nothing but where they lead to the first one counts, and they are told in their
	 * order. (Of IPv6 it would make one route with two ways.) */
	if (type == RTM_NEWROUTE)
		how = family == AF_INET ? NLM_F_CREATE | NLM_F_APPEND : NLM_F_CREATE;
	rtn_begin(n, type, how, &m, sizeof(m));
	if (r->destination.len)
		rtn_put(n, RTA_DST, r->destination.data, r->destination.len);
	rtn_put_u32(n, RTA_TABLE, r->table);
	if (r->metric)
		rtn_put_u32(n, RTA_PRIORITY, r->metric);
	if (r->source.len)
		rtn_put(n, RTA_PREFSRC, r->source.data, r->source.len);
	if (r->mtu) {
		metrics = rtn_nest(n, RTA_METRICS);
		rtn_put_u32(n, RTAX_MTU, r->mtu);
		rtn_nest_end(n, metrics);
	}
	if (r->n_hops > 1) {
		put_hops(n, d, r, family);
	} else if (r->n_hops == 1 && *r->hops[0]->device) {
		rtn_put_u32(n, RTA_OIF, (uint32_t)index_of(d, r->hops[0]->device));
		put_gateway(n, r->hops[0], family);
	}
	return rtn_call(n);
}

static int tell_neighbour(struct rtn *n, uint16_t type, const struct devices *d, const pb_neighbour *b)
{
	struct ndmsg m = { .ndm_family = (uint8_t)family_of(&b->address),
			   .ndm_ifindex = index_of(d, b->device),
			   .ndm_state = NUD_PERMANENT };

	rtn_begin(n, type, type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0, &m, sizeof(m));
	rtn_put(n, NDA_DST, b->address.data, b->address.len);
	if (type == RTM_NEWNEIGH)
		rtn_put(n, NDA_LLADDR, b->mac.data, b->mac.len);
	return rtn_call(n);
}

static void put_ports(struct rtn *n, uint16_t attr, uint32_t first, uint32_t last)
{
	const struct fib_rule_port_range range = { .start = (uint16_t)first, .end = (uint16_t)last };

	if (first)
		rtn_put(n, attr, &range, sizeof(range));
}

static int tell_rule(struct rtn *n, uint16_t type, const pb_rule *r)
{
	struct fib_rule_hdr m = { .family = r->ipv6 ? AF_INET6 : AF_INET,
				  .src_len = (uint8_t)r->source_length,
				  .dst_len = (uint8_t)r->destination_length,
				  .tos = (uint8_t)r->tos,
				  .table = (uint8_t)(r->table < 256 ? r->table : RT_TABLE_UNSPEC),
				  .action = (uint8_t)r->action,
				  .flags = r->invert ? FIB_RULE_INVERT : 0 };
	const uint8_t protocol = (uint8_t)r->ip_protocol;

	/* The kernel would take the same one twice. */
	rtn_begin(n, type, type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0, &m, sizeof(m));
	rtn_put_u32(n, FRA_PRIORITY, r->priority);
	rtn_put_u32(n, FRA_TABLE, r->table);
	if (r->source_length)
		rtn_put(n, FRA_SRC, r->source.data, r->source.len);
	if (r->destination_length)
		rtn_put(n, FRA_DST, r->destination.data, r->destination.len);
	if (*r->input)
		rtn_put_str(n, FRA_IIFNAME, r->input);
	if (*r->output)
		rtn_put_str(n, FRA_OIFNAME, r->output);
	if (r->mask) {
		rtn_put_u32(n, FRA_FWMARK, r->mark);
		rtn_put_u32(n, FRA_FWMASK, r->mask);
	}
	if (protocol)
		rtn_put(n, FRA_IP_PROTO, &protocol, sizeof(protocol));
	put_ports(n, FRA_SPORT_RANGE, r->source_port, r->source_port_last);
	put_ports(n, FRA_DPORT_RANGE, r->destination_port, r->destination_port_last);
	if (r->suppress)
		rtn_put_u32(n, FRA_SUPPRESS_PREFIXLEN, r->suppress - 1);
	return rtn_call(n);
}

/* ---- from what was to what is next --------------------------------------------------------------------- */

static bool same(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	size_t n = protobuf_c_message_get_packed_size(a);
	_cleanup_free_ uint8_t *both = NULL;

	if (n != protobuf_c_message_get_packed_size(b))
		return false;
	both = malloc(2 * n + 1);
	if (!both)
		return false;
	protobuf_c_message_pack(a, both);
	protobuf_c_message_pack(b, both + n);
	return memcmp(both, both + n, n) == 0;
}

static bool is_in(const ProtobufCMessage *m, ProtobufCMessage **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (same(m, list[i]))
			return true;
	return false;
}

static const pb_interface *by_mac(const pb_network *net, const pb_interface *f)
{
	for (size_t i = 0; i < net->n_interfaces; i++)
		if (memcmp(net->interfaces[i]->mac.data, f->mac.data, 6) == 0)
			return net->interfaces[i];
	return NULL;
}

/* What goes: errors are of no interest, it may have gone with its device. */
static void forget(struct rtn *n, bool moved, const struct devices *d, const pb_network *next, struct network_gone *gone)
{
	const pb_network *was = d->net;

	for (size_t i = 0; i < was->n_rules; i++)
		if (!is_in(&was->rules[i]->base, (ProtobufCMessage **)next->rules, next->n_rules))
			tell_rule(n, RTM_DELRULE, was->rules[i]);
	for (size_t i = 0; i < was->n_routes; i++)
		if (!is_in(&was->routes[i]->base, (ProtobufCMessage **)next->routes, next->n_routes))
			tell_route(n, RTM_DELROUTE, d, was->routes[i]);
	for (size_t i = 0; i < was->n_neighbours; i++)
		if (!is_in(&was->neighbours[i]->base, (ProtobufCMessage **)next->neighbours, next->n_neighbours))
			tell_neighbour(n, RTM_DELNEIGH, d, was->neighbours[i]);
	for (size_t i = 0; i < was->n_interfaces; i++) {
		const pb_interface *f = was->interfaces[i], *now = by_mac(next, f);

		if (!d->link[i].index)
			continue;
		for (size_t k = 0; k < f->n_addresses; k++)
			if (!now || !is_in(&f->addresses[k]->base, (ProtobufCMessage **)now->addresses, now->n_addresses))
				tell_address(n, RTM_DELADDR, d->link[i].index, f->addresses[k]);
		if (now)
			continue;
		snprintf(gone->name[gone->n], sizeof(gone->name[0]), "%s", d->link[i].name);
		if (moved)
			send_home(n, d->link[i].index, gone->name[gone->n], gone->n);
		else
			set_link(n, d->link[i].index, 0, IFF_UP, NULL);
		gone->n++;
	}
}

static int set_addresses(struct rtn *n, int index, const pb_interface *f, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	int rc;

	for (size_t k = 0; k < f->n_addresses; k++) {
		rc = tell_address(n, RTM_NEWADDR, index, f->addresses[k]);
		if (rc < 0 && rc != -EEXIST)
			return err_errno(e, -rc, "interface %s: address %s", f->name,
					 text_of(&f->addresses[k]->local, text, sizeof(text)));
	}
	return 0;
}

static int set_rest(struct rtn *n, const struct devices *d, struct err *e)
{
	const pb_network *net = d->net;
	char text[INET6_ADDRSTRLEN];
	int rc;

	for (size_t i = 0; i < net->n_routes; i++) {
		const pb_route *r = net->routes[i];

		rc = tell_route(n, RTM_NEWROUTE, d, r);
		if (rc < 0 && rc != -EEXIST)
			return err_errno(e, -rc, "interface %s: route to %s/%u", r->n_hops ? r->hops[0]->device : "",
					 text_of(&r->destination, text, sizeof(text)), r->prefix_length);
	}
	for (size_t i = 0; i < net->n_rules; i++) {
		rc = tell_rule(n, RTM_NEWRULE, net->rules[i]);
		if (rc < 0 && rc != -EEXIST)
			return err_errno(e, -rc, "routing rule of priority %u", net->rules[i]->priority);
	}
	for (size_t i = 0; i < net->n_neighbours; i++) {
		const pb_neighbour *b = net->neighbours[i];

		rc = tell_neighbour(n, RTM_NEWNEIGH, d, b);
		if (rc < 0)
			return err_errno(e, -rc, "interface %s: neighbour %s", b->device,
					 text_of(&b->address, text, sizeof(text)));
	}
	return 0;
}

static int gather(struct rtn *here, struct rtn *home, int netns, const pb_network *next, struct devices *d, struct err *e)
{
	_cleanup_free_ struct devices *fresh = home ? calloc(1, sizeof(*fresh)) : NULL;
	int rc = find_devices(here, next, d, e);

	if (home && !fresh)
		return err_set(e, ENOMEM, "out of memory");
	if (rc == 0 && home)
		rc = find_devices(home, next, fresh, e);
	if (rc == 0)
		rc = missing(d, fresh, e);
	if (rc == 0 && home) {
		rc = move_devices(home, netns, fresh, d, e);
		if (rc == 0)
			rc = find_devices(here, next, d, e);
	}
	return rc;
}

int network_set(struct rtn *here, struct rtn *home, int netns, const pb_network *was, const pb_network *next,
		struct network_gone *gone, struct err *e)
{
	_cleanup_free_ struct devices *d = calloc(2, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, ENOMEM, "out of memory");
	rc = gather(here, home, netns, next, &d[0], e);
	if (rc == 0 && was) {
		rc = find_devices(here, was, &d[1], e);
		if (rc == 0)
			forget(here, home != NULL, &d[1], next, gone);
	}
	if (rc == 0)
		rc = rename_all(here, &d[0], e);
	for (size_t i = 0; rc == 0 && i < next->n_interfaces; i++) {
		rc = set_device(here, d[0].link[i].index, next->interfaces[i], e);
		if (rc == 0)
			rc = set_addresses(here, d[0].link[i].index, next->interfaces[i], e);
	}
	return rc < 0 ? rc : set_rest(here, &d[0], e);
}
