/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOOKUP, FORGET: how the guest comes by nodes and lets them go.
 */
#include "vmm/fs/fs_internal.h"

#include <unistd.h>

/* What looks like a special file has to be opened to be sure. */
static int look_closer(struct fs_server *s, int dirfd, const char *name, struct statx *st)
{
	int fd = fs_open_beneath(s, dirfd, name, O_PATH, 0, false), rc = 0;
	struct statx now;

	if (fd < 0)
		return fs_no_resources(fd) ? fd : 0;
	if (fs_stat_fd(fd, &now) == 0 && now.stx_ino == st->stx_ino && S_ISREG(now.stx_mode))
		rc = fs_special_show(s, fd, st);
	close(fd);
	return min_t(int, rc, 0);
}

int fs_stat_shown(struct fs_server *s, int dirfd, const char *name, struct statx *host,
		  struct statx *shown)
{
	int rc = fs_stat_name(dirfd, name, host);

	if (rc < 0)
		return rc;
	*shown = *host;
	return fs_special_maybe(host) ? look_closer(s, dirfd, name, shown) : 0;
}

/* overlayfs with layers of different file systems numbers a directory anew once the kernel has let go of its inode. The guest
 * would take it for another directory and undo what is mounted on it; the descriptor keeps the inode. */
static void keep(struct fs_server *s, struct fs_node *dir)
{
	if (fs_node_fd(s, dir) >= 0)
		fs_node_fd_put(s, dir);
}

int fs_lookup(struct fs_server *s, struct fs_node *parent, const char *name, struct statx *st,
	      struct fs_node **ret)
{
	int dirfd = fs_node_fd(s, parent), rc;
	struct statx host;

	if (dirfd < 0)
		return dirfd;
	/* What is seen there is still there when it is noted, as far as this server's guest is concerned. */
	pthread_rwlock_rdlock(&parent->share->names);
	rc = fs_stat_shown(s, dirfd, name, &host, st);
	if (rc == 0)
		rc = fs_node_enter(s, parent, name, &host, true, ret);
	pthread_rwlock_unlock(&parent->share->names);
	if (rc == 0)
		(*ret)->special = S_ISREG(host.stx_mode) && !S_ISREG(st->stx_mode);
	if (rc == 0 && S_ISDIR(st->stx_mode) && (*ret)->overlay)
		keep(s, *ret);
	fs_node_fd_put(s, parent);
	return rc;
}

int fs_op_lookup(struct fs_req *rq)
{
	struct fuse_entry_out none = { 0 };
	struct fs_valid ev = fs_valid_of(rq->node->share, rq->s->cfg.entry_timeout);
	const char *name;
	size_t off = 0;
	int rc = fs_req_name(rq, &off, &name);

	if (rc < 0)
		return rc;
	rc = fs_reply_entry(rq, rq->node, name);
	if (rc != -ENOENT || (!ev.s && !ev.ns))
		return rc;
	/* Node 0: the guest may believe for a while that there is none. */
	none.entry_valid = ev.s;
	none.entry_valid_nsec = ev.ns;
	fs_req_put(rq, &none, sizeof(none));
	return 0;
}

int fs_op_forget(struct fs_req *rq)
{
	struct fuse_forget_in in;

	FS_ARG(rq, in);
	fs_node_forget(rq->s, rq->h.nodeid, in.nlookup);
	return 0;
}

int fs_op_batch_forget(struct fs_req *rq)
{
	struct fuse_batch_forget_in in;
	struct fuse_forget_one one;
	size_t off = sizeof(in);

	FS_ARG(rq, in);
	for (uint32_t i = 0; i < in.count && off + sizeof(one) <= rq->arg_len; i++) {
		memcpy(&one, rq->arg + off, sizeof(one));
		off += sizeof(one);
		fs_node_forget(rq->s, one.nodeid, one.nlookup);
	}
	return 0;
}
