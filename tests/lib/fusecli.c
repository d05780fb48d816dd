// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/fusecli.h"

#include <stdlib.h>
#include <string.h>

/* Checks what every reply must be. */
static int take_reply(struct fusecli *c, uint64_t unique, size_t room, int rc, struct fs_reply *r)
{
	struct fuse_out_header oh;

	c->body_len = 0;
	if (rc != 0) {
		bug_on(rc != FS_AGAIN && rc != -EBADMSG);
		return rc;
	}
	if (r->head_len == 0)
		return 0; /* none is sent */
	bug_on(r->head_len < sizeof(oh) || r->head_len > r->head_size);
	bug_on(r->head_len + r->data_len > room);
	memcpy(&oh, c->out, sizeof(oh));
	bug_on(oh.len != r->head_len + r->data_len);
	bug_on(oh.unique != unique);
	bug_on(oh.error > 0 || oh.error <= -512);
	bug_on(oh.error && oh.len != sizeof(oh));
	c->body = c->out + sizeof(oh);
	c->body_len = r->head_len - sizeof(oh);
	return oh.error;
}

int fc_raw(struct fusecli *c, const void *req, size_t len, const struct iovec *payload, int count)
{
	size_t room = c->room ? c->room : FS_MAX_REPLY;
	struct fs_reply r = { .head = c->out, .head_size = sizeof(c->out) };
	struct fuse_in_header h = { 0 };
	int rc;
#ifdef HUSK_SANITIZE /* where the bytes end memory ends: reading on is noticed */
	void *exact = malloc(max_t(size_t, len, 1));

	bug_on(!exact);
	memcpy(exact, req, len);
	rc = fs_request(c->s, exact, len, payload, count, room, &r);
	free(exact);
#else
	rc = fs_request(c->s, req, len, payload, count, room, &r);
#endif
	memcpy(&h, req, min_t(size_t, len, sizeof(h)));
	return take_reply(c, h.unique, room, rc, &r);
}

/* Header and parts into c->req; the length. */
static size_t build(struct fusecli *c, uint32_t op, uint64_t node, const struct fc_arg *arg,
		    size_t n, size_t payload)
{
	struct fuse_in_header h = {
		.opcode = op,
		.unique = c->unique += 2,
		.nodeid = node,
		.uid = c->uid,
		.gid = c->gid,
		.pid = 1,
	};
	size_t len = sizeof(h);

	for (size_t i = 0; i < n; i++) {
		bug_on(!range_within(len, arg[i].len, sizeof(c->req)));
		if (arg[i].len)
			memcpy(c->req + len, arg[i].p, arg[i].len);
		len += arg[i].len;
	}
	h.len = (uint32_t)(len + payload);
	memcpy(c->req, &h, sizeof(h));
	return len;
}

int fc_call(struct fusecli *c, uint32_t op, uint64_t node, const struct fc_arg *arg, size_t n)
{
	size_t len = build(c, op, node, arg, n, 0);

	return fc_raw(c, c->req, len, NULL, 0);
}

int fc_named(struct fusecli *c, uint32_t op, uint64_t node, const void *fixed, size_t len,
	     const char *name)
{
	struct fc_arg a[2] = { { fixed, len }, { name, name ? strlen(name) + 1 : 0 } };

	return fc_call(c, op, node, a, 2);
}

static int take_entry(struct fusecli *c, int rc, struct fuse_entry_out *e)
{
	if (rc < 0)
		return rc;
	bug_on(c->body_len < sizeof(*e));
	memcpy(e, c->body, sizeof(*e));
	return 0;
}

int fc_init(struct fusecli *c)
{
	struct fuse_init_in in = {
		.major = 7,
		.minor = 41,
		.max_readahead = 128 << 10,
		.flags = 0xffffffff & ~(1u << 31),
		.flags2 = 0xffffffff,
	};
	struct fuse_init_out out;
	int rc = fc_fixed(c, FUSE_INIT, 0, in);

	if (rc < 0)
		return rc;
	bug_on(c->body_len != sizeof(out));
	memcpy(&out, c->body, sizeof(out));
	bug_on(out.major != 7 || out.max_write != FS_MAX_WRITE);
	return 0;
}

int fc_lookup(struct fusecli *c, uint64_t dir, const char *name, struct fuse_entry_out *e)
{
	struct fuse_entry_out dummy;

	return take_entry(c, fc_named(c, FUSE_LOOKUP, dir, NULL, 0, name), e ? e : &dummy);
}

int fc_walk(struct fusecli *c, const char *path, uint64_t *ret)
{
	struct fuse_entry_out e;
	uint64_t node = FUSE_ROOT_ID;
	char name[256];
	int rc;

	for (; *path; path += *path == '/') {
		size_t n = strcspn(path, "/");

		bug_on(n >= sizeof(name));
		memcpy(name, path, n);
		name[n] = '\0';
		path += n;
		rc = fc_lookup(c, node, name, &e);
		if (rc < 0)
			return rc;
		if (!e.nodeid)
			return -ENOENT;
		node = e.nodeid;
	}
	*ret = node;
	return 0;
}

void fc_forget(struct fusecli *c, uint64_t node, uint64_t n)
{
	struct fuse_forget_in in = { .nlookup = n };

	fc_fixed(c, FUSE_FORGET, node, in);
}

static int take_attr(struct fusecli *c, int rc, struct fuse_attr *ret)
{
	struct fuse_attr_out out;

	if (rc < 0)
		return rc;
	bug_on(c->body_len != sizeof(out));
	memcpy(&out, c->body, sizeof(out));
	*ret = out.attr;
	return 0;
}

int fc_getattr(struct fusecli *c, uint64_t node, struct fuse_attr *ret)
{
	struct fuse_getattr_in in = { 0 };

	return take_attr(c, fc_fixed(c, FUSE_GETATTR, node, in), ret);
}

int fc_setattr(struct fusecli *c, uint64_t node, const struct fuse_setattr_in *in)
{
	return fc_named(c, FUSE_SETATTR, node, in, sizeof(*in), NULL);
}

int fc_mkdir(struct fusecli *c, uint64_t dir, const char *name, uint32_t mode,
	     struct fuse_entry_out *e)
{
	struct fuse_mkdir_in in = { .mode = mode, .umask = 022 };

	return take_entry(c, fc_named(c, FUSE_MKDIR, dir, &in, sizeof(in), name), e);
}

int fc_mknod(struct fusecli *c, uint64_t dir, const char *name, uint32_t mode, uint32_t rdev,
	     struct fuse_entry_out *e)
{
	struct fuse_mknod_in in = { .mode = mode, .rdev = rdev, .umask = 022 };

	return take_entry(c, fc_named(c, FUSE_MKNOD, dir, &in, sizeof(in), name), e);
}

int fc_symlink(struct fusecli *c, uint64_t dir, const char *name, const char *target,
	       struct fuse_entry_out *e)
{
	struct fc_arg a[2] = { FC_STR(name), FC_STR(target) };

	return take_entry(c, fc_call(c, FUSE_SYMLINK, dir, a, 2), e);
}

int fc_link(struct fusecli *c, uint64_t dir, const char *name, uint64_t old,
	    struct fuse_entry_out *e)
{
	struct fuse_link_in in = { .oldnodeid = old };

	return take_entry(c, fc_named(c, FUSE_LINK, dir, &in, sizeof(in), name), e);
}

int fc_rename(struct fusecli *c, uint64_t dir, const char *name, uint64_t to_dir, const char *to,
	      uint32_t flags)
{
	struct fuse_rename2_in in = { .newdir = to_dir, .flags = flags };
	struct fc_arg a[3] = { { &in, sizeof(in) }, FC_STR(name), FC_STR(to) };

	if (flags)
		return fc_call(c, FUSE_RENAME2, dir, a, 3);
	a[0].len = sizeof(struct fuse_rename_in);
	return fc_call(c, FUSE_RENAME, dir, a, 3);
}

static int take_open(struct fusecli *c, int rc, size_t at, uint64_t *fh)
{
	struct fuse_open_out out;

	if (rc < 0)
		return rc;
	bug_on(c->body_len != at + sizeof(out));
	memcpy(&out, c->body + at, sizeof(out));
	*fh = out.fh;
	return 0;
}

int fc_create(struct fusecli *c, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
	      struct fuse_entry_out *e, uint64_t *fh)
{
	struct fuse_create_in in = { .flags = flags, .mode = mode, .umask = 022 };
	int rc = fc_named(c, FUSE_CREATE, dir, &in, sizeof(in), name);

	rc = take_entry(c, rc, e);
	return take_open(c, rc, sizeof(*e), fh);
}

int fc_open(struct fusecli *c, uint64_t node, uint32_t flags, uint64_t *fh)
{
	struct fuse_open_in in = { .flags = flags };

	return take_open(c, fc_fixed(c, FUSE_OPEN, node, in), 0, fh);
}

int fc_opendir(struct fusecli *c, uint64_t node, uint64_t *fh)
{
	struct fuse_open_in in = { 0 };

	return take_open(c, fc_fixed(c, FUSE_OPENDIR, node, in), 0, fh);
}

int fc_release(struct fusecli *c, uint64_t node, uint64_t fh, bool dir)
{
	struct fuse_release_in in = { .fh = fh };

	return fc_fixed(c, dir ? FUSE_RELEASEDIR : FUSE_RELEASE, node, in);
}

ssize_t fc_read(struct fusecli *c, uint64_t node, uint64_t fh, uint64_t off, void *dst, size_t len)
{
	struct fuse_read_in in = { .fh = fh, .offset = off, .size = (uint32_t)len };
	struct fc_arg a = { &in, sizeof(in) };
	/* Guest pages, in two pieces. */
	struct iovec iov[2] = {
		{ dst, len / 2 },
		{ (uint8_t *)dst + len / 2, len - len / 2 },
	};
	struct fs_reply r = {
		.head = c->out,
		.head_size = sizeof(c->out),
		.data = iov,
		.data_count = 2,
	};
	size_t n = build(c, FUSE_READ, node, &a, 1, 0), room = sizeof(struct fuse_out_header) + len;
	int rc = fs_request(c->s, c->req, n, NULL, 0, room, &r);

	rc = take_reply(c, c->unique, room, rc, &r);
	return rc < 0 ? rc : (ssize_t)r.data_len;
}

ssize_t fc_write(struct fusecli *c, uint64_t node, uint64_t fh, uint64_t off, const void *src,
		 size_t len, uint32_t write_flags, uint32_t flags)
{
	struct fuse_write_in in = {
		.fh = fh,
		.offset = off,
		.size = (uint32_t)len,
		.write_flags = write_flags,
		.flags = flags,
	};
	struct fc_arg a = { &in, sizeof(in) };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)src, .iov_len = len };
	struct fuse_write_out out;
	size_t n = build(c, FUSE_WRITE, node, &a, 1, len);
	int rc = fc_raw(c, c->req, n, &iov, 1);

	if (rc < 0)
		return rc;
	bug_on(c->body_len != sizeof(out));
	memcpy(&out, c->body, sizeof(out));
	return out.size;
}

int fc_setxattr(struct fusecli *c, uint64_t node, const char *name, const void *v, size_t len,
		uint32_t flags)
{
	struct fuse_setxattr_in in = { .size = (uint32_t)len, .flags = flags };
	struct fc_arg a[3] = { { &in, sizeof(in) }, FC_STR(name), { v, len } };

	return fc_call(c, FUSE_SETXATTR, node, a, 3);
}

ssize_t fc_getxattr(struct fusecli *c, uint64_t node, const char *name, void *dst, size_t len)
{
	struct fuse_getxattr_in in = { .size = (uint32_t)len };
	struct fuse_getxattr_out out;
	int rc = name ? fc_named(c, FUSE_GETXATTR, node, &in, sizeof(in), name)
		      : fc_fixed(c, FUSE_LISTXATTR, node, in);

	if (rc < 0)
		return rc;
	if (!len) {
		bug_on(c->body_len != sizeof(out));
		memcpy(&out, c->body, sizeof(out));
		return out.size;
	}
	bug_on(c->body_len > len);
	memcpy(dst, c->body, c->body_len);
	return (ssize_t)c->body_len;
}

int fc_lock(struct fusecli *c, uint32_t op, uint64_t node, uint64_t fh, uint64_t owner,
	    uint32_t type, uint64_t start, uint64_t end, uint32_t lk_flags)
{
	struct fuse_lk_in in = {
		.fh = fh,
		.owner = owner,
		.lk = { .start = start, .end = end, .type = type },
		.lk_flags = lk_flags,
	};

	return fc_fixed(c, op, node, in);
}

int fc_readdir(struct fusecli *c, uint64_t node, uint64_t fh, bool plus, uint32_t size,
	       fc_dirent_fn *fn, void *arg)
{
	size_t plus_len = plus ? sizeof(struct fuse_entry_out) : 0;
	uint64_t off = 0;
	int rc;

	for (;;) {
		struct fuse_read_in in = { .fh = fh, .offset = off, .size = size };
		size_t at = 0;

		rc = fc_fixed(c, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, in);
		if (rc < 0 || c->body_len == 0)
			return rc;
		bug_on(c->body_len > size);
		while (at < c->body_len) {
			struct fuse_entry_out e;
			struct fuse_dirent d;
			char name[256];

			bug_on(c->body_len - at < plus_len + sizeof(d));
			if (plus)
				memcpy(&e, c->body + at, sizeof(e));
			at += plus_len;
			memcpy(&d, c->body + at, sizeof(d));
			bug_on(d.namelen > 255 || c->body_len - at < FUSE_DIRENT_SIZE(&d));
			memcpy(name, c->body + at + FUSE_NAME_OFFSET, d.namelen);
			name[d.namelen] = '\0';
			at += FUSE_DIRENT_SIZE(&d);
			fn(arg, &d, name, plus ? &e : NULL);
			off = d.off;
		}
	}
}
