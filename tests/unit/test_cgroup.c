// SPDX-License-Identifier: Apache-2.0
/* Where a container's cgroup lies, by runc's rules. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "runtime/host/cgroup.h"

#define OWN "0::/user.slice/shell\n"

static void test_path(void **state)
{
	static const struct {
		const char *why, *cgroups_path, *id, *own, *want; /* want NULL: refused */
	} rows[] = {
		{ "absolute", "/a/b", "x", OWN, "/a/b" },
		{ "absolute, unclean", "//a/./b//c/", "x", OWN, "/a/b/c" },
		{ "absolute climbs", "/a/../../../b", "x", OWN, "/b" },
		{ "none: beside the caller", "", "x", OWN, "/user.slice/x" },
		{ "relative: beside the caller", "a/b", "x", OWN, "/user.slice/a/b" },
		{ "relative climbs: not out of there", "../../b", "x", OWN, "/user.slice/b" },
		{ "the caller is in the root", "", "x", "0::/\n", "/x" },
		{ "the caller is right below the root", "", "x", "0::/init.scope\n", "/x" },
		{ "both versions mounted", "", "x", "9:name=systemd:/s\n1:cpu:/c\n0::/a/b\n",
		  "/a/x" },
		{ "what looks like systemd's form is a name here", "machine.slice:libpod:1", "x",
		  OWN, "/user.slice/machine.slice:libpod:1" },
		{ "dots that are a name", "/a/...", "x", OWN, "/a/..." },
		{ "the root itself", "/", "x", OWN, NULL },
		{ "the root by climbing", "/a/..", "x", OWN, NULL },
		{ "no version 2 line", "", "x", "1:cpu:/c\n", NULL },
		{ "absolute needs no own line", "/a", "x", "", "/a" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		char out[256] = "";
		int rc = cgroup_path(rows[i].cgroups_path, rows[i].id, rows[i].own, out,
				     sizeof(out), &e);

		if (rows[i].want ? rc || strcmp(out, rows[i].want) : rc != -EINVAL)
			fail_msg("%s: %d \"%s\" %s", rows[i].why, rc, out, e.msg);
	}
}

static void test_path_too_long(void **state)
{
	static char path[5000];
	char out[256];

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	assert_int_equal(cgroup_path(path, "x", OWN, out, sizeof(out), NULL), -ENAMETOOLONG);
	path[300] = 0;
	assert_int_equal(cgroup_path(path, "x", OWN, out, sizeof(out), NULL), -ENAMETOOLONG);
	path[255] = 0; /* '/' and 254 more, and the zero */
	assert_int_equal(cgroup_path(path, "x", OWN, out, sizeof(out), NULL), 0);
	assert_int_equal(strlen(out), 255);
}

static void test_group_of(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(cgroup_of("1:name=systemd:/x\n0::/a/b.scope\n", out, sizeof(out), NULL), 0);
	assert_string_equal(out, "/a/b.scope");
	assert_int_equal(cgroup_of("1:name=systemd:/x\n", out, sizeof(out), NULL), -EINVAL);
	assert_int_equal(cgroup_of("", out, sizeof(out), NULL), -EINVAL);
	assert_int_equal(cgroup_of("0::/0123456789abcd\n", out, sizeof(out), NULL), 0);
	assert_int_equal(cgroup_of("0::/0123456789abcde\n", out, sizeof(out), NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_path_too_long),
		cmocka_unit_test(test_group_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
