// SPDX-License-Identifier: Apache-2.0
/* A container's limits as properties of its scope, by runc's rules. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/oci/cpuset.h"
#include "runtime/systemd/unit.h"

typedef int convert_fn(struct buf *out, const char *property, const char *value);

/* A number, UINT64_MAX for "max". */
static int number(const char **p, uint64_t *ret)
{
	uint64_t n = 0;
	const char *s = *p + strspn(*p, " \t\n");

	if (!strncmp(s, "max", 3)) {
		*p = s + 3;
		*ret = UINT64_MAX;
		return 0;
	}
	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return -ERANGE;
	*p = s;
	*ret = n;
	return 0;
}

static bool at_end(const char *s)
{
	return !s[strspn(s, " \t\n")];
}

static int as_number(struct buf *out, const char *property, const char *value)
{
	uint64_t n = 0;
	int rc = number(&value, &n);

	if (rc < 0 || !at_end(value))
		return -EINVAL;
	return buf_printf(out, "%s t %" PRIu64 "\n", property, n);
}

/* "quota period" to the share of a second, rounded up to what systemd keeps: whole percents. */
static int as_quota(struct buf *out, const char *property, const char *value)
{
	uint64_t quota = 0, period = 100000, share = UINT64_MAX;
	int rc = number(&value, &quota);

	if (rc == 0 && !at_end(value))
		rc = number(&value, &period);
	if (rc < 0 || !at_end(value) || period == 0 || period == UINT64_MAX)
		return -EINVAL;
	if (quota != UINT64_MAX) {
		if (__builtin_mul_overflow(quota, UINT64_C(1000000), &share))
			return -EINVAL;
		share = (share / period + 9999) / 10000 * 10000;
	}
	rc = buf_printf(out, "CPUQuotaPeriodUSec t %" PRIu64 "\n", period);
	return rc < 0 ? rc : buf_printf(out, "%s t %" PRIu64 "\n", property, share);
}

/* An idle group has no weight; systemd (252 and later) knows it as the weight 0. */
static int as_idle(struct buf *out, const char *property, const char *value)
{
	uint64_t n = 0;

	if (number(&value, &n) < 0 || !at_end(value))
		return -EINVAL;
	return n ? buf_printf(out, "%s t 0\n", property) : 0;
}

/* "N" and "default N" are the group's; "MAJOR:MINOR N" is one device's, which the file alone says, as with runc. */
static int as_io_weight(struct buf *out, const char *property, const char *value)
{
	static const char word[] = "default ";
	uint64_t n = 0;
	const char *s = value;

	if (number(&s, &n) == 0 && *s == ':')
		return 0;
	if (!strncmp(value, word, strlen(word)))
		value += strlen(word);
	return as_number(out, property, value);
}

static int as_set(struct buf *out, const char *property, const char *value)
{
	struct cpuset set;
	int rc = cpuset_parse(value, &set);

	if (rc == 0)
		rc = buf_printf(out, "%s ay ", property);
	for (size_t i = 0; rc == 0 && i < (set.top + 7) / 8; i++)
		rc = buf_printf(out, "%02x", set.bits[i]);
	return rc < 0 ? rc : buf_printf(out, "\n");
}

static const struct {
	const char *file, *property;
	convert_fn *convert;
} rows[] = {
	{ "cpu.idle", "CPUWeight", as_idle },
	{ "cpu.max", "CPUQuotaPerSecUSec", as_quota },
	{ "cpu.weight", "CPUWeight", as_number },
	{ "cpuset.cpus", "AllowedCPUs", as_set },
	{ "cpuset.mems", "AllowedMemoryNodes", as_set },
	{ "io.weight", "IOWeight", as_io_weight },
	{ "memory.high", "MemoryHigh", as_number },
	{ "memory.low", "MemoryLow", as_number },
	{ "memory.max", "MemoryMax", as_number },
	{ "memory.min", "MemoryMin", as_number },
	{ "memory.swap.max", "MemorySwapMax", as_number },
	{ "pids.max", "TasksMax", as_number },
};

int systemd_limit_properties(const struct oci_limits *limits, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < limits->n; i++) {
		const struct oci_limit *l = &limits->v[i];

		for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
			int rc;

			if (strcmp(rows[r].file, l->file))
				continue;
			rc = rows[r].convert(out, rows[r].property, l->value);
			if (out->failed)
				return err_set(e, E2BIG, "too many properties for systemd");
			if (rc < 0)
				return err_set(e, -rc,
					       "linux.resources: %s: \"%.100s\" is no value for "
					       "systemd's %s",
					       l->file, l->value, rows[r].property);
		}
	}
	return 0;
}

int systemd_properties(const struct systemd_unit *u, const struct oci_limits *limits,
		       const struct oci_pair *annotations, size_t n, struct buf *out, struct err *e)
{
	int rc;

	/* Without CollectMode a scope whose processes failed would stay, loaded, until asked for. */
	buf_printf(out,
		   "Slice s %s\nDelegate b true\nMemoryAccounting b true\nCPUAccounting b true\n"
		   "IOAccounting b true\nTasksAccounting b true\nDefaultDependencies b false\n"
		   "CollectMode s inactive-or-failed\n",
		   u->slice);
	rc = systemd_limit_properties(limits, out, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!strncmp(annotations[i].key, SYSTEMD_ANNOTATION, strlen(SYSTEMD_ANNOTATION)))
			rc = systemd_annotation(annotations[i].key, annotations[i].value, out, e);
	if (rc == 0 && out->failed)
		rc = err_set(e, E2BIG, "too many properties for systemd");
	return rc;
}
