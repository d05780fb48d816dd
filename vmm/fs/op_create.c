/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New names: MKNOD, MKDIR, SYMLINK, LINK. (CREATE and TMPFILE: op_open.c.)
 */
#include "vmm/fs/fs_internal.h"

#include <unistd.h>

struct making {
	const char *name, *target; /* target: SYMLINK's */
	mode_t mode;
	uint32_t rdev;
	int (*make)(struct fs_server *s, int dirfd, const struct making *m);
};

static int make_node(struct fs_server *s, int dirfd, const struct making *m)
{
	int fd;

	if (!S_ISREG(m->mode))
		return fs_special_make(s, dirfd, m->name, m->mode, m->rdev);
	fd = fs_open_beneath(s, dirfd, m->name, O_CREAT | O_EXCL | O_RDONLY, m->mode & 07777,
			     false);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int make_dir(struct fs_server *s, int dirfd, const struct making *m)
{
	(void)s;
	return mkdirat(dirfd, m->name, m->mode & 07777) < 0 ? -errno : 0;
}

static int make_symlink(struct fs_server *s, int dirfd, const struct making *m)
{
	(void)s;
	return symlinkat(m->target, dirfd, m->name) < 0 ? -errno : 0;
}

/* As the caller; where the host refuses what the guest allowed (groups and capabilities that only
 * the guest knows of), as root, and fs_reply_new() gives it to the caller. */
static int make(struct fs_req *rq, const struct making *m)
{
	struct fs_cred c;
	int fd, rc = fs_cred_of(&c, rq);

	if (rc < 0)
		return rc;
	if (fs_nodes_full(rq->s))
		return -ENFILE;
	fd = fs_node_fd(rq->s, rq->node);
	if (fd < 0)
		return fd;
	fs_cred_enter(&c);
	rc = m->make(rq->s, fd, m);
	fs_cred_leave(&c);
	if ((rc == -EACCES || rc == -EPERM) && (c.uid || c.gid))
		rc = m->make(rq->s, fd, m);
	if (rc == 0 && m->make == make_node && !S_ISREG(m->mode))
		fs_special_mark(rq->s, fd);
	fs_node_fd_put(rq->s, rq->node);
	return rc < 0 ? rc : fs_reply_new(rq, rq->node, m->name, &c, m->mode);
}

int fs_op_mknod(struct fs_req *rq)
{
	struct making m = { .make = make_node };
	struct fuse_mknod_in in;
	size_t off = sizeof(in);
	int rc = fs_req_name(rq, &off, &m.name);

	FS_ARG(rq, in);
	if (rc < 0)
		return rc;
	if (!(in.mode & S_IFMT))
		in.mode |= S_IFREG;
	switch (in.mode & S_IFMT) {
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		break;
	default:
		return -EINVAL;
	}
	m.rdev = S_ISCHR(in.mode) || S_ISBLK(in.mode) ? in.rdev : 0;
	rc = fs_cred_mode(rq, rq->node, in.mode, in.umask, &m.mode);
	return rc < 0 ? rc : make(rq, &m);
}

int fs_op_mkdir(struct fs_req *rq)
{
	struct making m = { .make = make_dir };
	struct fuse_mkdir_in in;
	size_t off = sizeof(in);
	int rc = fs_req_name(rq, &off, &m.name);

	FS_ARG(rq, in);
	if (rc == 0)
		rc = fs_cred_mode(rq, rq->node, (in.mode & 07777) | S_IFDIR, in.umask, &m.mode);
	return rc < 0 ? rc : make(rq, &m);
}

int fs_op_symlink(struct fs_req *rq)
{
	struct making m = { .make = make_symlink, .mode = S_IFLNK | 0777 };
	size_t off = 0, n;
	int rc = fs_req_name(rq, &off, &m.name);

	if (rc < 0)
		return rc;
	n = strnlen((const char *)rq->arg + off, rq->arg_len - off);
	if (n == rq->arg_len - off)
		return -EINVAL;
	m.target = (const char *)rq->arg + off;
	return make(rq, &m);
}

int fs_op_link(struct fs_req *rq)
{
	struct fuse_link_in in;
	size_t off = sizeof(in);
	const char *name;
	int rc = fs_req_name(rq, &off, &name), from, to;

	FS_ARG(rq, in);
	if (rc == 0)
		rc = fs_req_node2(rq, in.oldnodeid);
	if (rc < 0)
		return rc;
	if (rq->node2->type == S_IFDIR)
		return -EPERM;
	from = fs_node_fd(rq->s, rq->node2);
	if (from < 0)
		return from;
	to = fs_node_fd(rq->s, rq->node);
	if (to >= 0) {
		rc = linkat(rq->s->proc_fd, fs_num(from).s, to, name, AT_SYMLINK_FOLLOW) < 0
			     ? -errno
			     : 0;
		if (rc == 0 && rq->node2->special)
			fs_special_mark(rq->s, to);
		fs_node_fd_put(rq->s, rq->node);
	} else {
		rc = to;
	}
	fs_node_fd_put(rq->s, rq->node2);
	return rc < 0 ? rc : fs_reply_entry(rq, rq->node, name);
}
