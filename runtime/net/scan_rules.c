// SPDX-License-Identifier: Apache-2.0
/*
 * Rules of policy routing, from their netlink messages: libnl's own kind of them knows neither "not" nor the suppressors, and
 * a rule copied without what narrows it matches more. One with anything that the message cannot say is left out, whole.
 */
#include <linux/fib_rules.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/net/scan_internal.h"

typedef Husk__Agent__V1__Rule pb_rule;

/* The kernel's own words about a rule, not the maker's. */
#define FLAGS_OF_STATE (FIB_RULE_PERMANENT | FIB_RULE_IIF_DETACHED | FIB_RULE_OIF_DETACHED)

/* Younger than the headers: FRA_SPORT_MASK and FRA_DPORT_MASK. */
#define SPORT_MASK 28
#define DPORT_MASK 29

static bool number(const struct nlattr *a, uint32_t *to)
{
	if (nla_len(a) == sizeof(uint32_t))
		*to = nla_get_u32(a);
	else if (nla_len(a) == sizeof(uint8_t))
		*to = nla_get_u8(a);
	else
		return false;
	return true;
}

static bool bytes(struct packing *p, const struct nlattr *a, ProtobufCBinaryData *to)
{
	to->data = packing_take(p, (size_t)nla_len(a), 1);
	if (!to->data)
		return false;
	to->len = (size_t)nla_len(a);
	memcpy(to->data, nla_data(a), to->len);
	return true;
}

static bool name(struct packing *p, const struct nlattr *a, char **to)
{
	size_t len = strnlen(nla_data(a), (size_t)nla_len(a));
	char *copy = packing_take(p, len, 1); /* and a zero */

	if (!copy)
		return false;
	memcpy(copy, nla_data(a), len);
	*to = copy;
	return true;
}

static bool ports(const struct nlattr *a, uint32_t *first, uint32_t *last)
{
	struct fib_rule_port_range range;

	if (nla_len(a) != sizeof(range))
		return false;
	memcpy(&range, nla_data(a), sizeof(range));
	*first = range.start;
	*last = range.end;
	return true;
}

/* Linux 6.15 says with one port that all of its bits count. */
static bool is_whole_port(const struct nlattr *a)
{
	return nla_len(a) == sizeof(uint16_t) && nla_get_u16(a) == UINT16_MAX;
}

/* Can it be said? */
static bool say(struct packing *p, pb_rule *r, const struct nlattr *a)
{
	uint32_t v;

	switch (nla_type(a)) {
	case FRA_PROTOCOL: /* who made it */
	case FRA_PAD:
		return true;
	case FRA_PRIORITY:
		return number(a, &r->priority);
	case FRA_TABLE:
		return number(a, &r->table);
	case FRA_SRC:
		return bytes(p, a, &r->source);
	case FRA_DST:
		return bytes(p, a, &r->destination);
	case FRA_IIFNAME:
		return name(p, a, &r->input);
	case FRA_OIFNAME:
		return name(p, a, &r->output);
	case FRA_FWMARK:
		return number(a, &r->mark);
	case FRA_FWMASK:
		return number(a, &r->mask);
	case FRA_IP_PROTO:
		return number(a, &r->ip_protocol);
	case FRA_SPORT_RANGE:
		return ports(a, &r->source_port, &r->source_port_last);
	case FRA_DPORT_RANGE:
		return ports(a, &r->destination_port, &r->destination_port_last);
	case FRA_SUPPRESS_PREFIXLEN: /* UINT32_MAX: none, and so is 0 in the message */
		if (!number(a, &v))
			return false;
		r->suppress = v + 1;
		return true;
	case FRA_SUPPRESS_IFGROUP:
		return number(a, &v) && v == UINT32_MAX;
	case SPORT_MASK:
	case DPORT_MASK:
		return is_whole_port(a);
	default: /* users, realms, tunnels, other rules to go to, and what kernels to come have */
		return false;
	}
}

/* "from all lookup local", "main", "default": the guest has them. */
static bool is_everywhere(const pb_rule *r)
{
	return (r->priority == 0 && r->table == RT_TABLE_LOCAL) || (r->priority == 32766 && r->table == RT_TABLE_MAIN) ||
	       (r->priority == 32767 && r->table == RT_TABLE_DEFAULT);
}

static bool read_rule(struct packing *p, const struct nlmsghdr *h, pb_rule *r)
{
	const struct fib_rule_hdr *m = nlmsg_data(h);
	const struct nlattr *a;
	int left;

	if (!nlmsg_valid_hdr(h, sizeof(*m)) || (m->family != AF_INET && m->family != AF_INET6) ||
	    m->flags & ~(uint32_t)(FLAGS_OF_STATE | FIB_RULE_INVERT) ||
	    (m->action != FR_ACT_TO_TBL && (m->action < FR_ACT_BLACKHOLE || m->action > FR_ACT_PROHIBIT)))
		return false;
	r->ipv6 = m->family == AF_INET6;
	r->invert = (m->flags & FIB_RULE_INVERT) != 0;
	r->action = m->action;
	r->table = m->table;
	r->tos = m->tos;
	r->source_length = m->src_len;
	r->destination_length = m->dst_len;
	nlmsg_for_each_attr(a, (struct nlmsghdr *)(uintptr_t)h, (int)sizeof(*m), left)
		if (!say(p, r, a))
			return false;
	return !is_everywhere(r);
}

struct rules {
	struct packing *p;
	bool too_many;
};

static int take_rule(struct nl_msg *msg, void *arg)
{
	struct rules *l = arg;
	struct packing *p = l->p;
	pb_rule r;

	husk__agent__v1__rule__init(&r);
	if (!read_rule(p, nlmsg_hdr(msg), &r))
		return NL_SKIP;
	if (p->m.n_rules == AGENT_MAX_RULES) {
		l->too_many = true;
	} else {
		pb_rule *to = PACKING_ADD(p, p->m.rules, p->m.n_rules, pb_rule, husk__agent__v1__rule__init);

		if (to)
			*to = r;
	}
	return NL_OK;
}

int scan_rules(struct packing *p, struct nl_sock *sk, struct err *e)
{
	struct rules l = { .p = p };
	int rc;

	p->m.rules = packing_take(p, AGENT_MAX_RULES, sizeof(*p->m.rules));
	rc = p->m.rules ? scan_dump(sk, RTM_GETRULE, take_rule, &l, "list of routing rules", e) : 0;
	if (rc == 0 && l.too_many)
		rc = err_set(e, E2BIG, "network namespace: more than %d routing rules", AGENT_MAX_RULES);
	return rc;
}
