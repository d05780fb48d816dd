/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of nodes and file systems.
 */
#include "vmm/fs/fs_internal.h"

#include <sys/vfs.h>
#include <unistd.h>

int fs_op_getattr(struct fs_req *rq)
{
	struct fuse_getattr_in in;
	struct statx st;
	int rc;

	FS_ARG(rq, in);
	rc = fs_node_stat(rq->s, rq->node, &st);
	return rc < 0 ? rc : fs_reply_attr(rq, rq->node, &st);
}

static struct fs_sx_time sx_time(struct statx_timestamp t)
{
	return (struct fs_sx_time){ .tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec };
}

int fs_op_statx(struct fs_req *rq)
{
	struct fs_statx_out out = { 0 };
	struct fs_statx_in in;
	struct fs_valid av;
	struct statx st;
	int rc;

	FS_ARG(rq, in);
	rc = fs_node_stat(rq->s, rq->node, &st);
	if (rc < 0)
		return rc;
	av = fs_attr_valid(rq->s, rq->node, &st);
	out.attr_valid = av.s;
	out.attr_valid_nsec = av.ns;
	out.stat = (struct fs_statx){
		.mask = st.stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
		.blksize = st.stx_blksize,
		.nlink = st.stx_nlink,
		.uid = st.stx_uid,
		.gid = st.stx_gid,
		.mode = st.stx_mode,
		.ino = st.stx_ino,
		.size = st.stx_size,
		.blocks = st.stx_blocks,
		.atime = sx_time(st.stx_atime),
		.btime = sx_time(st.stx_btime),
		.ctime = sx_time(st.stx_ctime),
		.mtime = sx_time(st.stx_mtime),
		.rdev_major = st.stx_rdev_major,
		.rdev_minor = st.stx_rdev_minor,
	};
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

/* The guest checks by itself (default_permissions); this answers the rest. */
int fs_op_access(struct fs_req *rq)
{
	struct fuse_access_in in;
	struct statx st;
	unsigned bits;
	int rc;

	FS_ARG(rq, in);
	rc = fs_node_stat(rq->s, rq->node, &st);
	if (rc < 0 || !(in.mask & 7))
		return rc;
	/* With id-mapped mounts only requests that make files have a caller: the guest knows whose this is, and
	 * has checked. */
	if (rq->h.uid == UINT32_MAX)
		return 0;
	if (rq->h.uid == 0)
		return (in.mask & X_OK) && !S_ISDIR(st.stx_mode) && !(st.stx_mode & 0111) ? -EACCES
											  : 0;
	bits = st.stx_mode & 7;
	if (rq->h.uid == st.stx_uid)
		bits = st.stx_mode >> 6 & 7;
	else if (rq->h.gid == st.stx_gid)
		bits = st.stx_mode >> 3 & 7;
	return in.mask & 7 & ~bits ? -EACCES : 0;
}

int fs_op_statfs(struct fs_req *rq)
{
	struct fuse_statfs_out out = { 0 };
	struct statfs st;
	int fd = fs_node_fd(rq->s, rq->node), rc;

	if (fd < 0)
		return fd;
	rc = fstatfs(fd, &st) < 0 ? -errno : 0;
	fs_node_fd_put(rq->s, rq->node);
	if (rc < 0)
		return rc;
	out.st = (struct fuse_kstatfs){
		.blocks = st.f_blocks,
		.bfree = st.f_bfree,
		.bavail = st.f_bavail,
		.files = st.f_files,
		.ffree = st.f_ffree,
		.bsize = (uint32_t)st.f_bsize,
		.namelen = (uint32_t)st.f_namelen,
		.frsize = (uint32_t)(st.f_frsize ? st.f_frsize : st.f_bsize),
	};
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}
