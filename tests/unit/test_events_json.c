// SPDX-License-Identifier: Apache-2.0
/* The line of `events` against runc 1.1's own, byte by byte. */
#include "tests/unit/check.h"

#include "lib/buf.h"
#include "runtime/cli/events.h"

static const char *written(const struct agent_stats *s, char *out, size_t size)
{
	struct buf text = BUF_INIT(1u << 20);
	struct json_w w;

	jw_init(&w, &text, false);
	if (s)
		events_write_stats(&w, "x", s);
	else
		events_write_oom(&w, "x");
	assert_true(jw_done(&w));
	assert_true(text.len < size);
	memcpy(out, text.data, text.len);
	out[text.len] = 0;
	buf_free(&text);
	return out;
}

#define CPUSET                                                                                     \
	"\"cpuset\":{\"cpu_exclusive\":0,\"mem_hardwall\":0,\"mem_exclusive\":0,\"memory_migrate\":0," \
	"\"memory_spread_page\":0,\"memory_spread_slab\":0,\"memory_pressure\":0,"                     \
	"\"sched_load_balance\":0,\"sched_relax_domain_level\":0},"

static void an_idle_container(void **state)
{
	static struct agent_stats s = {
		.cpu_ns = 286275000,
		.cpu_system_ns = 195394000,
		.cpu_user_ns = 90881000,
		.memory = { 393216, AGENT_NO_LIMIT, 0, 0 },
		.swap = { 0, AGENT_NO_LIMIT, 0, 0 },
		.pids = { 1, AGENT_NO_LIMIT, 0, 0 },
		.n_memory_stat = 3,
		/* As the kernel has them; the line is sorted, and a name comes once. */
		.memory_stat = { { "file", 0 }, { "anon", 53248 }, { "anon", 7 } },
		.n_huge = 2,
		.huge = { { "1GB", { 0, 0, 0, 0 } }, { "2MB", { 0, 0, 0, 0 } } },
	};
	char out[8192];

	(void)state;
	assert_string_equal(
		written(&s, out, sizeof(out)),
		"{\"type\":\"stats\",\"id\":\"x\",\"data\":{\"cpu\":{\"usage\":{\"total\":286275000,"
		"\"kernel\":195394000,\"user\":90881000},\"throttling\":{}}," CPUSET
		"\"memory\":{\"usage\":{\"limit\":18446744073709551615,\"usage\":393216,\"failcnt\":0},"
		"\"swap\":{\"limit\":18446744073709551615,\"usage\":393216,\"failcnt\":0},"
		"\"kernel\":{\"limit\":0,\"failcnt\":0},\"kernelTCP\":{\"limit\":0,\"failcnt\":0},"
		"\"raw\":{\"anon\":53248,\"file\":0}},\"pids\":{\"current\":1},\"blkio\":{},"
		"\"hugetlb\":{\"1GB\":{\"failcnt\":0},\"2MB\":{\"failcnt\":0}},\"intel_rdt\":{},"
		"\"network_interfaces\":null}}");
}

static void a_busy_one(void **state)
{
	static struct agent_stats s = {
		.periods = 4,
		.throttled_periods = 2,
		.throttled_ns = 3000,
		.memory = { 1000, 5000, 1500, 6 },
		.swap = { 100, 200, 0, 0 },
		.pids = { 3, 50, 4, 0 },
		.n_memory_stat = 1,
		.memory_stat = { { "file", 700 } },
		.n_block = 1,
		.block = { { 8, 16, 1, 2, 3, 0 } },
		.n_huge = 1,
		.huge = { { "2MB", { 5, 6, 7, 8 } } },
		.n_interfaces = 1,
		.interfaces = { { "eth0", 1, 2, 3, 4, 5, 6, 7, 8 } },
	};
	char out[8192];

	(void)state;
	assert_string_equal(
		written(&s, out, sizeof(out)),
		"{\"type\":\"stats\",\"id\":\"x\",\"data\":{\"cpu\":{\"usage\":{\"kernel\":0,\"user\":0},"
		"\"throttling\":{\"periods\":4,\"throttledPeriods\":2,\"throttledTime\":3000}}," CPUSET
		"\"memory\":{\"cache\":700,\"usage\":{\"limit\":5000,\"usage\":1000,\"max\":1500,"
		"\"failcnt\":6},\"swap\":{\"limit\":5200,\"usage\":1100,\"failcnt\":0},"
		"\"kernel\":{\"limit\":0,\"failcnt\":0},\"kernelTCP\":{\"limit\":0,\"failcnt\":0},"
		"\"raw\":{\"file\":700}},\"pids\":{\"current\":3,\"limit\":50},"
		"\"blkio\":{\"ioServiceBytesRecursive\":["
		"{\"major\":8,\"minor\":16,\"op\":\"Read\",\"value\":1},"
		"{\"major\":8,\"minor\":16,\"op\":\"Write\",\"value\":2}],\"ioServicedRecursive\":["
		"{\"major\":8,\"minor\":16,\"op\":\"Read\",\"value\":3},"
		"{\"major\":8,\"minor\":16,\"op\":\"Write\"}]},"
		"\"hugetlb\":{\"2MB\":{\"usage\":5,\"max\":7,\"failcnt\":8}},\"intel_rdt\":{},"
		"\"network_interfaces\":[{\"Name\":\"eth0\",\"RxBytes\":1,\"RxPackets\":2,\"RxErrors\":3,\"RxDropped\":4,"
		"\"TxBytes\":5,\"TxPackets\":6,\"TxErrors\":7,\"TxDropped\":8}]}}");
}

static void an_oom(void **state)
{
	char out[128];

	(void)state;
	assert_string_equal(written(NULL, out, sizeof(out)), "{\"type\":\"oom\",\"id\":\"x\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_container),
		cmocka_unit_test(a_busy_one),
		cmocka_unit_test(an_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
