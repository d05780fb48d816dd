// SPDX-License-Identifier: Apache-2.0
/* Shares that come, go, nest and are read-only; locks between the guest and the host. Run as
 * root. */
#include "tests/unit/fs_setup.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/fs/fs_internal.h"

static int add(struct fsfix *f, const char *name, const char *path, unsigned flags, struct err *e)
{
	int fd = openat(f->share_fd, path, O_PATH | O_CLOEXEC | O_NOFOLLOW), rc;

	assert_true(fd >= 0);
	rc = fs_share_add(f->c.s, name, fd, flags, e);
	if (rc < 0)
		close(fd);
	return rc;
}

struct bad_share {
	const char *name, *path;
	unsigned flags;
	int error;
};

static const struct bad_share bad_shares[] = {
	{ "", "dir", 0, -EINVAL },
	{ ".", "dir", 0, -EINVAL },
	{ "..", "dir", 0, -EINVAL },
	{ "a/b", "dir", 0, -EINVAL },
	{ "0123456789012345678901234567890123456789012345678901234567890123", "dir", 0, -EINVAL },
	{ "s", "dir", 0, -EEXIST },
	{ "dirfile", "dir", FS_SHARE_FILE, -EINVAL },
	{ "filedir", "file", 0, -EINVAL },
	{ "link", "link", FS_SHARE_FILE, -EINVAL },
};

static void count_names(void *arg, const struct fuse_dirent *d, const char *name,
			const struct fuse_entry_out *plus)
{
	(void)d;
	(void)plus;
	if (name[0] != '.')
		++*(unsigned *)arg;
}

static void coming_and_going(void **state)
{
	struct fsfix *f = *state;
	struct err e = ERR_INIT;
	struct fuse_entry_out x, file, made;
	struct fuse_attr a;
	unsigned n = 0, before;
	uint64_t fh;
	char buf[8] = "";

	assert_int_equal(mkdirat(f->share_fd, "dir", 0700), 0);
	fsfix_host_file(f, "file", "single", 0600);
	assert_int_equal(symlinkat("dir", f->share_fd, "link"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad_shares); i++) {
		const struct bad_share *t = &bad_shares[i];

		check_row(t->name, add(f, t->name, t->path, t->flags, &e) == t->error && e.msg[0]);
	}
	before = fsfix_count_fds();
	assert_int_equal(add(f, "dir", "dir", 0, &e), 0);
	assert_int_equal(add(f, "file", "file", FS_SHARE_FILE, &e), 0);
	assert_int_equal(fc_readdir(&f->c, FUSE_ROOT_ID, 0, false, 64, count_names, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(fc_readdir(&f->c, FUSE_ROOT_ID, 0, true, 4096, count_names, &n), 0);
	assert_int_equal(n, 6);
	/* Any other answer would be an error of a look-up by whoever is not root. */
	assert_int_equal(fc_getxattr(&f->c, FUSE_ROOT_ID, "system.posix_acl_access", buf, sizeof(buf)), -ENODATA);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "file", &file), 0);
	assert_int_equal(file.attr.flags, 0);
	assert_int_equal(file.entry_valid | file.entry_valid_nsec, 0);
	assert_int_equal(fc_open(&f->c, file.nodeid, O_RDWR, &fh), 0);
	assert_int_equal(fc_read(&f->c, file.nodeid, fh, 0, buf, 7), 6);
	assert_string_equal(buf, "single");
	assert_int_equal(fc_lookup(&f->c, file.nodeid, "x", &x), -ENOTDIR);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "dir", &x), 0);
	assert_int_equal(x.attr.flags, FUSE_ATTR_SUBMOUNT);
	assert_int_equal(fc_create(&f->c, x.nodeid, "f", O_RDWR, 0600, &made, &fh), 0);
	/* Between shares nothing moves, though it is one file system on the host. */
	assert_int_equal(fc_rename(&f->c, x.nodeid, "f", f->root, "f", 0), -EXDEV);
	assert_int_equal(fc_link(&f->c, f->root, "f", made.nodeid, &file), -EXDEV);
	assert_int_equal(fc_rename(&f->c, x.nodeid, "f", FUSE_ROOT_ID, "f", 0), -EXDEV);

	assert_int_equal(fs_share_remove(f->c.s, "dir", &e), 0);
	assert_int_equal(fs_share_remove(f->c.s, "file", &e), 0);
	assert_int_equal(fs_share_remove(f->c.s, "file", &e), -ENOENT);
	assert_int_equal(fsfix_count_fds(), before);
	assert_int_equal(fc_read(&f->c, made.nodeid, fh, 0, buf, 7), -ESTALE);
	assert_int_equal(fc_getattr(&f->c, x.nodeid, &a), -ESTALE);
	assert_int_equal(fc_release(&f->c, made.nodeid, fh, false), -ESTALE);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "dir", &x), -ENOENT);
	/* The name is free again, and the old numbers stay dead. */
	assert_int_equal(add(f, "dir", "dir", 0, &e), 0);
	assert_int_equal(fc_getattr(&f->c, made.nodeid, &a), -ESTALE);
	fc_forget(&f->c, made.nodeid, 1);
	assert_int_equal(fc_getattr(&f->c, made.nodeid, &a), -ENOENT);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "dir", &x), 0);
	assert_int_equal(fc_lookup(&f->c, x.nodeid, "f", &made), 0);
}

static int add_common(struct fsfix *f, const char *name, const char *path, unsigned flags, uint32_t common)
{
	int fd = openat(f->share_fd, path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	int rc = fs_share_add_common(f->c.s, name, fd, flags, common, NULL);

	if (rc < 0)
		close(fd);
	return rc;
}

static uint64_t number_of(struct fsfix *f, const char *name)
{
	struct fuse_entry_out x;

	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, name, &x), 0);
	return x.nodeid;
}

/* One share by several names: its nodes live as long as one of them. */
static void several_names(void **state)
{
	static const struct {
		const char *why, *path;
		unsigned flags;
		uint32_t common;
	} others[] = {
		{ "other-folder", "other", 0, 7 },
		{ "other-flags", "dir", FS_SHARE_NOCACHE, 7 },
		{ "other-number", "dir", 0, 8 },
		{ "no-number", "dir", 0, 0 },
	};
	struct fsfix *f = *state;
	struct fuse_entry_out made, x;
	struct fuse_attr a;
	unsigned before, n = 0;
	uint64_t fh, dir;

	assert_int_equal(mkdirat(f->share_fd, "dir", 0700), 0);
	assert_int_equal(mkdirat(f->share_fd, "other", 0700), 0);
	before = fsfix_count_fds();
	assert_int_equal(add_common(f, "a", "dir", 0, 7), 0);
	dir = number_of(f, "a");
	assert_int_equal(fc_create(&f->c, dir, "f", O_RDWR, 0600, &made, &fh), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		check_row(others[i].why, add_common(f, others[i].why, others[i].path, others[i].flags, others[i].common) == 0);
		check_row(others[i].why, number_of(f, others[i].why) != dir);
		check_row(others[i].why, fs_share_remove(f->c.s, others[i].why, NULL) == 0);
	}
	assert_int_equal(add_common(f, "b", "dir", 0, 7), 0);
	assert_int_equal(add_common(f, "c", "dir", 0, 7), 0);
	assert_int_equal(add_common(f, "c", "dir", 0, 7), -EEXIST);
	assert_int_equal(add_common(f, "b", "other", 0, 7), -EEXIST);
	assert_int_equal(add_common(f, "s", "dir", 0, 7), -EEXIST);
	assert_int_equal(number_of(f, "b"), dir);
	assert_int_equal(number_of(f, "c"), dir);
	/* It is listed once, beside the fixture's. */
	assert_int_equal(fc_readdir(&f->c, FUSE_ROOT_ID, 0, false, 4096, count_names, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(fs_share_remove(f->c.s, "a", NULL), 0);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "a", &x), -ENOENT);
	assert_int_equal(fs_share_remove(f->c.s, "b", NULL), 0);
	assert_int_equal(fs_share_remove(f->c.s, "b", NULL), -ENOENT);
	assert_int_equal(number_of(f, "c"), dir);
	assert_int_equal(fc_write(&f->c, made.nodeid, fh, 0, "x", 1, 0, 0), 1);
	assert_int_equal(fs_share_remove(f->c.s, "c", NULL), 0);
	assert_int_equal(fsfix_count_fds(), before);
	assert_int_equal(fc_getattr(&f->c, dir, &a), -ESTALE);
	/* All of them go with the server. */
	assert_int_equal(add_common(f, "a", "dir", 0, 7), 0);
	assert_int_equal(add_common(f, "b", "dir", 0, 7), 0);
}

static void read_only(void **state)
{
	struct fsfix *f = *state;
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0777 };
	struct fuse_entry_out r, e, x;
	uint64_t fh;

	assert_int_equal(mkdirat(f->share_fd, "dir", 0700), 0);
	fsfix_host_file(f, "dir/f", "text", 0600);
	assert_int_equal(add(f, "ro", "dir", FS_SHARE_READONLY | FS_SHARE_NOCACHE, NULL), 0);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "ro", &r), 0);
	assert_int_equal(fc_lookup(&f->c, r.nodeid, "f", &e), 0);
	assert_int_equal(e.attr_valid | e.attr_valid_nsec | e.entry_valid | e.entry_valid_nsec, 0);
	assert_int_equal(fc_lookup(&f->c, r.nodeid, "none", &x), -ENOENT);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &fh), -EROFS);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY | O_TRUNC, &fh), -EROFS);
	assert_int_equal(fc_create(&f->c, r.nodeid, "f", O_RDONLY, 0600, &x, &fh), -EROFS);
	assert_int_equal(fc_mkdir(&f->c, r.nodeid, "d", 0700, &x), -EROFS);
	assert_int_equal(fc_setattr(&f->c, e.nodeid, &in), -EROFS);
	assert_int_equal(fc_setxattr(&f->c, e.nodeid, "user.x", "y", 1, 0), -EROFS);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, r.nodeid, NULL, 0, "f"), -EROFS);
	assert_int_equal(fc_rename(&f->c, r.nodeid, "f", r.nodeid, "g", 0), -EROFS);
	assert_int_equal(fc_symlink(&f->c, r.nodeid, "l", "f", &x), -EROFS);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "x", 1, 0, 0), -EROFS);
}

/* A mount below a share is crossed on purpose, is a device of its own, and cannot be left. */
static void nested_mount(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out m, e, x;
	struct fuse_attr a;
	char path[192];
	uint64_t fh;

	assert_int_equal(mkdirat(f->share_fd, "mnt", 0700), 0);
	snprintf(path, sizeof(path), "%s/share/mnt", f->base);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("t", path, "tmpfs", 0, NULL) < 0)
		skip();
	/* The share's descriptor is of the mount that was there before. */
	assert_int_equal(fs_share_remove(f->c.s, "s", NULL), 0);
	snprintf(path, sizeof(path), "%s/share", f->base);
	assert_int_equal(fs_share_add(f->c.s, "s", open(path, O_PATH | O_CLOEXEC), 0, NULL), 0);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "s", &x), 0);
	f->root = x.nodeid;
	assert_int_equal(fc_lookup(&f->c, f->root, "mnt", &m), 0);
	assert_int_equal(m.attr.flags, FUSE_ATTR_SUBMOUNT);
	assert_int_equal(fc_create(&f->c, m.nodeid, "f", O_RDWR, 0600, &e, &fh), 0);
	assert_int_equal(e.attr.flags, 0);
	assert_int_equal(fc_getattr(&f->c, e.nodeid, &a), 0);
	assert_int_equal(fc_rename(&f->c, m.nodeid, "f", f->root, "f", 0), -EXDEV);
	assert_int_equal(fc_link(&f->c, f->root, "f", e.nodeid, &x), -EXDEV);
	assert_int_equal(fc_named(&f->c, FUSE_RMDIR, f->root, NULL, 0, "mnt"), -EBUSY);
	assert_int_equal(fc_getattr(&f->c, m.nodeid, &a), 0);
	assert_int_equal(a.flags, FUSE_ATTR_SUBMOUNT);
	/* With everything open, the share goes and the mount is free. */
	assert_int_equal(fs_share_remove(f->c.s, "s", NULL), 0);
	snprintf(path, sizeof(path), "%s/share/mnt", f->base);
	assert_int_equal(umount(path), 0);
}

/* The host's kernel is no part of any share, wherever it is mounted. */
static void nested_kernel(void **state)
{
	static const char *const types[] = { "proc", "sysfs", "devpts" };
	struct fsfix *f = *state;
	struct fuse_entry_out m, x;
	struct fuse_attr a;
	char path[192];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		assert_int_equal(mkdirat(f->share_fd, types[i], 0700), 0);
		snprintf(path, sizeof(path), "%s/share/%s", f->base, types[i]);
		assert_int_equal(mount(types[i], path, types[i], 0, NULL), 0);
	}
	assert_int_equal(fs_share_remove(f->c.s, "s", NULL), 0);
	snprintf(path, sizeof(path), "%s/share", f->base);
	assert_int_equal(fs_share_add(f->c.s, "s", open(path, O_PATH | O_CLOEXEC), 0, NULL), 0);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "s", &x), 0);
	f->root = x.nodeid;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		assert_int_equal(fc_lookup(&f->c, f->root, types[i], &m), 0);
		/* Its folder can be looked at, from above. */
		assert_int_equal(fc_getattr(&f->c, m.nodeid, &a), 0);
		check_row(types[i], fc_lookup(&f->c, m.nodeid, "kernel", &x) == -EACCES);
	}
	assert_int_equal(fs_share_remove(f->c.s, "s", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		snprintf(path, sizeof(path), "%s/share/%s", f->base, types[i]);
		assert_int_equal(umount(path), 0);
	}
}

struct overlaid {
	struct fsfix f;
	char path[192]; /* where it is mounted */
	char share[192];
	uint64_t root; /* of the overlay */
};

/* The guest's root of the overlay: of the share, or of a mount in it. */
static void find_overlay(struct overlaid *o, bool nested)
{
	assert_int_equal(fs_share_add(o->f.c.s, "o", open(nested ? o->share : o->path, O_PATH | O_CLOEXEC), 0, NULL), 0);
	assert_int_equal(fc_walk(&o->f.c, nested ? "o/merged" : "o", &o->root), 0);
}

static bool begin_overlay(struct overlaid *o)
{
	const struct fs_server_cfg cfg = {
		.max_nodes = 1000, .max_handles = 100, .max_fds = 1, .proc_fd = -1
	};
	char opts[768];

	fsfix_init(&o->f, NULL, &cfg, 0);
	snprintf(o->share, sizeof(o->share), "%s/share", o->f.base);
	snprintf(o->path, sizeof(o->path), "%s/share/merged", o->f.base);
	assert_int_equal(mkdirat(o->f.share_fd, "low", 0755), 0);
	assert_int_equal(mkdirat(o->f.share_fd, "low/d", 0755), 0);
	fsfix_host_file(&o->f, "low/d/f", "lower", 0644);
	fsfix_host_file(&o->f, "low/d/g", "lower", 0644);
	mkdirat(o->f.share_fd, "up", 0755);
	mkdirat(o->f.share_fd, "work", 0755);
	mkdirat(o->f.share_fd, "merged", 0755);
	usleep(20000); /* birth times tick in steps */
	snprintf(opts, sizeof(opts), "lowerdir=%s/low,upperdir=%s/up,workdir=%s/work", o->share, o->share, o->share);
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("o", o->path, "overlay", 0, opts) == 0)
		return true;
	print_message("no overlay here\n");
	fsfix_done(&o->f);
	return false;
}

static void end_overlay(struct overlaid *o)
{
	assert_int_equal(fs_share_remove(o->f.c.s, "o", NULL), 0);
	assert_int_equal(umount(o->path), 0);
	fsfix_done(&o->f);
}

/* Lower files of an overlay get another birth time when they are written: they stay who they
 * are. */
static void written(struct overlaid *o)
{
	struct fuse_entry_out e, d, x;
	struct fsfix *f = &o->f;
	struct fuse_attr a;
	uint64_t fh;

	assert_int_equal(fc_lookup(&f->c, o->root, "d", &d), 0);
	assert_int_equal(fc_lookup(&f->c, d.nodeid, "f", &e), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), 0);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh, 1, F_RDLCK, 0, 9, 0), 0);
	assert_int_equal(fc_release(&f->c, e.nodeid, fh, false), 0);
	assert_int_equal(faccessat(f->share_fd, "up/d/f", F_OK, 0), -1); /* a reader's lock makes no copy */
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &fh), 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "UPPER", 5, 0, 0), 5);
	fs_fds_shrink(f->c.s, UINT32_MAX);
	assert_int_equal(fc_lookup(&f->c, d.nodeid, "f", &x), 0);
	assert_int_equal(x.nodeid, e.nodeid);
	assert_int_equal(fc_release(&f->c, e.nodeid, fh, false), 0);
	assert_int_equal(fc_mkdir(&f->c, d.nodeid, "new", 0700, &x), 0);
	fs_fds_shrink(f->c.s, UINT32_MAX);
	assert_int_equal(fc_getattr(&f->c, e.nodeid, &a), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &fh), 0);
	assert_int_equal(fc_lookup(&f->c, d.nodeid, "f", &x), 0);
	assert_int_equal(x.nodeid, e.nodeid);
	assert_int_equal(host_stat(f, "up/d/f").st_size, 5);
	assert_int_equal(fc_release(&f->c, e.nodeid, fh, false), 0);
}

/* So they do when somebody else writes while the machine is saved. */
static void written_while_saved(struct overlaid *o, bool nested)
{
	const struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;
	struct buf b = BUF_INIT(MIB(1));
	struct fsfix *f = &o->f;
	struct err err = ERR_INIT;
	struct fuse_entry_out d, g;
	char buf[8] = "", path[256];
	uint64_t fh;
	int fd;

	assert_int_equal(fc_lookup(&f->c, o->root, "d", &d), 0);
	assert_int_equal(fc_lookup(&f->c, d.nodeid, "g", &g), 0);
	assert_int_equal(fc_open(&f->c, g.nodeid, O_RDONLY, &fh), 0);
	assert_int_equal(fs_share_remove(f->c.s, "s", NULL), 0);
	if (fs_server_save(f->c.s, &b, &err) < 0)
		fail_msg("%s", err.msg);
	fs_server_free(f->c.s);
	snprintf(path, sizeof(path), "%s/d/g", o->path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "UPPER", 5), 5);
	close(fd);
	assert_int_equal(fs_server_new(&f->c.s, &cfg, NULL), 0);
	fs_server_set_session(f->c.s, FS_SESSION_ALL);
	assert_int_equal(fs_share_add(f->c.s, "o", open(nested ? o->share : o->path, O_PATH | O_CLOEXEC), 0, NULL), 0);
	if (fs_server_load(f->c.s, b.data, b.len, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(fc_read(&f->c, g.nodeid, fh, 0, buf, 5), 5);
	assert_string_equal(buf, "UPPER");
	buf_free(&b);
}

static void on_overlay(bool nested)
{
	struct overlaid *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	if (!begin_overlay(o)) {
		free(o);
		skip();
	}
	find_overlay(o, nested);
	written(o);
	written_while_saved(o, nested);
	end_overlay(o);
	free(o);
}

static void overlay(void **state)
{
	(void)state;
	on_overlay(false);
}

/* In a share of another file system. */
static void overlay_below(void **state)
{
	(void)state;
	on_overlay(true);
}

struct lock_step {
	const char *why;
	uint32_t op;
	unsigned file; /* which of two open files */
	uint64_t owner;
	uint32_t type;
	uint64_t start, end;
	uint32_t flags;
	int want;
};

static const struct lock_step lock_steps[] = {
	{ "first", FUSE_SETLK, 0, 1, F_WRLCK, 0, 9, 0, 0 },
	{ "the same owner through another file", FUSE_SETLK, 1, 1, F_WRLCK, 5, 9, 0, 0 },
	{ "another owner, same bytes", FUSE_SETLK, 0, 2, F_RDLCK, 9, 9, 0, -EAGAIN },
	{ "another owner would wait", FUSE_SETLKW, 0, 2, F_RDLCK, 9, 9, 0, FS_AGAIN },
	{ "another owner, other bytes", FUSE_SETLK, 0, 2, F_RDLCK, 10, 19, 0, 0 },
	{ "unlock a part", FUSE_SETLK, 0, 1, F_UNLCK, 9, 9, 0, 0 },
	{ "now it is free", FUSE_SETLKW, 0, 2, F_RDLCK, 9, 9, 0, 0 },
	{ "to the end of the file", FUSE_SETLK, 0, 3, F_WRLCK, 100, INT64_MAX, 0, 0 },
	{ "beyond what a file can have", FUSE_SETLK, 0, 3, F_WRLCK, UINT64_MAX, UINT64_MAX, 0,
	  -EINVAL },
	{ "ends before it starts", FUSE_SETLK, 0, 3, F_WRLCK, 5, 4, 0, -EINVAL },
	{ "no such type", FUSE_SETLK, 0, 3, 7, 0, 4, 0, -EINVAL },
	{ "flock", FUSE_SETLK, 0, 1, F_WRLCK, 0, 0, FUSE_LK_FLOCK, 0 },
	{ "flock of the other file", FUSE_SETLK, 1, 1, F_RDLCK, 0, 0, FUSE_LK_FLOCK, -EAGAIN },
	{ "flock would wait", FUSE_SETLKW, 1, 1, F_RDLCK, 0, 0, FUSE_LK_FLOCK, FS_AGAIN },
	{ "flock freed", FUSE_SETLK, 0, 1, F_UNLCK, 0, 0, FUSE_LK_FLOCK, 0 },
	{ "flock had", FUSE_SETLKW, 1, 1, F_RDLCK, 0, 0, FUSE_LK_FLOCK, 0 },
	{ "no flock type", FUSE_SETLK, 1, 1, 99, 0, 0, FUSE_LK_FLOCK, -EINVAL },
	{ "a circle: its first part", FUSE_SETLK, 0, 5, F_WRLCK, 30, 30, 0, 0 },
	{ "its second part", FUSE_SETLK, 1, 6, F_RDLCK, 31, 31, 0, 0 },
	{ "its third part", FUSE_SETLK, 1, 7, F_WRLCK, 32, 32, 0, 0 },
	{ "waits for the second's", FUSE_SETLKW, 0, 5, F_WRLCK, 31, 31, 0, FS_AGAIN },
	{ "waits for the third's", FUSE_SETLKW, 0, 6, F_WRLCK, 32, 40, 0, FS_AGAIN },
	{ "another may wait", FUSE_SETLKW, 0, 8, F_WRLCK, 30, 32, 0, FS_AGAIN },
	{ "would close the circle", FUSE_SETLKW, 0, 7, F_RDLCK, 30, 30, 0, -EDEADLK },
	{ "without waiting it does not", FUSE_SETLK, 0, 7, F_RDLCK, 30, 30, 0, -EAGAIN },
	{ "the third lets go", FUSE_SETLK, 1, 7, F_UNLCK, 32, 32, 0, 0 },
	{ "and may wait", FUSE_SETLKW, 0, 7, F_RDLCK, 30, 30, 0, FS_AGAIN },
};

static void locks(void **state)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
	struct fsfix *f = *state;
	struct fuse_flush_in flush;
	struct fuse_entry_out e;
	struct fuse_lk_out out;
	uint64_t fh[2];
	int host;

	assert_int_equal(fc_create(&f->c, f->root, "l", O_RDWR, 0600, &e, &fh[0]), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &fh[1]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lock_steps); i++) {
		const struct lock_step *t = &lock_steps[i];
		int rc = fc_lock(&f->c, t->op, e.nodeid, fh[t->file], t->owner, t->type, t->start,
				 t->end, t->flags);

		if (rc != t->want)
			fail_msg("%s: %d", t->why, rc);
	}
	assert_int_equal(fc_lock(&f->c, FUSE_GETLK, e.nodeid, fh[0], 2, F_WRLCK, 0, 3, 0), 0);
	memcpy(&out, f->c.body, sizeof(out));
	assert_int_equal(out.lk.type, F_WRLCK);
	assert_int_equal(out.lk.start, 0);
	assert_int_equal(out.lk.end, 8);
	assert_int_equal(fc_lock(&f->c, FUSE_GETLK, e.nodeid, fh[0], 1, F_WRLCK, 0, 3, 0), 0);
	memcpy(&out, f->c.body, sizeof(out));
	assert_int_equal(out.lk.type, F_UNLCK);
	/* The host sees them, until the process closes the file (any of its open files). */
	host = openat(f->share_fd, "l", O_RDWR);
	assert_int_equal(fcntl(host, F_OFD_SETLK, &fl), -1);
	flush = (struct fuse_flush_in){ .fh = fh[1], .lock_owner = 1 };
	assert_int_equal(fc_fixed(&f->c, FUSE_FLUSH, e.nodeid, flush), 0);
	assert_int_equal(fcntl(host, F_OFD_SETLK, &fl), 0);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh[0], 1, F_RDLCK, 0, 0, 0), -EAGAIN);
	close(host);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh[0], 1, F_RDLCK, 0, 0, 0), 0);
	/* Released through the file that it was taken by. */
	assert_int_equal(fc_release(&f->c, e.nodeid, fh[0], false), 0);
	host = openat(f->share_fd, "l", O_RDWR);
	assert_int_equal(fcntl(host, F_OFD_SETLK, &fl), 0);
	close(host);
}

/* A circle of waits for files that are shares by themselves. */
static void locks_of_files(void **state)
{
	struct fsfix *f = *state;
	static const char *const name[] = { "fa", "fb" };
	struct err err = ERR_INIT;
	struct fuse_entry_out e;
	uint64_t node[2], fh[2];

	for (size_t i = 0; i < 2; i++) {
		fsfix_host_file(f, name[i], "text", 0600);
		assert_int_equal(add(f, name[i], name[i], FS_SHARE_FILE, &err), 0);
		assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, name[i], &e), 0);
		node[i] = e.nodeid;
		assert_int_equal(fc_open(&f->c, node[i], O_RDWR, &fh[i]), 0);
		assert_int_equal(fc_lock(&f->c, FUSE_SETLK, node[i], fh[i], i, F_WRLCK, 0, 9, 0), 0);
	}
	assert_int_equal(fc_lock(&f->c, FUSE_SETLKW, node[1], fh[1], 0, F_WRLCK, 0, 9, 0), FS_AGAIN);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLKW, node[0], fh[0], 1, F_WRLCK, 0, 9, 0), -EDEADLK);
}

/* Is byte @at of the host's @fd in the way of somebody who would have a lock of that type there? */
static bool in_the_way(int fd, off_t at, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &fl), 0);
	return fl.l_type != F_UNLCK;
}

/* What somebody on the host who watches the file is told. */
static unsigned events_of(int watch)
{
	_Alignas(struct inotify_event) char buf[4096];
	unsigned events = 0;
	ssize_t n;

	while ((n = read(watch, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)(void *)p)->len)
			events |= ((struct inotify_event *)(void *)p)->mask;
	return events;
}

static int watch_file(struct fsfix *f, const char *name)
{
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char path[192];

	snprintf(path, sizeof(path), "%s/share/%s", f->base, name);
	assert_true(watch >= 0 && inotify_add_watch(watch, path, IN_ALL_EVENTS) >= 0);
	return watch;
}

/* Who reads does not open the file for writing: a copy of it would be made (overlayfs), a program could not be started. */
static void locks_of_readers(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e;
	uint64_t fh;
	int watch;

	fsfix_host_file(f, "l", "text", 0600);
	watch = watch_file(f, "l");
	assert_int_equal(fc_lookup(&f->c, f->root, "l", &e), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), 0);
	for (uint64_t i = 0; i < 100; i++) /* one record after the other, and every other goes */
		assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh, 1, F_RDLCK, 10 * i, 10 * i + 9, 0), 0);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh, 1, F_UNLCK, 10, 989, 0), 0);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh, 1, F_WRLCK, 0, 9, 0), -EBADF);
	assert_int_equal(fc_release(&f->c, e.nodeid, fh, false), 0);
	assert_int_equal(events_of(watch) & (IN_CLOSE_WRITE | IN_CLOSE_NOWRITE), IN_CLOSE_NOWRITE);
	close(watch);
}

/* Whoever read before and writes then has what it had. */
static const struct widen_step {
	const char *why;
	unsigned file; /* 0 is open for reading, 1 for both */
	uint64_t owner;
	uint32_t type;
	uint64_t start, end;
	int want;
	const char *host; /* bytes 0 to 29: r read, w written by somebody, . free */
} widen_steps[] = {
	{ "reads", 0, 1, F_RDLCK, 0, 9, 0, "rrrrrrrrrr...................." },
	{ "reads elsewhere", 0, 1, F_RDLCK, 20, 29, 0, "rrrrrrrrrr..........rrrrrrrrrr" },
	{ "lets go of one in between", 0, 1, F_UNLCK, 5, 5, 0, "rrrrr.rrrr..........rrrrrrrrrr" },
	{ "another reads", 0, 2, F_RDLCK, 0, 4, 0, "rrrrr.rrrr..........rrrrrrrrrr" },
	{ "writes in the gap", 1, 1, F_WRLCK, 12, 13, 0, "rrrrr.rrrr..ww......rrrrrrrrrr" },
	{ "writes what it read", 1, 1, F_WRLCK, 20, 24, 0, "rrrrr.rrrr..ww......wwwwwrrrrr" },
	{ "cannot write what another reads", 1, 1, F_WRLCK, 0, 9, -EAGAIN, "rrrrr.rrrr..ww......wwwwwrrrrr" },
	{ "the other lets go", 0, 2, F_UNLCK, 0, 9, 0, "rrrrr.rrrr..ww......wwwwwrrrrr" },
	{ "writes there", 1, 1, F_WRLCK, 0, 9, 0, "wwwwwwwwww..ww......wwwwwrrrrr" },
	{ "reads again", 0, 1, F_RDLCK, 0, 29, 0, "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrr" },
	{ "lets go of all", 0, 1, F_UNLCK, 0, INT64_MAX, 0, ".............................." },
	/* More pieces than are noted. */
	{ "reads all", 0, 3, F_RDLCK, 0, INT64_MAX, 0, "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrr" },
	{ "less one", 0, 3, F_UNLCK, 1, 1, 0, "r.rrrrrrrrrrrrrrrrrrrrrrrrrrrr" },
	{ "less two", 0, 3, F_UNLCK, 3, 3, 0, "r.r.rrrrrrrrrrrrrrrrrrrrrrrrrr" },
	{ "less three", 0, 3, F_UNLCK, 5, 5, 0, "r.r.r.rrrrrrrrrrrrrrrrrrrrrrrr" },
	{ "less four", 0, 3, F_UNLCK, 7, 7, 0, "r.r.r.r.rrrrrrrrrrrrrrrrrrrrrr" },
	{ "less five", 0, 3, F_UNLCK, 9, 9, 0, "r.r.r.r.r.rrrrrrrrrrrrrrrrrrrr" },
	{ "less six", 0, 3, F_UNLCK, 11, 11, 0, "r.r.r.r.r.r.rrrrrrrrrrrrrrrrrr" },
	{ "less seven", 0, 3, F_UNLCK, 13, 13, 0, "r.r.r.r.r.r.r.rrrrrrrrrrrrrrrr" },
	{ "reads two of them again", 0, 3, F_RDLCK, 1, 3, 0, "rrrrr.r.r.r.r.rrrrrrrrrrrrrrrr" },
	{ "writes", 1, 3, F_WRLCK, 11, 29, 0, "rrrrr.r.r.rwwwwwwwwwwwwwwwwwww" },
};

/* A file "l", open in the guest for reading and for both, and on the host, whose descriptor it returns. */
static int open_for_locks(struct fsfix *f, struct fuse_entry_out *e, uint64_t fh[2])
{
	fsfix_host_file(f, "l", "text", 0600);
	assert_int_equal(fc_lookup(&f->c, f->root, "l", e), 0);
	assert_int_equal(fc_open(&f->c, e->nodeid, O_RDONLY, &fh[0]), 0);
	assert_int_equal(fc_open(&f->c, e->nodeid, O_RDWR, &fh[1]), 0);
	return openat(f->share_fd, "l", O_RDWR | O_CLOEXEC);
}

static void readers_that_write(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e;
	uint64_t fh[2];
	int host;

	host = open_for_locks(f, &e, fh);
	for (size_t i = 0; i < ARRAY_SIZE(widen_steps); i++) {
		const struct widen_step *t = &widen_steps[i];
		char seen[31] = "";

		check_row(t->why, fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh[t->file], t->owner, t->type, t->start, t->end,
					  0) == t->want);
		for (off_t at = 0; at < 30; at++)
			seen[at] = in_the_way(host, at, F_RDLCK) ? 'w' : in_the_way(host, at, F_WRLCK) ? 'r' : '.';
		if (strcmp(seen, t->host) != 0)
			fail_msg("%s: %s", t->why, seen);
	}
	close(host);
}

static int lock_one(struct fsfix *f, uint64_t node, uint64_t fh, uint32_t type, uint64_t at)
{
	return fc_lock(&f->c, FUSE_SETLK, node, fh, 1, type, at, at, 0);
}

/* A program that runs cannot be opened for writing. Readers have what they want all the same; only who had too many pieces of
 * it cannot write afterwards. */
static void locks_of_a_program(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e;
	char path[192], cmd[256];
	uint64_t fh[2];
	pid_t pid;
	int host;

	snprintf(path, sizeof(path), "%s/share/l", f->base);
	snprintf(cmd, sizeof(cmd), "cp /bin/sleep %s", path);
	assert_int_equal(system(cmd), 0);
	pid = fork();
	if (pid == 0) {
		do /* whoever looks below may be in the way */
			execl(path, "sleep", "60", (char *)NULL);
		while (errno == ETXTBSY);
		_exit(1);
	}
	while ((host = open(path, O_RDWR | O_CLOEXEC)) >= 0) {
		close(host);
		usleep(1000);
	}
	assert_int_equal(errno, ETXTBSY);
	host = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fc_lookup(&f->c, f->root, "l", &e), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh[0]), 0);
	for (uint64_t at = 0; at < 2 * (FS_LOCK_RANGES + 2); at += 2)
		assert_int_equal(lock_one(f, e.nodeid, fh[0], F_RDLCK, at), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &fh[1]), 0);
	assert_int_equal(lock_one(f, e.nodeid, fh[1], F_WRLCK, 100), -ENOLCK);
	for (off_t at = 0; at < 2 * (FS_LOCK_RANGES + 2); at++)
		assert_int_equal(in_the_way(host, at, F_WRLCK), at % 2 == 0);
	assert_int_equal(lock_one(f, e.nodeid, fh[0], F_UNLCK, 0), 0);
	assert_false(in_the_way(host, 0, F_WRLCK));
	close(host);
}

/* As lock_one(), where no descriptor can be had for a while. */
static int lock_one_short(struct fsfix *f, uint64_t node, uint64_t fh, uint32_t type, uint64_t at)
{
	struct rlimit was, none;
	int rc;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	rc = lock_one(f, node, fh, type, at);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	return rc;
}

/* Too many pieces when no descriptor was to be had: that is nothing where the last of them was refused, and over when all of
 * them are let go of. */
static void too_many_for_a_while(void **state)
{
	struct flock lk = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
	struct fuse_flush_in flush = { .lock_owner = 1 };
	struct fsfix *f = *state;
	struct fuse_entry_out e;
	uint64_t fh[2];
	int host;

	host = open_for_locks(f, &e, fh);
	for (uint64_t at = 0; at < 2 * FS_LOCK_RANGES; at += 2)
		assert_int_equal(lock_one(f, e.nodeid, fh[0], F_RDLCK, at), 0);
	assert_int_equal(fcntl(host, F_OFD_SETLK, &lk), 0);
	assert_int_equal(lock_one_short(f, e.nodeid, fh[0], F_RDLCK, 100), -EAGAIN);
	lk.l_type = F_UNLCK;
	assert_int_equal(fcntl(host, F_OFD_SETLK, &lk), 0);
	assert_int_equal(lock_one(f, e.nodeid, fh[1], F_WRLCK, 100), 0);
	for (off_t at = 0; at < 2 * FS_LOCK_RANGES; at++)
		assert_int_equal(in_the_way(host, at, F_WRLCK), at % 2 == 0);
	flush.fh = fh[1];
	assert_int_equal(fc_fixed(&f->c, FUSE_FLUSH, e.nodeid, flush), 0);

	for (uint64_t at = 0; at < 2 * FS_LOCK_RANGES; at += 2)
		assert_int_equal(lock_one(f, e.nodeid, fh[0], F_RDLCK, at), 0);
	assert_int_equal(lock_one_short(f, e.nodeid, fh[0], F_RDLCK, 100), 0);
	assert_int_equal(lock_one(f, e.nodeid, fh[1], F_WRLCK, 0), -ENOLCK);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh[0], 1, F_UNLCK, 0, INT64_MAX, 0), 0);
	assert_int_equal(lock_one(f, e.nodeid, fh[0], F_RDLCK, 4), 0);
	assert_int_equal(lock_one(f, e.nodeid, fh[1], F_WRLCK, 0), 0);
	for (off_t at = 0; at < 2 * FS_LOCK_RANGES; at++)
		assert_int_equal(in_the_way(host, at, F_WRLCK), at == 0 || at == 4);
	close(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(coming_and_going), FS_TEST(several_names), FS_TEST(read_only), FS_TEST(nested_mount),
		FS_TEST(nested_kernel),
		cmocka_unit_test(overlay), cmocka_unit_test(overlay_below),
		FS_TEST(locks), FS_TEST(locks_of_files),
		FS_TEST(locks_of_readers), FS_TEST(readers_that_write), FS_TEST(locks_of_a_program),
		FS_TEST(too_many_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
