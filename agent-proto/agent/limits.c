// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/limits.h"

#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/io.h"

#define DEFAULT_NOFILE 1024

static const struct {
	const char *name;
	int resource;
} rlimit_names[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

int limits_rlimit_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++)
		if (strcmp(rlimit_names[i].name, name) == 0)
			return rlimit_names[i].resource;
	return -EINVAL;
}

static int set_oom(pid_t pid, const Husk__Agent__V1__Process *p, struct err *e)
{
	char path[64], text[16];
	int rc;

	if (!p->has_oom_score_adj)
		return 0;
	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	else
		snprintf(path, sizeof(path), "/proc/self/oom_score_adj");
	snprintf(text, sizeof(text), "%d", p->oom_score_adj);
	rc = io_write_str(AT_FDCWD, path, text);
	return rc < 0 ? err_errno(e, -rc, "oom_score_adj") : 0;
}

static int raise_hard(pid_t pid, const Husk__Agent__V1__Rlimit *r, struct err *e)
{
	__rlimit_resource_t resource = (__rlimit_resource_t)limits_rlimit_by_name(r->type);
	struct rlimit lim;

	if (prlimit(pid, resource, NULL, &lim) < 0)
		return err_errno(e, errno, "error getting rlimit type %s", r->type);
	if (r->hard <= lim.rlim_max)
		return 0;
	lim.rlim_max = r->hard;
	if (prlimit(pid, resource, &lim, NULL) < 0)
		return err_errno(e, errno, "error setting rlimit type %s", r->type);
	return 0;
}

int limits_privileged(pid_t pid, const Husk__Agent__V1__Process *p, struct err *e)
{
	int rc = set_oom(pid, p, e);

	for (size_t i = 0; rc == 0 && i < p->n_rlimits; i++)
		rc = raise_hard(pid, p->rlimits[i], e);
	return rc;
}

/* As the kernel has it; the C library has none. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

int limits_sched(pid_t pid, const Husk__Agent__V1__Process *p, struct err *e)
{
	const Husk__Agent__V1__Scheduler *s = p->scheduler;
	const Husk__Agent__V1__IoPriority *io = p->io_priority;

	if (s) {
		struct attr a = { .size = sizeof(a),
				  .policy = s->policy,
				  .flags = s->flags,
				  .nice = s->nice,
				  .priority = s->priority,
				  .runtime = s->runtime,
				  .deadline = s->deadline,
				  .period = s->period };

		if (syscall(SYS_sched_setattr, pid, &a, 0) < 0)
			return err_errno(e, errno, "error setting scheduler");
	}
	if (io && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid,
			  IOPRIO_PRIO_VALUE(io->class_, io->priority)) < 0)
		return err_errno(e, errno, "failed to set io priority");
	return 0;
}

/* What the agent raised for itself is nothing that programs expect: select(2) knows 1024. */
static void default_rlimits(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur > DEFAULT_NOFILE) {
		lim.rlim_cur = DEFAULT_NOFILE;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

int limits_rlimits(const Husk__Agent__V1__Process *p, struct err *e)
{
	default_rlimits();
	for (size_t i = 0; i < p->n_rlimits; i++) {
		const Husk__Agent__V1__Rlimit *r = p->rlimits[i];
		struct rlimit lim = { .rlim_cur = r->soft, .rlim_max = r->hard };
		int resource = limits_rlimit_by_name(r->type);

		if (resource < 0)
			return err_set(e, EINVAL, "rlimit %s: unknown", r->type);
		if (setrlimit((__rlimit_resource_t)resource, &lim) < 0)
			return err_errno(e, errno, "error setting rlimit type %s", r->type);
	}
	return 0;
}

/* ---- CPUs and memory nodes ---------------------------------------------------------------------- */

static int set_cpus(const ProtobufCBinaryData *set, const char *what, struct err *e)
{
	unsigned long mask[AGENT_MAX_CPU_BYTES / sizeof(unsigned long)] = { 0 };

	memcpy(mask, set->data, min_t(size_t, set->len, sizeof(mask)));
	if (syscall(SYS_sched_setaffinity, 0, sizeof(mask), mask) < 0)
		return err_errno(
			e, errno,
			"process.execCPUAffinity.%s: none of these CPUs is in the virtual machine",
			what);
	return 0;
}

int limits_first_cpus(const Husk__Agent__V1__Process *p, struct err *e)
{
	return p->cpu_affinity && p->cpu_affinity->initial.len
		       ? set_cpus(&p->cpu_affinity->initial, "initial", e)
		       : 0;
}

int limits_last_cpus(const Husk__Agent__V1__Process *p, struct err *e)
{
	uint8_t all[AGENT_MAX_CPU_BYTES];
	const ProtobufCBinaryData any = { .len = sizeof(all), .data = all };

	if (!p->cpu_affinity)
		return 0;
	if (p->cpu_affinity->final.len)
		return set_cpus(&p->cpu_affinity->final, "final", e);
	memset(all, 0xff, sizeof(all));
	return set_cpus(&any, "initial", e);
}

#define MODE_BITS 0xffu /* without the flags */

/* The kernel's own rules for a machine with node 0 alone. */
static bool one_node_does(uint32_t mode, const unsigned long *nodes, size_t n)
{
	bool none = nodes[0] == 0;

	for (size_t i = 0; i < n; i++)
		if (nodes[i] & ~(i ? 0ul : 1ul))
			return false;
	switch (mode & MODE_BITS) {
	case MPOL_DEFAULT:
	case MPOL_LOCAL:
		return none;
	case MPOL_PREFERRED:
		return true;
	default:
		return !none;
	}
}

int limits_memory(const Husk__Agent__V1__MemoryPolicy *m, struct err *e)
{
	unsigned long nodes[AGENT_MAX_CPU_BYTES / sizeof(unsigned long)] = { 0 };

	if (!m)
		return 0;
	memcpy(nodes, m->nodes.data, min_t(size_t, m->nodes.len, sizeof(nodes)));
	if (syscall(SYS_set_mempolicy, m->mode, nodes, 8 * sizeof(nodes) + 1) == 0)
		return 0;
	if (errno == ENOSYS && one_node_does(m->mode, nodes, ARRAY_SIZE(nodes)))
		return 0;
	return err_errno(e, errno == ENOSYS ? EINVAL : errno, "failed to set memory policy");
}
