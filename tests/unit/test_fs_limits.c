// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest that looks up and opens 100,000 files makes the server hold (docs/files.md, "Limits"):
 * descriptors up to max_fds + max_handles, memory in proportion to nodes and handles, and nothing
 * after it let go. Run as root.
 */
#include "tests/unit/fs_setup.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/fs/fs_internal.h"

#define FILES      100000u
#define PER_NODE   320u /* bytes: the node, its name, its place in the hash */
#define PER_HANDLE 160u

_Static_assert(sizeof(struct fs_node) + 48 <= PER_NODE, "docs/files.md");
_Static_assert(sizeof(struct fs_handle) + 8 <= PER_HANDLE, "docs/files.md");
_Static_assert(sizeof(struct fs_posix_owner) + 8 <= PER_HANDLE, "docs/files.md");

static size_t allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static bool plain_malloc(void)
{
#ifdef __SANITIZE_ADDRESS__
	return false; /* it counts for itself, and pads */
#else
	return true;
#endif
}

static uint64_t nodes[FILES], handles[FILES];

static unsigned open_all(struct fsfix *f)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < FILES; i++) {
		int rc = fc_open(&f->c, nodes[i], O_RDONLY, &handles[i]);

		if (rc < 0) {
			assert_int_equal(rc, -ENFILE);
			handles[i] = 0;
			refused++;
		}
	}
	return refused;
}

static void hundred_thousand(void **state)
{
	struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;
	struct rlimit lim;
	struct fsfix *f = calloc(1, sizeof(*f));
	size_t before, with_nodes, with_handles;
	struct fuse_entry_out e, d = { 0 };
	struct fuse_attr a;
	unsigned fds;

	(void)state;
	assert_non_null(f);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	if (lim.rlim_cur < cfg.max_handles + cfg.max_fds + 100)
		cfg.max_handles = (unsigned)lim.rlim_cur - cfg.max_fds - 100;
	fsfix_init(f, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL, &cfg, 0);
	fds = fsfix_count_fds();
	before = allocated();
	for (unsigned i = 0; i < FILES; i++) {
		char name[24];

		if (i % 1000 == 0) {
			snprintf(name, sizeof(name), "dir%u", i);
			assert_int_equal(fc_mkdir(&f->c, f->root, name, 0700, &d), 0);
		}
		snprintf(name, sizeof(name), "file-%u", i);
		assert_int_equal(fc_mknod(&f->c, d.nodeid, name, S_IFREG | 0600, 0, &e), 0);
		nodes[i] = e.nodeid;
	}
	with_nodes = allocated();
	assert_true(fsfix_count_fds() - fds <= cfg.max_fds);
	assert_int_equal(open_all(f), FILES - cfg.max_handles);
	with_handles = allocated();
	assert_true(fsfix_count_fds() - fds <= cfg.max_fds + cfg.max_handles);
	print_message("%zu bytes a node, %zu a handle\n", (with_nodes - before) / FILES,
		      (with_handles - with_nodes) / cfg.max_handles);
	if (plain_malloc()) {
		assert_true(with_nodes - before <= (size_t)PER_NODE * (FILES + 100));
		assert_true(with_handles - with_nodes <= (size_t)PER_HANDLE * cfg.max_handles);
	}
	/* All are usable still, open or not. */
	for (unsigned i = 0; i < FILES; i += 997)
		assert_int_equal(fc_getattr(&f->c, nodes[i], &a), 0);
	/* What one lets go another gets. */
	assert_int_equal(fc_release(&f->c, nodes[0], handles[0], false), 0);
	assert_int_equal(fc_open(&f->c, nodes[FILES - 1], O_RDONLY, &handles[0]), 0);
	fs_server_reset(f->c.s);
	assert_true(fs_server_idle(f->c.s));
	assert_true(fsfix_count_fds() <= fds);
	fsfix_done(f);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(hundred_thousand) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
