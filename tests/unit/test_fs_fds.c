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

#define FDS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FDS_TEST(asking_again_is_enomem),
		FDS_TEST(special_stays_special),
		FDS_TEST(lru_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
