/* SPDX-License-Identifier: Apache-2.0 */
/* A share for each test, and that nothing outside it changed. */
#ifndef TESTS_UNIT_FS_SETUP_H
#define TESTS_UNIT_FS_SETUP_H

#include "tests/lib/fsfix.h"
#include "tests/unit/check.h"

static inline int fs_setup(void **state)
{
	struct fsfix *f = malloc(sizeof(*f));

	if (!f)
		return -1;
	fsfix_init(f, NULL, NULL, 0);
	*state = f;
	return 0;
}

static inline int fs_teardown(void **state)
{
	struct fsfix *f = *state;
	bool intact = fsfix_outside_intact(f);

	fsfix_done(f);
	free(f);
	return intact ? 0 : -1;
}

static inline struct stat host_stat(struct fsfix *f, const char *path)
{
	struct stat st;

	if (fstatat(f->share_fd, path, &st, 0x100 /* AT_SYMLINK_NOFOLLOW */) < 0)
		fail_msg("no %s on the host", path);
	return st;
}

#define FS_TEST(fn) cmocka_unit_test_setup_teardown(fn, fs_setup, fs_teardown)

#endif
