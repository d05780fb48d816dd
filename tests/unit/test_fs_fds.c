// SPDX-License-Identifier: Apache-2.0
/*
 * A server without descriptors: what a guest asks again and again must fail with the one error that
 * its kernel does not take for "gone", and all goes on once there are descriptors. Run as root.
 */
#include "tests/unit/fs_setup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/fs/fs_internal.h"

#define SPARE 80 /* descriptors that tests use up, and some whose numbers are beyond the limit */
#define USED_MAX (2 * SPARE)

struct fds {
	struct fsfix f;
	struct rlimit before;
	int used[USED_MAX];
	unsigned count;
	struct fuse_entry_out dir, sub, file, special;
};

static int setup(void **state)
{
	struct fds *x = calloc(1, sizeof(*x));
	struct rlimit lim;

	if (!x)
		return -1;
	fsfix_init(&x->f, NULL, NULL, 0);
	*state = x;
	bug_on(fc_mkdir(&x->f.c, x->f.root, "dir", 0755, &x->dir) < 0);
	bug_on(fc_mkdir(&x->f.c, x->dir.nodeid, "sub", 0755, &x->sub) < 0);
	bug_on(fc_mknod(&x->f.c, x->sub.nodeid, "file", S_IFREG | 0644, 0, &x->file) < 0);
	bug_on(fc_mknod(&x->f.c, x->sub.nodeid, "fifo", S_IFIFO | 0644, 0, &x->special) < 0);
	bug_on(getrlimit(RLIMIT_NOFILE, &x->before) < 0);
	lim = x->before;
	lim.rlim_cur = fsfix_count_fds() + SPARE;
	return setrlimit(RLIMIT_NOFILE, &lim);
}

static void give_back(struct fds *x)
{
	while (x->count)
		close(x->used[--x->count]);
}

static int teardown(void **state)
{
	struct fds *x = *state;
	bool intact;

	give_back(x);
	setrlimit(RLIMIT_NOFILE, &x->before);
	intact = fsfix_outside_intact(&x->f);
	fsfix_done(&x->f);
	free(x);
	return intact ? 0 : -1;
}

/* Every descriptor but @left is somebody else's, as when the limit of all the host is reached. */
static void use_up(struct fds *x, unsigned left)
{
	int fd;

	while ((fd = dup(x->f.share_fd)) >= 0) {
		assert_in_range(x->count, 0, USED_MAX - 1);
		x->used[x->count++] = fd;
	}
	assert_int_equal(errno, EMFILE);
	for (; left; left--)
		close(x->used[--x->count]);
}

static void drop_lru(struct fds *x)
{
	fs_fds_shrink(x->f.c.s, UINT32_MAX);
}

/* With any other error than ENOMEM Linux takes the name out of its cache, and undoes what is mounted there. */
static void asking_again_is_enomem(void **state)
{
	struct fds *x = *state;
	struct fuse_entry_out e;
	struct fuse_attr a;

	drop_lru(x);
	use_up(x, 0);
	assert_int_equal(fc_lookup(&x->f.c, x->dir.nodeid, "sub", &e), -ENOMEM);
	assert_int_equal(fc_lookup(&x->f.c, x->sub.nodeid, "file", &e), -ENOMEM);
	assert_int_equal(fc_getattr(&x->f.c, x->file.nodeid, &a), -ENOMEM);
	/* What a program asks for has the error that it knows. */
	assert_int_equal(fc_open(&x->f.c, x->file.nodeid, O_RDONLY, &(uint64_t){ 0 }), -EMFILE);
	give_back(x);
	assert_int_equal(fc_lookup(&x->f.c, x->dir.nodeid, "sub", &e), 0);
	assert_int_equal(e.nodeid, x->sub.nodeid);
	assert_int_equal(fc_lookup(&x->f.c, x->sub.nodeid, "file", &e), 0);
	assert_int_equal(e.nodeid, x->file.nodeid);
	assert_int_equal(fc_getattr(&x->f.c, x->file.nodeid, &a), 0);
}

/* It has to be opened to know what it is: no descriptor must not make it another file. */
static void special_stays_special(void **state)
{
	struct fds *x = *state;
	struct fuse_entry_out e;
	struct fuse_attr a;
	unsigned enough = 0;
	int looked, got;

	drop_lru(x);
	use_up(x, 0);
	for (; enough < 10; enough++) {
		drop_lru(x);
		looked = fc_lookup(&x->f.c, x->sub.nodeid, "fifo", &e);
		drop_lru(x);
		got = fc_getattr(&x->f.c, x->special.nodeid, &a);
		assert_true(looked == -ENOMEM || (looked == 0 && S_ISFIFO(e.attr.mode)));
		assert_true(got == -ENOMEM || (got == 0 && S_ISFIFO(a.mode)));
		if (looked == 0 && got == 0)
			break;
		close(x->used[--x->count]);
	}
	assert_in_range(enough, 2, 9);
	assert_int_equal(e.nodeid, x->special.nodeid);
}

/* Descriptors that are only kept give way to those that are needed, and come back by name. */
static void lru_gives_way(void **state)
{
	struct fds *x = *state;
	struct fuse_entry_out e;
	struct fuse_attr a;
	uint64_t fh;

	use_up(x, 3);
	for (unsigned i = 0; i < 3 * SPARE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(fc_mkdir(&x->f.c, x->dir.nodeid, name, 0700, &e), 0);
		assert_int_equal(fc_mknod(&x->f.c, e.nodeid, "f", S_IFREG | 0600, 0, &e), 0);
		assert_int_equal(fc_open(&x->f.c, e.nodeid, O_RDWR, &fh), 0);
		assert_int_equal(fc_write(&x->f.c, e.nodeid, fh, 0, "x", 1, 0, 0), 1);
		assert_int_equal(fc_release(&x->f.c, e.nodeid, fh, false), 0);
	}
	assert_int_equal(fc_getattr(&x->f.c, x->file.nodeid, &a), 0);
	assert_int_equal(fc_open(&x->f.c, x->file.nodeid, O_RDONLY, &fh), 0);
	assert_int_equal(fc_lookup(&x->f.c, x->dir.nodeid, "sub", &e), 0);
	assert_int_equal(e.nodeid, x->sub.nodeid);
}

static int unlink_name(struct fds *x, uint64_t dir, const char *name)
{
	return fc_named(&x->f.c, FUSE_UNLINK, dir, NULL, 0, name);
}

/* A tree that was copied by links and removed again: the guest knows the files still, by their other names. */
static void links_that_go(void **state)
{
	struct fds *x = *state;
	struct fuse_entry_out e, l;
	struct fuse_attr a;
	uint64_t fh;

	for (unsigned i = 0; i < 3 * SPARE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(fc_mknod(&x->f.c, x->sub.nodeid, name, S_IFREG | 0600, 0, &e), 0);
		assert_int_equal(fc_link(&x->f.c, x->dir.nodeid, name, e.nodeid, &l), 0);
		assert_int_equal(l.nodeid, e.nodeid);
		assert_int_equal(unlink_name(x, x->dir.nodeid, name), 0);
		assert_int_equal(fc_link(&x->f.c, x->dir.nodeid, "over", e.nodeid, &l), 0);
		assert_int_equal(fc_mknod(&x->f.c, x->dir.nodeid, "new", S_IFREG | 0600, 0, &l), 0);
		assert_int_equal(fc_rename(&x->f.c, x->dir.nodeid, "new", x->dir.nodeid, "over", 0), 0);
		assert_int_equal(fc_getattr(&x->f.c, e.nodeid, &a), 0);
		assert_int_equal(a.nlink, 1);
		assert_int_equal(unlink_name(x, x->dir.nodeid, "over"), 0);
		fc_forget(&x->f.c, l.nodeid, 1);
	}
	assert_int_equal(x->f.c.s->nextra, 0);
	assert_int_equal(fc_open(&x->f.c, x->file.nodeid, O_RDONLY, &fh), 0);
}

/* One name goes, then the other; in between, and after it, descriptors that are only kept do. */
static void both_names_go(void **state)
{
	static const struct {
		const char *why;
		bool open, drop_first, drop_between, other_first;
	} cases[] = {
		{ "known only", false, false, false, false },
		{ "known only, evicted", false, true, true, false },
		{ "known only, evicted, the name that was seen last stays", false, true, true, true },
		{ "open", true, false, false, false },
		{ "open, evicted", true, true, true, false },
		{ "open, evicted, the name that was seen last stays", true, true, true, true },
	};
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE | FATTR_MODE, .size = 2, .mode = 0640 };
	struct fds *x = *state;
	struct fuse_entry_out e;
	struct fuse_attr a;
	uint64_t fh = 0;
	char b[4];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *first = cases[i].other_first ? "a" : "b", *second = cases[i].other_first ? "b" : "a";

		fsfix_host_file(&x->f, "dir/a", "text", 0600);
		assert_int_equal(fc_lookup(&x->f.c, x->dir.nodeid, "a", &e), 0);
		assert_int_equal(fc_link(&x->f.c, x->dir.nodeid, "b", e.nodeid, &e), 0);
		if (cases[i].open)
			assert_int_equal(fc_open(&x->f.c, e.nodeid, O_RDWR, &fh), 0);
		if (cases[i].drop_first)
			drop_lru(x);
		check_row(cases[i].why, unlink_name(x, x->dir.nodeid, first) == 0);
		check_row(cases[i].why, fc_getattr(&x->f.c, e.nodeid, &a) == 0 && a.nlink == 1);
		if (cases[i].drop_between)
			drop_lru(x);
		check_row(cases[i].why, unlink_name(x, x->dir.nodeid, second) == 0);
		drop_lru(x);
		check_row(cases[i].why, fc_getattr(&x->f.c, e.nodeid, &a) == 0 && a.nlink == 0 && a.size == 4);
		check_row(cases[i].why, fc_setattr(&x->f.c, e.nodeid, &cut) == 0);
		if (cases[i].open) {
			check_row(cases[i].why, fc_read(&x->f.c, e.nodeid, fh, 0, b, 4) == 2);
			assert_int_equal(fc_release(&x->f.c, e.nodeid, fh, false), 0);
		}
		check_row(cases[i].why, fc_getattr(&x->f.c, e.nodeid, &a) == 0 && a.size == 2);
		fc_forget(&x->f.c, e.nodeid, 2);
		check_row(cases[i].why, x->f.c.s->nextra == 0);
	}
}

/* Of several names the one that was seen last goes: the file is found by its descriptor, an open file, another name. */
static void one_name_goes(void **state)
{
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE | FATTR_MODE, .size = 2, .mode = 0640 };
	struct fds *x = *state;
	struct fuse_entry_out e;
	struct fuse_attr a;
	uint64_t fh;

	assert_int_equal(fc_link(&x->f.c, x->dir.nodeid, "b", x->file.nodeid, &e), 0);
	assert_int_equal(fc_open(&x->f.c, e.nodeid, O_RDWR, &fh), 0);
	drop_lru(x);
	assert_int_equal(unlink_name(x, x->dir.nodeid, "b"), 0);
	drop_lru(x);
	assert_int_equal(fc_setattr(&x->f.c, e.nodeid, &cut), 0);
	assert_int_equal(fc_getattr(&x->f.c, e.nodeid, &a), 0);
	assert_int_equal(a.size, 2);
	assert_int_equal(a.mode, S_IFREG | 0640);
	assert_int_equal(fc_release(&x->f.c, e.nodeid, fh, false), 0);
	assert_int_equal(fc_getattr(&x->f.c, e.nodeid, &a), 0);
	drop_lru(x);
	assert_int_equal(fc_getattr(&x->f.c, e.nodeid, &a), -ESTALE);
	assert_int_equal(fc_open(&x->f.c, e.nodeid, O_RDONLY, &fh), -ESTALE); /* which makes Linux look again */
	assert_int_equal(fc_lookup(&x->f.c, x->sub.nodeid, "file", &e), 0);
	assert_int_equal(e.nodeid, x->file.nodeid);
	assert_int_equal(fc_getattr(&x->f.c, e.nodeid, &a), 0);
}

#define FDS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FDS_TEST(asking_again_is_enomem),
		FDS_TEST(special_stays_special),
		FDS_TEST(lru_gives_way),
		FDS_TEST(links_that_go),
		FDS_TEST(both_names_go),
		FDS_TEST(one_name_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
