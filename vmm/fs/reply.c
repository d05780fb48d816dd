/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes and entries as the protocol has them.
 */
#include "vmm/fs/fs_internal.h"

#include <unistd.h>

/* A write may take set-id bits away, and the guest's kernel does not think of that: it must ask. */
struct fs_valid fs_attr_valid(const struct fs_server *s, const struct fs_node *n,
			      const struct statx *st)
{
	bool sets_id = S_ISREG(st->stx_mode) && (st->stx_mode & (S_ISUID | S_ISGID));

	return fs_valid_of(n->share, sets_id ? 0 : s->cfg.attr_timeout);
}

struct fs_valid fs_valid_of(const struct fs_share *share, double seconds)
{
	struct fs_valid v = { 0, 0 };

	if ((share && (share->flags & FS_SHARE_NOCACHE)) || !(seconds > 0))
		return v;
	if (seconds > 1e9)
		seconds = 1e9;
	v.s = (uint64_t)seconds;
	v.ns = (uint32_t)((seconds - (double)v.s) * 1e9);
	return v;
}

/* The kernel's new_encode_dev(). */
static uint32_t encode_dev(uint32_t major_, uint32_t minor_)
{
	return (minor_ & 0xff) | (major_ << 8) | ((minor_ & ~0xffu) << 12);
}

void fs_attr_fill(const struct fs_server *s, struct fuse_attr *a, const struct statx *st,
		  const struct fs_node *n)
{
	/* A mount of its own in the guest too, so that device and inode stay unique. A kernel that
	 * does not know them takes the flag for another file. */
	bool submount = n->cross && n->type == S_IFDIR && (s->session & FS_SESSION_SUBMOUNTS);

	*a = (struct fuse_attr){
		.ino = st->stx_ino,
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.atime = (uint64_t)st->stx_atime.tv_sec,
		.mtime = (uint64_t)st->stx_mtime.tv_sec,
		.ctime = (uint64_t)st->stx_ctime.tv_sec,
		.atimensec = st->stx_atime.tv_nsec,
		.mtimensec = st->stx_mtime.tv_nsec,
		.ctimensec = st->stx_ctime.tv_nsec,
		.mode = st->stx_mode,
		.nlink = st->stx_nlink,
		.uid = st->stx_uid,
		.gid = st->stx_gid,
		.rdev = encode_dev(st->stx_rdev_major, st->stx_rdev_minor),
		.blksize = st->stx_blksize,
		.flags = submount ? FUSE_ATTR_SUBMOUNT : 0,
	};
}

void fs_entry_fill(struct fs_server *s, struct fuse_entry_out *e, struct fs_node *n,
		   const struct statx *st)
{
	struct fs_valid ev = fs_valid_of(n->share, s->cfg.entry_timeout);
	struct fs_valid av = fs_attr_valid(s, n, st);

	*e = (struct fuse_entry_out){
		.nodeid = fs_node_id(n),
		.entry_valid = ev.s,
		.entry_valid_nsec = ev.ns,
		.attr_valid = av.s,
		.attr_valid_nsec = av.ns,
	};
	fs_attr_fill(s, &e->attr, st, n);
}

int fs_reply_attr(struct fs_req *rq, struct fs_node *n, const struct statx *st)
{
	struct fs_valid av = fs_attr_valid(rq->s, n, st);
	struct fuse_attr_out out = { .attr_valid = av.s, .attr_valid_nsec = av.ns };

	fs_attr_fill(rq->s, &out.attr, st, n);
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

int fs_reply_entry(struct fs_req *rq, struct fs_node *parent, const char *name)
{
	struct fuse_entry_out out;
	struct fs_node *n;
	struct statx st;
	int rc = fs_lookup(rq->s, parent, name, &st, &n);

	if (rc < 0)
		return rc;
	fs_entry_fill(rq->s, &out, n, &st);
	fs_req_put(rq, &out, sizeof(out));
	fs_node_put(rq->s, n);
	return 0;
}

/* Takes away what was made as @n, if that is still what is there. */
static void unmake(int dirfd, const char *name, const struct fs_node *n)
{
	struct statx st;

	if (fs_stat_name(dirfd, name, &st) == 0 && fs_node_verify(n, &st))
		unlinkat(dirfd, name, n->type == S_IFDIR ? AT_REMOVEDIR : 0);
}

static int give(struct fs_server *s, struct fs_node *parent, const char *name, struct fs_node *n, const struct fs_cred *c,
		mode_t mode)
{
	int dirfd = fs_node_fd(s, parent), fd, rc;

	if (dirfd < 0)
		return dirfd;
	fd = fs_node_fd(s, n);
	rc = fd < 0 ? fd : fs_cred_give(s, dirfd, fd, c, mode);
	if (fd >= 0)
		fs_node_fd_put(s, n);
	if (rc < 0)
		unmake(dirfd, name, n);
	fs_node_fd_put(s, parent);
	return rc;
}

/* Somebody else who has the share may have put another file in the place of the one that was made:
 * that is not given away. */
static bool made_here(const struct fs_node *n, const struct statx *st, mode_t mode)
{
	return (S_ISDIR(mode) || st->stx_nlink == 1) &&
	       (n->special ? S_IFREG : mode & S_IFMT) == n->type;
}

int fs_reply_new(struct fs_req *rq, struct fs_node *parent, const char *name,
		 const struct fs_cred *c, mode_t mode)
{
	struct fuse_entry_out out;
	struct fs_node *n;
	struct statx st;
	int rc = fs_lookup(rq->s, parent, name, &st, &n);

	if (rc < 0)
		return rc;
	if (!fs_cred_right(c, st.stx_uid, st.stx_mode, mode) && made_here(n, &st, mode)) {
		rc = give(rq->s, parent, name, n, c, mode);
		if (rc == 0)
			rc = fs_node_stat(rq->s, n, &st);
	}
	if (rc == 0) {
		fs_entry_fill(rq->s, &out, n, &st);
		fs_req_put(rq, &out, sizeof(out));
	} else {
		fs_node_forget(rq->s, fs_node_id(n), 1); /* the guest never learns of it */
	}
	fs_node_put(rq->s, n);
	return rc;
}
