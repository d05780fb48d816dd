// SPDX-License-Identifier: Apache-2.0
/* "linux.resources" to the files of the guest's and the host's group. */
#include "tests/unit/check.h"

#include <stdio.h>

#include "runtime/oci/field.h"
#include "runtime/oci/limits.h"

#define MACHINE MIB(256)
#define BOUND   "369098752" /* with 96 MiB */

/* Reads @text as linux.resources. */
struct loaded {
	struct json *doc;
	struct oci_pool pool;
	struct oci_resources r;
};

static int load(struct loaded *l, const char *text, struct err *e)
{
	struct oci_ctx c = { .file = "f", .pool = &l->pool, .e = e };

	memset(l, 0, sizeof(*l));
	assert_int_equal(json_parse(&l->doc, text, strlen(text), NULL, NULL), 0);
	return oci_read_resources(&c, l->doc, &l->r);
}

static void unload(struct loaded *l)
{
	oci_pool_free(&l->pool);
	json_free(l->doc);
}

/* "file=value;…", '?' behind an optional one, "!other" where that file stands in for it. */
static const char *shown(const struct oci_limits *l)
{
	static char text[4096];
	size_t n = 0;

	text[0] = 0;
	for (size_t i = 0; i < l->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%s%s%s;", l->v[i].file,
				      l->v[i].optional ? "?" : "", l->v[i].value,
				      l->v[i].unless ? "!" : "", l->v[i].unless ? l->v[i].unless : "");
	return text;
}

static void each_field_has_its_files(void **state)
{
	static const struct {
		const char *why, *json, *guest, *host;
	} rows[] = {
		{ "nothing", "{}", "", "" },
		{ "zero is not set",
		  "{\"memory\": {\"limit\": 0, \"swap\": 0, \"reservation\": 0}, \"pids\": {\"limit\": 0},"
		  " \"cpu\": {\"shares\": 0, \"quota\": 0, \"period\": 0, \"cpus\": \"\"},"
		  " \"blockIO\": {\"weight\": 0}}",
		  "", "" },
		{ "memory", "{\"memory\": {\"limit\": 1000}}", "memory.max=1000;", "memory.max=" BOUND ";" },
		{ "no limit on memory", "{\"memory\": {\"limit\": -1}}", "memory.swap.max?=max;memory.max=max;",
		  "memory.swap.max?=max;memory.max=max;" },
		{ "swap", "{\"memory\": {\"limit\": 1000, \"swap\": 1500}}",
		  "memory.swap.max?=500;memory.max=1000;", "memory.swap.max?=500;memory.max=" BOUND ";" },
		{ "no swap", "{\"memory\": {\"limit\": 1000, \"swap\": 1000}}",
		  "memory.swap.max?=0;memory.max=1000;", "memory.swap.max?=0;memory.max=" BOUND ";" },
		{ "no limit on swap", "{\"memory\": {\"limit\": 1000, \"swap\": -1}}",
		  "memory.swap.max?=max;memory.max=1000;", "memory.swap.max?=max;memory.max=" BOUND ";" },
		{ "reservation", "{\"memory\": {\"reservation\": 7}}", "memory.low=7;", "memory.low=7;" },
		{ "what version 1 alone has",
		  "{\"memory\": {\"swappiness\": 10, \"disableOOMKiller\": true, \"kernel\": 5, \"useHierarchy\": "
		  "true}, \"cpu\": {\"realtimeRuntime\": 5, \"realtimePeriod\": 10}, \"network\": {\"classID\": "
		  "1}, \"rdma\": {\"mlx5\": {\"hcaHandles\": 1}}, \"blockIO\": {\"leafWeight\": 10}}",
		  "", "" },
		{ "pids", "{\"pids\": {\"limit\": 50}}", "pids.max=50;", "pids.max=306;" },
		{ "no limit on pids", "{\"pids\": {\"limit\": -1}}", "pids.max=max;", "pids.max=max;" },
		{ "many pids", "{\"pids\": {\"limit\": 9000000000}}", "pids.max=9000000000;",
		  "pids.max=2147483903;" },
		{ "shares", "{\"cpu\": {\"shares\": 2048}}", "cpu.weight=79;", "cpu.weight=79;" },
		{ "shares below", "{\"cpu\": {\"shares\": 1}}", "cpu.weight=1;", "cpu.weight=1;" },
		{ "shares above", "{\"cpu\": {\"shares\": 300000}}", "cpu.weight=10000;", "cpu.weight=10000;" },
		{ "quota", "{\"cpu\": {\"quota\": 5000}}", "cpu.max=5000 100000;", "cpu.max=5000 100000;" },
		{ "no quota", "{\"cpu\": {\"quota\": -1, \"period\": 20000}}", "cpu.max=max 20000;",
		  "cpu.max=max 20000;" },
		{ "burst", "{\"cpu\": {\"burst\": 10, \"quota\": 5000}}",
		  "cpu.max=5000 100000;cpu.max.burst=10;", "cpu.max=5000 100000;cpu.max.burst=10;" },
		{ "idle takes no weight", "{\"cpu\": {\"idle\": 1, \"shares\": 2048}}", "cpu.idle=1;",
		  "cpu.idle=1;" },
		{ "not idle", "{\"cpu\": {\"idle\": 0, \"shares\": 2}}", "cpu.idle=0;cpu.weight=1;",
		  "cpu.idle=0;cpu.weight=1;" },
		{ "CPUs and nodes are the host's", "{\"cpu\": {\"cpus\": \"0-1\", \"mems\": \"0\"}}", "",
		  "cpuset.cpus=0-1;cpuset.mems=0;" },
		{ "weights of devices",
		  "{\"blockIO\": {\"weight\": 10, \"weightDevice\": [{\"major\": 8, \"minor\": 0, \"weight\": 1000},"
		  " {\"major\": 8, \"minor\": 1, \"leafWeight\": 5}]}}",
		  "",
		  "io.bfq.weight?=10;io.weight=1!io.bfq.weight;io.bfq.weight?=8:0 1000;"
		  "io.weight=8:0 10000!io.bfq.weight;" },
		{ "throttles",
		  "{\"blockIO\": {\"throttleReadBpsDevice\": [{\"major\": 8, \"minor\": 16, \"rate\": 1048576}],"
		  " \"throttleWriteBpsDevice\": [{\"major\": 8, \"minor\": 16, \"rate\": 2}],"
		  " \"throttleReadIOPSDevice\": [{\"major\": 8, \"minor\": 16, \"rate\": 3}],"
		  " \"throttleWriteIOPSDevice\": [{\"major\": 9, \"minor\": 0, \"rate\": 0}]}}",
		  "",
		  "io.max=8:16 rbps=1048576;io.max=8:16 wbps=2;io.max=8:16 riops=3;io.max=9:0 wiops=max;" },
		{ "huge pages", "{\"hugepageLimits\": [{\"pageSize\": \"2MB\", \"limit\": 4194304}]}",
		  "hugetlb.2MB.max?=4194304;hugetlb.2MB.rsvd.max?=4194304;", "" },
		{ "unified, by place",
		  "{\"unified\": {\"memory.high\": \"5\", \"memory.min\": \"6\", \"io.weight\": \"7\","
		  " \"cgroup.max.depth\": \"8\", \"rdma.max\": \"9\", \"memory.swap.max\": \"0\"}}",
		  "memory.high=5;memory.min=6;cgroup.max.depth=8;",
		  "memory.min=6;io.weight=7;memory.swap.max=0;" },
		{ "unified comes last",
		  "{\"unified\": {\"cpu.weight\": \"5\"}, \"cpu\": {\"shares\": 2048, \"cpus\": \"0\"}}",
		  "cpu.weight=79;cpu.weight=5;", "cpu.weight=79;cpuset.cpus=0;cpu.weight=5;" },
		{ "unified in place of a field",
		  "{\"unified\": {\"memory.max\": \" 1M\\n\", \"pids.max\": \"5\", \"cpu.max\": \"1000 2000\"},"
		  " \"memory\": {\"limit\": 5, \"swap\": 2000000}, \"pids\": {\"limit\": 7}}",
		  "pids.max=5;memory.swap.max?=951424;memory.max=1048576;cpu.max=1000 2000;",
		  "pids.max=261;memory.swap.max?=951424;memory.max=" BOUND ";cpu.max=1000 2000;" },
		{ "unified without limits",
		  "{\"unified\": {\"memory.max\": \"max\", \"pids.max\": \"max\", \"cpu.max\": \"max\"}}",
		  "pids.max=max;memory.swap.max?=max;memory.max=max;cpu.max=max 100000;",
		  "pids.max=max;memory.swap.max?=max;memory.max=max;cpu.max=max 100000;" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_limits out;
		struct err e = ERR_INIT;
		struct loaded l;

		if (load(&l, rows[i].json, &e) < 0)
			fail_msg("%s: %s", rows[i].why, e.msg);
		check_row(rows[i].why, oci_limits_guest(&l.r, &out, &e) == 0);
		if (strcmp(shown(&out), rows[i].guest))
			fail_msg("%s: guest: %s", rows[i].why, shown(&out));
		oci_limits_free(&out);
		check_row(rows[i].why, oci_limits_host(&l.r, MACHINE, &out, &e) == 0);
		if (strcmp(shown(&out), rows[i].host))
			fail_msg("%s: host: %s", rows[i].why, shown(&out));
		oci_limits_free(&out);
		unload(&l);
	}
}

static void what_contradicts_itself_is_named(void **state)
{
	static const struct {
		const char *why, *json, *msg;
	} rows[] = {
		{ "swap alone", "{\"memory\": {\"swap\": 5}}", "set swap limit without memory limit" },
		{ "swap of unlimited memory", "{\"memory\": {\"swap\": 5, \"limit\": -1}}",
		  "set swap limit without memory limit" },
		{ "swap below memory", "{\"memory\": {\"swap\": 5, \"limit\": 6}}", "should be >= memory limit" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_limits out;
		struct err e = ERR_INIT;
		struct loaded l;

		check_row(rows[i].why, load(&l, rows[i].json, &e) == 0);
		check_row(rows[i].why, oci_limits_guest(&l.r, &out, &e) == -EINVAL);
		oci_limits_free(&out);
		check_row(rows[i].why, strstr(e.msg, rows[i].msg));
		check_row(rows[i].why, oci_limits_host(&l.r, MACHINE, &out, NULL) == -EINVAL);
		oci_limits_free(&out);
		unload(&l);
	}
}

static void each_wrong_value_is_named(void **state)
{
	static const struct {
		const char *json, *msg;
	} rows[] = {
		{ "{\"cpu\": {\"idle\": 2}}", "f: cpu.idle: must be 0 or 1" },
		{ "{\"cpu\": {\"idle\": -1}}", "f: cpu.idle: must be 0 or 1" },
		{ "{\"cpu\": {\"burst\": -1}}", "f: cpu.burst: must be a whole number" },
		{ "{\"cpu\": {\"cpus\": \"3-1\"}}", "f: cpu.cpus: \"3-1\" is no list" },
		{ "{\"cpu\": {\"mems\": \"a\"}}", "f: cpu.mems: \"a\" is no list" },
		{ "{\"memory\": {\"checkBeforeUpdate\": 1}}", "checkBeforeUpdate: must be a boolean" },
		{ "{\"blockIO\": {\"weight\": 9}}", "f: blockIO.weight: 9 is not from 10 to 1000" },
		{ "{\"blockIO\": {\"weight\": 1001}}", "1001 is not from 10 to 1000" },
		{ "{\"blockIO\": {\"weightDevice\": [{\"minor\": 0}]}}", "weightDevice[0]: major is missing" },
		{ "{\"blockIO\": {\"throttleReadBpsDevice\": [{\"major\": 8, \"minor\": -1, \"rate\": 1}]}}",
		  "throttleReadBpsDevice[0].minor: -1 is no number" },
		{ "{\"blockIO\": {\"throttleReadBpsDevice\": [{\"major\": 8, \"minor\": 1048576, \"rate\": 1}]}}",
		  "1048576 is no number" },
		{ "{\"blockIO\": {\"throttleReadBpsDevice\": [{\"major\": 8, \"minor\": 0}]}}", "rate is missing" },
		{ "{\"hugepageLimits\": [{\"pageSize\": \"2\", \"limit\": 1}]}", "\"2\" is no page size" },
		{ "{\"hugepageLimits\": [{\"pageSize\": \"02MB\", \"limit\": 1}]}", "is no page size" },
		{ "{\"hugepageLimits\": [{\"pageSize\": \"2MB/x\", \"limit\": 1}]}", "is no page size" },
		{ "{\"hugepageLimits\": [{\"pageSize\": \"2MB\"}]}", "limit is missing" },
		{ "{\"unified\": {\"a/b.c\": \"\"}}", "\"a/b.c\" must be a file name (no slashes)" },
		{ "{\"unified\": {\"memory\": \"\"}}", "must be in the form CONTROLLER.PARAMETER" },
		{ "{\"unified\": {\".x\": \"\"}}", "must be in the form CONTROLLER.PARAMETER" },
		{ "{\"unified\": {\"cgroup.procs\": \"1\"}}", "f: unified: \"cgroup.procs\" is not supported" },
		{ "{\"unified\": {\"cgroup.freeze\": \"1\"}}", "\"cgroup.freeze\" is not supported" },
		{ "{\"unified\": {\"memory.reclaim\": \"1\"}}", "\"memory.reclaim\" is not supported" },
		{ "{\"unified\": {\"hugetlb.\": \"1\"}}", "\"hugetlb.\" is not supported" },
		{ "{\"unified\": {\"memory.high\": 1}}", "memory.high: must be a string" },
		{ "{\"unified\": {\"memory.max\": \"1x\"}}", "unified: memory.max: \"1x\" is no value of it" },
		{ "{\"unified\": {\"memory.max\": \"16E\"}}", "memory.max: \"16E\"" },
		{ "{\"unified\": {\"memory.max\": \"0\"}}", "memory.max: \"0\"" },
		{ "{\"unified\": {\"memory.max\": \"\"}}", "memory.max: \"\"" },
		{ "{\"unified\": {\"pids.max\": \"1K\"}}", "pids.max: \"1K\"" },
		{ "{\"unified\": {\"cpu.max\": \"1000 0\"}}", "cpu.max: \"1000 0\"" },
		{ "{\"unified\": {\"cpu.max\": \"1000 max\"}}", "cpu.max: \"1000 max\"" },
		{ "{\"unified\": {\"cpu.max\": \"1 2 3\"}}", "cpu.max: \"1 2 3\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		struct loaded l;
		int rc = load(&l, rows[i].json, &e);

		if (rc >= 0 || !strstr(e.msg, rows[i].msg))
			fail_msg("%s: %d \"%s\"", rows[i].json, rc, e.msg);
		unload(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_field_has_its_files),
		cmocka_unit_test(what_contradicts_itself_is_named),
		cmocka_unit_test(each_wrong_value_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
