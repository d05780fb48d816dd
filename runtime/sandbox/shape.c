// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/util.h"
#include "runtime/oci/cpuset.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/sandbox.h"

#define MAX_VCPUS       64
/* What the guest's kernel and agent take for themselves. */
#define GUEST_OVERHEAD  MIB(96)
#define MIN_MEMORY      MIB(256)

struct sandbox_shape sandbox_shape_on(const struct oci_resources *res, uint64_t host_cpus,
				      uint64_t host_memory)
{
	struct sandbox_shape shape = { .vcpus = 1, .memory = MIN_MEMORY };
	struct cpuset set;
	uint64_t period = res->has_cpu_period && res->cpu_period ? res->cpu_period : 100000;

	if (res->has_memory_limit && res->memory_limit > 0) {
		uint64_t need = (uint64_t)res->memory_limit;

		/* A limit beyond what the host has limits nothing. */
		need = min_t(uint64_t, need, host_memory) + GUEST_OVERHEAD;
		while (shape.memory < need)
			shape.memory *= 2;
	}
	if (res->has_cpu_quota && res->cpu_quota > 0) {
		uint64_t cpus = ((uint64_t)res->cpu_quota + period - 1) / period;

		cpus = min_t(uint64_t, cpus, min_t(uint64_t, host_cpus, MAX_VCPUS));
		shape.vcpus = (uint32_t)max_t(uint64_t, cpus, 1);
	}
	/* The guest sees CPUs, not the set that they run on; more of them than that has would only take turns. */
	if (res->cpuset_cpus && cpuset_parse(res->cpuset_cpus, &set) == 0 && set.count) {
		uint64_t cpus = min_t(uint64_t, set.count, min_t(uint64_t, host_cpus, MAX_VCPUS));

		if (!(res->has_cpu_quota && res->cpu_quota > 0) || cpus < shape.vcpus)
			shape.vcpus = (uint32_t)max_t(uint64_t, cpus, 1);
	}
	if (host_memory > shape.memory)
		shape.later = align_down64(host_memory - shape.memory, NC_MEM_GRANULE);
	return shape;
}

uint64_t sandbox_machine_memory(uint64_t boot, uint64_t limit)
{
	return limit > UINT64_MAX - GUEST_OVERHEAD ? limit : max_t(uint64_t, boot, limit + GUEST_OVERHEAD);
}

bool sandbox_may_reserve(void)
{
	_cleanup_free_ char *text = NULL;

	return io_read_file(AT_FDCWD, "/proc/sys/vm/overcommit_memory", 16, &text, NULL) < 0 || text[0] != '2';
}

uint64_t sandbox_container_memory(uint64_t memory)
{
	return memory > GUEST_OVERHEAD ? memory - GUEST_OVERHEAD : 0;
}

struct sandbox_shape sandbox_shape(const struct oci_resources *res)
{
	return sandbox_shape_on(res, (uint64_t)get_nprocs(),
				(uint64_t)get_phys_pages() * (uint64_t)sysconf(_SC_PAGESIZE));
}
