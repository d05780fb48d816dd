// SPDX-License-Identifier: Apache-2.0
/* Owners, modes, extended attributes, special files, and the rarer operations. Run as root. */
#include "tests/unit/fs_setup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In the form of the kernel's xattr: version 2, then entries {tag, perm, id}. */
static const uint8_t default_acl[] = {
	2,  0, 0, 0, 1,   0,   7,   0,   255, 255, 255, 255, /* user::rwx */
	4,  0, 7, 0, 255, 255, 255, 255, /* group::rwx */
	32, 0, 0, 0, 255, 255, 255, 255, /* other::--- */
};

struct creation {
	const char *why;
	uint32_t uid, gid, mode, umask;
	mode_t dir_mode;
	gid_t dir_gid, supp; /* supp: a group that the guest says the caller is in, 0: none */
	bool acl;
	uid_t want_uid;
	gid_t want_gid;
	mode_t want_mode;
};

static const struct creation creations[] = {
	{ "root", 0, 0, 0666, 022, 0755, 0, 0, false, 0, 0, 0644 },
	{ "a user in a directory of root's: the guest allowed it", 1000, 1000, 0666, 022, 0755, 0,
	  0, false, 1000, 1000, 0644 },
	{ "a user where all may write", 1000, 1001, 0640, 0, 01777, 0, 0, false, 1000, 1001, 0640 },
	{ "root's group alone", 0, 50, 0600, 0, 0755, 0, 0, false, 0, 50, 0600 },
	{ "SGID directory gives its group", 1000, 1000, 0644, 0, 02777, 500, 0, false, 1000, 500,
	  0644 },
	{ "SGID of a group that the caller is not in goes", 1000, 1000, 02775, 0, 02777, 500, 0,
	  false, 1000, 500, 0775 },
	{ "SGID of root's group goes as well", 1000, 1000, 02775, 0, 02777, 0, 0, false, 1000, 0,
	  0775 },
	{ "SGID and no right to execute it: a lock mark, stays", 1000, 1000, 02644, 0, 02777, 1000,
	  0, false, 1000, 1000, 02644 },
	{ "SUID stays", 1000, 1000, 04755, 0, 0755, 0, 0, false, 1000, 1000, 04755 },
	{ "default ACL: the umask is not used", 0, 0, 0666, 077, 0755, 0, 0, true, 0, 0, 0660 },
	{ "default ACL, a user", 1000, 1000, 0666, 077, 0777, 0, 0, true, 1000, 1000, 0660 },
	{ "default ACL and SUID, a user in a directory of root's", 1000, 1000, 04777, 077, 0755, 0, 0, true, 1000, 1000,
	  04770 },
};

static void owner_and_mode(void **state)
{
	struct fsfix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(creations); i++) {
		const struct creation *t = &creations[i];
		struct fuse_create_in in = { .flags = O_RDWR | O_EXCL,
					     .mode = t->mode,
					     .umask = t->umask };
		struct fuse_entry_out e;
		char dir[16], path[32];
		struct stat st;
		int fd;

		snprintf(dir, sizeof(dir), "d%zu", i);
		assert_int_equal(mkdirat(f->share_fd, dir, 0700), 0);
		assert_int_equal(fchownat(f->share_fd, dir, 0, t->dir_gid, 0), 0);
		assert_int_equal(fchmodat(f->share_fd, dir, t->dir_mode, 0), 0);
		fd = openat(f->share_fd, dir, O_RDONLY);
		if (t->acl && fsetxattr(fd, "system.posix_acl_default", default_acl,
					sizeof(default_acl), 0) < 0)
			skip();
		close(fd);
		assert_int_equal(fc_lookup(&f->c, f->root, dir, &e), 0);
		f->c.uid = t->uid;
		f->c.gid = t->gid;
		check_row(t->why,
			  fc_named(&f->c, FUSE_CREATE, e.nodeid, &in, sizeof(in), "f") == 0);
		snprintf(path, sizeof(path), "%s/f", dir);
		st = host_stat(f, path);
		if (st.st_uid != t->want_uid || st.st_gid != t->want_gid ||
		    (st.st_mode & 07777) != t->want_mode)
			fail_msg("%s: %u:%u %o", t->why, st.st_uid, st.st_gid, st.st_mode & 07777);
		/* The thread is itself again. */
		f->c.uid = f->c.gid = 0;
		assert_int_equal(fc_mkdir(&f->c, e.nodeid, "mine", 0700, &e), 0);
		assert_int_equal(e.attr.uid, 0);
	}
	f->c.uid = UINT32_MAX;
	{
		struct fuse_entry_out e;

		assert_int_equal(fc_mkdir(&f->c, f->root, "nobody", 0700, &e), -EOVERFLOW);
	}
}

/* The guest tells which of the caller's supplementary groups is the directory's. */
static void supplementary_group(void **state)
{
	struct fsfix *f = *state;
	struct fuse_mknod_in in = { .mode = S_IFREG | 02775 };
	struct {
		struct fs_ext_header h;
		uint32_t nr, gid;
	} ext = { { sizeof(ext), FS_EXT_GROUPS }, 1, 500 };
	struct {
		struct fs_in_header h;
		struct fuse_mknod_in in;
		char name[8];
		uint8_t ext[16];
	} req = { .in = in, .name = "f" };

	assert_int_equal(fchownat(f->share_fd, ".", 0, 500, AT_EMPTY_PATH), 0);
	assert_int_equal(fchmodat(f->share_fd, ".", 02777, 0), 0);
	memcpy(req.ext, &ext, sizeof(ext));
	req.h = (struct fs_in_header){ .len = sizeof(req),
				       .opcode = FUSE_MKNOD,
				       .nodeid = f->root,
				       .uid = 1000,
				       .gid = 1000,
				       .unique = 5,
				       .total_extlen = 2 };
	assert_int_equal(fc_raw(&f->c, &req, sizeof(req), NULL, 0), 0);
	assert_int_equal(host_stat(f, "f").st_mode & 07777, 02775);
	assert_int_equal(host_stat(f, "f").st_gid, 500);
	assert_int_equal(host_stat(f, "f").st_uid, 1000);
	/* An extension that is longer than what is there. */
	req.h.total_extlen = 0xffff;
	assert_int_equal(fc_raw(&f->c, &req, sizeof(req), NULL, 0), -EINVAL);
	ext.h.size = 4096;
	ext.nr = 0xffffffff;
	memcpy(req.ext, &ext, sizeof(ext));
	req.h.total_extlen = 2;
	req.name[0] = 'g';
	assert_int_equal(fc_raw(&f->c, &req, sizeof(req), NULL, 0), 0);
	assert_int_equal(host_stat(f, "g").st_mode & 07777, 0775);
}

struct xattr_case {
	const char *name;
	int set, get; /* results */
};

static const struct xattr_case xattrs[] = {
	{ "user.note", 0, 3 },
	{ "user.husk.special", -EPERM, -ENODATA },
	{ "user.husk.", -EPERM, -ENODATA },
	{ "user.huskier", 0, 3 },
	{ "user.husk.trusted.x", -EPERM, -ENODATA }, /* by its name on the host */
	{ "trusted.overlay.opaque", 0, 3 },
	{ "trusted.", 0, 3 },
	{ "trusted", -EOPNOTSUPP, -EOPNOTSUPP },
	{ "security.selinux", -EOPNOTSUPP, -EOPNOTSUPP },
	{ "security.ima", -EOPNOTSUPP, -EOPNOTSUPP },
	{ "system.nfs4_acl", -EOPNOTSUPP, -EOPNOTSUPP },
	{ "nothing", -EOPNOTSUPP, -EOPNOTSUPP },
};

static void extended_attributes(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e, l;
	char list[256], v[64];
	uint8_t caps[20] = { 0, 0, 0, 2, 0, 4 };
	ssize_t n;

	fsfix_host_file(f, "f", "", 0644);
	assert_int_equal(symlinkat("f", f->share_fd, "l"), 0);
	assert_int_equal(fc_lookup(&f->c, f->root, "f", &e), 0);
	assert_int_equal(fc_lookup(&f->c, f->root, "l", &l), 0);
	for (size_t i = 0; i < ARRAY_SIZE(xattrs); i++) {
		const struct xattr_case *t = &xattrs[i];

		check_row(t->name, fc_setxattr(&f->c, e.nodeid, t->name, "abc", 3, 0) == t->set);
		check_row(t->name, fc_getxattr(&f->c, e.nodeid, t->name, v, sizeof(v)) == t->get);
	}
	assert_int_equal(fc_setxattr(&f->c, e.nodeid, "security.capability", caps, 20, 0), 0);
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, "security.capability", v, sizeof(v)), 20);
	/* What the host put there, and the guest may not see. */
	{
		int fd = openat(f->share_fd, "f", O_RDWR);

		assert_int_equal(fsetxattr(fd, "user.husk.note", "x", 1, 0), 0);
		assert_int_equal(fsetxattr(fd, "trusted.secret", "x", 1, 0), 0);
		close(fd);
	}
	/* Its trusted ones are between the guest and its root: the host has them as ours. */
	{
		int fd = openat(f->share_fd, "f", O_RDWR);

		assert_int_equal(
			fgetxattr(fd, "user.husk.trusted.overlay.opaque", v, sizeof(v)), 3);
		assert_int_equal(fgetxattr(fd, "trusted.overlay.opaque", v, sizeof(v)), -1);
		close(fd);
	}
	n = fc_getxattr(&f->c, e.nodeid, NULL, NULL, 0);
	assert_int_equal(n, 10 + 13 + 20 + 23 + 9); /* user.note, user.huskier, security.capability */
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, NULL, list, sizeof(list)), n);
	assert_non_null(memmem(list, (size_t)n, "\0trusted.overlay.opaque", 24));
	assert_int_equal(
		fc_named(&f->c, FUSE_REMOVEXATTR, e.nodeid, NULL, 0, "trusted.overlay.opaque"), 0);
	f->c.uid = 1000;
	n = fc_getxattr(&f->c, e.nodeid, NULL, NULL, 0);
	assert_int_equal(n, 10 + 13 + 20);
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, NULL, list, (size_t)n - 1), -ERANGE);
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, NULL, list, sizeof(list)), n);
	assert_null(memmem(list, (size_t)n, "secret", 6));
	assert_null(memmem(list, (size_t)n, "husk.", 5));
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, "user.note", NULL, 0), 3);
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, "user.note", v, 2), -ERANGE);
	assert_int_equal(fc_setxattr(&f->c, e.nodeid, "user.note", "x", 1, XATTR_CREATE), -EEXIST);
	assert_int_equal(fc_named(&f->c, FUSE_REMOVEXATTR, e.nodeid, NULL, 0, "user.note"), 0);
	assert_int_equal(fc_named(&f->c, FUSE_REMOVEXATTR, e.nodeid, NULL, 0, "user.note"),
			 -ENODATA);
	assert_int_equal(fc_named(&f->c, FUSE_REMOVEXATTR, e.nodeid, NULL, 0, "user.husk.note"),
			 -EPERM);
	f->c.uid = 0;
	/* A link has none, and nothing happens to what it points to. */
	assert_int_equal(fc_setxattr(&f->c, l.nodeid, "trusted.overlay.redirect", "x", 1, 0), -EPERM);
	assert_int_equal(fc_setxattr(&f->c, l.nodeid, "trusted.overlay.origin", "x", 1, 0), 0);
	assert_int_equal(fc_getxattr(&f->c, l.nodeid, "trusted.overlay.origin", v, sizeof(v)),
			 -ENODATA);
	assert_int_equal(fc_setxattr(&f->c, l.nodeid, "user.note", "x", 1, 0), -EPERM);
	assert_int_equal(fc_getxattr(&f->c, l.nodeid, "user.huskier", v, sizeof(v)), -ENODATA);
	assert_int_equal(fc_getxattr(&f->c, l.nodeid, NULL, NULL, 0), 0);
}

static void special_files(void **state)
{
	static const struct {
		const char *name;
		uint32_t mode, rdev;
	} kinds[] = {
		{ "chr", S_IFCHR | 0660, (1 << 8) | 3 },
		{ "big", S_IFCHR | 0600, (0xabc << 8) | 0x23 | (0x45 << 12 << 8) },
		{ "blk", S_IFBLK | 0600, 8 << 8 },
		{ "fifo", S_IFIFO | 0644, 0 },
		{ "sock", S_IFSOCK | 0755, 0 },
	};
	struct fsfix *f = *state;
	struct fuse_setattr_in chmod_in = { .valid = FATTR_MODE, .mode = 0600 };
	struct fuse_setattr_in size_in = { .valid = FATTR_SIZE, .size = 1 };
	struct fuse_entry_out e, x;
	struct fuse_attr a;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(
			fc_mknod(&f->c, f->root, kinds[i].name, kinds[i].mode, kinds[i].rdev, &e),
			0);
		assert_int_equal(e.attr.mode, kinds[i].mode & ~022u);
		assert_int_equal(e.attr.rdev, kinds[i].rdev);
		assert_int_equal(host_stat(f, kinds[i].name).st_mode & S_IFMT, S_IFREG);
		assert_int_equal(fc_setattr(&f->c, e.nodeid, &chmod_in), 0);
		assert_int_equal(fc_setattr(&f->c, e.nodeid, &size_in), -EINVAL);
		assert_int_equal(fc_getattr(&f->c, e.nodeid, &a), 0);
		assert_int_equal(a.mode, (kinds[i].mode & S_IFMT) | 0600);
		assert_int_equal(fc_lookup(&f->c, f->root, kinds[i].name, &x), 0);
		assert_int_equal(x.nodeid, e.nodeid);
		assert_int_equal(x.attr.mode, a.mode);
	}
	/* One with an attribute that somebody made up is what it is. */
	{
		int fd = openat(f->share_fd, "odd", O_RDWR | O_CREAT, 01600);

		assert_int_equal(fchmod(fd, 01600), 0);
		assert_int_equal(fsetxattr(fd, "user.husk.special", "c 1 3x", 6, 0), 0);
		close(fd);
		assert_int_equal(fc_lookup(&f->c, f->root, "odd", &e), 0);
		assert_int_equal(e.attr.mode, S_IFREG | 01600);
		/* So is what only looks like one. */
		for (unsigned i = 0; i < 2; i++) {
			fsfix_host_file(f, "sticky", "", 01644);
			fd = openat(f->share_fd, "sticky", O_RDONLY);
			assert_true(i == 0 || fsetxattr(fd, "user.husk.special", "", 0, 0) == 0);
			close(fd);
			assert_int_equal(fc_lookup(&f->c, f->root, "sticky", &e), 0);
			assert_int_equal(e.attr.mode, S_IFREG | 01644);
		}
	}
	assert_int_equal(fc_mknod(&f->c, f->root, "dir", S_IFDIR | 0755, 0, &e), -EINVAL);
	/* The host's own are shown, and never opened. */
	assert_int_equal(mknodat(f->share_fd, "hostfifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(mknodat(f->share_fd, "hostnull", S_IFCHR | 0600, makedev(1, 3)), 0);
	{
		static const char *const host[] = { "hostfifo", "hostnull" };
		uint64_t fh;

		for (size_t i = 0; i < ARRAY_SIZE(host); i++) {
			assert_int_equal(fc_lookup(&f->c, f->root, host[i], &e), 0);
			assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &fh), -ENXIO);
			assert_int_equal(fc_create(&f->c, f->root, host[i], O_RDWR, 0600, &x, &fh),
					 -ESTALE);
			assert_int_equal(fc_getxattr(&f->c, e.nodeid, "user.x", NULL, 0), -ENODATA);
			assert_int_equal(fc_setattr(&f->c, e.nodeid, &size_in), -EINVAL);
			assert_int_equal(fc_setattr(&f->c, e.nodeid, &chmod_in), 0);
		}
		assert_int_equal(e.attr.rdev, (1 << 8) | 3);
	}
}

/* Overlayfs in the guest, with its upper directory here. */
static void whiteouts(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e;
	struct stat st;
	uint64_t fh;

	assert_int_equal(fc_mknod(&f->c, f->root, "wh", S_IFCHR, 0, &e), 0);
	assert_int_equal(e.attr.mode, S_IFCHR);
	assert_int_equal(e.attr.rdev, 0);
	st = host_stat(f, "wh");
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), -ENXIO);
	fsfix_host_file(f, "a", "text", 0644);
	assert_int_equal(fc_lookup(&f->c, f->root, "a", &e), 0);
	assert_int_equal(fc_rename(&f->c, f->root, "a", f->root, "b", RENAME_WHITEOUT), 0);
	st = host_stat(f, "a");
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	assert_int_equal(host_stat(f, "b").st_size, 4);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), 0); /* where it is now */
	assert_int_equal(
		fc_rename(&f->c, f->root, "b", f->root, "a", RENAME_WHITEOUT | RENAME_NOREPLACE),
		-EEXIST);
	assert_int_equal(
		fc_rename(&f->c, f->root, "b", f->root, "a", RENAME_WHITEOUT | RENAME_EXCHANGE),
		-EINVAL);
	assert_int_equal(fc_rename(&f->c, f->root, "b", f->root, "a", 1u << 3), -EINVAL);
}

static void rarer_operations(void **state)
{
	struct fsfix *f = *state;
	struct fuse_create_in tmp = { .flags = O_RDWR, .mode = 0600 };
	struct fuse_entry_out e, x;
	struct fuse_open_out o;
	struct fuse_fallocate_in fa;
	struct fuse_lseek_in ls;
	struct fuse_lseek_out lso;
	struct fuse_copy_file_range_in cp;
	struct fuse_fsync_in sync = { 0 };
	struct fuse_syncfs_in sfs = { 0 };
	struct fs_statx_in sx = { .sx_mask = STATX_BASIC_STATS | STATX_BTIME };
	struct fuse_access_in acc = { .mask = R_OK | W_OK };
	struct fuse_ioctl_in io = { .cmd = 0x5401 };
	uint8_t map[40] = { 0 }; /* what struct fuse_setupmapping_in takes */
	char buf[16] = "";

	assert_int_equal(fc_named(&f->c, FUSE_TMPFILE, f->root, &tmp, sizeof(tmp), "#1"), 0);
	memcpy(&e, f->c.body, sizeof(e));
	memcpy(&o, f->c.body + sizeof(e), sizeof(o));
	assert_int_equal(e.attr.nlink, 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, o.fh, 0, "0123456789", 10, 0, 0), 10);
	assert_int_equal(fc_link(&f->c, f->root, "born", e.nodeid, &x), 0);
	assert_int_equal(host_stat(f, "born").st_size, 10);
	fa = (struct fuse_fallocate_in){ .fh = o.fh, .offset = 1 << 20, .length = 4096 };
	assert_int_equal(fc_fixed(&f->c, FUSE_FALLOCATE, e.nodeid, fa), 0);
	assert_int_equal(host_stat(f, "born").st_size, (1 << 20) + 4096);
	fa.mode = FALLOC_FL_COLLAPSE_RANGE;
	assert_int_equal(fc_fixed(&f->c, FUSE_FALLOCATE, e.nodeid, fa), -EOPNOTSUPP);
	ls = (struct fuse_lseek_in){ .fh = o.fh, .whence = SEEK_HOLE };
	assert_int_equal(fc_fixed(&f->c, FUSE_LSEEK, e.nodeid, ls), 0);
	memcpy(&lso, f->c.body, sizeof(lso));
	assert_int_equal(lso.offset, 4096);
	ls.whence = SEEK_CUR;
	assert_int_equal(fc_fixed(&f->c, FUSE_LSEEK, e.nodeid, ls), -EINVAL);
	assert_int_equal(fc_create(&f->c, f->root, "copy", O_RDWR, 0600, &x, &cp.fh_out), 0);
	cp = (struct fuse_copy_file_range_in){
		.fh_in = o.fh, .off_in = 2, .nodeid_out = x.nodeid, .fh_out = cp.fh_out, .len = 5
	};
	assert_int_equal(fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, e.nodeid, cp), 0);
	assert_int_equal(fc_read(&f->c, x.nodeid, cp.fh_out, 0, buf, 15), 5);
	assert_string_equal(buf, "23456");
	sync.fh = o.fh;
	assert_int_equal(fc_fixed(&f->c, FUSE_FSYNC, e.nodeid, sync), 0);
	assert_int_equal(fc_fixed(&f->c, FUSE_SYNCFS, f->root, sfs), 0);
	assert_int_equal(fc_fixed(&f->c, FUSE_SYNCFS, FUSE_ROOT_ID, sfs), 0);
	assert_int_equal(fc_fixed(&f->c, FS_OP_STATX, e.nodeid, sx), 0);
	assert_int_equal(f->c.body_len, sizeof(struct fs_statx_out));
	assert_int_equal(fc_named(&f->c, FUSE_STATFS, e.nodeid, NULL, 0, NULL), 0);
	f->c.uid = 1000;
	assert_int_equal(fc_fixed(&f->c, FUSE_ACCESS, e.nodeid, acc), -EACCES);
	f->c.uid = 0;
	assert_int_equal(fc_fixed(&f->c, FUSE_ACCESS, e.nodeid, acc), 0);
	/* Of a connection with id-mapped mounts: nobody is named but where something is made. */
	f->c.uid = f->c.gid = UINT32_MAX;
	assert_int_equal(fc_fixed(&f->c, FUSE_ACCESS, e.nodeid, acc), 0);
	assert_int_equal(fc_getattr(&f->c, e.nodeid, &x.attr), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &o.fh), 0);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, f->root, NULL, 0, "copy"), 0);
	assert_int_equal(fc_mkdir(&f->c, f->root, "nobodys", 0700, &x), -EOVERFLOW);
	assert_int_equal(fc_create(&f->c, f->root, "nobodys", O_RDWR, 0600, &x, &o.fh), -EOVERFLOW);
	f->c.uid = f->c.gid = 0;
	assert_int_equal(fc_fixed(&f->c, FUSE_IOCTL, e.nodeid, io), -ENOTTY);
	assert_int_equal(fc_named(&f->c, 9999, e.nodeid, NULL, 0, NULL), -ENOSYS);
	assert_int_equal(fc_named(&f->c, FUSE_SETUPMAPPING, e.nodeid, &map, sizeof(map), NULL),
			 -ENOSYS);
}

/* What the conformance suite found: each is one step from what was right before. */
static void open_flags(void **state)
{
	struct fsfix *f = *state;
	struct fuse_open_in in = { .flags = O_RDONLY };
	struct fuse_lseek_in ls = { .offset = (uint64_t)-1, .whence = SEEK_DATA };
	struct fuse_setattr_in nothing = { .valid = FATTR_FH };
	struct fuse_open_out out;
	struct fuse_entry_out e;
	struct timespec old[2] = { { .tv_sec = 100 }, { .tv_sec = 200 } };
	char c[4];
	uint64_t fh;

	fsfix_host_file(f, "db", "abc", 06755);
	assert_int_equal(utimensat(f->share_fd, "db", old, 0), 0);
	assert_int_equal(fc_lookup(&f->c, f->root, "db", &e), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY | O_NOATIME, &fh), 0);
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, 0, c, 3), 3);
	assert_int_equal(host_stat(f, "db").st_atime, 100);
	ls.fh = fh;
	assert_int_equal(fc_fixed(&f->c, FUSE_LSEEK, e.nodeid, ls), -ENXIO);
	/* Neither reading nor writing. */
	assert_int_equal(fc_open(&f->c, e.nodeid, O_ACCMODE, &fh), 0);
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, 0, c, 3), -EBADF);
	/* A chown() to nobody. */
	assert_int_equal(fc_setattr(&f->c, e.nodeid, &nothing), 0);
	assert_int_equal(host_stat(f, "db").st_mode & 07777, 0755);
	/* close() of a file for reading is worth a message once there are locks. */
	assert_int_equal(fc_fixed(&f->c, FUSE_OPEN, e.nodeid, in), 0);
	memcpy(&out, f->c.body, sizeof(out));
	assert_true(out.open_flags & FOPEN_NOFLUSH);
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, out.fh, 1, F_RDLCK, 0, 9, 0), 0);
	assert_int_equal(fc_fixed(&f->c, FUSE_OPEN, e.nodeid, in), 0);
	memcpy(&out, f->c.body, sizeof(out));
	assert_false(out.open_flags & FOPEN_NOFLUSH);
}

/* The server's, in the place of the C library's. */
static int chown_fails;

int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	if (!chown_fails)
		return (int)syscall(SYS_fchownat, dirfd, path, uid, gid, flags);
	errno = chown_fails;
	return -1;
}

static int make_kind(struct fsfix *f, unsigned kind, struct fuse_entry_out *e)
{
	const struct fuse_create_in tmp = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	uint64_t fh;

	switch (kind) {
	case 0:
		return fc_mkdir(&f->c, f->root, "0", 0700, e);
	case 1:
		return fc_symlink(&f->c, f->root, "1", "target", e);
	case 2:
		return fc_mknod(&f->c, f->root, "2", S_IFREG | 0600, 0, e);
	case 3:
		return fc_mknod(&f->c, f->root, "3", S_IFIFO | 0600, 0, e);
	case 4:
		return fc_create(&f->c, f->root, "4", O_RDWR, 0600, e, &fh);
	default:
		return fc_named(&f->c, FUSE_TMPFILE, f->root, &tmp, sizeof(tmp), "#1");
	}
}

/* What only root could make here and the caller cannot be given (his quota) is not there, and may be made later. */
static void cannot_be_given(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e;

	f->c.uid = f->c.gid = 1000;
	for (unsigned i = 0; i < 6; i++) {
		char name[2] = { (char)('0' + i), 0 };

		chown_fails = EDQUOT;
		assert_int_equal(make_kind(f, i, &e), -EDQUOT);
		chown_fails = 0;
		assert_int_equal(faccessat(f->share_fd, name, F_OK, AT_SYMLINK_NOFOLLOW), -1);
		assert_int_equal(make_kind(f, i, &e), 0);
		if (i < 5)
			assert_int_equal(host_stat(f, name).st_uid, 1000);
	}
	f->c.uid = f->c.gid = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(owner_and_mode), FS_TEST(supplementary_group), FS_TEST(extended_attributes),
		FS_TEST(special_files),	 FS_TEST(rarer_operations), FS_TEST(whiteouts),
		FS_TEST(open_flags),	 FS_TEST(cannot_be_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
