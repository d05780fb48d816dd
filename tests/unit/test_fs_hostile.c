// SPDX-License-Identifier: Apache-2.0
/* A guest that lies, and a host that changes under the server. */
#include "tests/unit/fs_setup.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct bad_name {
	const char *why, *bytes;
	size_t len;
	int error;
};

static char long_name[257];

static const struct bad_name bad_names[] = {
	{ "empty", "\0", 2, -EINVAL },
	{ "no NUL", "ab", 2, -EINVAL },
	{ "the directory itself", ".\0", 3, -EINVAL },
	{ "the parent", "..", 3, -EINVAL },
	{ "a path", "a/b", 4, -EINVAL },
	{ "climbing", "../outside", 11, -EINVAL },
	{ "absolute", "/etc", 5, -EINVAL },
	{ "a slash at the end", "a/", 3, -EINVAL },
	{ "256 bytes", long_name, 257, -ENAMETOOLONG },
};

/* Each operation that takes a name: opcode, bytes before it. */
static const struct {
	uint32_t op;
	size_t fixed;
} naming[] = {
	{ FUSE_LOOKUP, 0 },
	{ FUSE_UNLINK, 0 },
	{ FUSE_RMDIR, 0 },
	{ FUSE_SYMLINK, 0 },
	{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in) },
	{ FUSE_MKNOD, sizeof(struct fuse_mknod_in) },
	{ FUSE_CREATE, sizeof(struct fuse_create_in) },
	{ FUSE_LINK, sizeof(struct fuse_link_in) },
	{ FUSE_RENAME, sizeof(struct fuse_rename_in) },
	{ FUSE_RENAME2, sizeof(struct fuse_rename2_in) },
};

static void names(void **state)
{
	static const uint8_t zero[64];
	struct fsfix *f = *state;

	memset(long_name, 'x', 256);
	for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
		const struct bad_name *t = &bad_names[i];

		for (size_t k = 0; k < ARRAY_SIZE(naming); k++) {
			struct fc_arg a[3] = { { zero, naming[k].fixed },
					       { t->bytes, t->len },
					       { "ok", 3 } };
			/* Without the NUL what follows would be the rest of the name. */
			size_t n = t->bytes[t->len - 1] ? 2 : 3;
			int rc = fc_call(&f->c, naming[k].op, f->root, a, n);

			if (rc != t->error)
				fail_msg("%s, opcode %u: %d", t->why, naming[k].op, rc);
		}
		/* As the second name, too. */
		if (t->bytes[t->len - 1] == 0) {
			struct fc_arg a[3] = { { zero, sizeof(struct fuse_rename_in) },
					       { "ok", 3 },
					       { t->bytes, t->len } };

			check_row(t->why, fc_call(&f->c, FUSE_RENAME, f->root, a, 3) == t->error);
		}
	}
	/* The synthetic root, where nothing can be made. */
	assert_int_equal(fc_named(&f->c, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, ".."), -EINVAL);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "s"), -EROFS);
	assert_int_equal(fc_named(&f->c, FUSE_MKDIR, FUSE_ROOT_ID, zero, 8, "d"), -EROFS);
	/* Bytes that are no text are a name like any other. */
	assert_int_equal(fc_named(&f->c, FUSE_MKDIR, f->root,
				  &(struct fuse_mkdir_in){ .mode = 0700 }, 8, "\xff\xfe\x01"),
			 0);
}

/* Replies that have no room, or too little: the client aborts when one is longer than it may be. */
static void little_room(struct fusecli *c, uint64_t node)
{
	static const uint8_t zero[128];

	for (uint32_t op = 0; op < 60; op++) {
		bool silent = op == FUSE_FORGET || op == FUSE_BATCH_FORGET || op == FUSE_INTERRUPT;

		for (c->room = 1; op != FUSE_DESTROY && c->room < 320; c->room++) {
			int rc = fc_named(c, op, node, zero, sizeof(zero), NULL);

			fc_named(c, op, node, zero, sizeof(zero), "name");
			if (c->room < sizeof(struct fuse_out_header))
				assert_int_equal(rc, silent ? 0 : -EBADMSG);
		}
	}
	c->room = 0;
}

/* Requests that are not what they say. */
static void requests(void **state)
{
	struct fsfix *f = *state;
	struct fuse_in_header h = { .len = 40, .opcode = FUSE_STATFS, .nodeid = 1, .unique = 3 };
	struct fuse_init_in init = { .major = 7, .minor = 38 };
	struct fusecli *c = &f->c;

	assert_int_equal(fc_raw(c, &h, 39, NULL, 0), -EBADMSG);
	h.len = 39;
	assert_int_equal(fc_raw(c, &h, 40, NULL, 0), -EINVAL);
	h.len = UINT32_MAX;
	assert_int_equal(fc_raw(c, &h, 40, NULL, 0), -EINVAL);
	assert_int_equal(fc_fixed(c, FUSE_INIT, 0, init), -EPROTO); /* once is enough */
	h.len = 40;
	h.total_extlen = 1; /* an extension that is not there */
	assert_int_equal(fc_raw(c, &h, 40, NULL, 0), -EINVAL);
	/* Every opcode with nothing and with too little behind the header. */
	for (uint32_t op = 0; op < 80; op++) {
		static const uint8_t few[128];

		if (op == FUSE_DESTROY)
			continue;
		for (size_t n = 0; n <= sizeof(few); n++) {
			fc_named(c, op, f->root, few, n, NULL);
			fc_named(c, op, 1, few, n, NULL);
			fc_named(c, op, 0, few, n, NULL);
			fc_named(c, op, UINT64_MAX, few, n, NULL);
		}
	}
	little_room(c, f->root);
	assert_int_equal(fc_named(c, FUSE_DESTROY, 0, NULL, 0, NULL), 0);
	assert_int_equal(fc_named(c, FUSE_STATFS, 1, NULL, 0, NULL), -EPROTO);
	init.major = 0;
	assert_int_equal(fc_fixed(c, FUSE_INIT, 0, init), -EPROTO);
	init.major = 7;
	init.minor = 30;
	assert_int_equal(fc_fixed(c, FUSE_INIT, 0, init), -EPROTO);
	init.major = UINT32_MAX; /* it is to ask again, in ours */
	assert_int_equal(fc_fixed(c, FUSE_INIT, 0, init), 0);
	assert_int_equal(fc_named(c, FUSE_STATFS, 1, NULL, 0, NULL), -EPROTO);
	assert_int_equal(fc_init(c), 0);
}

/* Numbers that are nobody's, or somebody else's. */
static void numbers(void **state)
{
	struct fsfix *f = *state;
	struct fuse_batch_forget_in bf = { .count = UINT32_MAX };
	struct fuse_entry_out a, b, x;
	uint64_t fa, fb, dir;
	struct fuse_attr attr;
	char buf[4];

	assert_int_equal(fc_create(&f->c, f->root, "a", O_RDWR, 0600, &a, &fa), 0);
	assert_int_equal(fc_create(&f->c, f->root, "b", O_RDWR, 0600, &b, &fb), 0);
	assert_int_equal(fc_opendir(&f->c, f->root, &dir), 0);
	assert_int_equal(fc_read(&f->c, a.nodeid, fb, 0, buf, 4), -EBADF);
	assert_int_equal(fc_write(&f->c, b.nodeid, fa, 0, "x", 1, 0, 0), -EBADF);
	assert_int_equal(fc_read(&f->c, f->root, dir, 0, buf, 4), -EBADF);
	assert_int_equal(fc_release(&f->c, a.nodeid, fa, true), -EBADF);
	assert_int_equal(fc_release(&f->c, a.nodeid, fb, false), -EBADF);
	assert_int_equal(fc_read(&f->c, a.nodeid, fa ^ (1ull << 32), 0, buf, 4), -EBADF);
	assert_int_equal(fc_read(&f->c, a.nodeid + (1ull << 32), fa, 0, buf, 4), -ENOENT);
	assert_int_equal(fc_read(&f->c, a.nodeid + 1000000, fa, 0, buf, 4), -ENOENT);
	assert_int_equal(fc_write(&f->c, a.nodeid, fa, UINT64_MAX, "x", 1, 0, 0), -EINVAL);
	assert_int_equal(fc_write(&f->c, a.nodeid, fa, INT64_MAX, "x", 1, 0, 0), -EINVAL);
	/* More forgets than lookups: gone, once, and the open file still holds it. */
	fc_forget(&f->c, a.nodeid, UINT64_MAX);
	fc_forget(&f->c, a.nodeid, UINT64_MAX);
	assert_int_equal(fc_getattr(&f->c, a.nodeid, &attr), 0);
	assert_int_equal(fc_release(&f->c, a.nodeid, fa, false), 0);
	assert_int_equal(fc_getattr(&f->c, a.nodeid, &attr), -ENOENT);
	assert_int_equal(fc_release(&f->c, a.nodeid, fa, false), -ENOENT);
	/* The root of a share cannot be forgotten away. */
	fc_forget(&f->c, f->root, UINT64_MAX);
	assert_int_equal(fc_getattr(&f->c, f->root, &attr), 0);
	assert_int_equal(fc_fixed(&f->c, FUSE_BATCH_FORGET, 0, bf), 0);
	/* Numbers are not used again. */
	assert_int_equal(fc_lookup(&f->c, f->root, "a", &x), 0);
	assert_int_not_equal(x.nodeid, a.nodeid);
}

/* Links are shown, never followed, whatever the guest says they are. */
static void links(void **state)
{
	struct fsfix *f = *state;
	char target[256];
	struct fuse_setattr_in in = { .valid = FATTR_MODE | FATTR_SIZE, .mode = 0777 };
	struct fuse_entry_out dir, file, x;
	uint64_t fh;

	snprintf(target, sizeof(target), "%s/outside", f->base);
	assert_int_equal(fc_symlink(&f->c, f->root, "dir", target, &dir), 0);
	strcat(target, "/secret");
	assert_int_equal(fc_symlink(&f->c, f->root, "file", target, &file), 0);
	assert_int_equal(fc_lookup(&f->c, dir.nodeid, "secret", &x), -ENOTDIR);
	assert_int_equal(fc_opendir(&f->c, dir.nodeid, &fh), -ENOTDIR);
	assert_int_equal(fc_mkdir(&f->c, dir.nodeid, "new", 0700, &x), -ENOTDIR);
	assert_int_equal(fc_open(&f->c, file.nodeid, O_RDONLY, &fh), -ELOOP);
	assert_int_equal(fc_create(&f->c, f->root, "file", O_RDWR | O_TRUNC, 0600, &x, &fh),
			 -ESTALE);
	assert_int_equal(fc_setattr(&f->c, file.nodeid, &in), -EOPNOTSUPP);
	in.valid = FATTR_SIZE;
	assert_int_equal(fc_setattr(&f->c, file.nodeid, &in), -EINVAL);
	assert_int_equal(fc_setxattr(&f->c, file.nodeid, "user.x", "y", 1, 0), -EPERM);
	assert_int_equal(fc_link(&f->c, f->root, "hard", file.nodeid, &x),
			 0); /* of the link itself */
	assert_int_equal(x.attr.mode & S_IFMT, S_IFLNK);
	assert_int_equal(fc_rename(&f->c, f->root, "hard", dir.nodeid, "x", 0), -ENOTDIR);
}

struct race {
	struct fsfix *f;
	atomic_bool stop;
};

/* Swaps a directory and a link to outside, as another guest of the same share may. */
static void *swap(void *arg)
{
	struct race *r = arg;

	while (!atomic_load(&r->stop))
		renameat2(r->f->share_fd, "d", r->f->share_fd, "l", RENAME_EXCHANGE);
	return NULL;
}

static void swapped_for_a_link(void **state)
{
	struct fsfix *f = *state;
	struct race r = { .f = f };
	char target[160];
	unsigned found = 0;
	pthread_t t;

	snprintf(target, sizeof(target), "%s/outside", f->base);
	assert_int_equal(mkdirat(f->share_fd, "d", 0700), 0);
	fsfix_host_file(f, "d/secret", "inside", 0600);
	assert_int_equal(symlinkat(target, f->share_fd, "l"), 0);
	pthread_create(&t, NULL, swap, &r);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t node, fh;
		char buf[32] = "";

		if (fc_walk(&f->c, "s/d/secret", &node) < 0)
			continue;
		found++;
		if (fc_open(&f->c, node, O_RDWR, &fh) == 0) {
			fc_read(&f->c, node, fh, 0, buf, 31);
			assert_string_equal(buf, "inside");
			fc_release(&f->c, node, fh, false);
		}
		fc_forget(&f->c, node, 1);
	}
	atomic_store(&r.stop, true);
	pthread_join(t, NULL);
	assert_true(found > 0);
}

/* What the guest can make us hold is bounded. */
static void floods(void **state)
{
	const struct fs_server_cfg cfg = { .max_nodes = 20000,
					   .max_handles = 300,
					   .max_fds = 50,
					   .attr_timeout = 1,
					   .entry_timeout = 1,
					   .proc_fd = -1 };
	struct fsfix *f = calloc(1, sizeof(*f));
	unsigned before = fsfix_count_fds(), refused = 0;
	struct fuse_entry_out e, d;
	struct fuse_attr a;
	uint64_t fh;

	(void)state;
	assert_non_null(f);
	fsfix_init(f, NULL, &cfg, 0);
	assert_int_equal(fc_mkdir(&f->c, f->root, "deep", 0700, &d), 0);
	for (unsigned i = 0; i < 200; i++) /* far more levels than descriptors */
		assert_int_equal(fc_mkdir(&f->c, d.nodeid, "d", 0700, &d), 0);
	for (unsigned i = 0; i < 25000; i++) {
		char name[16];
		int rc;

		snprintf(name, sizeof(name), "f%u", i);
		rc = fc_mknod(&f->c, f->root, name, S_IFREG | 0600, 0, &e);
		refused += rc == -ENFILE;
		assert_true(rc == 0 || rc == -ENFILE);
		if (rc == 0 && i % 16 == 0)
			assert_int_equal(fc_named(&f->c, FUSE_STATFS, e.nodeid, NULL, 0, NULL), 0);
	}
	assert_true(refused > 5000 && refused < 5300);
	assert_true(fsfix_count_fds() < before + 50 + 10);
	assert_int_equal(fc_getattr(&f->c, d.nodeid, &a), 0); /* through all its parents */
	/* Open files, and files that are unlinked and still held. */
	assert_int_equal(fc_lookup(&f->c, f->root, "f0", &e), 0);
	for (refused = 0; refused < 5;)
		refused += fc_open(&f->c, e.nodeid, O_RDONLY, &fh) == -ENFILE;
	for (unsigned i = 1; i < 400; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(fc_named(&f->c, FUSE_UNLINK, f->root, NULL, 0, name), 0);
	}
	assert_true(fsfix_count_fds() < before + 50 + 300 + 10);
	/* Files that lose one name and are found by another. */
	for (unsigned i = 1000; i < 3000; i++) {
		char name[16], other[16];

		snprintf(name, sizeof(name), "f%u", i);
		snprintf(other, sizeof(other), "g%u", i);
		assert_int_equal(fc_lookup(&f->c, f->root, name, &e), 0);
		assert_int_equal(linkat(f->share_fd, name, f->share_fd, other, 0), 0);
		assert_int_equal(fc_named(&f->c, FUSE_UNLINK, f->root, NULL, 0, name), 0);
		assert_int_equal(fc_lookup(&f->c, f->root, other, &e), 0);
	}
	assert_true(fsfix_count_fds() < before + 50 + 300 + 10);
	fs_server_reset(f->c.s);
	assert_true(fs_server_idle(f->c.s));
	assert_true(fsfix_count_fds() < before + 10);
	assert_int_equal(fc_init(&f->c), 0);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "s", &e), 0);
	fsfix_done(f);
	free(f);
	assert_int_equal(fsfix_count_fds(), before);
}

static void hostile_offsets(void **state)
{
	static const uint64_t offsets[] = { 1,          2,         3,          1000,      INT32_MAX,
					    UINT32_MAX, INT64_MAX, 1ull << 63, UINT64_MAX };
	struct fsfix *f = *state;
	uint64_t fh;

	for (unsigned i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		fsfix_host_file(f, name, "", 0600);
	}
	assert_int_equal(fc_opendir(&f->c, f->root, &fh), 0);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		for (unsigned size = 0; size < 3; size++) {
			struct fuse_read_in in = { .fh = fh,
						   .offset = offsets[i],
						   .size = size == 2 ? UINT32_MAX : size * 4096 };
			int rc = fc_fixed(&f->c, FUSE_READDIRPLUS, f->root, in);

			assert_true(rc == 0 || rc == -EINVAL);
			rc = fc_fixed(&f->c, FUSE_READDIR, FUSE_ROOT_ID, in);
			assert_true(rc == 0 || rc == -EINVAL);
		}
	}
}

/* The host takes files away, puts others in their place, cuts them. */
static void host_changes(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e, x;
	struct fuse_attr a;
	char buf[8] = "";
	uint64_t fh;

	fsfix_host_file(f, "f", "first", 0600);
	assert_int_equal(fc_lookup(&f->c, f->root, "f", &e), 0);
	assert_int_equal(unlinkat(f->share_fd, "f", 0), 0);
	assert_int_equal(fc_getattr(&f->c, e.nodeid, &a), -ESTALE);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), -ESTALE);
	fsfix_host_file(f, "f", "second", 0600); /* perhaps with the first one's inode number */
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), -ESTALE);
	assert_int_equal(fc_lookup(&f->c, f->root, "f", &x), 0);
	assert_int_not_equal(x.nodeid, e.nodeid);
	assert_int_equal(fc_open(&f->c, x.nodeid, O_RDWR, &fh), 0);
	assert_int_equal(unlinkat(f->share_fd, "f", 0), 0);
	assert_int_equal(fc_read(&f->c, x.nodeid, fh, 0, buf, 8), 6);
	assert_int_equal(mkdirat(f->share_fd, "f", 0700), 0);
	assert_int_equal(fc_write(&f->c, x.nodeid, fh, 0, "S", 1, 0, 0), 1);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), -ESTALE);
	assert_int_equal(fc_lookup(&f->c, f->root, "f", &e), 0);
	assert_int_equal(e.attr.mode & S_IFMT, S_IFDIR);
}

/* What a carrier asks before it has all of a request. Each piece lies at the end of its memory. */
static void peeks(void **state)
{
	static const struct {
		uint32_t opcode;
		size_t total, fixed; /* fixed 0: refused */
		bool slow, no_reply, interrupt, unlocks;
	} cases[] = {
		{ FUSE_LOOKUP, FS_PEEK_LEN - 1, 0, .slow = false },
		{ FUSE_LOOKUP, FS_PEEK_LEN, FS_PEEK_LEN, .slow = false },
		{ FUSE_GETATTR, 56, 56, .slow = false },
		{ FUSE_FSYNC, 56, 56, .slow = true },
		{ FUSE_WRITE, FS_PEEK_LEN + 40 + 4096, FS_PEEK_LEN + 40, .slow = false },
		{ FUSE_WRITE, FS_PEEK_LEN + 40, FS_PEEK_LEN + 40, .slow = false },
		{ FUSE_WRITE, FS_PEEK_LEN + 39, FS_PEEK_LEN + 39, .slow = false },
		{ FUSE_FORGET, 48, 48, .no_reply = true },
		{ FUSE_INTERRUPT, 48, 48, .interrupt = true, .no_reply = true },
		{ FUSE_FLUSH, 64, 64, .unlocks = true },
		{ 0, 48, 48, .slow = false },
		{ UINT32_MAX, 48, 48, .slow = false },
	};
	struct fuse_interrupt_in target = { .unique = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fuse_in_header h = { .opcode = cases[i].opcode, .unique = 5 };
		struct fs_peek p = { 0 };
		size_t there = min_t(size_t, cases[i].total, sizeof(h));
		uint8_t *in = malloc(there);

		assert_non_null(in);
		memcpy(in, &h, there);
		assert_int_equal(fs_peek(in, cases[i].total, &p), cases[i].fixed ? 0 : -EBADMSG);
		free(in);
		if (!cases[i].fixed)
			continue;
		assert_int_equal(p.fixed, cases[i].fixed);
		assert_int_equal(p.unique, 5);
		assert_true(p.slow == cases[i].slow && p.no_reply == cases[i].no_reply &&
			    p.interrupt == cases[i].interrupt && p.unlocks == cases[i].unlocks);
	}
	for (size_t len = FS_PEEK_LEN; len <= FS_PEEK_LEN + sizeof(target); len++) {
		uint8_t *in = calloc(1, len);

		assert_non_null(in);
		memcpy(in + FS_PEEK_LEN, &target, len - FS_PEEK_LEN);
		assert_int_equal(fs_interrupt_target(in, len),
				 len == FS_PEEK_LEN + sizeof(target) ? 77 : 0);
		free(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(names),           FS_TEST(requests),           FS_TEST(numbers),
		FS_TEST(links),           FS_TEST(swapped_for_a_link), cmocka_unit_test(floods),
		FS_TEST(hostile_offsets), FS_TEST(host_changes),       cmocka_unit_test(peeks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
