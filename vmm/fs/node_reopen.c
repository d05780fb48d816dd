/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a node again: down from the nearest ancestor that has a descriptor, each step by a name
 * that cannot leave its directory, and what is found must be what the guest was told.
 */
#include "vmm/fs/fs_internal.h"

#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef OVERLAYFS_SUPER_MAGIC
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#endif
#define REOPEN_DEPTH 65536u /* directories that may have to be opened to get to one node … */
#define REOPEN_BATCH 1024u /* … this many at a time */

bool fs_node_verify(const struct fs_node *n, const struct statx *st)
{
	struct fs_ident id;

	if (!n->share)
		return false;
	fs_ident_of(st, &id);
	return id.ino == n->id.ino && id.dev == n->id.dev && id.mnt_id == n->id.mnt_id &&
	       (st->stx_mode & S_IFMT) == n->type &&
	       (n->overlay || (id.btime_s == n->id.btime_s && id.btime_ns == n->id.btime_ns));
}

/* File systems that are a door to the host's kernel rather than files. A share of a tree in which they are mounted
 * (a whole root) ends at them: with this server's rights a guest could turn the host off there. */
static bool is_kernels(const struct statfs *st)
{
	static const unsigned kinds[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC,
		DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, SELINUX_MAGIC, SMACK_MAGIC, BPF_FS_MAGIC,
		EFIVARFS_MAGIC, PSTOREFS_MAGIC, BINFMTFS_MAGIC, NSFS_MAGIC, 0x62656570 /* configfs */,
		0x65735543 /* fusectl */, 0x7655821 /* resctrl */,
	};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((unsigned)st->f_type == kinds[i])
			return true;
	return false;
}

bool fs_is_overlay(const struct statfs *st)
{
	return st->f_type == OVERLAYFS_SUPER_MAGIC;
}

/* What the mount is whose root @n was found to be. */
static int look_at_mount(struct fs_node *n, int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0 || is_kernels(&st))
		return -EACCES;
	n->overlay = fs_is_overlay(&st);
	return 0;
}

/* Opens @n in its parent, whose descriptor is @dirfd. The node is referenced. */
static int open_at(struct fs_server *s, struct fs_node *parent, int dirfd, struct fs_node *n)
{
	char name[NAME_MAX + 1];
	struct statx st;
	bool there, cross;
	int fd, rc;

	pthread_mutex_lock(&s->lock);
	there = n->parent == parent && n->name && n->share;
	if (there)
		snprintf(name, sizeof(name), "%s", n->name);
	cross = n->cross;
	pthread_mutex_unlock(&s->lock);
	if (!there)
		return -ESTALE;

	fd = fs_open_beneath(s, dirfd, name, O_PATH, 0, cross);
	if (fd < 0)
		return fs_no_resources(fd) ? fd : -ESTALE;
	rc = fs_stat_fd(fd, &st);
	if (rc == 0 && cross)
		rc = look_at_mount(n, fd);
	pthread_mutex_lock(&s->lock);
	if (rc == 0 && !fs_node_verify(n, &st))
		rc = -ESTALE;
	if (rc == 0)
		rc = fs_node_use_locked(s, n, &fd);
	pthread_mutex_unlock(&s->lock);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* An open file of @n leads to it when no name does any more: the host, or another guest, removed or
 * moved it. -ESTALE when there is none. */
static int fd_by_handle(struct fs_server *s, struct fs_node *n)
{
	struct fs_handle *h = fs_handle_any(s, n);
	int fd, rc = -ESTALE;

	if (!h)
		return rc;
	fd = fs_reopen(s, h->fd, O_PATH);
	pthread_mutex_lock(&s->lock);
	if (fd >= 0)
		rc = fs_node_use_locked(s, n, &fd);
	pthread_mutex_unlock(&s->lock);
	fs_handle_put(s, h);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* The nodes to be opened on the way to @n, of which only those nearest to the first ancestor with a
 * descriptor, deepest first and referenced; that ancestor in *ret_base, referenced and in use (NULL:
 * none has one). Count, or -ESTALE: too deep. */
static int closed_ancestors(struct fs_server *s, struct fs_node *n, struct fs_node **path,
			    struct fs_node **ret_base)
{
	unsigned total = 0, skip;
	struct fs_node *base, *a;
	int count = 0;

	pthread_mutex_lock(&s->lock);
	for (base = n; base && base->fd < 0 && total <= REOPEN_DEPTH; base = base->parent)
		total++;
	if (total > REOPEN_DEPTH) {
		pthread_mutex_unlock(&s->lock);
		return -ESTALE;
	}
	for (a = n, skip = total > REOPEN_BATCH ? total - REOPEN_BATCH : 0; skip; skip--)
		a = a->parent;
	for (; a != base; a = a->parent) {
		fs_node_ref_locked(a);
		path[count++] = a;
	}
	if (base) {
		fs_node_ref_locked(base);
		fs_node_hold_locked(s, base);
	}
	*ret_base = base;
	pthread_mutex_unlock(&s->lock);
	return count;
}

static void let_go(struct fs_server *s, struct fs_node *n)
{
	if (!n)
		return;
	fs_node_fd_put(s, n);
	fs_node_put(s, n);
}

/* One batch on the way down to @n. The last node opened is in *ret, referenced and in use; its
 * descriptor. On failure *ret is NULL. */
static int open_some(struct fs_server *s, struct fs_node *n, struct fs_node **ret)
{
	struct fs_node *path[REOPEN_BATCH], *base;
	int left = closed_ancestors(s, n, path, &base), fd;

	*ret = NULL;
	if (left < 0)
		return left;
	fd = base ? base->fd : -ESTALE;
	while (left > 0) {
		struct fs_node *child = path[--left];

		fd = base ? open_at(s, base, fd, child) : -ESTALE;
		if (fd == -ESTALE)
			fd = fd_by_handle(s, child);
		let_go(s, base);
		base = child; /* its reference comes from the list */
		if (fd < 0) {
			fs_node_put(s, child);
			base = NULL;
			break;
		}
	}
	while (left > 0)
		fs_node_put(s, path[--left]);
	*ret = base;
	return fd;
}

int fs_node_reopen(struct fs_server *s, struct fs_node *n)
{
	struct fs_node *at = NULL;
	int fd;

	do {
		struct fs_node *held = at;

		fd = open_some(s, n, &at);
		let_go(s, held);
	} while (fd >= 0 && at != n);
	fs_node_put(s, at); /* the caller has one, and gets the use */
	return fd;
}
