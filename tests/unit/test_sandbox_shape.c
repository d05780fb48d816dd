// SPDX-License-Identifier: Apache-2.0
/* How large a machine is, by its container's limits and its host. */
#include "tests/unit/check.h"

#include "lib/util.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/sandbox.h"

static void shapes(void **state)
{
	static const struct {
		const char *why;
		int64_t limit, quota; /* 0: none */
		uint64_t period, cpus, memory; /* of the host */
		uint32_t want_vcpus;
		uint64_t want_memory, want_later;
		const char *cpus_allowed; /* NULL: any */
	} rows[] = {
		{ "no limit", 0, 0, 0, 8, MIB(16384), 1, MIB(256), MIB(16128), NULL },
		{ "one and a half CPUs are two", 0, 150000, 100000, 2, MIB(16384), 2, MIB(256), MIB(16128), NULL },
		{ "exactly two", 0, 200000, 100000, 8, MIB(16384), 2, MIB(256), MIB(16128), NULL },
		{ "another period", 0, 150000, 50000, 8, MIB(16384), 3, MIB(256), MIB(16128), NULL },
		{ "no period is 100 ms", 0, 300000, 0, 8, MIB(16384), 3, MIB(256), MIB(16128), NULL },
		{ "less than one CPU is one", 0, 1000, 100000, 8, MIB(16384), 1, MIB(256), MIB(16128), NULL },
		{ "no more than the host has", 0, 150000, 100000, 1, MIB(16384), 1, MIB(256), MIB(16128), NULL },
		{ "no more than 64", 0, 20000000, 100000, 128, MIB(16384), 64, MIB(256), MIB(16128), NULL },
		{ "no quota at all (-1)", 0, -1, 100000, 8, MIB(16384), 1, MIB(256), MIB(16128), NULL },
		{ "a limit that fits with the guest's own need", MIB(160), 0, 0, 8, MIB(16384), 1, MIB(256), MIB(16128), NULL },
		{ "one byte more does not", MIB(160) + 1, 0, 0, 8, MIB(16384), 1, MIB(512), MIB(15872), NULL },
		{ "a limit beyond the host's memory", INT64_MAX, 0, 0, 8, MIB(4000), 1, MIB(4096), 0, NULL },
		{ "no memory limit (-1)", -1, 0, 0, 8, MIB(16384), 1, MIB(256), MIB(16128), NULL },
		{ "a host of odd size: whole blocks", 0, 0, 0, 8, MIB(4000), 1, MIB(256), MIB(3712), NULL },
		{ "a small host", 0, 0, 0, 8, MIB(200), 1, MIB(256), 0, NULL },
		{ "a set of CPUs alone", 0, 0, 0, 8, MIB(16384), 3, MIB(256), MIB(16128), "0-1,7" },
		{ "a set smaller than the quota", 0, 400000, 0, 8, MIB(16384), 2, MIB(256), MIB(16128), "0,5" },
		{ "a set larger than the quota", 0, 100000, 0, 8, MIB(16384), 1, MIB(256), MIB(16128), "0-7" },
		{ "a set of more than the host has", 0, 0, 0, 2, MIB(16384), 2, MIB(256), MIB(16128), "0-7" },
		{ "an empty set is none", 0, 200000, 0, 8, MIB(16384), 2, MIB(256), MIB(16128), "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_resources r = { .has_memory_limit = rows[i].limit != 0,
					   .memory_limit = rows[i].limit,
					   .has_cpu_quota = rows[i].quota != 0,
					   .cpu_quota = rows[i].quota,
					   .has_cpu_period = rows[i].period != 0,
					   .cpu_period = rows[i].period,
					   .cpuset_cpus = rows[i].cpus_allowed };
		struct sandbox_shape s = sandbox_shape_on(&r, rows[i].cpus, rows[i].memory);

		check_row(rows[i].why, s.vcpus == rows[i].want_vcpus);
		check_row(rows[i].why, s.memory == rows[i].want_memory);
		check_row(rows[i].why, s.later == rows[i].want_later);
	}
}

/* What bounds a machine on the host after an update: what it began with, or what the limit takes. */
static void bounds(void **state)
{
	(void)state;
	assert_int_equal(sandbox_machine_memory(MIB(256), MIB(64)), MIB(256));
	assert_int_equal(sandbox_machine_memory(MIB(256), MIB(160)), MIB(256));
	assert_int_equal(sandbox_machine_memory(MIB(256), MIB(160) + 1), MIB(256) + 1);
	assert_int_equal(sandbox_machine_memory(MIB(256), GIB(1)), GIB(1) + MIB(96));
	assert_int_equal(sandbox_machine_memory(MIB(256), UINT64_MAX - 1), UINT64_MAX - 1);
	assert_int_equal(sandbox_container_memory(sandbox_machine_memory(MIB(256), GIB(1))), GIB(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(shapes), cmocka_unit_test(bounds) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
