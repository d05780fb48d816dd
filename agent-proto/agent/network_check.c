// SPDX-License-Identifier: Apache-2.0
#include <linux/fib_rules.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "agent-proto/agent/check.h"
#include "agent-proto/agent/network.h"
#include "agent-proto/proto/limits.h"

static int invalid(struct err *e, const char *field)
{
	return err_set(e, EINVAL, "%s: invalid value", field);
}

/* As the kernel has it: dev_valid_name(). */
static bool is_name(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < 16 && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 && strcspn(s, "/: \t\n\v\f\r") == len;
}

static bool is_address(const ProtobufCBinaryData *a)
{
	return a->len == 4 || a->len == 16;
}

static bool is_device(const pb_network *m, const char *name)
{
	if (strcmp(name, "lo") == 0)
		return true;
	for (size_t i = 0; i < m->n_interfaces; i++)
		if (strcmp(m->interfaces[i]->name, name) == 0)
			return true;
	return false;
}

static int check_address(const Husk__Agent__V1__Address *a, struct err *e)
{
	if (!is_address(&a->local) || a->prefix_length > 8 * a->local.len || a->scope > 255 ||
	    (a->peer.len && a->peer.len != a->local.len) || (a->broadcast.len && a->broadcast.len != 4))
		return invalid(e, "interfaces.addresses");
	return 0;
}

static int check_interface(const pb_network *m, size_t at, struct err *e)
{
	const Husk__Agent__V1__Interface *f = m->interfaces[at];
	int rc = 0;

	if (!is_name(f->name) || strcmp(f->name, "lo") == 0)
		return invalid(e, "interfaces.name");
	if (f->mac.len != ETH_ALEN || f->mac.data[0] & 1)
		return invalid(e, "interfaces.mac");
	if (f->mtu < 68 || f->mtu > 65535)
		return invalid(e, "interfaces.mtu");
	for (size_t i = 0; i < at; i++)
		if (strcmp(f->name, m->interfaces[i]->name) == 0 ||
		    memcmp(f->mac.data, m->interfaces[i]->mac.data, ETH_ALEN) == 0)
			return err_set(e, EINVAL,
				       "interface %s: another has its name or its address %02x:%02x:%02x:%02x:%02x:%02x", f->name,
				       f->mac.data[0], f->mac.data[1], f->mac.data[2], f->mac.data[3],
				       f->mac.data[4], f->mac.data[5]);
	if (f->n_addresses > AGENT_MAX_ADDRESSES)
		return err_set(e, ENOSPC, "interface %s: too many addresses", f->name);
	for (size_t i = 0; rc == 0 && i < f->n_addresses; i++)
		rc = check_address(f->addresses[i], e);
	return rc;
}

static int check_route(const pb_network *m, const Husk__Agent__V1__Route *r, struct err *e)
{
	const size_t len = r->ipv6 ? 16 : 4;

	if ((r->destination.len && r->destination.len != len) || r->prefix_length > 8 * len ||
	    (!r->destination.len && r->prefix_length) || (r->source.len && r->source.len != len))
		return invalid(e, "routes.destination");
	if (r->scope > 255 || r->protocol > 255 || r->type > RTN_MAX || !r->table)
		return invalid(e, "routes.type");
	if (!r->n_hops || r->n_hops > AGENT_MAX_HOPS)
		return invalid(e, "routes.hops");
	for (size_t i = 0; i < r->n_hops; i++) {
		const Husk__Agent__V1__NextHop *h = r->hops[i];

		if ((h->gateway.len && !is_address(&h->gateway)) || h->flags & ~(uint32_t)RTNH_F_ONLINK ||
		    (r->n_hops > 1 && (h->weight < 1 || h->weight > 256)))
			return invalid(e, "routes.hops");
		if (*h->device || r->n_hops > 1 ? !is_device(m, h->device) : h->gateway.len > 0)
			return invalid(e, "routes.hops.device");
	}
	return 0;
}

static bool are_ports(uint32_t first, uint32_t last)
{
	return first <= last && last <= UINT16_MAX && (first || !last);
}

static int check_rule(const Husk__Agent__V1__Rule *r, struct err *e)
{
	const size_t len = r->ipv6 ? 16 : 4;

	if ((r->source.len && r->source.len != len) || (r->destination.len && r->destination.len != len) ||
	    r->source_length > 8 * r->source.len || r->destination_length > 8 * r->destination.len)
		return invalid(e, "rules.source");
	if ((*r->input && !is_name(r->input)) || (*r->output && !is_name(r->output)))
		return invalid(e, "rules.input");
	if (r->action != FR_ACT_TO_TBL && (r->action < FR_ACT_BLACKHOLE || r->action > FR_ACT_PROHIBIT))
		return invalid(e, "rules.action");
	if (r->tos > UINT8_MAX || r->ip_protocol > UINT8_MAX)
		return invalid(e, "rules.tos");
	if (!are_ports(r->source_port, r->source_port_last) || !are_ports(r->destination_port, r->destination_port_last))
		return invalid(e, "rules.ports");
	if (r->suppress > 8 * len + 1)
		return invalid(e, "rules.suppress");
	return r->action == FR_ACT_TO_TBL && !r->table ? invalid(e, "rules.table") : 0;
}

int network_check(const pb_network *m, struct err *e)
{
	int rc = check_ids(m->container_id, "", e);

	if (rc == 0 && m->n_interfaces > AGENT_MAX_INTERFACES)
		return err_set(e, ENOSPC, "more than %d interfaces", AGENT_MAX_INTERFACES);
	if (rc == 0 && (m->n_routes > AGENT_MAX_ROUTES || m->n_neighbours > AGENT_MAX_NEIGHBOURS))
		return err_set(e, ENOSPC, "more than %d routes or %d neighbours", AGENT_MAX_ROUTES, AGENT_MAX_NEIGHBOURS);
	if (rc == 0 && m->n_rules > AGENT_MAX_RULES)
		return err_set(e, ENOSPC, "more than %d rules", AGENT_MAX_RULES);
	for (size_t i = 0; rc == 0 && i < m->n_rules; i++)
		rc = check_rule(m->rules[i], e);
	for (size_t i = 0; rc == 0 && i < m->n_interfaces; i++)
		rc = check_interface(m, i, e);
	for (size_t i = 0; rc == 0 && i < m->n_routes; i++)
		rc = check_route(m, m->routes[i], e);
	for (size_t i = 0; rc == 0 && i < m->n_neighbours; i++) {
		const Husk__Agent__V1__Neighbour *b = m->neighbours[i];

		if (!is_address(&b->address) || b->mac.len != ETH_ALEN || !is_device(m, b->device))
			rc = invalid(e, "neighbours");
	}
	return rc;
}
