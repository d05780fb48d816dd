/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files: OPEN, CREATE, TMPFILE, FLUSH, RELEASE.
 */
#include "vmm/fs/fs_internal.h"

#include <time.h>
#include <unistd.h>

/* O_DIRECT is the guest's affair; everything else is not for an open file. The third access mode
 * opens for neither reading nor writing (ioctls), and asks for the right to both. */
#define KEEP_FLAGS (O_ACCMODE | O_TRUNC | O_APPEND | O_SYNC | O_DSYNC | O_NOATIME)
/* Time stamps tick in steps: a file changed this recently may have changed again unseen. */
#define SETTLE_NS  20000000ull
/* Somebody makes and removes a name faster than it can be made here, or seen: so often is it tried. */
#define CREATE_TRIES 16

static int host_flags(const struct fs_req *rq, uint32_t guest, int *ret)
{
	int flags = (int)guest & KEEP_FLAGS;

	if ((rq->node->share->flags & FS_SHARE_READONLY) &&
	    ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
		return -EROFS;
	*ret = flags;
	return 0;
}

static uint64_t ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* Is what the guest has of the file in its page cache still the file? Only if it is as it was at
 * the last open, and was not being written then. */
static bool unchanged(struct fs_server *s, struct fs_node *n, int fd)
{
	struct timespec now;
	struct stat st;
	bool same;

	if ((n->share->flags & FS_SHARE_NOCACHE) || fstat(fd, &st) < 0)
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&s->lock);
	same = n->seen && n->seen_mtime == ns(st.st_mtim) && n->seen_ctime == ns(st.st_ctim) &&
	       n->seen_size == (uint64_t)st.st_size;
	n->seen = ns(st.st_mtim) + SETTLE_NS < ns(now);
	n->seen_mtime = ns(st.st_mtim);
	n->seen_ctime = ns(st.st_ctim);
	n->seen_size = (uint64_t)st.st_size;
	pthread_mutex_unlock(&s->lock);
	return same;
}

/* Makes the handle and the reply; closes @fd on failure. */
static int reply_open(struct fs_req *rq, struct fs_node *n, int fd, int flags)
{
	struct fuse_open_out out = { 0 };
	struct fs_handle *h;
	int rc = fs_handle_new(rq->s, n, fd, flags, false, &h);

	if (rc < 0) {
		close(fd);
		return rc;
	}
	out.fh = fs_slot_id(h);
	if (unchanged(rq->s, n, fd))
		out.open_flags |= FOPEN_KEEP_CACHE;
	/* Nothing to write back and no lock that close() must drop at once: one message less.
	 * Where processes use POSIX locks, any close() of theirs drops them. */
	if ((flags & O_ACCMODE) == O_RDONLY && !n->locked)
		out.open_flags |= FOPEN_NOFLUSH;
	fs_handle_put(rq->s, h);
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

int fs_op_open(struct fs_req *rq)
{
	struct fs_node *n = rq->node;
	struct fuse_open_in in;
	int flags, fd, rc;

	FS_ARG(rq, in);
	rc = host_flags(rq, in.flags, &flags);
	if (rc < 0)
		return rc;
	if (n->type == S_IFDIR)
		return -EISDIR;
	if (n->special) /* the guest's kernel has a driver or a pipe for it */
		return -ENXIO;
	fd = fs_node_open_as(rq->s, n, &flags);
	if (fd < 0)
		return fd;
	if ((in.open_flags & FUSE_OPEN_KILL_SUIDGID) && (flags & O_TRUNC)) {
		rc = fs_cred_kill(fd);
		if (rc < 0) {
			close(fd);
			return rc;
		}
	}
	return reply_open(rq, n, fd, flags);
}

/* A file that was made just now: entry and open file in one reply. @name NULL: it has none. */
static int reply_created(struct fs_req *rq, const char *name, int fd, int flags)
{
	struct fuse_entry_out entry;
	struct fs_node *n;
	struct statx st;
	int rc = fs_stat_fd(fd, &st), path_fd;

	if (rc == 0)
		rc = fs_node_enter(rq->s, rq->node, name, &st, true, &n);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	fs_entry_fill(rq->s, &entry, n, &st);
	fs_req_put(rq, &entry, sizeof(entry));
	if (!name) {
		path_fd = fs_reopen(rq->s, fd, O_PATH);
		rc = path_fd < 0 ? path_fd : fs_node_pin_fd(rq->s, n, path_fd);
		if (rc < 0 && path_fd >= 0)
			close(path_fd);
	}
	if (rc == 0)
		rc = reply_open(rq, n, fd, flags);
	else
		close(fd);
	if (rc < 0)
		fs_node_forget(rq->s, entry.nodeid, 1);
	fs_node_put(rq->s, n);
	return rc;
}

static int open_new(struct fs_server *s, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd;

	if (name)
		return fs_open_beneath(s, dirfd, name, flags | O_CREAT | O_EXCL, mode & 07777,
				       false);
	fd = openat(dirfd, ".", flags | O_TMPFILE | O_CLOEXEC, mode & 07777);
	return fd < 0 ? -errno : fd;
}

static int see_to_owner(struct fs_server *s, int dirfd, int fd, const struct fs_cred *c,
			mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return fs_cred_right(c, st.st_uid, st.st_mode, mode) ? 0
							     : fs_cred_give(s, dirfd, fd, c, mode);
}

/* Opens a new file as the caller, or as root where only the guest knows why the caller may. */
static int create_fd(struct fs_req *rq, const char *name, int flags, mode_t mode)
{
	struct fs_cred c;
	int dirfd, fd, rc = fs_cred_of(&c, rq);

	if (rc < 0)
		return rc;
	if (fs_nodes_full(rq->s))
		return -ENFILE;
	dirfd = fs_node_fd(rq->s, rq->node);
	if (dirfd < 0)
		return dirfd;
	fs_cred_enter(&c);
	fd = open_new(rq->s, dirfd, name, flags, mode);
	fs_cred_leave(&c);
	if ((fd == -EACCES || fd == -EPERM) && (c.uid || c.gid))
		fd = open_new(rq->s, dirfd, name, flags, mode);
	if (fd >= 0 && c.uid)
		rc = see_to_owner(rq->s, dirfd, fd, &c, mode);
	if (rc < 0) {
		if (name)
			unlinkat(dirfd, name, 0);
		close(fd);
		fd = rc;
	}
	fs_node_fd_put(rq->s, rq->node);
	return fd;
}

static bool is_gone(struct fs_req *rq, const char *name)
{
	int dirfd = fs_node_fd(rq->s, rq->node), rc;
	struct statx st;

	if (dirfd < 0)
		return false;
	rc = fs_stat_name(dirfd, name, &st);
	fs_node_fd_put(rq->s, rq->node);
	return rc == -ENOENT;
}

/* Somebody else made it since the guest looked. Whether the caller may open that is for the guest's kernel to say, and it
 * asks nothing of a file that it believes to be new: so it has to look again, which ESTALE makes it do. It does so once, and
 * then its program has the error: a name that has gone again (a lock file) is no reason for it. */
static int create_or_look(struct fs_req *rq, const char *name, int flags, mode_t mode)
{
	int fd = create_fd(rq, name, flags, mode);

	for (unsigned i = 1; fd == -EEXIST && i < CREATE_TRIES && is_gone(rq, name); i++)
		fd = create_fd(rq, name, flags, mode);
	return fd == -EEXIST ? -ESTALE : fd;
}

int fs_op_create(struct fs_req *rq)
{
	struct fuse_create_in in;
	size_t off = sizeof(in);
	const char *name;
	int flags = 0, fd, rc = fs_req_name(rq, &off, &name);
	mode_t mode;

	FS_ARG(rq, in);
	if (rc == 0)
		rc = host_flags(rq, in.flags, &flags);
	if (rc == 0)
		rc = fs_cred_mode(rq, rq->node, (in.mode & 07777) | S_IFREG, in.umask, &mode);
	if (rc < 0)
		return rc;
	fd = (in.flags & O_EXCL ? create_fd : create_or_look)(rq, name, flags & ~O_TRUNC, mode);
	return fd < 0 ? fd : reply_created(rq, name, fd, flags);
}

int fs_op_tmpfile(struct fs_req *rq)
{
	struct fuse_create_in in;
	int flags, fd, rc;
	mode_t mode;

	FS_ARG(rq, in);
	rc = host_flags(rq, in.flags, &flags);
	if (rc == 0 && (flags & O_ACCMODE) == O_RDONLY)
		rc = -EINVAL;
	if (rc == 0)
		rc = fs_cred_mode(rq, rq->node, (in.mode & 07777) | S_IFREG, in.umask, &mode);
	if (rc < 0)
		return rc;
	/* Each write says whether it appends; a handle that knows of O_APPEND has a descriptor that does it by itself. */
	flags &= ~(O_APPEND | O_TRUNC);
	fd = create_fd(rq, NULL, flags, mode);
	return fd < 0 ? fd : reply_created(rq, NULL, fd, flags);
}

int fs_op_flush(struct fs_req *rq)
{
	struct fuse_flush_in in;
	struct fs_handle *h;
	int rc, fd;

	FS_ARG(rq, in);
	rc = fs_handle_get(rq->s, rq->node, in.fh, false, &h);
	if (rc < 0)
		return rc;
	fs_locks_drop(rq->s, rq->node, in.lock_owner);
	if (h->writable) { /* errors that a network file system keeps for close() */
		fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0 && close(fd) < 0)
			rc = -errno;
	}
	fs_handle_put(rq->s, h);
	return rc;
}

static int release(struct fs_req *rq, bool dir)
{
	struct fuse_release_in in;
	struct fs_handle *h;
	int rc;

	FS_ARG(rq, in);
	rc = fs_handle_get(rq->s, rq->node, in.fh, dir, &h);
	if (rc < 0)
		return rc;
	fs_locks_drop_handle(rq->s, rq->node, in.fh);
	pthread_mutex_lock(&rq->s->lock);
	fs_handle_close_locked(rq->s,
			       h); /* ours keeps it for a moment: nothing is closed in here */
	pthread_mutex_unlock(&rq->s->lock);
	fs_handle_put(rq->s, h);
	return 0;
}

int fs_op_release(struct fs_req *rq)
{
	return release(rq, false);
}

int fs_op_releasedir(struct fs_req *rq)
{
	return release(rq, true);
}
