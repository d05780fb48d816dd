// SPDX-License-Identifier: Apache-2.0
/* The option --device-add, and the list of a container's devices. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "runtime/container/device_list.h"

static void wishes(void **state)
{
	static const struct {
		const char *why, *text, *source, *path, *access; /* access NULL: refused */
	} rows[] = {
		{ "the path alone", "/dev/sdb", "/dev/sdb", "/dev/sdb", "rwm" },
		{ "another inside", "/dev/sdb:/dev/xvda", "/dev/sdb", "/dev/xvda", "rwm" },
		{ "with its access", "/dev/sdb:/dev/xvda:r", "/dev/sdb", "/dev/xvda", "r" },
		{ "in any order", "/dev/sdb:/dev/xvda:mwr", "/dev/sdb", "/dev/xvda", "mwr" },
		{ "access alone, as Docker has it", "/dev/sdb:rw", "/dev/sdb", "/dev/sdb", "rw" },
		{ "a file by a relative path", "disk.img:/dev/d", "disk.img", "/dev/d", "rwm" },
		{ "deep", "x:/a/b/c.d/..e", "x", "/a/b/c.d/..e", "rwm" },
		{ "empty", "", NULL, NULL, NULL },
		{ "no host path", ":/dev/d", NULL, NULL, NULL },
		{ "nothing behind the colon", "/dev/sdb:", NULL, NULL, NULL },
		{ "nothing between colons", "/dev/sdb::r", NULL, NULL, NULL },
		{ "no access behind its colon", "/dev/sdb:/dev/d:", NULL, NULL, NULL },
		{ "an unknown access", "/dev/sdb:/dev/d:rx", NULL, NULL, NULL },
		{ "twice the same", "/dev/sdb:/dev/d:rr", NULL, NULL, NULL },
		{ "too much of it", "/dev/sdb:/dev/d:rwmr", NULL, NULL, NULL },
		{ "a fourth part", "/dev/sdb:/dev/d:r:w", NULL, NULL, NULL },
		{ "to make a node alone", "/dev/sdb:/dev/d:m", NULL, NULL, NULL },
		{ "a relative path inside", "/dev/sdb:dev/d", NULL, NULL, NULL },
		{ "relative, and the same inside", "disk.img", NULL, NULL, NULL },
		{ "a folder inside", "/dev/sdb:/dev/", NULL, NULL, NULL },
		{ "the root", "/dev/sdb:/", NULL, NULL, NULL },
		{ "up", "/dev/sdb:/dev/../d", NULL, NULL, NULL },
		{ "up at the end", "/dev/sdb:/dev/..", NULL, NULL, NULL },
		{ "a dot", "/dev/sdb:/./d", NULL, NULL, NULL },
		{ "two slashes", "/dev/sdb:/dev//d", NULL, NULL, NULL },
		{ "a host path that is not UTF-8", "/dev/\xff:/dev/d", NULL, NULL, NULL },
		{ "nor the other", "/dev/sdb:/dev/\xc3", NULL, NULL, NULL },
	};
	static char longest[PATH_MAX + 16];
	struct device_wish w;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int rc = device_wish_parse(rows[i].text, &w, &e);

		if (rows[i].access)
			check_row(rows[i].why, rc == 0 && !strcmp(w.source, rows[i].source) && !strcmp(w.path, rows[i].path) &&
						       !strcmp(w.access, rows[i].access));
		else
			check_row(rows[i].why, rc == -EINVAL && e.msg[0]);
	}
	/* Lengths: the last that fits, and one more. */
	memset(longest, 'a', PATH_MAX - 1);
	memcpy(longest + PATH_MAX - 1, ":/d", 4);
	assert_int_equal(device_wish_parse(longest, &w, &e), 0);
	memset(longest, 'a', PATH_MAX);
	memcpy(longest + PATH_MAX, ":/d", 4);
	assert_int_equal(device_wish_parse(longest, &w, &e), -EINVAL);
	memset(longest, 'a', 2 + NAME_MAX);
	memcpy(longest, "x:/", 3);
	longest[3 + NAME_MAX] = 0;
	assert_int_equal(device_wish_parse(longest, &w, &e), 0);
	longest[2 + NAME_MAX] = 'a';
	longest[3 + NAME_MAX] = 'a';
	longest[4 + NAME_MAX] = 0;
	assert_int_equal(device_wish_parse(longest, &w, &e), -EINVAL);
}

#define ENTRY(path, disk, there) \
	"{\"path\":\"" path "\",\"source\":\"/x\",\"disk\":\"" disk "\",\"access\":\"rw\",\"there\":" there "}"
#define LIST(...)		 "{\"version\":1,\"devices\":[" __VA_ARGS__ "]}"

static void files(void **state)
{
	static const struct {
		const char *why, *text;
		bool good;
	} rows[] = {
		{ "none", LIST(""), true },
		{ "two of one disk", LIST(ENTRY("/a", "d", "true") "," ENTRY("/b", "d", "false")), true },
		{ "no version", "{\"devices\":[]}", false },
		{ "another version", "{\"version\":2,\"devices\":[]}", false },
		{ "no list", "{\"version\":1}", false },
		{ "a list that is none", "{\"version\":1,\"devices\":{}}", false },
		{ "an entry that is none", LIST("1"), false },
		{ "a path twice", LIST(ENTRY("/a", "d", "true") "," ENTRY("/a", "e", "true")), false },
		{ "a relative path", LIST(ENTRY("a", "d", "true")), false },
		{ "no disk", LIST(ENTRY("/a", "", "true")), false },
		{ "the longest serial", LIST(ENTRY("/a", "12345678901234567890", "true")), true },
		{ "a serial too long", LIST(ENTRY("/a", "123456789012345678901", "true")), false },
		{ "a NUL in it", LIST(ENTRY("/a", "d\\u0000", "true")), false },
		{ "there, but a number", LIST(ENTRY("/a", "d", "1")), false },
		{ "no access", LIST("{\"path\":\"/a\",\"source\":\"/x\",\"disk\":\"d\",\"there\":true}"), false },
		{ "cut", "{\"version\":1,\"devices\":[", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct device_list l = { .v = NULL };
		struct err e = ERR_INIT;
		int rc = device_list_parse(rows[i].text, strlen(rows[i].text), &l, &e);

		check_row(rows[i].why, rows[i].good ? rc == 0 : rc < 0 && e.msg[0]);
		device_list_done(&l);
	}
}

static void there_and_back(void **state)
{
	struct device_entry d = { .path = (char[]){ "/dev/a" }, .source = (char[]){ "/dev/\"b" }, .disk = "one", .access = "r" };
	char dir[] = "/tmp/husk-list-XXXXXX", path[64];
	struct device_list l = { .v = NULL };
	int fd;

	(void)state;
	fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY) : -1;
	assert_true(fd >= 0);
	assert_int_equal(device_list_load(fd, &l, NULL), 0); /* no file: nothing */
	assert_int_equal(l.n, 0);
	assert_int_equal(device_list_add(&l, &d, NULL), 0);
	d.path = (char[]){ "/dev/c" };
	d.there = true;
	assert_int_equal(device_list_add(&l, &d, NULL), 0);
	memcpy(d.disk, "two", 4);
	d.path = (char[]){ "/dev/d" };
	assert_int_equal(device_list_add(&l, &d, NULL), 0);
	assert_int_equal(device_list_save(fd, &l, NULL), 0);
	device_list_done(&l);
	assert_int_equal(device_list_load(fd, &l, NULL), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.v[0].path, "/dev/a");
	assert_string_equal(l.v[0].source, "/dev/\"b");
	assert_string_equal(l.v[2].disk, "two");
	assert_string_equal(l.v[2].access, "r");
	assert_false(l.v[0].there);
	assert_true(l.v[1].there);
	device_list_drop(&l, "one"); /* by both its paths */
	assert_int_equal(l.n, 1);
	assert_ptr_equal(device_list_find(&l, "/dev/d"), &l.v[0]);
	assert_null(device_list_find(&l, "/dev/a"));
	while (l.n < DEVICE_LIST_MAX)
		assert_int_equal(device_list_add(&l, &d, NULL), 0);
	assert_int_equal(device_list_add(&l, &d, NULL), -E2BIG);
	device_list_done(&l);
	snprintf(path, sizeof(path), "%s/devices.json", dir);
	unlink(path);
	rmdir(dir);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wishes),
		cmocka_unit_test(files),
		cmocka_unit_test(there_and_back),
	};

	return cmocka_run_group_tests_name("device_list", tests, NULL, NULL);
}
