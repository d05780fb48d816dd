// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/unified.h"

#include <limits.h>
#include <string.h>

#include "agent-proto/proto/limits.h"
#include "runtime/oci/field.h"

#define MAX_UNIFIED 128

/* The first row that is the name, or its beginning where the row ends with a dot. What controls the group instead
 * of limiting it (cgroup.procs, cgroup.freeze, …) is not for a configuration. */
static const struct {
	const char *file;
	enum oci_unified_place place;
} rows[] = {
	{ "cgroup.max.depth", OCI_UNIFIED_GUEST },
	{ "cgroup.max.descendants", OCI_UNIFIED_GUEST },
	{ "cpu.max", OCI_UNIFIED_FIELD },
	{ "cpu.max.burst", OCI_UNIFIED_BOTH },
	{ "cpu.weight", OCI_UNIFIED_BOTH },
	{ "cpu.weight.nice", OCI_UNIFIED_BOTH },
	{ "cpu.idle", OCI_UNIFIED_BOTH },
	{ "cpu.uclamp.", OCI_UNIFIED_HOST },
	{ "cpuset.cpus", OCI_UNIFIED_HOST },
	{ "cpuset.mems", OCI_UNIFIED_HOST },
	{ "cpuset.cpus.", OCI_UNIFIED_HOST },
	{ "hugetlb.", OCI_UNIFIED_GUEST },
	{ "io.", OCI_UNIFIED_HOST },
	{ "memory.max", OCI_UNIFIED_FIELD },
	/* Where the host begins to slow the machine down is not where the container's own memory does. */
	{ "memory.high", OCI_UNIFIED_GUEST },
	{ "memory.low", OCI_UNIFIED_BOTH },
	{ "memory.min", OCI_UNIFIED_BOTH },
	{ "memory.oom.group", OCI_UNIFIED_GUEST },
	/* The guest has no swap; what the host may swap out is the machine's memory. */
	{ "memory.swap.", OCI_UNIFIED_HOST },
	{ "memory.zswap.", OCI_UNIFIED_HOST },
	{ "misc.", OCI_UNIFIED_HOST },
	{ "pids.max", OCI_UNIFIED_FIELD },
	/* No machine has such a device. */
	{ "rdma.", OCI_UNIFIED_NOWHERE },
};

enum oci_unified_place oci_unified_place(const char *file)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = strlen(rows[i].file);

		if (rows[i].file[n - 1] == '.' ? !strncmp(file, rows[i].file, n) && file[n] :
						 !strcmp(file, rows[i].file))
			return rows[i].place;
	}
	return OCI_UNIFIED_UNKNOWN;
}

int oci_read_unified(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_resources *r = dst;
	int rc = oci_read_pairs(c, v, &r->unified, &r->n_unified);

	if (rc == 0 && r->n_unified > MAX_UNIFIED)
		return oci_fail(c, v, "more than %d files", MAX_UNIFIED);
	for (size_t i = 0; rc == 0 && i < r->n_unified; i++) {
		const char *file = r->unified[i].key;

		if (strchr(file, '/'))
			return oci_fail(c, v, "\"%.60s\" must be a file name (no slashes)", file);
		if (!strchr(file, '.') || *file == '.')
			return oci_fail(c, v, "\"%.60s\" must be in the form CONTROLLER.PARAMETER", file);
		if (strlen(file) > NAME_MAX || oci_unified_place(file) == OCI_UNIFIED_UNKNOWN)
			return oci_fail(c, v, "\"%.60s\" is not supported", file);
		if (strlen(r->unified[i].value) > AGENT_MAX_STRING)
			return oci_fail(c, v, "%.60s: longer than %d bytes", file, AGENT_MAX_STRING);
	}
	return rc;
}

/* What the kernel takes: a number, with one of its suffixes for memory, or "max" (-1). *p is behind it. */
static int take(const char **p, bool memory, int64_t *ret)
{
	static const char suffixes[] = "KMGTPE";
	const char *s = *p + strspn(*p, " \t\n"), *suffix;
	uint64_t n = 0;

	if (!strncmp(s, "max", 3)) {
		*p = s + 3 + strspn(s + 3, " \t\n");
		*ret = -1;
		return 0;
	}
	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return -ERANGE;
	suffix = memory && *s ? strchr(suffixes, *s & ~0x20) : NULL;
	if (suffix) {
		if (__builtin_mul_overflow(n, UINT64_C(1) << 10 * (suffix - suffixes + 1), &n))
			return -ERANGE;
		s++;
	}
	if (n > INT64_MAX || (*s && !strchr(" \t\n", *s)))
		return -EINVAL;
	*p = s + strspn(s, " \t\n");
	*ret = (int64_t)n;
	return 0;
}

/* In these fields 0 means "not set": it is no value here, though the kernel would take it for some. */
static int fold_memory(struct oci_resources *r, const char *value)
{
	int rc = take(&value, true, &r->memory_limit);

	r->has_memory_limit = true;
	return rc < 0 || *value || r->memory_limit == 0 ? -EINVAL : 0;
}

static int fold_pids(struct oci_resources *r, const char *value)
{
	int rc = take(&value, false, &r->pids_limit);

	r->has_pids_limit = true;
	return rc < 0 || *value || r->pids_limit == 0 ? -EINVAL : 0;
}

static int fold_cpu(struct oci_resources *r, const char *value)
{
	int64_t period = 0;
	int rc = take(&value, false, &r->cpu_quota);

	r->has_cpu_quota = true;
	if (rc == 0 && *value) {
		rc = take(&value, false, &period);
		r->has_cpu_period = true;
		r->cpu_period = (uint64_t)period;
		if (period <= 0)
			rc = -EINVAL;
	}
	return rc < 0 || *value || r->cpu_quota == 0 ? -EINVAL : 0;
}

int oci_fold_unified(struct oci_ctx *c, const struct json *v, struct oci_resources *r)
{
	static const struct {
		const char *file;
		int (*fold)(struct oci_resources *r, const char *value);
	} folds[] = {
		{ "memory.max", fold_memory },
		{ "pids.max", fold_pids },
		{ "cpu.max", fold_cpu },
	};

	for (size_t i = 0; i < r->n_unified; i++)
		for (size_t f = 0; f < ARRAY_SIZE(folds); f++)
			if (!strcmp(folds[f].file, r->unified[i].key) &&
			    folds[f].fold(r, r->unified[i].value) < 0)
				return oci_fail(c, json_get(v, "unified"), "%s: \"%.60s\" is no value of it",
						folds[f].file, r->unified[i].value);
	return 0;
}
