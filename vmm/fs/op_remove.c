/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that go or move: UNLINK, RMDIR, RENAME. A node that the guest holds is pinned before its
 * last name goes, so that it works on.
 */
#include "vmm/fs/fs_internal.h"

#include <stdio.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE	 (1 << 1)
#define RENAME_WHITEOUT	 (1 << 2)
#endif

static bool last_name(const struct statx *st)
{
	return S_ISDIR(st->stx_mode) || st->stx_nlink <= 1;
}

/* @n is about to lose the name that was just seen for it. With its last one it could never be opened again: it is pinned.
 * One that cannot be goes stale, which is no reason to refuse the removal. With others left the guest may know it by those
 * for as long as it likes, and finds it by them when its descriptor is gone. */
static void keep_open(struct fs_server *s, struct fs_node *n, struct fs_node *dir, const char *name,
		      const struct statx *st)
{
	if (last_name(st))
		fs_node_pin(s, n);
	else if (fs_node_is_at(s, n, dir, name) && fs_node_fd(s, n) >= 0)
		fs_node_fd_put(s, n);
}

/* The node that the guest has for this name, if any, referenced. */
static struct fs_node *known(struct fs_server *s, struct fs_node *dir, int dirfd, const char *name, bool goes)
{
	struct fs_node *n = NULL;
	struct statx st;

	pthread_rwlock_rdlock(&dir->share->names);
	if (fs_stat_name(dirfd, name, &st) == 0)
		n = fs_node_find(s, dir->share, &st);
	if (n && goes && last_name(&st))
		fs_node_moved(s, n, dir, name); /* the one that it was known by may have gone before */
	pthread_rwlock_unlock(&dir->share->names);
	if (n && goes)
		keep_open(s, n, dir, name, &st);
	return n;
}

static int remove_name(struct fs_req *rq, int flags)
{
	struct fs_node *victim;
	const char *name;
	size_t off = 0;
	int rc = fs_req_name(rq, &off, &name), fd;

	if (rc < 0)
		return rc;
	fd = fs_node_fd(rq->s, rq->node);
	if (fd < 0)
		return fd;
	victim = known(rq->s, rq->node, fd, name, true);
	pthread_rwlock_wrlock(&rq->node->share->names);
	rc = unlinkat(fd, name, flags) < 0 ? -errno : 0;
	if (victim && rc == 0)
		fs_node_unlinked(rq->s, victim, rq->node, name);
	else if (victim && fs_node_is_at(rq->s, victim, rq->node, name))
		fs_node_unpin(rq->s, victim);
	pthread_rwlock_unlock(&rq->node->share->names);
	fs_node_put(rq->s, victim);
	fs_node_fd_put(rq->s, rq->node);
	return rc;
}

int fs_op_unlink(struct fs_req *rq)
{
	return remove_name(rq, 0);
}

int fs_op_rmdir(struct fs_req *rq)
{
	return remove_name(rq, AT_REMOVEDIR);
}

struct move {
	int from_fd, to_fd;
	const char *from, *to;
	unsigned flags;
};

static int move_names(struct fs_req *rq, const struct move *m)
{
	struct fs_server *s = rq->s;
	struct fs_node *to_dir = rq->node2, *moved, *victim;
	bool swap = m->flags & RENAME_EXCHANGE;
	int rc;

	moved = known(s, rq->node, m->from_fd, m->from, false);
	victim = known(s, to_dir, m->to_fd, m->to, !swap);
	pthread_rwlock_wrlock(&rq->node->share->names);
	rc = renameat2(m->from_fd, m->from, m->to_fd, m->to, m->flags) < 0 ? -errno : 0;
	/* Two names of one file: rename did nothing. */
	if (rc == 0 && moved != victim) {
		if (victim && swap)
			fs_node_moved(s, victim, rq->node, m->from);
		else if (victim)
			fs_node_unlinked(s, victim, to_dir, m->to);
		if (moved)
			fs_node_moved(s, moved, to_dir, m->to);
	} else if (victim && !swap && fs_node_is_at(s, victim, to_dir, m->to)) {
		fs_node_unpin(s, victim);
	}
	pthread_rwlock_unlock(&rq->node->share->names);
	if (rc == 0 && moved && moved->special)
		fs_special_mark(s, m->to_fd);
	fs_node_put(s, victim);
	fs_node_put(s, moved);
	return rc;
}

static int do_rename(struct fs_req *rq, size_t off, uint64_t newdir, unsigned flags)
{
	struct move m = { .flags = flags };
	int rc = fs_req_name(rq, &off, &m.from);

	if (rc == 0)
		rc = fs_req_name(rq, &off, &m.to);
	if (rc == 0)
		rc = fs_req_node2(rq, newdir);
	if (rc < 0)
		return rc;
	if (rq->node2->type != S_IFDIR)
		return -ENOTDIR;
	m.from_fd = fs_node_fd(rq->s, rq->node);
	if (m.from_fd < 0)
		return m.from_fd;
	m.to_fd = fs_node_fd(rq->s, rq->node2);
	if (m.to_fd >= 0) {
		rc = move_names(rq, &m);
		fs_node_fd_put(rq->s, rq->node2);
	} else {
		rc = m.to_fd;
	}
	fs_node_fd_put(rq->s, rq->node);
	return rc;
}

int fs_op_rename(struct fs_req *rq)
{
	struct fuse_rename_in in;

	FS_ARG(rq, in);
	return do_rename(rq, sizeof(in), in.newdir, 0);
}

int fs_op_rename2(struct fs_req *rq)
{
	struct fuse_rename2_in in;

	FS_ARG(rq, in);
	/* A whiteout is the host's, too (special.c). Overlayfs on the host has none. */
	if (in.flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	return do_rename(rq, sizeof(in), in.newdir, in.flags);
}
