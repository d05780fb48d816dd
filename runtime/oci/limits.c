// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/limits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/oci/field.h"
#include "runtime/oci/unified.h"

#define DEFAULT_PERIOD 100000 /* µs, the kernel's */

/* ---- the list ---------------------------------------------------------------------------------- */

static char *take(struct oci_limits *l, size_t n)
{
	struct oci_pool pool = { .first = l->pool };
	char *p = oci_pool_alloc(&pool, n, 1);

	l->pool = pool.first;
	if (!p)
		l->failed = true;
	return p;
}

static const char *keep(struct oci_limits *l, const char *text)
{
	char *p = take(l, strlen(text) + 1);

	return p ? strcpy(p, text) : "";
}

/* @file: a literal, the configuration's or kept. Never NULL; what it points to is lost when memory was. */
static struct oci_limit *add(struct oci_limits *l, const char *file, const char *fmt, ...)
	__printf_like(3, 4);
static struct oci_limit *add(struct oci_limits *l, const char *file, const char *fmt, ...)
{
	static struct oci_limit nowhere;
	char *value;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		void *more = realloc(l->v, room * sizeof(*l->v));

		if (!more) {
			l->failed = true;
			return &nowhere;
		}
		l->v = more;
		l->room = room;
	}
	value = take(l, (size_t)len + 1);
	if (!value)
		return &nowhere;
	va_start(ap, fmt);
	vsnprintf(value, (size_t)len + 1, fmt, ap);
	va_end(ap);
	l->v[l->n] = (struct oci_limit){ .file = file, .value = value };
	return &l->v[l->n++];
}

/* -1: none; 0 never gets here. */
static struct oci_limit *add_limit(struct oci_limits *l, const char *file, int64_t limit)
{
	return limit < 0 ? add(l, file, "max") : add(l, file, "%" PRId64, limit);
}

const char *oci_limits_get(const struct oci_limits *l, const char *file)
{
	for (size_t i = l->n; i-- > 0;)
		if (!strcmp(l->v[i].file, file))
			return l->v[i].value;
	return NULL;
}

void oci_limits_free(struct oci_limits *l)
{
	struct oci_pool pool = { .first = l->pool };

	oci_pool_free(&pool);
	free(l->v);
	*l = (struct oci_limits)OCI_LIMITS_INIT;
}

static int done(const struct oci_limits *l, struct err *e)
{
	return l->failed ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* ---- the same on both sides -------------------------------------------------------------------- */

static void add_cpu(struct oci_limits *l, const struct oci_resources *r)
{
	uint64_t period = r->has_cpu_period ? r->cpu_period : 0;
	int64_t quota = r->has_cpu_quota ? r->cpu_quota : 0;
	bool idle = r->has_cpu_idle && r->cpu_idle;

	if (r->has_cpu_idle)
		add(l, "cpu.idle", "%" PRId64, r->cpu_idle);
	/* An idle group takes no weight. */
	if (r->has_cpu_shares && r->cpu_shares && !idle) {
		uint64_t s = r->cpu_shares < 2 ? 2 : r->cpu_shares;

		s = s > 262144 ? 262144 : s;
		/* 2 … 262144 to 1 … 10000 */
		add(l, "cpu.weight", "%" PRIu64, 1 + (s - 2) * 9999 / 262142);
	}
	if (quota || period) {
		period = period ? period : DEFAULT_PERIOD;
		if (quota > 0)
			add(l, "cpu.max", "%" PRId64 " %" PRIu64, quota, period);
		else
			add(l, "cpu.max", "max %" PRIu64, period);
	}
	/* Never above the quota, so behind it. */
	if (r->has_cpu_burst)
		add(l, "cpu.max.burst", "%" PRIu64, r->cpu_burst);
}

/* Version 1 counts memory and swap together, version 2 swap alone. *ret 0 and *ret_set: none at all. */
static int swap_limit(const struct oci_resources *r, int64_t *ret, bool *ret_set, struct err *e)
{
	int64_t memory = r->has_memory_limit ? r->memory_limit : 0;
	int64_t swap = r->has_memory_swap ? r->memory_swap : 0;

	*ret_set = true;
	if (memory < 0 && swap == 0)
		swap = -1; /* as version 1 does: unlimited memory is unlimited with swap */
	if (swap <= 0) {
		*ret_set = swap != 0;
		*ret = swap;
		return 0;
	}
	if (memory <= 0)
		return err_set(e, EINVAL, "linux.resources.memory.swap: unable to set swap limit without "
					  "memory limit");
	if (swap < memory)
		return err_set(e, EINVAL, "linux.resources.memory.swap: memory+swap limit should be >= "
					  "memory limit");
	*ret = swap - memory;
	return 0;
}

static int add_swap(struct oci_limits *l, const struct oci_resources *r, struct err *e)
{
	int64_t swap = 0;
	bool set = false;
	int rc = swap_limit(r, &swap, &set, e);

	/* A kernel without swap keeps any limit on it. */
	if (rc == 0 && set)
		add_limit(l, "memory.swap.max", swap)->optional = true;
	return rc;
}

/* Last, as runc has it: what is said in version 2's own words wins. */
static void add_unified(struct oci_limits *l, const struct oci_resources *r, enum oci_unified_place side)
{
	for (size_t i = 0; i < r->n_unified; i++) {
		enum oci_unified_place place = oci_unified_place(r->unified[i].key);

		if (place == side || place == OCI_UNIFIED_BOTH)
			add(l, r->unified[i].key, "%s", r->unified[i].value);
	}
}

/* ---- the guest's group -------------------------------------------------------------------------- */

static void add_hugepages(struct oci_limits *l, const struct oci_resources *r)
{
	for (size_t i = 0; i < r->n_hugepages; i++) {
		const struct oci_hugepages *h = &r->hugepages[i];
		char file[64];

		/* Sizes that the guest does not have are passed over there. */
		snprintf(file, sizeof(file), "hugetlb.%s.max", h->page_size);
		add(l, keep(l, file), "%" PRIu64, h->limit)->optional = true;
		snprintf(file, sizeof(file), "hugetlb.%s.rsvd.max", h->page_size);
		add(l, keep(l, file), "%" PRIu64, h->limit)->optional = true;
	}
}

int oci_limits_guest(const struct oci_resources *r, struct oci_limits *out, struct err *e)
{
	int rc;

	*out = (struct oci_limits)OCI_LIMITS_INIT;
	if (r->has_pids_limit && r->pids_limit)
		add_limit(out, "pids.max", r->pids_limit);
	rc = add_swap(out, r, e);
	if (rc < 0)
		return rc;
	if (r->has_memory_limit && r->memory_limit)
		add_limit(out, "memory.max", r->memory_limit);
	if (r->has_memory_reservation && r->memory_reservation)
		add_limit(out, "memory.low", r->memory_reservation);
	add_cpu(out, r);
	add_hugepages(out, r);
	add_unified(out, r, OCI_UNIFIED_GUEST);
	return done(out, e);
}

/* ---- the host's group --------------------------------------------------------------------------- */

static void add_block_io(struct oci_limits *l, const struct oci_resources *r)
{
	static const char *const words[OCI_BLOCK_LIMITS] = { [OCI_READ_BPS] = "rbps",
							     [OCI_WRITE_BPS] = "wbps",
							     [OCI_READ_IOPS] = "riops",
							     [OCI_WRITE_IOPS] = "wiops" };
	static const char bfq[] = "io.bfq.weight", plain[] = "io.weight";

	/* The scheduler's own file has version 1's range; 10 … 1000 to 1 … 10000 for the other. */
	if (r->block_weight) {
		add(l, bfq, "%" PRIu64, r->block_weight)->optional = true;
		add(l, plain, "%" PRIu64, 1 + (r->block_weight - 10) * 9999 / 990)->unless = bfq;
	}
	for (size_t i = 0; i < r->n_block_weights; i++) {
		const struct oci_block_weight *w = &r->block_weights[i];

		if (!w->weight)
			continue;
		add(l, bfq, "%" PRId64 ":%" PRId64 " %" PRIu64, w->major, w->minor, w->weight)->optional = true;
		add(l, plain, "%" PRId64 ":%" PRId64 " %" PRIu64, w->major, w->minor,
		    1 + (w->weight - 10) * 9999 / 990)
			->unless = bfq;
	}
	for (size_t k = 0; k < OCI_BLOCK_LIMITS; k++)
		for (size_t i = 0; i < r->block_rates[k].n; i++) {
			const struct oci_block_rate *t = &r->block_rates[k].v[i];

			if (t->rate)
				add(l, "io.max", "%" PRId64 ":%" PRId64 " %s=%" PRIu64, t->major, t->minor,
				    words[k], t->rate);
			else
				add(l, "io.max", "%" PRId64 ":%" PRId64 " %s=max", t->major, t->minor,
				    words[k]);
		}
}

int oci_limits_host(const struct oci_resources *r, uint64_t machine, struct oci_limits *out,
		    struct err *e)
{
	int rc;

	*out = (struct oci_limits)OCI_LIMITS_INIT;
	if (r->has_pids_limit && r->pids_limit) {
		int64_t top = r->pids_limit > INT32_MAX ? INT32_MAX : r->pids_limit;

		add_limit(out, "pids.max", top < 0 ? -1 : top + OCI_LIMITS_PIDS);
	}
	rc = add_swap(out, r, e);
	if (rc < 0)
		return rc;
	if (r->has_memory_limit && r->memory_limit < 0)
		add(out, "memory.max", "max");
	else if (r->has_memory_limit && r->memory_limit)
		add(out, "memory.max", "%" PRIu64, machine + OCI_LIMITS_MEMORY);
	if (r->has_memory_reservation && r->memory_reservation)
		add_limit(out, "memory.low", r->memory_reservation);
	add_block_io(out, r);
	add_cpu(out, r);
	if (r->cpuset_cpus && *r->cpuset_cpus)
		add(out, "cpuset.cpus", "%s", r->cpuset_cpus);
	if (r->cpuset_mems && *r->cpuset_mems)
		add(out, "cpuset.mems", "%s", r->cpuset_mems);
	add_unified(out, r, OCI_UNIFIED_HOST);
	return done(out, e);
}
