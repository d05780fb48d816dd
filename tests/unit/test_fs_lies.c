// SPDX-License-Identifier: Apache-2.0
/* Requests of which one field lies, each a step from one that is accepted. Run as root. */
#include "tests/unit/fs_setup.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "vmm/fs/fs_internal.h"

/* The server's cache of descriptors becomes empty. */
static void fs_fds_forget(struct fsfix *f)
{
	fs_fds_shrink(f->c.s, UINT32_MAX);
}

/* Every operation on an open file: where its handle is, and how long its arguments are. */
static const struct fh_op {
	const char *name;
	uint32_t op;
	size_t len, fh_at;
	bool dir;
} fh_ops[] = {
	{ "READ", FUSE_READ, sizeof(struct fuse_read_in), 0, false },
	{ "WRITE", FUSE_WRITE, sizeof(struct fuse_write_in), 0, false },
	{ "FLUSH", FUSE_FLUSH, sizeof(struct fuse_flush_in), 0, false },
	{ "FSYNC", FUSE_FSYNC, sizeof(struct fuse_fsync_in), 0, false },
	{ "LSEEK", FUSE_LSEEK, sizeof(struct fuse_lseek_in), 0, false },
	{ "FALLOCATE", FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), 0, false },
	{ "GETLK", FUSE_GETLK, sizeof(struct fuse_lk_in), 0, false },
	{ "SETLK", FUSE_SETLK, sizeof(struct fuse_lk_in), 0, false },
	{ "SETLKW", FUSE_SETLKW, sizeof(struct fuse_lk_in), 0, false },
	{ "SETATTR", FUSE_SETATTR, sizeof(struct fuse_setattr_in), 8, false },
	{ "COPY_FILE_RANGE from", FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), 0,
	  false },
	{ "COPY_FILE_RANGE to", FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), 24,
	  false },
	{ "READDIR", FUSE_READDIR, sizeof(struct fuse_read_in), 0, true },
	{ "READDIRPLUS", FUSE_READDIRPLUS, sizeof(struct fuse_read_in), 0, true },
	{ "FSYNCDIR", FUSE_FSYNCDIR, sizeof(struct fuse_fsync_in), 0, true },
	{ "RELEASE", FUSE_RELEASE, sizeof(struct fuse_release_in), 0, false },
	{ "RELEASEDIR", FUSE_RELEASEDIR, sizeof(struct fuse_release_in), 0, true },
};

/* Arguments that would do nothing bad with the right handle. */
static void honest(const struct fh_op *t, uint8_t *arg, uint64_t node, uint64_t fh)
{
	memset(arg, 0, 128);
	if (t->op == FUSE_LSEEK)
		memcpy(arg + 16, &(uint32_t){ SEEK_DATA }, 4);
	if (t->op == FUSE_FALLOCATE)
		memcpy(arg + 16, &(uint64_t){ 1 }, 8);
	if (t->op == FUSE_SETATTR)
		memcpy(arg, &(uint32_t){ FATTR_SIZE | FATTR_FH }, 4);
	if (t->op == FUSE_READDIR || t->op == FUSE_READDIRPLUS)
		memcpy(arg + 16, &(uint32_t){ 4096 }, 4);
	if (t->op == FUSE_COPY_FILE_RANGE) {
		memcpy(arg, &fh, 8);
		memcpy(arg + 16, &node, 8);
		memcpy(arg + 24, &fh, 8);
	}
	memcpy(arg + t->fh_at, &fh, 8);
}

static void handles(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out a, b, d, d2;
	uint64_t fa, fb, fd, fd2, gone;
	uint8_t arg[128];

	assert_int_equal(fc_create(&f->c, f->root, "a", O_RDWR, 0600, &a, &fa), 0);
	assert_int_equal(fc_write(&f->c, a.nodeid, fa, 0, "x", 1, 0, 0), 1);
	assert_int_equal(fc_create(&f->c, f->root, "b", O_RDWR, 0600, &b, &fb), 0);
	assert_int_equal(fc_mkdir(&f->c, f->root, "d", 0700, &d), 0);
	assert_int_equal(fc_mkdir(&f->c, f->root, "d2", 0700, &d2), 0);
	assert_int_equal(fc_opendir(&f->c, d.nodeid, &fd), 0);
	assert_int_equal(fc_opendir(&f->c, d2.nodeid, &fd2), 0);
	assert_int_equal(fc_open(&f->c, a.nodeid, O_RDWR, &gone), 0);
	assert_int_equal(fc_release(&f->c, a.nodeid, gone, false), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fh_ops); i++) {
		const struct fh_op *t = &fh_ops[i];
		uint64_t node = t->dir ? d.nodeid : a.nodeid, right = t->dir ? fd : fa;
		const struct {
			const char *why;
			uint64_t fh;
		} wrong[] = {
			{ "of another node", t->dir ? fd2 : fb },
			{ "of the other kind", t->dir ? fa : fd },
			{ "released", gone },
			{ "of another generation", right + (1ull << 32) },
			{ "never given", right + 1000 },
			{ "0", 0 },
			{ "all ones", UINT64_MAX },
		};

		for (size_t k = 0; k < ARRAY_SIZE(wrong); k++) {
			int rc;

			honest(t, arg, node, right);
			memcpy(arg + t->fh_at, &wrong[k].fh, 8);
			rc = fc_named(&f->c, t->op, node, arg, t->len, NULL);
			if (rc != -EBADF)
				fail_msg("%s with a handle %s: %d", t->name, wrong[k].why, rc);
		}
		honest(t, arg, node, right);
		if (fc_named(&f->c, t->op, node, arg, t->len, NULL) < 0 &&
		    t->op != FUSE_COPY_FILE_RANGE && t->op != FUSE_GETLK && t->op != FUSE_LSEEK)
			fail_msg("%s with the right one", t->name);
	}
}

/* A second node that the guest may not name there. */
static void second_nodes(void **state)
{
	struct fsfix *f = *state;
	struct fuse_copy_file_range_in cp = { .len = 1 };
	struct fuse_entry_out a, b, other, x, gone;
	uint64_t fb;

	assert_int_equal(mkdirat(f->share_fd, "sub", 0700), 0);
	assert_int_equal(fs_share_add(f->c.s, "o", openat(f->share_fd, "sub", O_PATH), 0, NULL), 0);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "o", &other), 0);
	assert_int_equal(fc_create(&f->c, other.nodeid, "b", O_RDWR, 0600, &b, &fb), 0);
	assert_int_equal(fc_create(&f->c, f->root, "a", O_RDWR, 0600, &a, &cp.fh_in), 0);
	assert_int_equal(fc_mkdir(&f->c, f->root, "gone", 0700, &gone), 0);
	fc_forget(&f->c, gone.nodeid, 1);
	{
		const struct {
			const char *why;
			uint64_t node;
			int want;
		} rows[] = {
			{ "of another share", other.nodeid, -EXDEV },
			{ "the synthetic root", FUSE_ROOT_ID, -EXDEV },
			{ "forgotten", gone.nodeid, -ENOENT },
			{ "never given", a.nodeid + 100000, -ENOENT },
			{ "of another generation", a.nodeid + (1ull << 32), -ENOENT },
			{ "0", 0, -ENOENT },
			{ "of a share that never was", f->root + 1, -ESTALE },
			{ "of one that is no more", f->root + (1ull << 32), -ESTALE },
			{ "of a share beyond the table", f->root + 100000, -ESTALE },
			{ "a file", a.nodeid, -ENOTDIR },
		};

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			check_row(rows[i].why, fc_rename(&f->c, f->root, "a", rows[i].node, "z",
							 0) == rows[i].want);
			if (rows[i].want == -ENOTDIR)
				break;
			check_row(rows[i].why,
				  fc_link(&f->c, f->root, "z", rows[i].node, &x) == rows[i].want);
			cp.nodeid_out = rows[i].node;
			check_row(rows[i].why, fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, a.nodeid,
							cp) == rows[i].want);
		}
	}
	cp.nodeid_out = b.nodeid; /* with its right handle */
	cp.fh_out = fb;
	assert_int_equal(fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, a.nodeid, cp), -EXDEV);
	assert_int_equal(fc_link(&f->c, f->root, "z", f->root, &x), -EPERM); /* of a directory */
}

static void ranges(void **state)
{
	struct fsfix *f = *state;
	struct fuse_copy_file_range_in cp = { .len = 1 };
	struct fuse_fallocate_in fa = { .length = 1 };
	struct fuse_lseek_in ls = { .whence = SEEK_DATA };
	struct fuse_read_in rd = { .size = 1 };
	struct fuse_entry_out e;
	uint64_t fh, ro;

	assert_int_equal(fc_create(&f->c, f->root, "f", O_RDWR, 0600, &e, &fh), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &ro), 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "0123456789", 10, 0, 0), 10);
	rd.fh = fa.fh = ls.fh = cp.fh_in = cp.fh_out = fh;
	cp.nodeid_out = e.nodeid;
	cp.off_out = 20;
	assert_int_equal(fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, e.nodeid, cp), 0);
	cp.flags = 1;
	assert_int_equal(fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, e.nodeid, cp), -EINVAL);
	cp.flags = 0;
	cp.fh_out = ro;
	assert_int_equal(fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, e.nodeid, cp), -EBADF);
	cp.fh_out = fh;
	cp.off_in = 1ull << 63;
	assert_int_equal(fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, e.nodeid, cp), -EINVAL);
	cp.off_in = 0;
	cp.off_out = 1ull << 63;
	assert_int_equal(fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, e.nodeid, cp), -EINVAL);
	fa.fh = ro;
	assert_int_equal(fc_fixed(&f->c, FUSE_FALLOCATE, e.nodeid, fa), -EBADF);
	fa.fh = fh;
	assert_int_equal(fc_fixed(&f->c, FUSE_FALLOCATE, e.nodeid, fa), 0);
	fa.offset = 1ull << 63;
	assert_int_equal(fc_fixed(&f->c, FUSE_FALLOCATE, e.nodeid, fa), -EINVAL);
	fa.offset = 0;
	fa.length = 1ull << 63;
	assert_int_equal(fc_fixed(&f->c, FUSE_FALLOCATE, e.nodeid, fa), -EINVAL);
	fa.length = 1;
	fa.mode = FALLOC_FL_INSERT_RANGE;
	assert_int_equal(fc_fixed(&f->c, FUSE_FALLOCATE, e.nodeid, fa), -EOPNOTSUPP);
	assert_int_equal(fc_fixed(&f->c, FUSE_LSEEK, e.nodeid, ls), 0);
	ls.whence = SEEK_END;
	assert_int_equal(fc_fixed(&f->c, FUSE_LSEEK, e.nodeid, ls), -EINVAL);
	ls.whence = SEEK_DATA;
	ls.offset = 1ull << 63;
	assert_int_equal(fc_fixed(&f->c, FUSE_LSEEK, e.nodeid, ls), -ENXIO);
	rd.offset = 1ull << 63;
	assert_int_equal(fc_fixed(&f->c, FUSE_READ, e.nodeid, rd), -EINVAL);
	rd.offset = INT64_MAX;
	rd.size = UINT32_MAX;
	assert_int_equal(fc_fixed(&f->c, FUSE_READ, e.nodeid, rd), -EINVAL);
	rd.offset = 0; /* four gigabytes: what there is */
	assert_int_equal(fc_fixed(&f->c, FUSE_READ, e.nodeid, rd), 0);
	assert_int_equal(f->c.body_len, 21);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_ACCMODE, &fh), 0);
}

/* WRITE whose size is not its payload's. */
static void write_sizes(void **state)
{
	struct fsfix *f = *state;
	static uint8_t data[4096];
	struct iovec iov = { data, sizeof(data) };
	struct {
		struct fuse_in_header h;
		struct fuse_write_in in;
	} req = { .h = { .opcode = FUSE_WRITE, .unique = 1 } };
	static const struct {
		const char *why;
		uint32_t size;
		size_t payload;
		int want;
	} rows[] = {
		{ "honest", 4096, 4096, 0 },
		{ "fewer than given", 10, 4096, 0 },
		{ "more than given", 4097, 4096, -EINVAL },
		{ "nothing given", 1, 0, -EINVAL },
		{ "beyond the largest", FS_MAX_WRITE + 1, 4096, -EINVAL },
		{ "four gigabytes", UINT32_MAX, 4096, -EINVAL },
	};
	struct fuse_entry_out e;

	assert_int_equal(fc_create(&f->c, f->root, "f", O_RDWR, 0600, &e, &req.in.fh), 0);
	req.h.nodeid = e.nodeid;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		req.in.size = rows[i].size;
		iov.iov_len = rows[i].payload;
		req.h.len = (uint32_t)(sizeof(req) + rows[i].payload);
		check_row(rows[i].why, fc_raw(&f->c, &req, sizeof(req), &iov, 1) == rows[i].want);
	}
	/* Lengths of parts that wrap around. */
	{
		struct iovec wrap[2] = { { data, 4096 }, { data, SIZE_MAX - 4095 } };

		req.h.len = sizeof(req);
		req.in.size = 1;
		assert_int_equal(fc_raw(&f->c, &req, sizeof(req), wrap, 2), -EINVAL);
	}
}

static void xattr_sizes(void **state)
{
	struct fsfix *f = *state;
	struct fuse_setxattr_in in = { 0 };
	static char big[70000];
	struct fuse_entry_out e;
	char v[16], name[300];

	fsfix_host_file(f, "f", "", 0644);
	assert_int_equal(fc_lookup(&f->c, f->root, "f", &e), 0);
	{
		const struct {
			const char *why;
			struct fuse_setxattr_in in;
			const char *name;
			size_t name_len, value_len;
			int want;
		} rows[] = {
			{ "honest", { .size = 3 }, "user.a", 7, 3, 0 },
			{ "empty", { .size = 0 }, "user.e", 7, 0, 0 },
			{ "more than there is", { .size = 4 }, "user.a", 7, 3, -EINVAL },
			{ "64 KiB and one", { .size = 65537 }, "user.a", 7, 3, -E2BIG },
			{ "four gigabytes", { .size = UINT32_MAX }, "user.a", 7, 3, -E2BIG },
			{ "no NUL", { .size = 0 }, "user.a", 6, 0, -EINVAL },
			{ "no name", { .size = 2 }, "", 1, 2, -EINVAL },
			{ "no such flag", { .size = 3, .flags = 4 }, "user.a", 7, 3, -EINVAL },
			{ "both flags", { .size = 3, .flags = 3 }, "user.a", 7, 3, -EEXIST },
			{ "the old, short form", { .size = 3 }, NULL, 0, 0, -EINVAL },
		};

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			struct fc_arg a[3] = { { &rows[i].in, rows[i].name ? sizeof(in) : 10 },
					       { rows[i].name, rows[i].name_len },
					       { "abc", rows[i].value_len } };
			int rc = fc_call(&f->c, FUSE_SETXATTR, e.nodeid, a, 3);

			if (rc != rows[i].want)
				fail_msg("%s: %d", rows[i].why, rc);
		}
	}
	memset(name, 'x', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = '\0';
	assert_int_equal(fc_setxattr(&f->c, e.nodeid, name, "v", 1, 0), -ERANGE);
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, name, v, 8), -ERANGE);
	assert_int_equal(fc_setxattr(&f->c, e.nodeid, "user.big", big, 65537, 0), -E2BIG);
	/* The room is what the guest asked for and nothing more: shorter than a size is. */
	for (uint32_t n = 1; n < 12; n++) {
		f->c.room = sizeof(struct fuse_out_header) + n;
		check_row("value in the room for it",
			  fc_getxattr(&f->c, e.nodeid, "user.a", v, n) == (n < 3 ? -ERANGE : 3));
	}
	f->c.room = sizeof(struct fuse_out_header); /* it asks for a value, and can take none */
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, "user.a", v, 3), -ERANGE);
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, NULL, v, 3), -ERANGE);
	f->c.room =
		sizeof(struct fuse_out_header) + 4; /* it asks for the size, and cannot take it */
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, "user.a", NULL, 0), -EINVAL);
	assert_int_equal(fc_getxattr(&f->c, e.nodeid, NULL, NULL, 0), -EINVAL);
}

/* Nothing that is not a file is opened, whatever the guest believes it to be. */
static void not_files(void **state)
{
	static const uint32_t kinds[] = { S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK };
	struct fsfix *f = *state;
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };
	struct fuse_entry_out e, x;
	uint64_t fh;

	alarm(20); /* opening a FIFO would wait for ever */
	assert_int_equal(mknodat(f->share_fd, "hostpipe", S_IFIFO | 0666, 0), 0);
	assert_int_equal(fc_lookup(&f->c, f->root, "hostpipe", &e), 0);
	for (size_t i = 0; i <= ARRAY_SIZE(kinds); i++) {
		char name[8] = { 'k', (char)('0' + i), 0 };

		if (i < ARRAY_SIZE(kinds))
			assert_int_equal(fc_mknod(&f->c, f->root, name, kinds[i] | 0666, 0x103, &e),
					 0);
		assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), -ENXIO);
		assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR | O_TRUNC, &fh), -ENXIO);
		assert_int_equal(fc_opendir(&f->c, e.nodeid, &fh), -ENOTDIR);
		assert_int_equal(fc_setattr(&f->c, e.nodeid, &in), -EINVAL);
		assert_int_equal(fc_named(&f->c, FUSE_READLINK, e.nodeid, NULL, 0, NULL), -EINVAL);
		if (i < ARRAY_SIZE(kinds))
			assert_int_equal(fc_create(&f->c, f->root, name, O_RDWR, 0600, &x, &fh),
					 -ESTALE);
	}
	alarm(0);
}

static void ioctls(void **state)
{
	static const uint32_t cmds[] = {
		0x5401, 0x80086601, 0x40086602, 0xc0185879, 0, UINT32_MAX
	};
	struct fsfix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		struct fuse_ioctl_in in = { .flags = UINT32_MAX,
					    .cmd = cmds[i],
					    .arg = UINT64_MAX,
					    .in_size = UINT32_MAX,
					    .out_size = UINT32_MAX };

		assert_int_equal(fc_fixed(&f->c, FUSE_IOCTL, f->root, in), -ENOTTY);
	}
}

/* The host, or another guest, takes the name of a file that is open here: it works on, as it would
 * for a process of the host, though its descriptor was closed in between. */
static void open_and_nameless(void **state)
{
	struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0640 };
	struct fuse_entry_out e, d, x;
	struct fsfix *f = calloc(1, sizeof(*f));
	struct fuse_attr a;
	uint64_t fh, dirfh, fh2;

	(void)state;
	assert_non_null(f);
	cfg.max_fds = 1;
	fsfix_init(f, NULL, &cfg, 0);
	assert_int_equal(fc_mkdir(&f->c, f->root, "d", 0700, &d), 0);
	assert_int_equal(fc_create(&f->c, d.nodeid, "f", O_RDWR, 0600, &e, &fh), 0);
	assert_int_equal(fc_opendir(&f->c, d.nodeid, &dirfh), 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "abc", 3, 0, 0), 3);
	assert_int_equal(unlinkat(f->share_fd, "d/f", 0), 0);
	assert_int_equal(renameat(f->share_fd, "d", f->share_fd, "away"), 0);
	fs_fds_forget(f); /* nothing of it is in the server's cache of descriptors */
	assert_int_equal(fc_getattr(&f->c, e.nodeid, &a), 0);
	assert_int_equal(a.nlink, 0);
	assert_int_equal(fc_setattr(&f->c, e.nodeid, &in), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &fh2), 0);
	assert_int_equal(fc_create(&f->c, d.nodeid, "new", O_RDWR, 0600, &x, &fh2), 0);
	assert_int_equal(host_stat(f, "away/new").st_mode, S_IFREG | 0600);
	/* Below the open directory, too. */
	fs_fds_forget(f);
	assert_int_equal(fc_getattr(&f->c, x.nodeid, &a), 0);
	/* Without the open file it is gone. */
	assert_int_equal(fc_release(&f->c, d.nodeid, dirfh, true), 0);
	fs_fds_forget(f);
	assert_int_equal(fc_getattr(&f->c, d.nodeid, &a), -ESTALE);
	fsfix_done(f);
	free(f);
}

/* Directories deeper than what is opened at a time, with hardly a descriptor. */
static void deep(void **state)
{
	struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;
	struct fsfix *f = calloc(1, sizeof(*f));
	struct fuse_entry_out d;
	struct fuse_attr a;
	uint64_t mid = 0;

	(void)state;
	assert_non_null(f);
	cfg.max_fds = 2;
	fsfix_init(f, NULL, &cfg, 0);
	d.nodeid = f->root;
	for (unsigned i = 0; i < 2600; i++) {
		assert_int_equal(fc_mkdir(&f->c, d.nodeid, "d", 0700, &d), 0);
		if (i == 1100)
			mid = d.nodeid;
	}
	for (unsigned i = 0; i < 2; i++) {
		fs_fds_forget(f);
		assert_int_equal(fc_getattr(&f->c, i ? mid : d.nodeid, &a), 0);
		assert_int_equal(fc_named(&f->c, FUSE_STATFS, i ? mid : d.nodeid, NULL, 0, NULL),
				 0);
	}
	assert_int_equal(renameat(f->share_fd, "d", f->share_fd, "x"), 0);
	fs_fds_forget(f);
	assert_int_equal(fc_named(&f->c, FUSE_STATFS, d.nodeid, NULL, 0, NULL), -ESTALE);
	fsfix_done(f);
	free(f);
}

/* READDIR reads no further than it replies: going back is not exact on every file system. */
static void listings(void **state)
{
	static const uint32_t sizes[] = { 2048, 4096, 5000, 65536 };
	struct fsfix *f = *state;
	uint64_t fh;

	for (int i = 0; i < 300; i++) {
		char name[300];

		snprintf(name, sizeof(name), "%0*d", 4 + i * 37 % 251, i);
		fsfix_host_file(f, name, "", 0600);
	}
	assert_int_equal(fc_opendir(&f->c, f->root, &fh), 0);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		const struct fs_handle *h = fs_slots_get(&f->c.s->handles, fh);
		struct fuse_read_in in = { .fh = fh, .size = sizes[i / 2] };
		size_t bytes = 0;
		unsigned n = 0;

		for (;;) {
			assert_int_equal(fc_fixed(&f->c, i % 2 ? FUSE_READDIRPLUS : FUSE_READDIR,
						  f->root, in),
					 0);
			if (!f->c.body_len)
				break;
			assert_true(h->pos > 0 && lseek(h->fd, 0, SEEK_CUR) == h->pos);
			in.offset = (uint64_t)h->pos;
			bytes += f->c.body_len;
			n++;
		}
		if (sizes[i / 2] >= 4096) /* and uses the room that it has */
			assert_true(n <= 2 + bytes / sizes[i / 2] * 3);
	}
}

/* Owners of locks that nobody has: as many as there may be open files, then no more. */
static void lock_owners(void **state)
{
	struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;
	struct fsfix *f = calloc(1, sizeof(*f));
	unsigned fds = fsfix_count_fds(), had = 0;
	struct fuse_entry_out e;
	uint64_t fh, fh2;

	(void)state;
	assert_non_null(f);
	cfg.max_handles = 100;
	fsfix_init(f, NULL, &cfg, 0);
	assert_int_equal(fc_create(&f->c, f->root, "f", O_RDWR, 0600, &e, &fh), 0);
	for (uint64_t owner = 1; owner < 1000; owner++) {
		int rc = fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh, owner << 40, F_RDLCK, owner,
				 owner, 0);

		assert_true(rc == 0 || rc == -ENOLCK);
		had += rc == 0;
	}
	assert_int_equal(had, 99);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh2), -ENFILE);
	assert_true(fsfix_count_fds() < fds + 100 + 16);
	/* An owner that has none ends nothing, and needs nothing. */
	assert_int_equal(fc_lock(&f->c, FUSE_SETLK, e.nodeid, fh, 7, F_UNLCK, 0, 9, 0), 0);
	assert_int_equal(fc_fixed(&f->c, FUSE_FLUSH, e.nodeid,
				  ((struct fuse_flush_in){ .fh = fh, .lock_owner = 7 })),
			 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh2), -ENFILE);
	assert_int_equal(fc_release(&f->c, e.nodeid, fh, false), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh2), 0);
	fsfix_done(f);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(handles),
		FS_TEST(second_nodes),
		FS_TEST(ranges),
		FS_TEST(write_sizes),
		FS_TEST(xattr_sizes),
		FS_TEST(not_files),
		FS_TEST(ioctls),
		FS_TEST(listings),
		cmocka_unit_test(open_and_nameless),
		cmocka_unit_test(deep),
		cmocka_unit_test(lock_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
