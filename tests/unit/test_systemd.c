// SPDX-License-Identifier: Apache-2.0
/* What a container is to systemd: names, slices, properties, annotations. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "runtime/oci/cpuset.h"
#include "runtime/systemd/unit.h"

static void test_unit(void **state)
{
	static char long_id[300];
	static const struct {
		const char *why, *path, *id;
		bool user;
		const char *name, *slice; /* name NULL: refused, with this in the message */
	} rows[] = {
		{ "none", "", "x", false, "husk-x.scope", "system.slice" },
		{ "none, a user's", "", "x", true, "husk-x.scope", "user.slice" },
		{ "podman's", "machine.slice:libpod:1234", "x", false, "libpod-1234.scope",
		  "machine.slice" },
		{ "empty slice", ":docker:1", "x", false, "docker-1.scope", "system.slice" },
		{ "empty slice, a user's", ":docker:1", "x", true, "docker-1.scope", "user.slice" },
		{ "empty prefix", "a.slice::1", "x", false, "-1.scope", "a.slice" },
		{ "nested slice", "a-b-c.slice:p:1", "x", false, "p-1.scope", "a-b-c.slice" },
		{ "root slice", "-.slice:p:1", "x", false, "p-1.scope", "-.slice" },
		{ "a path", "/a/b", "x", false, NULL, "got \"/a/b\" instead" },
		{ "two parts", "a.slice:b", "x", false, NULL, "\"slice:prefix:name\"" },
		{ "four parts", "a.slice:b:c:d", "x", false, NULL, "\"slice:prefix:name\"" },
		{ "no slice", "a:b:c", "x", false, NULL, "invalid slice name: a" },
		{ "double dash", "a--b.slice:b:c", "x", false, NULL, "invalid slice name" },
		{ "a slash in the slice", "a/b.slice:b:c", "x", false, NULL, "invalid slice name" },
		{ "a slice as the name", "a.slice:b:c.slice", "x", false, NULL, "cannot be a slice" },
		{ "empty name", "a.slice:b:", "x", false, NULL, "no name" },
		{ "a byte that systemd does not take", "", "a+b", false, NULL, "\"+\" cannot be" },
		{ "a slash in the name", "a.slice:b:c/d", "x", false, NULL, "\"/\" cannot be" },
		{ "too long", "", long_id, false, NULL, "more than 255 bytes" },
	};

	(void)state;
	memset(long_id, 'a', 245); /* with husk- and .scope: one too many */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct systemd_unit u = { "", "" };
		struct err e = ERR_INIT;
		int rc = systemd_unit(rows[i].path, rows[i].id, rows[i].user, &u, &e);

		if (rows[i].name ? rc || strcmp(u.name, rows[i].name) || strcmp(u.slice, rows[i].slice) :
				   rc >= 0 || !strstr(e.msg, rows[i].slice))
			fail_msg("%s: %d \"%s\" in \"%s\" %s", rows[i].why, rc, u.name, u.slice, e.msg);
	}
	long_id[244] = 0;
	struct systemd_unit u;
	assert_int_equal(systemd_unit("", long_id, false, &u, NULL), 0);
}

static void test_slices(void **state)
{
	static const struct {
		const char *slice, *path; /* NULL: refused */
	} rows[] = {
		{ "a.slice", "/a.slice" },
		{ "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice" },
		{ "-.slice", "" },
		{ ".slice", NULL },
		{ "-a.slice", NULL },
		{ "a-.slice", NULL },
		{ "a--b.slice", NULL },
		{ "--.slice", NULL },
		{ "a", NULL },
		{ "a.scope", NULL },
		{ "a/b.slice", NULL },
		{ "a b.slice", NULL },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int rc = systemd_expand_slice(rows[i].slice, out, sizeof(out));

		if (rows[i].path ? rc || strcmp(out, rows[i].path) : rc != -EINVAL)
			fail_msg("%s: %d %s", rows[i].slice, rc, out);
	}
	assert_int_equal(systemd_expand_slice("a-b-c.slice", out, 31), 0);
	assert_int_equal(systemd_expand_slice("a-b-c.slice", out, 30), -ENAMETOOLONG);
}

static void test_limits(void **state)
{
	static const struct {
		const char *file, *value, *want; /* NULL: refused */
	} rows[] = {
		{ "memory.max", "1234", "MemoryMax t 1234\n" },
		{ "memory.max", " max\n", "MemoryMax t 18446744073709551615\n" },
		{ "memory.max", "18446744073709551616", NULL },
		{ "memory.max", "12x", NULL },
		{ "memory.max", "", NULL },
		{ "memory.max", "-1", NULL },
		{ "memory.low", "1", "MemoryLow t 1\n" },
		{ "memory.swap.max", "0", "MemorySwapMax t 0\n" },
		{ "pids.max", "7", "TasksMax t 7\n" },
		{ "cpu.weight", "79", "CPUWeight t 79\n" },
		{ "cpu.idle", "1", "CPUWeight t 0\n" },
		{ "cpu.idle", "0", "" },
		{ "io.weight", "100", "IOWeight t 100\n" },
		{ "io.weight", "default 100\n", "IOWeight t 100\n" },
		{ "io.weight", "8:0 100", "" },
		{ "io.weight", "8 100", NULL },
		{ "cpu.max", "150000 100000",
		  "CPUQuotaPeriodUSec t 100000\nCPUQuotaPerSecUSec t 1500000\n" },
		{ "cpu.max", "155500 100000",
		  "CPUQuotaPeriodUSec t 100000\nCPUQuotaPerSecUSec t 1560000\n" },
		{ "cpu.max", "50000", "CPUQuotaPeriodUSec t 100000\nCPUQuotaPerSecUSec t 500000\n" },
		{ "cpu.max", "max 20000",
		  "CPUQuotaPeriodUSec t 20000\nCPUQuotaPerSecUSec t 18446744073709551615\n" },
		{ "cpu.max", "1 0", NULL },
		{ "cpu.max", "1 2 3", NULL },
		{ "cpu.max", "18446744073709 1", "CPUQuotaPeriodUSec t 1\nCPUQuotaPerSecUSec t "
						 "18446744073709000000\n" },
		{ "cpu.max", "18446744073710 1", NULL },
		{ "cpuset.cpus", "0-3,8", "AllowedCPUs ay 0f01\n" },
		{ "cpuset.cpus", "7", "AllowedCPUs ay 80\n" },
		{ "cpuset.cpus", "3-1", NULL },
		{ "cpuset.mems", "0", "AllowedMemoryNodes ay 01\n" },
		{ "memory.oom.group", "1", "" },
		{ "io.max", "8:0 rbps=1", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_limit one = { .file = rows[i].file, .value = rows[i].value };
		struct oci_limits l = { .v = &one, .n = 1 };
		struct buf b = BUF_INIT(4096);
		struct err e = ERR_INIT;
		int rc = systemd_limit_properties(&l, &b, &e);

		if (rows[i].want ? rc || strcmp(buf_cstr(&b), rows[i].want) :
				   rc >= 0 || !strstr(e.msg, rows[i].file))
			fail_msg("%s \"%s\": %d \"%s\" %s", rows[i].file, rows[i].value, rc,
				 buf_cstr(&b), e.msg);
		buf_free(&b);
	}
}

#define P SYSTEMD_ANNOTATION

static void test_annotations(void **state)
{
	static const struct {
		const char *key, *value, *want; /* NULL: refused */
	} rows[] = {
		{ P "TimeoutStopUSec", "uint64 123456789", "TimeoutStopUSec t 123456789\n" },
		{ P "TimeoutStopUSec", "7", "TimeoutStopUSec t 7\n" },
		{ P "TimeoutStopUSec", "0x10", "TimeoutStopUSec t 16\n" },
		{ P "TimeoutStopUSec", "-7", NULL },
		{ P "TimeoutStopUSec", "7s", NULL },
		{ P "TimeoutStopUSec", "'7'", NULL },
		{ P "TimeoutStopUSec", "uint64", NULL },
		{ P "TimeoutStopUSec", "uint647", NULL },
		{ P "TimeoutStopUSec", "18446744073709551616", NULL },
		{ P "TimeoutStopUSec", "", NULL },
		{ P "TimeoutStopSec", "7", "TimeoutStopUSec t 7000000\n" },
		{ P "TimeoutStopSec", "double 1.5", "TimeoutStopUSec t 1500000\n" },
		{ P "TimeoutStopSec", "1e300", NULL },
		{ P "TimeoutStopSec", "nan", NULL },
		{ P "CollectMode", "'inactive'", "CollectMode s inactive\n" },
		{ P "CollectMode", "\"in'active\"", "CollectMode s in'active\n" },
		{ P "CollectMode", "'a\\'b\\\\'", "CollectMode s a'b\\\n" },
		{ P "CollectMode", "'a\\nb'", NULL },
		{ P "CollectMode", "'a\nb'", NULL },
		{ P "CollectMode", "inactive", NULL },
		{ P "CollectMode", "'inactive", NULL },
		{ P "CollectMode", "'a' 'b'", NULL },
		{ P "SendSIGHUP", "true", "SendSIGHUP b true\n" },
		{ P "SendSIGHUP", " false ", "SendSIGHUP b false\n" },
		{ P "SendSIGHUP", "1", NULL },
		{ P "SendSIGHUP", "truely", NULL },
		{ P "After", "['a.target', 'b']", "After as \ta.target\tb\n" },
		{ P "After", "@as []", "After as \n" },
		{ P "After", "['a'", NULL },
		{ P "After", "['a',]", NULL },
		{ P "After", "['a\tb']", NULL },
		{ P "After", "'a'", NULL },
		{ P "KillSignal", "2147483648", NULL },
		{ P "KillSignal", "int32 9", "KillSignal i 9\n" },
		/* What reaches beyond the scope. */
		{ P "Slice", "'other.slice'", NULL },
		{ P "PIDs", "[uint32 1]", NULL },
		{ P "FailureAction", "'reboot'", NULL },
		{ P "OnFailure", "['x.service']", NULL },
		{ P "Delegate", "false", NULL },
		{ P "Description", "'x'", NULL },
		{ P "Sec", "1", NULL },
		{ P "", "1", NULL },
		{ P "timeoutstopusec", "1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = BUF_INIT(4096);
		struct err e = ERR_INIT;
		int rc = systemd_annotation(rows[i].key, rows[i].value, &b, &e);

		if (rows[i].want ? rc || strcmp(buf_cstr(&b), rows[i].want) :
				   rc >= 0 || !strstr(e.msg, rows[i].key))
			fail_msg("%s=%s: %d \"%s\" %s", rows[i].key, rows[i].value, rc, buf_cstr(&b),
				 e.msg);
		buf_free(&b);
	}
}

static void test_properties(void **state)
{
	struct systemd_unit u = { "p-x.scope", "a.slice" };
	struct oci_limit one = { .file = "pids.max", .value = "9" };
	struct oci_limits l = { .v = &one, .n = 1 };
	struct oci_pair notes[] = { { "other", "1" }, { P "CollectMode", "'inactive'" } };
	struct oci_pair bad[] = { { P "PIDs", "1" } };
	struct buf b = BUF_INIT(4096);

	(void)state;
	assert_int_equal(systemd_properties(&u, &l, notes, 2, &b, NULL), 0);
	assert_string_equal(buf_cstr(&b),
			    "Slice s a.slice\nDelegate b true\nMemoryAccounting b true\n"
			    "CPUAccounting b true\nIOAccounting b true\nTasksAccounting b true\n"
			    "DefaultDependencies b false\nCollectMode s inactive-or-failed\n"
			    "TasksMax t 9\nCollectMode s inactive\n");
	buf_free(&b);
	assert_int_equal(systemd_properties(&u, &l, bad, 1, &b, NULL), -EPERM);
	buf_free(&b);
	b.cap = 100;
	assert_int_equal(systemd_properties(&u, &l, NULL, 0, &b, NULL), -E2BIG);
	buf_free(&b);
}

static void test_user_bus(void **state)
{
	static const struct {
		const char *address, *dir, *want; /* NULL: refused */
	} rows[] = {
		{ "unix:path=/x", "/run/user/1", "unix:path=/x" },
		{ NULL, "/run/user/1", "unix:path=/run/user/1/bus" },
		{ "", "/a b,c", "unix:path=/a%20b%2cc/bus" },
		{ NULL, NULL, NULL },
		{ "", "", NULL },
		{ NULL, "run", NULL },
		{ NULL, "/0123456789012345678901", NULL },
		{ "unix:path=/01234567890123456789012345678901234567890123456789abcdef", NULL, NULL },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int rc = systemd_user_bus(rows[i].address, rows[i].dir, out, sizeof(out), NULL);

		if (rows[i].want ? rc || strcmp(out, rows[i].want) : rc >= 0)
			fail_msg("row %zu: %d %s", i, rc, out);
	}
}

static void test_cpuset(void **state)
{
	static const struct {
		const char *text;
		int rc;
		unsigned count, top;
	} rows[] = {
		{ "", 0, 0, 0 },	{ "0", 0, 1, 1 },	 { "0-3,8", 0, 5, 9 },
		{ " 1 , 2-2\n", 0, 2, 3 }, { "1,1,0-1", 0, 2, 2 }, { "8191", 0, 1, 8192 },
		{ "8192", -ERANGE, 0, 0 }, { "1,", 0, 1, 2 },	 { ",1", -EINVAL, 0, 0 },
		{ "1-", -EINVAL, 0, 0 },   { "-1", -EINVAL, 0, 0 }, { "2-1", -EINVAL, 0, 0 },
		{ "1 2", -EINVAL, 0, 0 },  { "a", -EINVAL, 0, 0 },  { "99999999999", -ERANGE, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cpuset s;
		int rc = cpuset_parse(rows[i].text, &s);

		if (rc != rows[i].rc || (rc == 0 && (s.count != rows[i].count || s.top != rows[i].top)))
			fail_msg("\"%s\": %d, %u below %u", rows[i].text, rc, s.count, s.top);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unit),	    cmocka_unit_test(test_slices),
		cmocka_unit_test(test_limits),	    cmocka_unit_test(test_annotations),
		cmocka_unit_test(test_properties),  cmocka_unit_test(test_user_bus),
		cmocka_unit_test(test_cpuset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
