/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A temporary directory served as share "s", beside a directory "outside" with a secret that
 * nothing may reach. For tests and fuzz targets of the file server; mistakes abort.
 */
#ifndef TESTS_LIB_FSFIX_H
#define TESTS_LIB_FSFIX_H

#include "tests/lib/fusecli.h"

#define FSFIX_SECRET "outside the share\n"

struct fsfix {
	char base[128]; /* BASE/share, BASE/outside */
	int share_fd;	/* the share's directory on the host, for looking at it */
	int outside_fd;
	struct fusecli c;
	uint64_t root; /* the share's root node, looked up */
};

/* @where: a directory to make it in, NULL: $TMPDIR or /tmp. @cfg NULL: defaults. */
void fsfix_init(struct fsfix *f, const char *where, const struct fs_server_cfg *cfg,
		unsigned flags);
/* Removes everything. */
void fsfix_done(struct fsfix *f);
/* Did anything change outside the share? */
bool fsfix_outside_intact(const struct fsfix *f);
/* A file on the host, relative to the share. */
void fsfix_host_file(const struct fsfix *f, const char *path, const char *text, mode_t mode);
/* Descriptors that this process has open. */
unsigned fsfix_count_fds(void);

#endif
