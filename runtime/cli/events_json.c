// SPDX-License-Identifier: Apache-2.0
/*
 * The figures in the form that runc gives them, which is that of control groups of version 1: swap counts memory in; a
 * missing limit is 2^64 - 1; what is zero and optional is left out.
 */
#include "runtime/cli/events.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

static void write_some(struct json_w *w, const char *key, uint64_t value)
{
	if (value)
		jw_uint(w, key, value);
}

static void write_cpu(struct json_w *w, const struct agent_stats *s)
{
	jw_object(w, "cpu");
	jw_object(w, "usage");
	write_some(w, "total", s->cpu_ns);
	jw_uint(w, "kernel", s->cpu_system_ns);
	jw_uint(w, "user", s->cpu_user_ns);
	jw_end_object(w);
	jw_object(w, "throttling");
	write_some(w, "periods", s->periods);
	write_some(w, "throttledPeriods", s->throttled_periods);
	write_some(w, "throttledTime", s->throttled_ns);
	jw_end_object(w);
	jw_end_object(w);
}

/* Of version 1 alone, all zero in runc's own on version 2. */
static void write_cpuset(struct json_w *w)
{
	static const char *const keys[] = {
		"cpu_exclusive",    "mem_hardwall",	  "mem_exclusive",
		"memory_migrate",   "memory_spread_page", "memory_spread_slab",
		"memory_pressure",  "sched_load_balance", "sched_relax_domain_level",
	};

	jw_object(w, "cpuset");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		jw_uint(w, keys[i], 0);
	jw_end_object(w);
}

static void write_usage(struct json_w *w, const char *key, const struct agent_usage *u)
{
	jw_object(w, key);
	jw_uint(w, "limit", u->limit);
	write_some(w, "usage", u->current);
	write_some(w, "max", u->peak);
	jw_uint(w, "failcnt", u->failures);
	jw_end_object(w);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct agent_counter *)a)->name,
		      ((const struct agent_counter *)b)->name);
}

static void write_memory(struct json_w *w, const struct agent_stats *s)
{
	const struct agent_usage none = { 0, 0, 0, 0 };
	struct agent_counter all[AGENT_MAX_COUNTERS];
	struct agent_usage swap = s->swap;
	size_t n = s->n_memory_stat;

	swap.current += s->memory.current;
	swap.peak = 0; /* of the two together: nobody counts that */
	if (swap.limit > AGENT_NO_LIMIT - s->memory.limit || s->memory.limit == AGENT_NO_LIMIT)
		swap.limit = AGENT_NO_LIMIT;
	else
		swap.limit += s->memory.limit;
	memcpy(all, s->memory_stat, n * sizeof(*all));
	qsort(all, n, sizeof(*all), by_name);
	jw_object(w, "memory");
	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i].name, "file"))
			write_some(w, "cache", all[i].value);
	write_usage(w, "usage", &s->memory);
	write_usage(w, "swap", &swap);
	write_usage(w, "kernel", &none);
	write_usage(w, "kernelTCP", &none);
	if (n)
		jw_object(w, "raw");
	for (size_t i = 0; i < n; i++)
		if (!i || strcmp(all[i].name, all[i - 1].name))
			jw_uint(w, all[i].name, all[i].value);
	if (n)
		jw_end_object(w);
	jw_end_object(w);
}

static void write_block_entry(struct json_w *w, const struct agent_block_stat *b, const char *op,
			      uint64_t value)
{
	jw_object(w, NULL);
	write_some(w, "major", b->major);
	write_some(w, "minor", b->minor);
	jw_str(w, "op", op);
	write_some(w, "value", value);
	jw_end_object(w);
}

static void write_block(struct json_w *w, const struct agent_stats *s)
{
	jw_object(w, "blkio");
	if (s->n_block) {
		jw_array(w, "ioServiceBytesRecursive");
		for (uint32_t i = 0; i < s->n_block; i++) {
			write_block_entry(w, &s->block[i], "Read", s->block[i].read_bytes);
			write_block_entry(w, &s->block[i], "Write", s->block[i].written_bytes);
		}
		jw_end_array(w);
		jw_array(w, "ioServicedRecursive");
		for (uint32_t i = 0; i < s->n_block; i++) {
			write_block_entry(w, &s->block[i], "Read", s->block[i].reads);
			write_block_entry(w, &s->block[i], "Write", s->block[i].writes);
		}
		jw_end_array(w);
	}
	jw_end_object(w);
}

/* runc names the fields of this object as its source does. */
static void write_interfaces(struct json_w *w, const struct agent_stats *s)
{
	if (!s->n_interfaces) {
		jw_str(w, "network_interfaces", NULL);
		return;
	}
	jw_array(w, "network_interfaces");
	for (uint32_t i = 0; i < s->n_interfaces; i++) {
		const struct agent_interface *f = &s->interfaces[i];

		jw_object(w, NULL);
		jw_str(w, "Name", f->name);
		jw_uint(w, "RxBytes", f->rx_bytes);
		jw_uint(w, "RxPackets", f->rx_packets);
		jw_uint(w, "RxErrors", f->rx_errors);
		jw_uint(w, "RxDropped", f->rx_dropped);
		jw_uint(w, "TxBytes", f->tx_bytes);
		jw_uint(w, "TxPackets", f->tx_packets);
		jw_uint(w, "TxErrors", f->tx_errors);
		jw_uint(w, "TxDropped", f->tx_dropped);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void write_rest(struct json_w *w, const struct agent_stats *s)
{
	jw_object(w, "pids");
	write_some(w, "current", s->pids.current);
	write_some(w, "limit", s->pids.limit == AGENT_NO_LIMIT ? 0 : s->pids.limit);
	jw_end_object(w);
	write_block(w, s);
	jw_object(w, "hugetlb");
	for (uint32_t i = 0; i < s->n_huge; i++) {
		const struct agent_huge *h = &s->huge[i];

		jw_object(w, h->size);
		write_some(w, "usage", h->usage.current);
		write_some(w, "max", h->usage.peak);
		jw_uint(w, "failcnt", h->usage.failures);
		jw_end_object(w);
	}
	jw_end_object(w);
	jw_object(w, "intel_rdt");
	jw_end_object(w);
	write_interfaces(w, s);
}

static void begin(struct json_w *w, const char *type, const char *id)
{
	jw_object(w, NULL);
	jw_str(w, "type", type);
	jw_str(w, "id", id);
}

void events_write_stats(struct json_w *w, const char *id, const struct agent_stats *s)
{
	begin(w, "stats", id);
	jw_object(w, "data");
	write_cpu(w, s);
	write_cpuset(w);
	write_memory(w, s);
	write_rest(w, s);
	jw_end_object(w);
	jw_end_object(w);
}

void events_write_oom(struct json_w *w, const char *id)
{
	begin(w, "oom", id);
	jw_end_object(w);
}
