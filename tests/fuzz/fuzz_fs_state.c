// SPDX-License-Identifier: Apache-2.0
/*
 * Saved state of the file server. Inodes 1, 2, 3 and 4 without a birth time become those of the share
 * and of what is in it, so that inputs get behind the comparison. What was loaded is used and saved
 * again; nothing outside the share changes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/fsfix.h"
#include "vmm/fs/fs_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IDENT 20 /* inode and birth time in a record */

static struct fsfix fix;
static uint8_t ident[4][IDENT];

static void cleanup(void)
{
	fsfix_done(&fix);
}

static void start(void)
{
	static const char *const paths[] = { ".", "d", "d/f", "l" };
	const struct fs_server_cfg cfg = { .max_nodes = 2000,
					   .max_handles = 40,
					   .max_fds = 4,
					   .attr_timeout = 1,
					   .entry_timeout = 1,
					   .proc_fd = -1 };

	fsfix_init(&fix, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL, &cfg, 0);
	mkdirat(fix.share_fd, "d", 0755);
	fsfix_host_file(&fix, "d/f", "text", 0644);
	bug_on(symlinkat("../outside", fix.share_fd, "l") < 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct fs_ident id;
		struct statx st;

		bug_on(fs_stat_name(fix.share_fd, paths[i], &st) < 0);
		fs_ident_of(&st, &id);
		memcpy(ident[i], &id.ino, 8);
		memcpy(ident[i] + 8, &id.btime_s, 8);
		memcpy(ident[i] + 16, &id.btime_ns, 4);
	}
	atexit(cleanup);
}

static void mend(uint8_t *p, size_t size)
{
	for (size_t at = 0; at + IDENT <= size; at++) {
		uint8_t want[IDENT] = { p[at] };

		if (p[at] >= 1 && p[at] <= 4 && !memcmp(p + at, want, IDENT)) {
			memcpy(p + at, ident[p[at] - 1], IDENT);
			at += IDENT - 1;
		}
	}
}

static void use(void)
{
	struct fuse_entry_out e;
	struct fuse_attr a;
	char buf[8];

	for (uint64_t i = 2; i < 10; i++) {
		uint64_t node = 1ull << 32 | i;

		fc_getattr(&fix.c, node, &a);
		fc_lookup(&fix.c, node, "f", &e);
		fc_lookup(&fix.c, node, "secret", &e);
		fc_create(&fix.c, node, "new", O_RDWR, 0600, &e, &(uint64_t){ 0 });
		fc_named(&fix.c, FUSE_UNLINK, node, NULL, 0, "new");
		for (uint64_t fh = 2; fh < 5; fh++)
			fc_read(&fix.c, node, 1ull << 32 | fh, 0, buf, sizeof(buf));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT(MIB(1));
	uint8_t *copy = malloc(size + 1);

	if (!fix.c.s)
		start();
	bug_on(!copy);
	memcpy(copy, data, size);
	mend(copy, size);
	fs_server_set_session(fix.c.s, true);
	if (fs_server_load(fix.c.s, copy, size, NULL) == 0) {
		use();
		(void)!fs_server_save(fix.c.s, &b, NULL);
	}
	fs_server_reset(fix.c.s);
	bug_on(!fs_server_idle(fix.c.s));
	bug_on(!fsfix_outside_intact(&fix));
	buf_free(&b);
	free(copy);
	return 0;
}
