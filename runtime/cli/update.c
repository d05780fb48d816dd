// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/cli/cli.h"
#include "runtime/container/device_update.h"
#include "runtime/container/id.h"
#include "runtime/container/update.h"
#include "runtime/oci/update.h"

#define MAX_RESOURCES (1u << 20) /* bytes of the file */

struct values {
	const char *resources;
	int blkio_weight, pids_limit;
	const char *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_rt_period, *cpu_rt_runtime;
	const char *cpuset_cpus, *cpuset_mems, *cpu_idle;
	const char *kernel_memory, *kernel_memory_tcp, *memory, *memory_reservation, *memory_swap;
	const char *l3_cache_schema, *mem_bw_schema;
	struct cli_list device_add, device_remove;
};

#define AT(member) offsetof(struct values, member)
static const struct cli_option options[] = {
	{ "resources", "r", CLI_STRING, AT(resources),
	  "path to the file containing the resources to update or '-' to read from the standard "
	  "input; then all other options are ignored" },
	{ "blkio-weight", NULL, CLI_INT, AT(blkio_weight),
	  "Specifies per cgroup weight, range is from 10 to 1000 (default: 0)" },
	{ "cpu-period", NULL, CLI_STRING, AT(cpu_period),
	  "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default" },
	{ "cpu-quota", NULL, CLI_STRING, AT(cpu_quota),
	  "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period" },
	{ "cpu-burst", NULL, CLI_STRING, AT(cpu_burst),
	  "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally for "
	  "burst in a given period" },
	{ "cpu-share", NULL, CLI_STRING, AT(cpu_share),
	  "CPU shares (relative weight vs. other containers)" },
	{ "cpu-rt-period", NULL, CLI_STRING, AT(cpu_rt_period),
	  "accepted without effect, as by runc on cgroup version 2" },
	{ "cpu-rt-runtime", NULL, CLI_STRING, AT(cpu_rt_runtime),
	  "accepted without effect, as by runc on cgroup version 2" },
	{ "cpuset-cpus", NULL, CLI_STRING, AT(cpuset_cpus),
	  "CPU(s) of the host that the machine may use" },
	{ "cpuset-mems", NULL, CLI_STRING, AT(cpuset_mems),
	  "Memory node(s) of the host that the machine may use" },
	{ "kernel-memory", NULL, CLI_STRING, AT(kernel_memory), "accepted without effect" },
	{ "kernel-memory-tcp", NULL, CLI_STRING, AT(kernel_memory_tcp), "accepted without effect" },
	{ "memory", NULL, CLI_STRING, AT(memory),
	  "Memory limit (in bytes); what the machine was given at its start is the most" },
	{ "memory-reservation", NULL, CLI_STRING, AT(memory_reservation),
	  "Memory reservation or soft_limit (in bytes)" },
	{ "memory-swap", NULL, CLI_STRING, AT(memory_swap),
	  "Total memory usage (memory + swap); set '-1' to enable unlimited swap" },
	{ "pids-limit", NULL, CLI_INT, AT(pids_limit),
	  "Maximum number of pids allowed in the container (default: 0)" },
	{ "l3-cache-schema", NULL, CLI_STRING, AT(l3_cache_schema), "refused" },
	{ "mem-bw-schema", NULL, CLI_STRING, AT(mem_bw_schema), "refused" },
	{ "device-add", NULL, CLI_LIST, AT(device_add),
	  "HOSTPATH[:CONTAINERPATH[:ACCESS]]: a block device or a raw file of the host becomes a block device in the "
	  "container; ACCESS is of r, w and m (default: rwm). May be given several times, not with limits" },
	{ "device-remove", NULL, CLI_LIST, AT(device_remove),
	  "CONTAINERPATH: such a device goes, after all that are to come" },
	{ "cpu-idle", NULL, CLI_STRING, AT(cpu_idle), "set cgroup SCHED_IDLE or not, 0: default, 1: idle" },
	{ .name = NULL },
};

static int bad(const char *option, const char *why, const char *v, struct err *e)
{
	return err_set(e, EINVAL, "invalid value for %s: %s: '%.40s'", option, why, v);
}

/* Decimal, as strconv.ParseInt takes it. @ret_has: given and not 0. */
static int parse_number(const char *option, const char *v, int64_t min, int64_t *ret, bool *ret_has,
			struct err *e)
{
	char *end;

	if (!v || !*v)
		return 0;
	errno = 0;
	*ret = strtoll(v, &end, 10);
	if (end == v || *end || strchr(" \t\n", *v))
		return bad(option, "invalid syntax", v, e);
	if (errno || *ret < min)
		return bad(option, "value out of range", v, e);
	*ret_has = *ret != 0;
	return 0;
}

static int parse_unsigned(const char *option, const char *v, uint64_t *ret, bool *ret_has,
			  struct err *e)
{
	int64_t n = 0;
	int rc = parse_number(option, v, 0, &n, ret_has, e);

	*ret = (uint64_t)n;
	return rc;
}

/* As docker/go-units' RAMInBytes: a number, perhaps with a fraction, and b, k, m, g, t, p, each perhaps with b or ib
 * behind it; -1: unlimited. */
static int parse_bytes(const char *option, const char *v, int64_t *ret, bool *ret_has, struct err *e)
{
	static const char units[] = "bkmgtp";
	size_t digits = v ? strspn(v, "0123456789.") : 0;
	const char *unit = NULL, *p;
	double n;
	char *end;

	if (!v || !*v)
		return 0;
	if (strcmp(v, "-1") == 0) {
		*ret = -1;
		*ret_has = true;
		return 0;
	}
	n = strtod(v, &end);
	p = v + digits + (v[digits] == ' ');
	if (*p) {
		unit = strchr(units, *p | 0x20);
		p++;
	}
	if (!digits || end != v + digits || *v == '.' || (p != v + digits && v[digits] && !unit) ||
	    (*p && strcasecmp(p, "b") && strcasecmp(p, "ib")) || (unit == units && *p))
		return bad(option, "invalid size", v, e);
	for (ptrdiff_t i = 0; unit && i < unit - units; i++)
		n *= 1024;
	if (n >= 9e18)
		return bad(option, "value out of range", v, e);
	*ret = (int64_t)n;
	*ret_has = *ret != 0;
	return 0;
}

static int take_cpu(const struct values *v, struct oci_resources *r, struct err *e)
{
	int64_t ignored = 0;
	bool has = false;
	int rc = parse_unsigned("cpu-period", v->cpu_period, &r->cpu_period, &r->has_cpu_period, e);

	if (rc == 0)
		rc = parse_number("cpu-quota", v->cpu_quota, -1, &r->cpu_quota, &r->has_cpu_quota, e);
	if (rc == 0)
		rc = parse_unsigned("cpu-share", v->cpu_share, &r->cpu_shares, &r->has_cpu_shares, e);
	if (rc == 0)
		rc = parse_unsigned("cpu-burst", v->cpu_burst, &r->cpu_burst, &r->has_cpu_burst, e);
	if (rc == 0)
		rc = parse_number("cpu-rt-period", v->cpu_rt_period, 0, &ignored, &has, e);
	if (rc == 0)
		rc = parse_number("cpu-rt-runtime", v->cpu_rt_runtime, INT64_MIN, &ignored, &has, e);
	if (rc == 0)
		rc = parse_number("cpu-idle", v->cpu_idle, 0, &r->cpu_idle, &has, e);
	if (rc == 0 && r->cpu_idle > 1)
		rc = bad("cpu-idle", "value out of range", v->cpu_idle, e);
	/* 0 means something in these. */
	r->has_cpu_idle = v->cpu_idle && *v->cpu_idle;
	r->has_cpu_burst = v->cpu_burst && *v->cpu_burst;
	r->cpuset_cpus = v->cpuset_cpus ? v->cpuset_cpus : "";
	r->cpuset_mems = v->cpuset_mems ? v->cpuset_mems : "";
	return rc;
}

static int take_memory(const struct values *v, struct oci_resources *r, struct err *e)
{
	int64_t kernel = 0;
	bool has = false;
	int rc = parse_bytes("memory", v->memory, &r->memory_limit, &r->has_memory_limit, e);

	if (rc == 0)
		rc = parse_bytes("memory-swap", v->memory_swap, &r->memory_swap, &r->has_memory_swap,
				 e);
	if (rc == 0)
		rc = parse_bytes("kernel-memory", v->kernel_memory, &kernel, &has, e);
	if (rc == 0)
		rc = parse_bytes("kernel-memory-tcp", v->kernel_memory_tcp, &kernel, &has, e);
	if (rc == 0)
		rc = parse_bytes("memory-reservation", v->memory_reservation, &r->memory_reservation,
				 &r->has_memory_reservation, e);
	if (rc == 0 && has)
		log_warn("Kernel memory settings are ignored and will be removed");
	return rc;
}

static int from_options(const struct values *v, struct oci_resources *r, struct err *e)
{
	int rc;

	*r = (struct oci_resources){ .cpuset_cpus = "", .cpuset_mems = "" };
	if (v->l3_cache_schema && *v->l3_cache_schema)
		return err_set(e, ENOTSUP, "Intel RDT/CAT: l3 cache schema is not enabled");
	if (v->mem_bw_schema && *v->mem_bw_schema)
		return err_set(e, ENOTSUP,
			       "Intel RDT/MBA: memory bandwidth schema is not enabled");
	if (v->blkio_weight && (v->blkio_weight < 10 || v->blkio_weight > 1000))
		return err_set(e, EINVAL, "invalid value for blkio-weight: %d is not 10 to 1000",
			       v->blkio_weight);
	r->block_weight = (uint64_t)v->blkio_weight;
	if (v->pids_limit < -1)
		return err_set(e, EINVAL, "invalid value for pids-limit: %d is negative",
			       v->pids_limit);
	r->has_pids_limit = v->pids_limit != 0;
	r->pids_limit = v->pids_limit;
	rc = take_cpu(v, r, e);
	return rc < 0 ? rc : take_memory(v, r, e);
}

/* Up to the end of a pipe or a terminal, too. */
static int read_all(int fd, const char *name, struct buf *out, struct err *e)
{
	for (;;) {
		void *p = buf_reserve(out, 16384);
		ssize_t n = p ? read(fd, p, 16384) : -1;

		if (!p)
			return err_set(e, EFBIG, "%s: longer than %u bytes", name, MAX_RESOURCES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "%s", name);
		if (n == 0)
			return 0;
		buf_commit(out, (size_t)n);
	}
}

static int from_file(const char *path, struct oci_resources **ret, struct err *e)
{
	bool standard = strcmp(path, "-") == 0;
	_cleanup_close_ int fd = standard ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	struct buf text = BUF_INIT(MAX_RESOURCES);
	int rc;

	if (fd < 0 && !standard)
		return err_errno(e, errno, "open %s", path);
	rc = read_all(standard ? STDIN_FILENO : fd, standard ? "standard input" : path, &text, e);
	if (rc == 0)
		rc = oci_resources_parse(ret, (const char *)text.data, text.len,
					 standard ? "standard input" : path, e);
	buf_free(&text);
	return rc;
}

/* Whether an option about limits was given: then everything before the lists is not as it was at the beginning. */
static bool has_limits(const struct values *v)
{
	static const struct values none;

	return memcmp(v, &none, offsetof(struct values, device_add)) != 0;
}

/* Into *ret, which the caller frees. */
static int take_devices(const struct values *v, struct device_wish **ret, struct err *e)
{
	struct device_wish *add = calloc(v->device_add.n + 1, sizeof(*add));
	int rc = 0;

	*ret = add;
	if (!add)
		return err_set(e, ENOMEM, "out of memory");
	if (has_limits(v))
		return err_set(e, EINVAL, "device-add and device-remove cannot be used together with other options");
	for (size_t i = 0; i < v->device_add.n; i++) {
		rc = device_wish_parse(v->device_add.v[i], &add[i], e);
		if (rc < 0)
			return err_wrap(e, rc, "invalid value for device-add");
	}
	for (size_t i = 0; i < v->device_remove.n; i++) {
		rc = device_path_check(v->device_remove.v[i], e);
		if (rc < 0)
			return err_wrap(e, rc, "invalid value for device-remove");
	}
	return 0;
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	struct oci_resources given, *file = NULL;
	struct container_state s = { .doc = NULL };
	bool devices = v->device_add.n || v->device_remove.n;
	_cleanup_free_ struct device_wish *add = NULL;
	_cleanup_close_ int dir = -1;
	int rc = devices ? take_devices(v, &add, e) : 0;

	(void)nargs;
	if (rc == 0)
		rc = cli_find(g, args[0], &dir, &s, e);
	if (rc < 0)
		return rc;
	container_state_done(&s);
	if (devices)
		return container_devices(&g->host, args[0], add, v->device_add.n, v->device_remove.v, v->device_remove.n, e);
	if (v->resources && *v->resources)
		rc = from_file(v->resources, &file, e);
	else
		rc = from_options(v, &given, e);
	if (rc == 0)
		rc = container_update(&g->host, args[0], file ? file : &given, e);
	oci_resources_free(file);
	return rc;
}

const struct cli_command cli_update = {
	.name = "update",
	.usage = "<container-id>",
	.summary = "update container resource constraints and devices",
	.description = "   The limits are set in the container's control group in its guest, and those "
		       "of its machine's\n"
		       "on the host with them: all, or none. What is not given, or 0, stays as it is.\n"
		       "\n"
		       "   The file holds what stands under linux.resources in config.json, for "
		       "instance\n"
		       "{\"memory\": {\"limit\": 67108864}, \"cpu\": {\"quota\": 50000}, "
		       "\"pids\": {\"limit\": 100}}.\n"
		       "\n"
		       "   A device that is added is a disk of the machine: none of them is there if one "
		       "cannot be.\n"
		       "One that is removed goes even if the guest does not let go of it.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = run,
};
