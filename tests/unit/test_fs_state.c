// SPDX-License-Identifier: Apache-2.0
/* A server saved and another one that takes its state up: honest, with a host that changed in
 * between, and state that lies. Run as root. */
#include "tests/unit/fs_setup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP MIB(16)

static void save(struct fsfix *f, struct buf *b)
{
	struct err e = ERR_INIT;

	if (fs_server_save(f->c.s, b, &e) < 0)
		fail_msg("save: %s", e.msg);
}

/* Another server with the fixture's share "s" and perhaps one more before it. */
static void another(struct fsfix *f, bool more)
{
	const struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;

	fs_server_free(f->c.s);
	assert_int_equal(fs_server_new(&f->c.s, &cfg, NULL), 0);
	if (more)
		assert_int_equal(
			fs_share_add(f->c.s, "more", openat(f->outside_fd, ".", O_PATH), 0, NULL),
			0);
	assert_int_equal(fs_share_add(f->c.s, "s", openat(f->share_fd, ".", O_PATH), 0, NULL), 0);
	fs_server_set_session(f->c.s, true);
}

static int load(struct fsfix *f, const struct buf *b, struct err *e)
{
	/* Of its own, so that the sanitizer sees a read past the end. */
	uint8_t *copy = malloc(b->len ? b->len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, b->data, b->len);
	rc = fs_server_load(f->c.s, copy, b->len, e);
	free(copy);
	return rc;
}

static void count(void *arg, const struct fuse_dirent *d, const char *name,
		  const struct fuse_entry_out *plus)
{
	(void)d;
	(void)name;
	(void)plus;
	++*(unsigned *)arg;
}

struct world {
	struct fuse_entry_out dir, file, hard, pipe, link, deep;
	uint64_t rd, rw, app, dirfh;
};

static void use(struct fsfix *f, struct world *w)
{
	struct fuse_entry_out e;
	char name[16];

	assert_int_equal(fc_mkdir(&f->c, f->root, "dir", 0755, &w->dir), 0);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(fc_mknod(&f->c, w->dir.nodeid, name, S_IFREG | 0600, 0, &e), 0);
		if (i % 2)
			fc_forget(&f->c, e.nodeid, 1); /* numbers that are free again */
	}
	assert_int_equal(
		fc_create(&f->c, w->dir.nodeid, "file \xff\n", O_RDWR, 0644, &w->file, &w->rw), 0);
	assert_int_equal(fc_link(&f->c, f->root, "hard", w->file.nodeid, &w->hard), 0);
	assert_int_equal(fc_write(&f->c, w->file.nodeid, w->rw, 0, "content", 7, 0, 0), 7);
	assert_int_equal(fc_open(&f->c, w->file.nodeid, O_RDONLY, &w->rd), 0);
	assert_int_equal(fc_open(&f->c, w->file.nodeid, O_WRONLY | O_APPEND, &w->app), 0);
	assert_int_equal(fc_opendir(&f->c, w->dir.nodeid, &w->dirfh), 0);
	assert_int_equal(fc_mknod(&f->c, f->root, "pipe", S_IFIFO | 0600, 0, &w->pipe), 0);
	assert_int_equal(fc_symlink(&f->c, f->root, "link", "dir", &w->link), 0);
	assert_int_equal(fc_mkdir(&f->c, w->dir.nodeid, "a", 0755, &e), 0);
	assert_int_equal(fc_mkdir(&f->c, e.nodeid, "b", 0755, &w->deep), 0);
	/* The guest forgets what is between: it stays as the parent. */
	fc_forget(&f->c, e.nodeid, 1);
}

static void use_again(struct fsfix *f, const struct world *w)
{
	struct fuse_entry_out e;
	struct fuse_attr a;
	unsigned n = 0;
	char buf[16] = "";

	assert_int_equal(fc_getattr(&f->c, f->root, &a), 0);
	assert_int_equal(fc_getattr(&f->c, w->dir.nodeid, &a), 0);
	assert_int_equal(a.ino, w->dir.attr.ino);
	assert_int_equal(fc_getattr(&f->c, w->deep.nodeid, &a), 0);
	assert_int_equal(fc_getattr(&f->c, w->pipe.nodeid, &a), 0);
	assert_int_equal(a.mode, S_IFIFO | 0600);
	assert_int_equal(fc_named(&f->c, FUSE_READLINK, w->link.nodeid, NULL, 0, NULL), 0);
	assert_int_equal(fc_write(&f->c, w->file.nodeid, w->app, 0, "+", 1, 0, O_APPEND), 1);
	assert_int_equal(fc_write(&f->c, w->file.nodeid, w->rw, 0, "C", 1, 0, 0), 1);
	assert_int_equal(fc_write(&f->c, w->file.nodeid, w->rd, 0, "x", 1, 0, 0), -EBADF);
	assert_int_equal(fc_read(&f->c, w->file.nodeid, w->rd, 0, buf, 15), 8);
	assert_string_equal(buf, "Content+");
	assert_int_equal(fc_readdir(&f->c, w->dir.nodeid, w->dirfh, true, 4096, count, &n), 0);
	assert_int_equal(n, 44);
	/* The same file has the same number still, and new ones get new numbers. */
	assert_int_equal(fc_lookup(&f->c, f->root, "hard", &e), 0);
	assert_int_equal(e.nodeid, w->file.nodeid);
	for (unsigned i = 0; i < 600; i++) {
		char name[16];

		snprintf(name, sizeof(name), "new%u", i);
		assert_int_equal(fc_mknod(&f->c, f->root, name, S_IFREG | 0600, 0, &e), 0);
		assert_true(e.nodeid != w->file.nodeid && e.nodeid != w->dir.nodeid);
	}
}

/* The share goes and comes: its root gets another number each time. */
static void new_root(struct fsfix *f)
{
	struct fuse_entry_out e;

	assert_int_equal(fs_share_remove(f->c.s, "s", NULL), 0);
	assert_int_equal(fs_share_add(f->c.s, "s", openat(f->share_fd, ".", O_PATH), 0, NULL), 0);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "s", &e), 0);
	assert_int_not_equal(e.nodeid, f->root);
	f->root = e.nodeid;
}

static void honest(void **state)
{
	struct fsfix *f = *state;
	struct buf a = BUF_INIT(CAP), b = BUF_INIT(CAP);
	struct err e = ERR_INIT;
	struct world w;

	use(f, &w);
	for (unsigned round = 0; round < 2; round++) {
		buf_free(&a);
		save(f, &a);
		another(f, round == 1);
		if (load(f, &a, &e) < 0)
			fail_msg("load: %s", e.msg);
		if (round == 0) {
			save(f, &b);
			assert_int_equal(a.len, b.len);
			assert_memory_equal(a.data, b.data, a.len);
			buf_free(&b);
		}
	}
	use_again(f, &w);
	/* The share that was there before the state was is another one. */
	{
		struct fuse_entry_out more;

		assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "more", &more), 0);
		assert_int_not_equal(more.nodeid, f->root);
		assert_int_equal(fc_lookup(&f->c, more.nodeid, "secret", &more), 0);
	}
	fs_server_reset(f->c.s);
	assert_true(fs_server_idle(f->c.s));
	buf_free(&a);
}

static void numbers_of_shares(void **state)
{
	struct fsfix *f = *state;
	struct buf b = BUF_INIT(CAP);

	new_root(f);
	save(f, &b);
	another(f, false);
	assert_int_equal(load(f, &b, NULL), 0);
	new_root(f);
	buf_free(&b);
}

/* What the host did meanwhile. want: of GETATTR of "dir/x"; open: the guest has it open, and the load
 * fails. */
static const struct meanwhile {
	const char *why, *does;
	int want;
} meanwhiles[] = {
	{ "nothing", "true", 0 },
	{ "written to", "echo more >> dir/x", 0 },
	{ "removed", "rm dir/x", -ESTALE },
	{ "another in its place", "mv dir/x y; cp y dir/x", -ESTALE },
	{ "a link in its place", "rm dir/x; ln -s ../../outside/secret dir/x", -ESTALE },
	{ "a directory in its place", "rm dir/x; mkdir dir/x", -ESTALE },
	{ "above it moved", "mv dir rid", -ESTALE },
	{ "above it a link to it", "mv dir rid; ln -s rid dir", -ESTALE },
	{ "above it a link to outside", "mv dir rid; ln -s ../outside dir", -ESTALE },
};

static void changed_by_the_host(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(meanwhiles); i++) {
		for (unsigned open = 0; open < 2; open++) {
			const struct meanwhile *t = &meanwhiles[i];
			struct fsfix *f = calloc(1, sizeof(*f));
			struct buf b = BUF_INIT(CAP);
			struct err e = ERR_INIT;
			struct fuse_entry_out d, x;
			struct fuse_attr a;
			char cmd[256];
			uint64_t fh;
			int rc;

			assert_non_null(f);
			fsfix_init(f, NULL, NULL, 0);
			assert_int_equal(fc_mkdir(&f->c, f->root, "dir", 0755, &d), 0);
			assert_int_equal(fc_create(&f->c, d.nodeid, "x", O_RDWR, 0600, &x, &fh), 0);
			if (!open)
				assert_int_equal(fc_release(&f->c, x.nodeid, fh, false), 0);
			save(f, &b);
			snprintf(cmd, sizeof(cmd), "cd %s/share && { %s; }", f->base, t->does);
			assert_int_equal(system(cmd), 0);
			another(f, false);
			rc = load(f, &b, &e);
			if (open && t->want) {
				if (rc != t->want || !strstr(e.msg, "has open"))
					fail_msg("%s, open: %d, %s", t->why, rc, e.msg);
				fs_server_reset(f->c.s);
			} else {
				check_row(t->why, rc == 0);
				check_row(t->why, fc_getattr(&f->c, x.nodeid, &a) == t->want);
				fc_forget(&f->c, x.nodeid, 1);
			}
			assert_true(fsfix_outside_intact(f));
			fsfix_done(f);
			free(f);
			buf_free(&b);
		}
	}
}

static void other_shares(void **state)
{
	const struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;
	struct fsfix *f = *state;
	struct buf b = BUF_INIT(CAP);
	struct err e = ERR_INIT;

	save(f, &b);
	fs_server_free(f->c.s);
	assert_int_equal(fs_server_new(&f->c.s, &cfg, NULL), 0);
	assert_int_equal(load(f, &b, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "share 's', which is not there"));
	assert_int_equal(fs_share_add(f->c.s, "s", openat(f->outside_fd, ".", O_PATH), 0, NULL), 0);
	assert_int_equal(load(f, &b, &e), -ESTALE);
	assert_non_null(strstr(e.msg, "not the directory that it was"));
	buf_free(&b);
}

/* What cannot be saved, and the line that says so. */
static void refused(void **state)
{
	struct fsfix *f = *state;
	struct fuse_create_in tmp = { .flags = O_RDWR, .mode = 0600 };
	struct buf b = BUF_INIT(CAP);
	struct fuse_entry_out d, x;
	struct err e = ERR_INIT;
	uint64_t fh, dirfh;

	assert_int_equal(fc_mkdir(&f->c, f->root, "dir", 0755, &d), 0);
	assert_int_equal(fc_create(&f->c, d.nodeid, "x", O_RDWR, 0600, &x, &fh), 0);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, x.nodeid, fh, 1, F_RDLCK, 0, 9, 0), 0);
	assert_int_equal(fs_server_save(f->c.s, &b, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "share 's': 'dir/x'"));
	assert_non_null(strstr(e.msg, "is locked"));
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, x.nodeid, fh, 1, F_UNLCK, 0, 9, 0), 0);
	save(f, &b);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, x.nodeid, fh, 1, F_WRLCK, 0, 0, FUSE_LK_FLOCK),
			 0);
	assert_int_equal(fs_server_save(f->c.s, &b, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "flock"));
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, x.nodeid, fh, 1, F_UNLCK, 0, 0, FUSE_LK_FLOCK),
			 0);
	save(f, &b);
	/* Removed by the guest, and by the host behind its back. */
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, d.nodeid, NULL, 0, "x"), 0);
	assert_int_equal(fs_server_save(f->c.s, &b, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "no name"));
	assert_int_equal(fc_release(&f->c, x.nodeid, fh, false), 0);
	save(f, &b); /* held and not open: it is stale afterwards */
	assert_int_equal(fc_opendir(&f->c, d.nodeid, &dirfh), 0);
	assert_int_equal(unlinkat(f->share_fd, "dir", AT_REMOVEDIR), 0);
	assert_int_equal(fs_server_save(f->c.s, &b, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "share 's': 'dir'"));
	assert_int_equal(fc_release(&f->c, d.nodeid, dirfh, true), 0);
	assert_int_equal(fc_named(&f->c, FUSE_TMPFILE, f->root, &tmp, sizeof(tmp), "#1"), 0);
	assert_int_equal(fs_server_save(f->c.s, &b, &e), -EBUSY);
	buf_free(&b);
}

/* A file that has no name any more, and is held but not open: its number stays, for nothing. */
static void stale_stays_stale(void **state)
{
	struct fsfix *f = *state;
	struct buf b = BUF_INIT(CAP), again = BUF_INIT(CAP);
	struct fuse_entry_out x;
	struct fuse_attr attr;
	uint64_t fh;

	assert_int_equal(fc_create(&f->c, f->root, "x", O_RDWR, 0600, &x, &fh), 0);
	assert_int_equal(fc_release(&f->c, x.nodeid, fh, false), 0);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, f->root, NULL, 0, "x"), 0);
	save(f, &b);
	another(f, false);
	assert_int_equal(load(f, &b, NULL), 0);
	assert_int_equal(fc_getattr(&f->c, x.nodeid, &attr), -ESTALE);
	save(f, &again);
	assert_int_equal(again.len, b.len);
	fc_forget(&f->c, x.nodeid, 1);
	assert_int_equal(fc_getattr(&f->c, x.nodeid, &attr), -ENOENT);
	buf_free(&b);
	buf_free(&again);
}

/* --- state that lies ---------------------------------------------------------------------- */
/* The state of: share "s" (root), "d" with "fil" in it, which is open. Offsets of its records. */
enum {
	HEAD = 18,
	SHARE = HEAD,
	SHARE_LEN = 1 + 4 + 30 + 2,
	D = SHARE + SHARE_LEN,
	NODE_LEN = 16 + 30 + 2,
	F = D + NODE_LEN,
	H = F + NODE_LEN + 2,
	END = H + 21,
};
/* In a node's record. */
enum { ID = 0, PARENT = 8, LOOKUPS = 16, INODE = 24, TYPE = 44, NAME_LEN = 46, NAME = 47 };

static const struct lie {
	const char *why;
	unsigned at, len;
	uint64_t value; /* little-endian */
	int want;
} lies[] = {
	{ "the truth", 0, 0, 0, 0 },
	{ "generation 0", 0, 4, 0, -EBADMSG },
	{ "handles' generation 0", 4, 4, 0, -EBADMSG },
	{ "one share more", 8, 2, 2, -EBADMSG },
	{ "a share less", 8, 2, 0, -EBADMSG },
	{ "more shares than there can be", 8, 2, 257, -EBADMSG },
	{ "one node more", 10, 4, 3, -EBADMSG },
	{ "a node less", 10, 4, 1, -EBADMSG },
	{ "all nodes", 10, 4, UINT32_MAX, -ENFILE },
	{ "one handle more", 14, 4, 2, -EBADMSG },
	{ "a handle less", 14, 4, 0, -EBADMSG },
	{ "all handles", 14, 4, UINT32_MAX, -ENFILE },
	{ "share: another slot", SHARE, 1, 200, -EBADMSG }, /* its nodes' parent has a number */
	{ "share: inode", SHARE + 13, 1, 0, -ESTALE },
	{ "share: type", SHARE + 33, 2, 8, -ESTALE },
	{ "share: no type", SHARE + 33, 2, 3, -EBADMSG },
	{ "share: no name", SHARE + 35, 1, 0, -EBADMSG },
	{ "share: a name that is not there", SHARE + 36, 1, 't', -ENOENT },
	{ "share: its name is a path", SHARE + 36, 1, '/', -EBADMSG },
	{ "node: number 0", D + ID, 8, 0, -EBADMSG },
	{ "node: the root's number", D + ID, 8, 1, -EBADMSG },
	{ "node: generation 0", D + ID + 4, 4, 0, -EBADMSG },
	{ "node: beyond the table", D + ID, 4, (1u << 20) + 2, -EBADMSG },
	{ "node: a share's number", D + ID, 8, 1ull << 32 | 0x80000000u, -EBADMSG },
	{ "node: lookups that would wrap", D + LOOKUPS, 8, UINT64_MAX, -EBADMSG },
	{ "node: no type", D + TYPE, 2, 0, -EBADMSG },
	{ "node: its parent does not exist", D + PARENT, 4, 77, -EBADMSG },
	{ "node: no parent, but a name", D + PARENT, 8, 0, -EBADMSG },
	{ "node: in itself", F + PARENT, 8, 1ull << 32 | 3, -EBADMSG },
	{ "node: the synthetic root's", D + PARENT, 8, 1, -EBADMSG },
	{ "node: a number twice", F + ID, 8, 1ull << 32 | 2, -EBADMSG },
	{ "node: its name is .", D + NAME, 1, '.', -EBADMSG },
	{ "node: its name is .", D + NAME, 1, '/', -EBADMSG },
	{ "node: its name is NUL", F + NAME, 1, 0, -EBADMSG },
	{ "node: a NUL in its name", F + NAME + 1, 1, 0, -EBADMSG },
	{ "node: a / in its name", F + NAME + 1, 1, '/', -EBADMSG },
	{ "node: its name is shorter than that", F + NAME_LEN, 1, 2, -EBADMSG },
	{ "node: its name is longer than the state", F + NAME_LEN, 1, 255, -EBADMSG },
	{ "node: parent, but no name", F + NAME_LEN, 1, 0, -EBADMSG },
	{ "node: a file as parent", D + TYPE, 2, 8, -EBADMSG },
	{ "handle: number 0", H, 8, 0, -EBADMSG },
	{ "handle: beyond the table", H, 4, (1u << 16) + 2, -EBADMSG },
	{ "handle: of nothing", H + 8, 4, 99, -EBADMSG },
	{ "handle: a directory's as a file's", H + 8, 8, 1ull << 32 | 2, -EBADMSG },
	{ "handle: a file's as a directory's", H + 20, 1, 1, -EBADMSG },
	{ "handle: neither", H + 20, 1, 2, -EBADMSG },
	{ "handle: would truncate", H + 16, 4, O_RDWR | O_TRUNC, -EBADMSG },
	{ "handle: would create", H + 16, 4, O_RDWR | O_CREAT, -EBADMSG },
	{ "handle: would not open a file", H + 16, 4, O_PATH, -EBADMSG },
	{ "handle: of a file that is another", F + INODE, 8, 1, -ESTALE },
	{ "handle: of one that had the inode before", F + INODE + 8, 8, 1, -ESTALE },
	{ "share: one that had the inode before", SHARE + 21, 8, 1, -ESTALE },
};

static void small_world(struct fsfix *f, struct buf *b)
{
	struct fuse_entry_out d, x;
	uint64_t fh;

	assert_int_equal(fc_mkdir(&f->c, f->root, "d", 0755, &d), 0);
	assert_int_equal(fc_create(&f->c, d.nodeid, "fil", O_RDWR, 0600, &x, &fh), 0);
	assert_int_equal(d.nodeid, 1ull << 32 | 2);
	assert_int_equal(x.nodeid, 1ull << 32 | 3);
	save(f, b);
	assert_int_equal(b->len, END);
}

static void lying(void **state)
{
	struct fsfix *f = *state;
	struct buf b = BUF_INIT(CAP);
	uint8_t keep[END];

	small_world(f, &b);
	memcpy(keep, b.data, END);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		const struct lie *t = &lies[i];
		struct err e = ERR_INIT;
		int rc;

		memcpy(b.data, keep, END);
		for (unsigned k = 0; k < t->len; k++)
			b.data[t->at + k] = (uint8_t)(t->value >> (8 * k));
		another(f, false);
		rc = load(f, &b, &e);
		if (rc != t->want || (rc < 0 && !e.msg[0]))
			fail_msg("%s: %d, %s", t->why, rc, e.msg);
		fs_server_reset(f->c.s);
		assert_true(fs_server_idle(f->c.s));
	}
	/* Cut anywhere, and with something behind it. */
	for (size_t n = 0; n <= END + 1; n++) {
		struct buf cut = { .data = b.data, .len = n };

		memcpy(b.data, keep, END);
		another(f, false);
		if (n == END + 1)
			assert_int_equal(buf_append(&b, "", 1), 0);
		cut.data = b.data;
		assert_int_equal(load(f, &cut, NULL), n == END ? 0 : -EBADMSG);
		fs_server_reset(f->c.s);
		assert_true(fs_server_idle(f->c.s));
	}
	buf_free(&b);
}

/* Two shares that would have one place. */
static void one_slot_twice(void **state)
{
	struct fsfix *f = *state;
	struct buf b = BUF_INIT(CAP);

	assert_int_equal(mkdirat(f->share_fd, "t", 0700), 0);
	assert_int_equal(fs_share_add(f->c.s, "t", openat(f->share_fd, "t", O_PATH), 0, NULL), 0);
	save(f, &b);
	assert_int_equal(b.len, HEAD + 2 * SHARE_LEN);
	for (uint8_t slot = 0; slot < 4; slot++) {
		another(f, false);
		assert_int_equal(
			fs_share_add(f->c.s, "t", openat(f->share_fd, "t", O_PATH), 0, NULL), 0);
		b.data[SHARE + SHARE_LEN] = slot;
		assert_int_equal(load(f, &b, NULL), slot > 0 ? 0 : -EBADMSG);
	}
	buf_free(&b);
}

/* A share that is read-only by now. */
static void read_only_now(void **state)
{
	const struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;
	struct fsfix *f = *state;
	struct buf b = BUF_INIT(CAP);

	small_world(f, &b);
	fs_server_free(f->c.s);
	assert_int_equal(fs_server_new(&f->c.s, &cfg, NULL), 0);
	assert_int_equal(fs_share_add(f->c.s, "s", openat(f->share_fd, ".", O_PATH),
				      FS_SHARE_READONLY, NULL),
			 0);
	assert_int_equal(load(f, &b, NULL), -EBADMSG);
	fs_server_reset(f->c.s);
	memset(b.data + H + 16, 0, 4); /* for reading */
	assert_int_equal(load(f, &b, NULL), 0);
	buf_free(&b);
}

/* Deeper than what is opened at a time, more than a chunk of numbers, and holes between them. */
static void many(void **state)
{
	struct fsfix *f = *state;
	struct buf b = BUF_INIT(CAP), again = BUF_INIT(CAP);
	struct fuse_entry_out d = { .nodeid = f->root }, e;
	struct err err = ERR_INIT;
	uint64_t kept = 0;
	struct fuse_attr a;
	char name[16];

	for (unsigned i = 0; i < 1500; i++)
		assert_int_equal(fc_mkdir(&f->c, d.nodeid, "d", 0700, &d), 0);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(fc_mknod(&f->c, f->root, name, S_IFREG | 0600, 0, &e), 0);
		if (i == 2700)
			kept = e.nodeid;
		else
			fc_forget(&f->c, e.nodeid, 1);
	}
	save(f, &b);
	another(f, false);
	if (load(f, &b, &err) < 0)
		fail_msg("%s", err.msg);
	save(f, &again);
	assert_int_equal(b.len, again.len);
	assert_memory_equal(b.data, again.data, b.len);
	assert_int_equal(fc_getattr(&f->c, d.nodeid, &a), 0);
	assert_int_equal(fc_getattr(&f->c, kept, &a), 0);
	for (unsigned i = 0; i < 3000; i++) { /* into the holes, and beyond */
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(fc_lookup(&f->c, f->root, name, &e), 0);
		assert_int_equal(e.nodeid == kept, i == 2700);
	}
	buf_free(&b);
	buf_free(&again);
}

/* Without it somebody else's file may not be opened with O_NOATIME. */
static void cap_fowner(bool have)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	assert_int_equal(syscall(SYS_capget, &h, d), 0);
	if (have)
		d[0].effective |= 1u << CAP_FOWNER;
	else
		d[0].effective &= ~(1u << CAP_FOWNER);
	assert_int_equal(syscall(SYS_capset, &h, d), 0);
}

/* An access time that the host lets nobody spare is no reason not to open a file, when it is restored either. */
static void access_times(void **state)
{
	struct fsfix *f = *state;
	struct err e = ERR_INIT;
	struct fuse_entry_out x;
	char buf[8];

	fsfix_host_file(f, "x", "text", 0644);
	assert_int_equal(fchownat(f->share_fd, "x", 1000, 1000, 0), 0);
	for (unsigned before = 0; before < 2; before++) {
		struct buf b = BUF_INIT(CAP);
		uint64_t fh;
		int rc;

		cap_fowner(before);
		assert_int_equal(fc_lookup(&f->c, f->root, "x", &x), 0);
		assert_int_equal(fc_open(&f->c, x.nodeid, O_RDONLY | O_NOATIME, &fh), 0);
		save(f, &b);
		another(f, false);
		cap_fowner(false);
		rc = load(f, &b, &e);
		cap_fowner(true);
		if (rc < 0)
			fail_msg("opened %s the right: %s", before ? "with" : "without", e.msg);
		assert_int_equal(fc_read(&f->c, x.nodeid, fh, 0, buf, sizeof(buf)), 4);
		assert_int_equal(fc_release(&f->c, x.nodeid, fh, false), 0);
		buf_free(&b);
	}
}

static void share_of_p(struct fsfix *f)
{
	assert_int_equal(fs_share_add(f->c.s, "p", openat(f->share_fd, "p", O_PATH), FS_SHARE_FILE, NULL), 0);
}

static void is_a_pipe(struct fsfix *f, uint64_t node)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0640 };
	struct fuse_attr a;
	uint64_t fh;

	assert_int_equal(fc_open(&f->c, node, O_RDWR, &fh), -ENXIO);
	assert_int_equal(fc_setattr(&f->c, node, &in), 0);
	assert_int_equal(fc_getattr(&f->c, node, &a), 0);
	assert_int_equal(a.mode, S_IFIFO | 0640);
}

/* A share that is one file, which a container has made as a FIFO. */
static void share_of_a_pipe(void **state)
{
	struct fsfix *f = *state;
	struct buf b = BUF_INIT(CAP);
	struct fuse_entry_out p;

	assert_int_equal(fc_mknod(&f->c, f->root, "p", S_IFIFO | 0600, 0, &p), 0);
	share_of_p(f);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "p", &p), 0);
	assert_int_equal(p.attr.mode, S_IFIFO | 0600);
	is_a_pipe(f, p.nodeid);
	save(f, &b);
	another(f, false);
	share_of_p(f);
	assert_int_equal(load(f, &b, NULL), 0);
	is_a_pipe(f, p.nodeid);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(honest),
		cmocka_unit_test(changed_by_the_host),
		FS_TEST(refused),
		FS_TEST(stale_stays_stale),
		FS_TEST(other_shares),
		FS_TEST(lying),
		FS_TEST(numbers_of_shares),
		FS_TEST(one_slot_twice),
		FS_TEST(read_only_now),
		FS_TEST(many),
		FS_TEST(access_times),
		FS_TEST(share_of_a_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
