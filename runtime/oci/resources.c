// SPDX-License-Identifier: Apache-2.0
/* "linux.resources". */
#include "runtime/oci/field.h"

#include <string.h>

#include "runtime/oci/cpuset.h"

static int read_rule_type(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_device_rule *r = dst;
	const char *s = "";
	int rc = oci_read_str(c, v, &s);

	if (rc < 0)
		return rc;
	if (!s[0]) {
		r->type = 'a';
		return 0;
	}
	if (s[1] || !strchr("acb", s[0]))
		return oci_fail(c, v, "\"%.20s\" is none of a, c, b", s);
	r->type = s[0];
	return 0;
}

static int read_access(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_str(c, v, dst);

	if (rc == 0 && strspn(v->str, "rwm") != v->str_len)
		return oci_fail(c, v, "\"%.20s\" holds more than r, w, m", v->str);
	return rc;
}

static const struct oci_field rule_fields[] = {
	OCI_REQUIRED("allow", OCI_GUEST, struct oci_device_rule, allow, oci_read_bool),
	OCI_WHOLE("type", OCI_GUEST, read_rule_type),
	OCI_FIELD("major", OCI_GUEST, struct oci_device_rule, major, oci_read_i64),
	OCI_FIELD("minor", OCI_GUEST, struct oci_device_rule, minor, oci_read_i64),
	OCI_FIELD("access", OCI_GUEST, struct oci_device_rule, access, read_access),
	OCI_END,
};

static int read_rule(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_device_rule *r = dst;

	*r = (struct oci_device_rule){ .type = 'a', .major = -1, .minor = -1, .access = "rwm" };
	return oci_read_object(c, v, rule_fields, r);
}

static int read_rules(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_resources *r = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(struct oci_device_rule), read_rule, &p, &r->n_devices);

	if (rc == 0)
		r->devices = p;
	return rc;
}

/* A reader for a number that has a flag beside it. */
#define READ_FLAGGED(fn, type, reader, has, member)                              \
	static int fn(struct oci_ctx *c, const struct json *v, void *dst)        \
	{                                                                        \
		struct oci_resources *r = dst;                                   \
		type n = 0;                                                      \
		int rc = reader(c, v, &n);                                       \
										 \
		if (rc == 0) {                                                   \
			r->has = true;                                           \
			r->member = n;                                           \
		}                                                                \
		return rc;                                                       \
	}

/* -1: unlimited; nothing else below zero means anything. */
static int read_limit(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_i64(c, v, dst);

	if (rc == 0 && *(int64_t *)dst < -1)
		return oci_fail(c, v, "%.40s is negative", v->str);
	return rc;
}

int oci_read_count(struct oci_ctx *c, const struct json *v, void *dst)
{
	if (v->type != JSON_NUMBER || json_uint64(v, dst) < 0)
		return oci_fail(c, v, "must be a whole number from 0 up");
	return 0;
}

READ_FLAGGED(read_memory_limit, int64_t, read_limit, has_memory_limit, memory_limit)
READ_FLAGGED(read_memory_reservation, int64_t, read_limit, has_memory_reservation, memory_reservation)
READ_FLAGGED(read_memory_swap, int64_t, read_limit, has_memory_swap, memory_swap)
READ_FLAGGED(read_pids_limit, int64_t, read_limit, has_pids_limit, pids_limit)
READ_FLAGGED(read_shares, uint64_t, oci_read_count, has_cpu_shares, cpu_shares)
READ_FLAGGED(read_period, uint64_t, oci_read_count, has_cpu_period, cpu_period)
READ_FLAGGED(read_quota, int64_t, read_limit, has_cpu_quota, cpu_quota)
READ_FLAGGED(read_burst, uint64_t, oci_read_count, has_cpu_burst, cpu_burst)
READ_FLAGGED(read_idle_number, int64_t, oci_read_i64, has_cpu_idle, cpu_idle)

static int read_idle(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = read_idle_number(c, v, dst);
	int64_t idle = ((struct oci_resources *)dst)->cpu_idle;

	return rc == 0 && idle != 0 && idle != 1 ? oci_fail(c, v, "must be 0 or 1") : rc;
}

/* The host's numbers; whether it has them is the kernel's to say. */
static int read_set(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct cpuset set;
	int rc = oci_read_str(c, v, dst);

	if (rc == 0 && cpuset_parse(v->str, &set) < 0)
		return oci_fail(c, v, "\"%.40s\" is no list such as \"0-3,8\"", v->str);
	return rc;
}

const struct oci_field oci_memory_fields[] = {
	OCI_WHOLE("limit", OCI_GUEST, read_memory_limit),
	OCI_WHOLE("reservation", OCI_GUEST, read_memory_reservation),
	OCI_WHOLE("swap", OCI_GUEST, read_memory_swap),
	OCI_IGNORE("kernel"),
	OCI_IGNORE("kernelTCP"),
	OCI_IGNORE("useHierarchy"),
	OCI_FIELD("checkBeforeUpdate", OCI_GUEST, struct oci_resources, memory_check, oci_read_bool),
	/* Version 1 only; runc does nothing for them on a host like the guest. */
	OCI_IGNORE("swappiness"),
	OCI_IGNORE("disableOOMKiller"),
	OCI_END,
};

const struct oci_field oci_cpu_fields[] = {
	OCI_WHOLE("shares", OCI_GUEST, read_shares),
	OCI_WHOLE("quota", OCI_GUEST, read_quota),
	OCI_WHOLE("period", OCI_GUEST, read_period),
	OCI_WHOLE("burst", OCI_GUEST, read_burst),
	OCI_WHOLE("idle", OCI_GUEST, read_idle),
	OCI_FIELD("cpus", OCI_HOST, struct oci_resources, cpuset_cpus, read_set),
	OCI_FIELD("mems", OCI_HOST, struct oci_resources, cpuset_mems, read_set),
	/* Version 1 only. */
	OCI_IGNORE("realtimeRuntime"),
	OCI_IGNORE("realtimePeriod"),
	OCI_END,
};

const struct oci_field oci_pids_fields[] = {
	OCI_WHOLE("limit", OCI_GUEST, read_pids_limit),
	OCI_END,
};

static int read_memory(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_memory_fields, dst);
}

static int read_cpu(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_cpu_fields, dst);
}

static int read_pids(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_pids_fields, dst);
}

/* "2MB": a number and K, M or G. */
static int read_page_size(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_str(c, v, dst);
	const char *p = v->str;
	size_t digits;

	if (rc < 0)
		return rc;
	digits = strspn(p, "0123456789");
	if (digits == 0 || digits > 6 || p[0] == '0' || !p[digits] || !strchr("KMG", p[digits]) ||
	    strcmp(p + digits + 1, "B"))
		return oci_fail(c, v, "\"%.20s\" is no page size such as \"2MB\"", p);
	return 0;
}

const struct oci_field oci_hugepages_fields[] = {
	OCI_REQUIRED("pageSize", OCI_GUEST, struct oci_hugepages, page_size, read_page_size),
	OCI_REQUIRED("limit", OCI_GUEST, struct oci_hugepages, limit, oci_read_count),
	OCI_END,
};

static int read_hugepage_limit(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_hugepages_fields, dst);
}

static int read_hugepages(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_resources *r = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(struct oci_hugepages), read_hugepage_limit, &p,
				&r->n_hugepages);

	if (rc == 0)
		r->hugepages = p;
	if (rc == 0 && r->n_hugepages > 16)
		return oci_fail(c, v, "more than 16 page sizes");
	return rc;
}

const struct oci_field oci_resources_fields[] = {
	OCI_WHOLE("devices", OCI_GUEST, read_rules),
	OCI_WHOLE("memory", OCI_GUEST, read_memory),
	OCI_WHOLE("cpu", OCI_GUEST, read_cpu),
	OCI_WHOLE("pids", OCI_GUEST, read_pids),
	OCI_WHOLE("blockIO", OCI_HOST, oci_read_block_io),
	OCI_WHOLE("hugepageLimits", OCI_GUEST, read_hugepages),
	/* Version 1 only. */
	OCI_IGNORE("network"),
	/* No machine has an RDMA device: whatever the limit, it is kept. */
	OCI_IGNORE("rdma"),
	OCI_WHOLE("unified", OCI_GUEST, oci_read_unified),
	OCI_END,
};

int oci_read_resources(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_object(c, v, oci_resources_fields, dst);

	return rc < 0 ? rc : oci_fold_unified(c, v, dst);
}
