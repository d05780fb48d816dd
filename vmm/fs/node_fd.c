/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of nodes: opened when needed, verified, closed by an LRU.
 */
#include "vmm/fs/fs_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- the LRU ------------------------------------------------------------------------- */
static bool in_lru(const struct fs_server *s, const struct fs_node *n)
{
	return n->lru_prev || s->lru_head == n;
}

static void lru_del(struct fs_server *s, struct fs_node *n)
{
	if (!in_lru(s, n))
		return;
	if (n->lru_prev)
		n->lru_prev->lru_next = n->lru_next;
	else
		s->lru_head = n->lru_next;
	if (n->lru_next)
		n->lru_next->lru_prev = n->lru_prev;
	else
		s->lru_tail = n->lru_prev;
	n->lru_prev = n->lru_next = NULL;
}

static void lru_add(struct fs_server *s, struct fs_node *n)
{
	n->lru_prev = NULL;
	n->lru_next = s->lru_head;
	if (s->lru_head)
		s->lru_head->lru_prev = n;
	else
		s->lru_tail = n;
	s->lru_head = n;
}

void fs_node_fd_close_locked(struct fs_server *s, struct fs_node *n)
{
	if (n->fd < 0)
		return;
	lru_del(s, n);
	close(n->fd);
	n->fd = -1;
	if (n->is_root)
		return; /* share.c's, not counted */
	if (n->pinned)
		s->nextra--;
	else
		s->nfds--;
	n->pinned = false;
}

static unsigned shrink_locked(struct fs_server *s, unsigned n)
{
	unsigned done = 0;

	for (; done < n && s->lru_tail; done++)
		fs_node_fd_close_locked(s, s->lru_tail);
	return done;
}

unsigned fs_fds_shrink(struct fs_server *s, unsigned n)
{
	unsigned done;

	pthread_mutex_lock(&s->lock);
	done = shrink_locked(s, n);
	pthread_mutex_unlock(&s->lock);
	return done;
}

/* --- use ----------------------------------------------------------------------------- */
int fs_node_hold_locked(struct fs_server *s, struct fs_node *n)
{
	lru_del(s, n);
	n->fd_users++;
	return n->fd;
}

int fs_node_use_locked(struct fs_server *s, struct fs_node *n, int *fd)
{
	if (n->fd < 0) {
		n->fd = *fd;
		*fd = -1;
		if (++s->nfds > s->cfg.max_fds)
			shrink_locked(s, s->nfds - s->cfg.max_fds);
	}
	return fs_node_hold_locked(s, n);
}

static void fd_put_locked(struct fs_server *s, struct fs_node *n)
{
	bug_on(n->fd_users == 0);
	if (--n->fd_users == 0 && n->fd >= 0 && !n->pinned && !n->is_root)
		lru_add(s, n);
}

void fs_node_fd_put(struct fs_server *s, struct fs_node *n)
{
	pthread_mutex_lock(&s->lock);
	fd_put_locked(s, n);
	pthread_mutex_unlock(&s->lock);
}

int fs_node_fd(struct fs_server *s, struct fs_node *n)
{
	struct fs_share *share;
	int fd;

	pthread_mutex_lock(&s->lock);
	fd = n->fd >= 0 ? fs_node_hold_locked(s, n) : -1;
	share = n->share;
	pthread_mutex_unlock(&s->lock);
	if (fd >= 0)
		return fd;
	if (!share)
		return -ESTALE;
	pthread_rwlock_rdlock(&share->names);
	fd = fs_node_reopen(s, n);
	pthread_rwlock_unlock(&share->names);
	return fd;
}

/* --- pinning ------------------------------------------------------------------------- */
static int pin_locked(struct fs_server *s, struct fs_node *n)
{
	if (n->pinned || n->is_root)
		return 0;
	if (s->nextra + s->handles.count >= s->cfg.max_handles)
		return -ENFILE;
	s->nextra++;
	s->nfds--;
	n->pinned = true;
	lru_del(s, n);
	return 0;
}

int fs_node_pin(struct fs_server *s, struct fs_node *n)
{
	int fd = fs_node_fd(s, n), rc;

	if (fd < 0)
		return fd;
	pthread_mutex_lock(&s->lock);
	rc = pin_locked(s, n);
	fd_put_locked(s, n);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void fs_node_unpin_locked(struct fs_server *s, struct fs_node *n)
{
	if (!n->pinned)
		return;
	n->pinned = false;
	s->nextra--;
	if (n->fd_users == 0)
		lru_add(s, n);
	if (++s->nfds > s->cfg.max_fds)
		shrink_locked(s, s->nfds - s->cfg.max_fds);
}

void fs_node_unpin(struct fs_server *s, struct fs_node *n)
{
	pthread_mutex_lock(&s->lock);
	fs_node_unpin_locked(s, n);
	pthread_mutex_unlock(&s->lock);
}

int fs_node_pin_fd(struct fs_server *s, struct fs_node *n, int fd)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (n->fd >= 0) {
		rc = -EEXIST;
	} else {
		n->fd = fd;
		s->nfds++;
		rc = pin_locked(s, n);
		if (rc < 0) {
			n->fd = -1;
			s->nfds--;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* --- attributes ---------------------------------------------------------------------- */
/* Attributes by parent and name, without opening anything; -EAGAIN: not that way. */
static int stat_by_name(struct fs_server *s, struct fs_node *n, struct statx *st)
{
	char name[NAME_MAX + 1];
	struct fs_node *parent = NULL;
	int dirfd = -1, rc = -EAGAIN;
	bool there;

	pthread_mutex_lock(&s->lock);
	if (n->fd < 0 && n->parent && n->parent->fd >= 0) {
		parent = n->parent;
		fs_node_ref_locked(parent);
		dirfd = fs_node_hold_locked(s, parent);
		snprintf(name, sizeof(name), "%s", n->name);
	}
	pthread_mutex_unlock(&s->lock);
	if (!parent)
		return -EAGAIN;
	there = fs_stat_name(dirfd, name, st) == 0;
	pthread_mutex_lock(&s->lock);
	if (there && fs_node_verify(n, st))
		rc = 0;
	fd_put_locked(s, parent);
	fs_node_put_locked(s, parent);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int fs_node_stat(struct fs_server *s, struct fs_node *n, struct statx *st)
{
	int fd, rc = stat_by_name(s, n, st);

	if (rc == 0 && !fs_special_maybe(st))
		return 0;
	fd = fs_node_fd(s, n);
	if (fd < 0)
		return fd;
	rc = fs_stat_fd(fd, st);
	if (rc == 0 && fs_special_maybe(st))
		rc = fs_special_show(s, fd, st);
	fs_node_fd_put(s, n);
	return min_t(int, rc, 0);
}

int fs_node_open(struct fs_server *s, struct fs_node *n, int flags)
{
	int fd, rc;

	if (n->type != S_IFREG && n->type != S_IFDIR)
		return n->type == S_IFLNK ? -ELOOP : -ENXIO;
	fd = fs_node_fd(s, n);
	if (fd < 0)
		return fd;
	rc = fs_reopen(s, fd, flags);
	fs_node_fd_put(s, n);
	return rc;
}

int fs_node_open_as(struct fs_server *s, struct fs_node *n, int *flags)
{
	int fd = fs_node_open(s, n, *flags);

	if (fd == -EPERM && (*flags & O_NOATIME)) {
		*flags &= ~O_NOATIME;
		fd = fs_node_open(s, n, *flags);
	}
	return fd;
}
