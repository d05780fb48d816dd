/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SETATTR: owner, mode, size, times, in the order that leaves what was asked for (chown takes SUID
 * and SGID away).
 */
#include "vmm/fs/fs_internal.h"

#include <unistd.h>

static int set_owner(struct fs_req *rq, int fd, const struct fuse_setattr_in *in)
{
	uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

	(void)rq;
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int set_mode(struct fs_req *rq, int fd, const struct fuse_setattr_in *in)
{
	mode_t mode = in->mode & 07777;

	if (rq->node->type == S_IFLNK)
		return -EOPNOTSUPP;
	if (rq->node->special)
		mode |= S_ISVTX;
	return fchmodat(rq->s->proc_fd, fs_num(fd).s, mode, 0) < 0 ? -errno : 0;
}

static int truncate_fd(int fd, const struct fuse_setattr_in *in)
{
	int rc = 0;

	if (in->valid & FATTR_KILL_SUIDGID)
		rc = fs_cred_kill(fd);
	if (rc == 0 && ftruncate(fd, (off_t)in->size) < 0)
		rc = -errno;
	return rc;
}

static int set_size(struct fs_req *rq, int fd, const struct fuse_setattr_in *in)
{
	struct fs_handle *h;
	int rc, file;

	if (rq->node->type != S_IFREG || rq->node->special || in->size > INT64_MAX)
		return rq->node->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (in->valid & FATTR_FH) {
		rc = fs_handle_get(rq->s, rq->node, in->fh, false, &h);
		if (rc < 0)
			return rc;
		rc = truncate_fd(h->fd, in);
		fs_handle_put(rq->s, h);
		return rc;
	}
	file = fs_reopen(rq->s, fd, O_WRONLY);
	if (file < 0)
		return file;
	rc = truncate_fd(file, in);
	close(file);
	return rc;
}

static int set_times(struct fs_req *rq, int fd, const struct fuse_setattr_in *in)
{
	struct timespec ts[2] = {
		{ .tv_sec = (time_t)in->atime, .tv_nsec = in->atimensec },
		{ .tv_sec = (time_t)in->mtime, .tv_nsec = in->mtimensec },
	};

	(void)rq;
	if (in->atimensec > 999999999 || in->mtimensec > 999999999)
		return -EINVAL;
	if (in->valid & FATTR_ATIME_NOW)
		ts[0].tv_nsec = UTIME_NOW;
	else if (!(in->valid & FATTR_ATIME))
		ts[0].tv_nsec = UTIME_OMIT;
	if (in->valid & FATTR_MTIME_NOW)
		ts[1].tv_nsec = UTIME_NOW;
	else if (!(in->valid & FATTR_MTIME))
		ts[1].tv_nsec = UTIME_OMIT;
	return utimensat(fd, "", ts, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static const struct {
	uint32_t valid;
	int (*set)(struct fs_req *rq, int fd, const struct fuse_setattr_in *in);
} steps[] = {
	{ FATTR_UID | FATTR_GID, set_owner },
	{ FATTR_MODE, set_mode },
	{ FATTR_SIZE, set_size },
	{ FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW, set_times },
};

#define CHANGES                                                                                    \
	(FATTR_UID | FATTR_GID | FATTR_MODE | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME |             \
	 FATTR_ATIME_NOW | FATTR_MTIME_NOW)

int fs_op_setattr(struct fs_req *rq)
{
	struct fuse_setattr_in in;
	struct fs_handle *h;
	struct statx st;
	int fd, rc = 0;

	FS_ARG(rq, in);
	h = fs_handle_any(rq->s, rq->node);
	fd = h ? h->fd : fs_node_fd(rq->s, rq->node);
	if (fd < 0)
		return fd;
	/* Nothing at all is what the guest says for a chown() to nobody, and when its user may not
	 * keep SUID and SGID through a fallocate(): the first takes them away. */
	if (!(in.valid & CHANGES))
		rc = set_owner(rq, fd, &in);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(steps); i++)
		if (in.valid & steps[i].valid)
			rc = steps[i].set(rq, fd, &in);
	if (h)
		fs_handle_put(rq->s, h);
	else
		fs_node_fd_put(rq->s, rq->node);
	if (rc == 0)
		rc = fs_node_stat(rq->s, rq->node, &st);
	return rc < 0 ? rc : fs_reply_attr(rq, rq->node, &st);
}
