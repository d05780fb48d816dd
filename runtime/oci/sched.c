// SPDX-License-Identifier: Apache-2.0
/* When and where processes run and have their memory: scheduler, ioPriority, execCPUAffinity of "process"; memoryPolicy and
 * personality of "linux". Numbers of CPUs and memory nodes are the guest's. */
#include "runtime/oci/field.h"

#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/personality.h>

#include "lib/log.h"
#include "runtime/oci/cpuset.h"

/* ---- sets of numbers --------------------------------------------------------------------------- */

/* "0-3,7"; what the kernel and so cpuset_parse() take beside that, white space and a comma at the end, is refused. */
static int read_set(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_set *set = dst;
	struct cpuset cpus;
	const char *s = "";
	int rc = oci_read_str(c, v, &s);

	if (rc < 0)
		return rc;
	if (strpbrk(s, " \t\n") || (*s && s[strlen(s) - 1] == ',') || cpuset_parse(s, &cpus) < 0 ||
	    cpus.top > 8 * OCI_SET_BYTES)
		return oci_fail(c, v, "\"%.60s\" is no list of numbers such as 0-3,7, up to %d", s,
				8 * OCI_SET_BYTES - 1);
	memcpy(set->bits, cpus.bits, sizeof(set->bits));
	set->len = (cpus.top + 7) / 8;
	return 0;
}

/* ---- scheduler --------------------------------------------------------------------------------- */

#define POLICY_ISO 4 /* kept by the kernel for a policy that it never got */

static const struct oci_word policies[] = {
	{ "SCHED_OTHER", SCHED_NORMAL },
	{ "SCHED_FIFO", SCHED_FIFO },
	{ "SCHED_RR", SCHED_RR },
	{ "SCHED_BATCH", SCHED_BATCH },
	{ "SCHED_ISO", POLICY_ISO },
	{ "SCHED_IDLE", SCHED_IDLE },
	{ "SCHED_DEADLINE", SCHED_DEADLINE },
};

static const struct oci_word sched_flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK },
	{ "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
	{ "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN },
	{ "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
	{ "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS },
	{ "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX },
};

static int read_policy(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_word(c, v, policies, ARRAY_SIZE(policies), "scheduling policy", dst);
}

static int read_sched_flag(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_word(c, v, sched_flags, ARRAY_SIZE(sched_flags), "scheduling flag", dst);
}

static int read_sched_flags(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_scheduler *s = dst;
	const uint32_t *list;
	void *p;
	size_t n;
	int rc = oci_read_array(c, v, sizeof(uint32_t), read_sched_flag, &p, &n);

	if (rc < 0)
		return rc;
	list = p;
	for (size_t i = 0; i < n; i++)
		s->flags |= list[i];
	return 0;
}

static int read_i32(struct oci_ctx *c, const struct json *v, void *dst)
{
	int64_t n = 0;
	int rc = oci_read_i64(c, v, &n);

	if (rc < 0)
		return rc;
	if (n < INT32_MIN || n > INT32_MAX)
		return oci_fail(c, v, "%.40s is out of range", v->str);
	*(int32_t *)dst = (int32_t)n;
	return 0;
}

const struct oci_field oci_scheduler_fields[] = {
	OCI_REQUIRED("policy", OCI_GUEST, struct oci_scheduler, policy, read_policy),
	OCI_FIELD("nice", OCI_GUEST, struct oci_scheduler, nice, read_i32),
	OCI_FIELD("priority", OCI_GUEST, struct oci_scheduler, priority, read_i32),
	OCI_WHOLE("flags", OCI_GUEST, read_sched_flags),
	OCI_FIELD("runtime", OCI_GUEST, struct oci_scheduler, runtime, oci_read_u64),
	OCI_FIELD("deadline", OCI_GUEST, struct oci_scheduler, deadline, oci_read_u64),
	OCI_FIELD("period", OCI_GUEST, struct oci_scheduler, period, oci_read_u64),
	OCI_END,
};

/* runc's rules, in its words. */
static int check_scheduler(struct oci_ctx *c, const struct json *v, const struct oci_scheduler *s)
{
	bool fair = s->policy == SCHED_NORMAL || s->policy == SCHED_BATCH;

	if (fair && (s->nice < -20 || s->nice > 19))
		return oci_fail(c, v, "invalid scheduler.nice: %d", s->nice);
	if (s->priority && s->policy != SCHED_FIFO && s->policy != SCHED_RR)
		return oci_fail(c, v,
				"scheduler.priority can only be specified for SchedFIFO or "
				"SchedRR policy");
	if (s->policy != SCHED_DEADLINE && (s->runtime || s->deadline || s->period))
		return oci_fail(c, v,
				"scheduler runtime/deadline/period can only be specified for "
				"SchedDeadline policy");
	return 0;
}

int oci_read_scheduler(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_scheduler *s = &((struct oci_process *)dst)->scheduler;
	int rc = oci_read_object(c, v, oci_scheduler_fields, s);

	s->present = true;
	return rc < 0 ? rc : check_scheduler(c, v, s);
}

/* ---- ioPriority -------------------------------------------------------------------------------- */

static const struct oci_word io_classes[] = {
	{ "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
	{ "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
	{ "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
};

static int read_io_class(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_word(c, v, io_classes, ARRAY_SIZE(io_classes), "ioPriority.class", dst);
}

static int read_io_level(struct oci_ctx *c, const struct json *v, void *dst)
{
	int64_t n = 0;
	int rc = oci_read_i64(c, v, &n);

	if (rc < 0)
		return rc;
	if (n < 0 || n > 7)
		return oci_fail(c, v, "invalid ioPriority.priority: %.20s", v->str);
	*(uint32_t *)dst = (uint32_t)n;
	return 0;
}

const struct oci_field oci_io_priority_fields[] = {
	OCI_REQUIRED("class", OCI_GUEST, struct oci_io_priority, class, read_io_class),
	OCI_FIELD("priority", OCI_GUEST, struct oci_io_priority, priority, read_io_level),
	OCI_END,
};

int oci_read_io_priority(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_io_priority_fields,
			       &((struct oci_process *)dst)->io_priority);
}

/* ---- execCPUAffinity --------------------------------------------------------------------------- */

const struct oci_field oci_affinity_fields[] = {
	OCI_FIELD("initial", OCI_GUEST, struct oci_process, initial_cpus, read_set),
	OCI_FIELD("final", OCI_GUEST, struct oci_process, final_cpus, read_set),
	OCI_END,
};

int oci_read_affinity(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_affinity_fields, dst);
}

/* ---- memoryPolicy ------------------------------------------------------------------------------ */

#define MODE_WEIGHTED_INTERLEAVE 6 /* newer than the headers here */

static const struct oci_word memory_modes[] = {
	{ "MPOL_DEFAULT", MPOL_DEFAULT },
	{ "MPOL_PREFERRED", MPOL_PREFERRED },
	{ "MPOL_BIND", MPOL_BIND },
	{ "MPOL_INTERLEAVE", MPOL_INTERLEAVE },
	{ "MPOL_LOCAL", MPOL_LOCAL },
	{ "MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY },
	{ "MPOL_WEIGHTED_INTERLEAVE", MODE_WEIGHTED_INTERLEAVE },
};

static const struct oci_word memory_flags[] = {
	{ "MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES },
	{ "MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES },
	{ "MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING },
};

static int read_memory_mode(struct oci_ctx *c, const struct json *v, void *dst)
{
	uint32_t mode = 0;
	int rc =
		oci_read_word(c, v, memory_modes, ARRAY_SIZE(memory_modes), "memory policy", &mode);

	*(uint32_t *)dst |= mode; /* the flags may have been there before */
	return rc;
}

static int read_memory_flag(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_word(c, v, memory_flags, ARRAY_SIZE(memory_flags), "memory policy flag",
			     dst);
}

static int read_memory_flags(struct oci_ctx *c, const struct json *v, void *dst)
{
	uint32_t *mode = dst;
	const uint32_t *list;
	void *p;
	size_t n;
	int rc = oci_read_array(c, v, sizeof(uint32_t), read_memory_flag, &p, &n);

	if (rc < 0)
		return rc;
	list = p;
	for (size_t i = 0; i < n; i++)
		*mode |= list[i];
	return 0;
}

const struct oci_field oci_memory_policy_fields[] = {
	OCI_REQUIRED("mode", OCI_GUEST, struct oci_memory_policy, mode, read_memory_mode),
	OCI_FIELD("nodes", OCI_GUEST, struct oci_memory_policy, nodes, read_set),
	OCI_FIELD("flags", OCI_GUEST, struct oci_memory_policy, mode, read_memory_flags),
	OCI_END,
};

int oci_read_memory_policy(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_memory_policy *p = &((struct oci_spec *)dst)->memory_policy;

	p->present = true;
	return oci_read_object(c, v, oci_memory_policy_fields, p);
}

/* ---- personality ------------------------------------------------------------------------------- */

static const struct oci_word domains[] = {
	{ "LINUX", PER_LINUX },
	{ "LINUX32", PER_LINUX32 },
};

static int read_domain(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_word(c, v, domains, ARRAY_SIZE(domains), "domain", dst);
}

/* The specification has the field and no values for it. */
static int read_personality_flags(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_strv names = { 0 };
	int rc = oci_read_strv(c, v, &names);

	(void)dst;
	if (rc == 0 && names.n)
		log_warn("%s: linux.personality.flags: ignoring unsupported personality flags",
			 c->file);
	return rc;
}

const struct oci_field oci_personality_fields[] = {
	OCI_REQUIRED("domain", OCI_GUEST, struct oci_spec, personality, read_domain),
	OCI_WHOLE("flags", OCI_GUEST, read_personality_flags),
	OCI_END,
};

int oci_read_personality(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;

	s->has_personality = true;
	return oci_read_object(c, v, oci_personality_fields, s);
}
