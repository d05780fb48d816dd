// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "agent-proto/client/internal.h"

static void take_usage(const Husk__Agent__V1__Usage *m, struct agent_usage *u)
{
	if (m)
		*u = (struct agent_usage){ .current = m->current,
					   .limit = m->limit,
					   .peak = m->peak,
					   .failures = m->failures };
}

/* A name that nothing has to be escaped in, wherever it is printed. */
static int take_name(char *dst, const char *src, size_t max, const char *allowed, struct err *e)
{
	size_t len = strnlen(src, max + 1);

	if (!len || len > max || strspn(src, allowed) != len)
		return err_set(e, EPROTO, "name of a counter");
	memcpy(dst, src, len + 1);
	return 0;
}

static int check_counts(const Husk__Agent__V1__StatsResponse *m, struct err *e)
{
	if (m->n_memory_stat > AGENT_MAX_COUNTERS)
		return err_set(e, EPROTO, "%zu counters", m->n_memory_stat);
	if (m->n_block > AGENT_MAX_BLOCK_STATS)
		return err_set(e, EPROTO, "%zu block devices", m->n_block);
	if (m->n_huge > AGENT_MAX_HUGE_SIZES)
		return err_set(e, EPROTO, "%zu sizes of pages", m->n_huge);
	if (m->n_interfaces > AGENT_MAX_INTERFACE_STATS)
		return err_set(e, EPROTO, "%zu interfaces", m->n_interfaces);
	return 0;
}

static int take_interfaces(const Husk__Agent__V1__StatsResponse *m, struct agent_stats *ret, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < m->n_interfaces; i++) {
		const Husk__Agent__V1__InterfaceStat *f = m->interfaces[i];
		struct agent_interface *to = &ret->interfaces[ret->n_interfaces++];

		*to = (struct agent_interface){ .rx_bytes = f->rx_bytes,
						.rx_packets = f->rx_packets,
						.rx_errors = f->rx_errors,
						.rx_dropped = f->rx_dropped,
						.tx_bytes = f->tx_bytes,
						.tx_packets = f->tx_packets,
						.tx_errors = f->tx_errors,
						.tx_dropped = f->tx_dropped };
		rc = take_name(to->name, f->name, sizeof(to->name) - 1, AGENT_INTERFACE_CHARS, e);
	}
	return rc;
}

int agent_take_stats(const Husk__Agent__V1__StatsResponse *m, struct agent_stats *ret,
		     struct err *e)
{
	int rc = check_counts(m, e);

	if (rc < 0)
		return rc;
	ret->cpu_ns = m->cpu_ns;
	ret->cpu_user_ns = m->cpu_user_ns;
	ret->cpu_system_ns = m->cpu_system_ns;
	ret->periods = m->periods;
	ret->throttled_periods = m->throttled_periods;
	ret->throttled_ns = m->throttled_ns;
	take_usage(m->memory, &ret->memory);
	take_usage(m->swap, &ret->swap);
	take_usage(m->pids, &ret->pids);
	for (size_t i = 0; rc == 0 && i < m->n_memory_stat; i++) {
		struct agent_counter *c = &ret->memory_stat[ret->n_memory_stat++];

		c->value = m->memory_stat[i]->value;
		rc = take_name(c->name, m->memory_stat[i]->name, AGENT_MAX_COUNTER_NAME,
			       "abcdefghijklmnopqrstuvwxyz0123456789_", e);
	}
	for (size_t i = 0; i < m->n_block; i++)
		ret->block[ret->n_block++] =
			(struct agent_block_stat){ .major = m->block[i]->major,
						   .minor = m->block[i]->minor,
						   .read_bytes = m->block[i]->read_bytes,
						   .written_bytes = m->block[i]->written_bytes,
						   .reads = m->block[i]->reads,
						   .writes = m->block[i]->writes };
	for (size_t i = 0; rc == 0 && i < m->n_huge; i++) {
		struct agent_huge *h = &ret->huge[ret->n_huge++];

		take_usage(m->huge[i]->usage, &h->usage);
		rc = take_name(h->size, m->huge[i]->size, AGENT_MAX_HUGE_NAME,
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", e);
	}
	return rc < 0 ? rc : take_interfaces(m, ret, e);
}
