// SPDX-License-Identifier: Apache-2.0
/* Whose a control group is besides the container's that is deleted. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/container/group.h"
#include "runtime/sandbox/record.h"
#include "runtime/sandbox/sandbox_internal.h"

static int root;

static int setup(void **state)
{
	char path[] = "/tmp/husk-group-XXXXXX";

	if (!mkdtemp(path))
		return -1;
	*state = strdup(path);
	return container_root_open(path, false, &root, NULL);
}

static int teardown(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	close(root);
	free(*state);
	return system(command);
}

static struct container_state named(const char *id)
{
	return (struct container_state){ .id = id, .oci_version = "1", .bundle = "/", .rootfs = "/", .created = "",
					 .sandbox = id, .cgroup = "", .unit = "", .bus = "" };
}

/* Its folder, locked. */
static int make(const struct container_state *s)
{
	bool leftover;
	int dir;

	assert_int_equal(container_make(root, s->id, &dir, &leftover, NULL), 0);
	assert_int_equal(container_state_save(dir, s, NULL), 0);
	return dir;
}

static struct proc_id self(void)
{
	struct proc_info info;

	assert_int_equal(proc_read(getpid(), &info), 0);
	return info.id;
}

static void another_that_is_in_it_keeps_it(void **state)
{
	enum how { LIVES, ENDED, CREATING, LEFT };
	static const struct {
		const char *why, *cgroup, *unit, *bus;
		enum how how;
		int want;
	} rows[] = {
		{ "the same group", "/x", "", "", LIVES, 1 },
		{ "one below it", "/x/y", "", "", LIVES, 1 },
		{ "one that is to come there", "/x", "", "", CREATING, 1 },
		{ "one whose unit is to have the group", "", "u.scope", "", CREATING, 1 },
		{ "the unit is another manager's", "", "u.scope", "unix:path=/b", CREATING, 0 },
		{ "another name that begins with it", "/xy", "", "", LIVES, 0 },
		{ "the one above", "/", "", "", LIVES, 0 },
		{ "none at all", "", "", "", LIVES, 0 },
		{ "it has ended", "/x", "", "", ENDED, 0 },
		{ "a killed command left it", "/x", "", "", LEFT, 0 },
	};
	struct container_state s = named("one");

	(void)state;
	s.cgroup = "/x";
	s.unit = "u.scope";
	s.proxy = self(); /* is not another's */
	close(make(&s));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct container_state other = named("two");
		int dir;

		other.cgroup = rows[i].cgroup;
		other.unit = rows[i].unit;
		other.bus = rows[i].bus;
		if (rows[i].how == LIVES || rows[i].how == ENDED)
			other.proxy = self();
		if (rows[i].how == ENDED)
			other.proxy.start++;
		dir = make(&other);
		if (rows[i].how != CREATING)
			close(dir);
		check_row(rows[i].why, group_is_used(root, &s, "one", NULL) == rows[i].want);
		if (rows[i].how != CREATING)
			assert_int_equal(container_open(root, "two", true, &dir, NULL), 0);
		assert_int_equal(container_remove_dir(root, "two", dir, NULL), 0);
		close(dir);
	}
	/* What is no container's is nobody's, and neither has one without a group. */
	assert_int_equal(io_write_file(root, "two", "x", 1, 0600), 0);
	assert_int_equal(group_is_used(root, &s, "one", NULL), 0);
	s = (struct container_state){ .doc = NULL };
	assert_int_equal(group_is_used(root, &s, "two", NULL), 0);
}

static void a_machine_in_it_keeps_it(void **state)
{
	struct container_state s = named("one"), other = named("two");
	struct sandbox_record r = { .first = "two", .host = "two" };
	int dir;

	(void)state;
	s.cgroup = other.cgroup = "/x";
	other.proxy = self();
	other.proxy.start++;
	close(make(&other));
	r.machine = self();
	assert_int_equal(sandbox_make_dir(root, "two", &dir, NULL), 0);
	assert_int_equal(sandbox_save(dir, &r, NULL), 0);
	assert_int_equal(group_is_used(root, &s, "one", NULL), 1);
	/* It has gone on to another's group, */
	strcpy(r.host, "three");
	assert_int_equal(sandbox_save(dir, &r, NULL), 0);
	assert_int_equal(group_is_used(root, &s, "one", NULL), 0);
	/* or ended. */
	strcpy(r.host, "two");
	r.machine.start++;
	assert_int_equal(sandbox_save(dir, &r, NULL), 0);
	assert_int_equal(group_is_used(root, &s, "one", NULL), 0);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_that_is_in_it_keeps_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_machine_in_it_keeps_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
