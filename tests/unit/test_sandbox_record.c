// SPDX-License-Identifier: Apache-2.0
/* A sandbox's folder: what is read back of it, names, members, and how a network namespace leads to it. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/sandbox/record.h"
#include "runtime/sandbox/sandbox_internal.h"

static int root, dir;

static int setup(void **state)
{
	char path[] = "/tmp/sandbox-XXXXXX";

	(void)state;
	if (!mkdtemp(path))
		return -1;
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = strdup(path);
	return sandbox_make_dir(root, "a", &dir, NULL);
}

static int teardown(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	close(dir);
	close(root);
	free(*state);
	return system(command);
}

#define GOOD "\"version\":1,\"machinePid\":7,\"machineStart\":8"

static void malformed_files(void **state)
{
	static const struct {
		const char *why, *text;
		int want;
	} rows[] = {
		{ "what an older husk wrote", "{" GOOD ",\"containers\":1}", 0 },
		{ "all of it", "{" GOOD ",\"netPid\":9,\"netStart\":10,\"first\":\"a\",\"host\":\"b\"}", 0 },
		{ "another version", "{\"version\":2,\"machinePid\":7,\"machineStart\":8}", -EINVAL },
		{ "no machine", "{\"version\":1,\"machineStart\":8}", -EINVAL },
		{ "machine 0", "{\"version\":1,\"machinePid\":0,\"machineStart\":8}", -EINVAL },
		{ "a pid that is none", "{\"version\":1,\"machinePid\":2147483648,\"machineStart\":8}", -EINVAL },
		{ "a negative one", "{" GOOD ",\"netPid\":-1}", -EINVAL },
		{ "a name that climbs", "{" GOOD ",\"host\":\"..\"}", -EINVAL },
		{ "names that begin with dots", "{" GOOD ",\"first\":\".a\",\"host\":\"..b\"}", 0 },
		{ "a path", "{" GOOD ",\"first\":\"a/b\"}", -EINVAL },
		{ "a NUL", "{" GOOD ",\"first\":\"a\\u0000\"}", -EINVAL },
		{ "a number for a name", "{" GOOD ",\"first\":1}", -EINVAL },
		{ "no object", "[]", -EINVAL },
	};
	struct sandbox_record r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(rows[i].why, sandbox_parse(rows[i].text, strlen(rows[i].text), &r, NULL) == rows[i].want);
}

static void what_is_saved_comes_back(void **state)
{
	struct sandbox_record r = { .machine = { 1, 2 }, .net = { 3, 4 }, .first = "x", .host = "y" }, got;

	(void)state;
	assert_int_equal(sandbox_load(dir, &got, NULL), -ENOENT);
	assert_int_equal(sandbox_save(dir, &r, NULL), 0);
	assert_int_equal(sandbox_load(dir, &got, NULL), 0);
	assert_true(got.machine.pid == 1 && got.machine.start == 2 && got.net.pid == 3 && got.net.start == 4);
	assert_string_equal(got.first, "x");
	assert_string_equal(got.host, "y");
}

static void names(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} rows[] = { { "a", true }, { "a@2", true }, { "a@", false }, { "@2", false }, { "a@2x", false }, { "a@@2", false },
		     { "", false }, { ".", false }, { "..", false }, { "a/b", false },
		     { ".a", true }, { "..a", true }, { ".a@2", true } };
	char got[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(rows[i].name, sandbox_is_name(rows[i].name) == rows[i].good);
	assert_int_equal(sandbox_free_name(root, "b", got, sizeof(got), NULL), 0);
	assert_string_equal(got, "b");
	assert_int_equal(sandbox_free_name(root, "a", got, sizeof(got), NULL), 0);
	assert_string_equal(got, "a@2");
	assert_int_equal(sandbox_free_name(root, "a234567890123456", got, sizeof(got), NULL), -ENAMETOOLONG);
}

static int note(void *arg, const char *id)
{
	strcat(strcat(arg, id), " ");
	return strcmp(id, "stop") == 0 ? 7 : 0;
}

static void members(void **state)
{
	struct sandbox_record r = { .machine = { 1, 2 }, .first = "one", .host = "one" };
	char got[64] = "";

	(void)state;
	assert_false(sandbox_had_members(dir));
	assert_int_equal(sandbox_members(dir, &r, note, got), 0);
	assert_string_equal(got, "one ");
	assert_int_equal(sandbox_enroll(dir, "two", NULL), 0);
	assert_int_equal(sandbox_enroll(dir, "two", NULL), 0); /* again after a killed command */
	assert_true(sandbox_had_members(dir));
	assert_true(sandbox_is_of(dir, "one", "two") && sandbox_is_of(dir, "one@2", "one"));
	assert_false(sandbox_is_of(dir, "one", "on") || sandbox_is_of(dir, "one", "one2") || sandbox_is_of(dir, "one", "three"));
	got[0] = 0;
	assert_int_equal(sandbox_members(dir, &r, note, got), 0);
	assert_string_equal(got, "one two ");
	assert_int_equal(sandbox_strike(dir, &r, "one", NULL), 0);
	assert_int_equal(sandbox_strike(dir, &r, "nobody", NULL), 0);
	got[0] = 0;
	assert_int_equal(sandbox_members(dir, &r, note, got), 0);
	assert_string_equal(got, "two ");
	assert_int_equal(sandbox_load(dir, &r, NULL), 0);
	assert_string_equal(r.first, "");
	assert_int_equal(sandbox_strike(dir, &r, "two", NULL), 0);
	assert_int_equal(sandbox_enroll(dir, "stop", NULL), 0);
	assert_int_equal(sandbox_members(dir, &r, note, got), 7);
	/* A list that cannot be read is not one without anybody. */
	assert_int_equal(sandbox_strike(dir, &r, "stop", NULL), 0);
	assert_int_equal(unlinkat(dir, "containers", AT_REMOVEDIR), 0);
	assert_int_equal(mknodat(dir, "containers", S_IFREG | 0600, 0), 0);
	assert_int_equal(sandbox_members(dir, &r, note, got), -ENOTDIR);
	assert_int_equal(unlinkat(dir, "containers", 0), 0);
}

static void a_folder_that_is_left(void **state)
{
	struct sandbox_record r = { .first = "a", .host = "a" };
	struct proc_info info;

	(void)state;
	assert_true(sandbox_is_bare(dir));
	assert_int_equal(proc_read(getpid(), &info), 0);
	r.machine = info.id;
	assert_int_equal(sandbox_save(dir, &r, NULL), 0);
	assert_false(sandbox_is_bare(dir));
	r.machine.start++;
	assert_int_equal(sandbox_save(dir, &r, NULL), 0);
	assert_true(sandbox_is_bare(dir));
	assert_int_equal(sandbox_enroll(dir, "two", NULL), 0);
	assert_false(sandbox_is_bare(dir));
	/* Its removal came as far as the names, and no further. */
	assert_int_equal(sandbox_strike(dir, &r, "two", NULL), 0);
	assert_true(sandbox_had_members(dir) && sandbox_is_bare(dir));
}

static void a_namespace_leads_to_it_while_its_processes_live(void **state)
{
	struct sandbox_record r = { .first = "a", .host = "a" };
	int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), other = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	char name[NAME_MAX + 1] = "";
	struct proc_info info;
	int dots;

	(void)state;
	assert_true(ns >= 0 && other >= 0);
	assert_int_equal(proc_read(getpid(), &info), 0);
	r.machine = r.net = info.id;
	assert_int_equal(sandbox_save(dir, &r, NULL), 0);
	assert_int_equal(sandbox_find(root, ns, name), 0);
	assert_int_equal(sandbox_note_netns(dir, ns, NULL), 0);
	assert_int_equal(sandbox_find(root, other, name), 0);
	assert_int_equal(sandbox_find(root, ns, name), 1);
	assert_string_equal(name, "a");
	/* So it does to one whose name begins with a dot. */
	assert_int_equal(unlinkat(dir, "netns", 0), 0);
	assert_int_equal(sandbox_make_dir(root, ".b", &dots, NULL), 0);
	assert_int_equal(sandbox_save(dots, &r, NULL), 0);
	assert_int_equal(sandbox_note_netns(dots, ns, NULL), 0);
	assert_int_equal(sandbox_find(root, ns, name), 1);
	assert_string_equal(name, ".b");
	assert_int_equal(unlinkat(dots, "netns", 0), 0);
	close(dots);
	assert_int_equal(sandbox_note_netns(dir, ns, NULL), 0);
	/* The same numbers may be another namespace's by now. */
	r.net.start++;
	assert_int_equal(sandbox_save(dir, &r, NULL), 0);
	assert_int_equal(sandbox_find(root, ns, name), 0);
	close(ns);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(malformed_files, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_saved_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(names, setup, teardown),
		cmocka_unit_test_setup_teardown(members, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(a_namespace_leads_to_it_while_its_processes_live, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
