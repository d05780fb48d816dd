// SPDX-License-Identifier: Apache-2.0
/* Where a container's cgroup lies, by runc's rules; and its values, written and put back. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
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

static void put(int dir, const char *file, const char *text)
{
	int fd = openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void expect(int dir, const char *file, const char *text)
{
	char *have = NULL;

	assert_int_equal(io_read_file(dir, file, 64, &have, NULL), 0);
	assert_string_equal(have, text);
	free(have);
}

/* In a folder with files of such names: the last first, and behind a refusal the others all the same. */
static void test_write_back(void **state)
{
	struct oci_limit v[] = {
		{ .file = "cpu.max", .value = "1" },	   { .file = "cpu.max.burst", .value = "1" },
		{ .file = "refused", .value = "1" },	   { .file = "not.there", .value = "1", .optional = true },
		{ .file = "refused.too", .value = "1" },   { .file = "pids.max", .value = "1" },
		{ .file = "pids.max", .value = "2" },
	};
	const struct oci_limits l = { .v = v, .n = ARRAY_SIZE(v) };
	char path[] = "/tmp/husk-cgroup-XXXXXX";
	struct err e = ERR_INIT;
	int dir;

	(void)state;
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(dir, "cpu.max", "0");
	put(dir, "cpu.max.burst", "0");
	put(dir, "pids.max", "0");
	assert_int_equal(mkdirat(dir, "refused", 0700), 0);
	assert_int_equal(mkdirat(dir, "refused.too", 0700), 0);
	assert_int_equal(cgroup_write_back(dir, &l, &e), -EISDIR);
	assert_string_equal(e.msg, "cannot write 1 to the cgroup's refused.too: Is a directory");
	expect(dir, "cpu.max", "1");
	expect(dir, "cpu.max.burst", "1");
	expect(dir, "pids.max", "1");
	/* Written anew it ends at the first refusal. */
	v[0].value = v[6].value = "3";
	assert_int_equal(cgroup_write(dir, &l, NULL), -EISDIR);
	expect(dir, "cpu.max", "3");
	expect(dir, "pids.max", "1");
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		unlinkat(dir, v[i].file, 0);
		unlinkat(dir, v[i].file, AT_REMOVEDIR);
	}
	close(dir);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_path_too_long),
		cmocka_unit_test(test_group_of),
		cmocka_unit_test(test_write_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
