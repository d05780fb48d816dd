// SPDX-License-Identifier: Apache-2.0
/* Disks that come into a container and leave it, through the real agent: what it refuses, and that it does all or nothing.
 * The disks are the test's (tests/lib/agenthost.c). */
#include <stdio.h>

#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

AGENTHOST_FIXTURE

#define MAX (AGENT_MAX_DISKS + 1)

struct asked {
	Husk__Agent__V1__UpdateDisksRequest m;
	Husk__Agent__V1__DiskDevice d[MAX], *list[MAX];
	char text[MAX][3][64];
	uint8_t packed[8192];
};

static void begin(struct asked *a)
{
	static char id[] = "plugged";

	memset(a, 0, sizeof(*a));
	husk__agent__v1__update_disks_request__init(&a->m);
	a->m.container_id = id;
	a->m.add = a->m.remove = a->list;
	for (size_t i = 0; i < MAX; i++) {
		husk__agent__v1__disk_device__init(&a->d[i]);
		a->list[i] = &a->d[i];
	}
}

static Husk__Agent__V1__DiskDevice *put(struct asked *a, size_t i, const char *disk, const char *path, const char *access)
{
	const char *words[3] = { disk, path, access };

	for (int k = 0; k < 3; k++)
		snprintf(a->text[i][k], sizeof(a->text[i][k]), "%s", words[k]);
	a->d[i].disk = a->text[i][0];
	a->d[i].path = a->text[i][1];
	a->d[i].access = a->text[i][2];
	return &a->d[i];
}

static const struct agent_reply *send_it(struct asked *a, struct reply *r)
{
	size_t len = husk__agent__v1__update_disks_request__pack(&a->m, a->packed);

	memset(r, 0, sizeof(*r));
	return reply_wait(h, r, agent_disks(h->c, a->packed, len, reply_fn, r, NULL));
}

/* In the container. */
static int inside(const char *script)
{
	char all[512];

	snprintf(all, sizeof(all), "for p in /proc/[0-9]*; do grep -q plugged $p/cgroup && cd $p/root && break; done; %s",
		 script);
	return agenthost_sh(h, all);
}

static void adds(struct asked *a) { a->m.n_add = 1; }
static void removes(struct asked *a) { a->m.n_remove = 1; }
static void neither(struct asked *a) { (void)a; }
static void both(struct asked *a) { a->m.n_add = a->m.n_remove = 1; }
static void many(struct asked *a)
{
	for (size_t i = 1; i < MAX; i++)
		put(a, i, "one", "/dev/x", "r");
	a->m.n_add = MAX;
}
static void no_disk(struct asked *a) { adds(a), put(a, 0, "", "/dev/x", "r"); }
static void long_disk(struct asked *a) { adds(a), put(a, 0, "123456789012345678901", "/dev/x", "r"); }
static void no_path(struct asked *a) { adds(a), put(a, 0, "one", "", "r"); }
static void relative(struct asked *a) { adds(a), put(a, 0, "one", "dev/x", "r"); }
static void folder(struct asked *a) { removes(a), put(a, 0, "one", "/dev/", ""); }
static void no_access(struct asked *a) { adds(a), put(a, 0, "one", "/dev/x", ""); }
static void bad_access(struct asked *a) { adds(a), put(a, 0, "one", "/dev/x", "rx"); }
static void long_access(struct asked *a) { adds(a), put(a, 0, "one", "/dev/x", "rrrr"); }
static void bad_mode(struct asked *a) { adds(a), a->d[0].mode = 01000; }
static void nobody(struct asked *a)
{
	static char id[] = "nobody";

	adds(a);
	a->m.container_id = id;
}

static void refused(void **state)
{
	static const struct {
		const char *why;
		void (*change)(struct asked *a);
		int rc;
	} rows[] = {
		{ "no such disk", adds, -EIO },
		{ "one that is not there may go", removes, 0 },
		{ "nothing", neither, -EINVAL },
		{ "both at a time", both, -EINVAL },
		{ "too many", many, -ENOSPC },
		{ "no disk", no_disk, -EINVAL },
		{ "a serial too long", long_disk, -EINVAL },
		{ "no path", no_path, -EINVAL },
		{ "a relative path", relative, -EINVAL },
		{ "a folder", folder, -EINVAL },
		{ "no access", no_access, -EINVAL },
		{ "an unknown access", bad_access, -EINVAL },
		{ "too much access", long_access, -EINVAL },
		{ "a mode that is more", bad_mode, -EINVAL },
		{ "no such container", nobody, -ENOENT },
	};
	struct ct_request q;
	struct asked a;
	struct reply r;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "plugged");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&a);
		put(&a, 0, "one", "/dev/x", "r");
		rows[i].change(&a);
		check_row(rows[i].why, send_it(&a, &r)->rc == rows[i].rc);
	}
	assert_int_equal(agenthost_delete(h, "plugged", ""), 0);
}

static void all_or_nothing(void **state)
{
	struct ct_request q;
	struct asked a;
	struct reply r;
	unsigned fds;

	(void)state;
	if (!h || agenthost_sh(h, "mkdir -p $0/disks && mknod $0/tried b 7 100 && rm $0/tried") != 0)
		return;
	agenthost_sleeper(h, &q, "plugged");
	assert_int_equal(agenthost_sh(h, "cd $0/disks; for n in one two stuck; do head -c 5 /dev/zero >$n; done; "
					 "echo 123456 >two"), 0);
	fds = agenthost_fds(h);
	begin(&a);
	put(&a, 0, "one", "/dev/in/here/a", "rw")->mode = 0640;
	put(&a, 1, "two", "/dev/null", "r");
	a.m.n_add = 2;
	assert_int_equal(send_it(&a, &r)->rc, -EEXIST);
	assert_non_null(strstr(r.r.err.msg, "device /dev/null: File exists"));
	assert_int_equal(inside("[ ! -e dev/in/here/a ] && [ -c dev/null ]"), 0);
	/* One that leads out of the root: it does not. */
	assert_int_equal(inside("ln -s ../../../../../../tmp dev/out"), 0);
	put(&a, 1, "two", "/dev/out/b", "r");
	assert_int_equal(send_it(&a, &r)->rc, 0);
	assert_int_equal(inside("[ \"$(stat -c '%F %a %t:%T' dev/in/here/a)\" = 'block special file 640 7:5' ] && "
				"[ \"$(stat -c %t:%T tmp/b)\" = 7:7 ]"), 0);
	/* What has taken a node's place is the container's, and stays. */
	assert_int_equal(inside("rm dev/in/here/a && mknod dev/in/here/a b 7 200"), 0);
	begin(&a);
	put(&a, 0, "one", "/dev/in/here/a", "");
	put(&a, 1, "two", "/dev/out/b", "");
	put(&a, 2, "stuck", "/dev/c", "");
	a.m.n_remove = 3;
	assert_int_equal(send_it(&a, &r)->rc, -EIO);
	assert_non_null(strstr(r.r.err.msg, "device /dev/c: the kernel has not let go of it"));
	assert_int_equal(inside("[ -b dev/in/here/a ] && [ ! -e tmp/b ]"), 0);
	assert_int_equal(agenthost_sh(h, "[ \"$(ls $0/disks)\" = stuck ]"), 0);
	assert_int_equal(agenthost_fds(h), fds);
	assert_int_equal(agenthost_delete(h, "plugged", ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(all_or_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
