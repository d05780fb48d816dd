/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files and directories.
 */
#include "vmm/fs/fs_internal.h"

#include <unistd.h>

static void link_locked(struct fs_node *n, struct fs_handle *h)
{
	h->next = n->handles;
	h->prev = &n->handles;
	if (h->next)
		h->next->prev = &h->next;
	n->handles = h;
}

static void unlink_locked(struct fs_handle *h)
{
	*h->prev = h->next;
	if (h->next)
		h->next->prev = h->prev;
}

/* The table keeps an element's memory, so that its mutex can be made once per use and destroyed. */
static void fill_locked(struct fs_handle *h, struct fs_node *n, int fd, int flags, bool dir)
{
	fs_node_ref_locked(n);
	h->node = n;
	link_locked(n, h);
	h->fd = fd;
	h->plain_fd = -1;
	h->flags = flags;
	h->append = flags & O_APPEND;
	h->writable = (flags & O_ACCMODE) != O_RDONLY;
	h->dir = dir;
	h->refs = 1;
	pthread_mutex_init(&h->lock, NULL);
}

int fs_handle_new(struct fs_server *s, struct fs_node *n, int fd, int flags, bool dir,
		  struct fs_handle **ret)
{
	struct fs_handle *h = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->handles.count + s->nextra < s->cfg.max_handles)
		h = fs_slots_alloc(&s->handles);
	if (h) {
		fill_locked(h, n, fd, flags, dir);
		h->refs++; /* the caller's: DESTROY may come at once and take the guest's */
		*ret = h;
	}
	pthread_mutex_unlock(&s->lock);
	return h ? 0 : -ENFILE;
}

int fs_handle_restore(struct fs_server *s, struct fs_node *n, int fd, int flags, bool dir,
		      uint64_t id)
{
	struct fs_handle *h;

	pthread_mutex_lock(&s->lock);
	h = fs_slots_restore(&s->handles, id);
	if (h) {
		fill_locked(h, n, fd, flags, dir);
		h->specials = dir && fs_special_marked(fd);
		h->pos = -1;
	}
	pthread_mutex_unlock(&s->lock);
	return h ? 0 : -EBADMSG;
}

int fs_handle_get(struct fs_server *s, struct fs_node *n, uint64_t fh, bool dir,
		  struct fs_handle **ret)
{
	struct fs_handle *h;
	int rc = -EBADF;

	pthread_mutex_lock(&s->lock);
	h = fs_slots_get(&s->handles, fh);
	if (h && h->node == n && h->dir == dir && !h->closing) {
		h->refs++;
		*ret = h;
		rc = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

struct fs_handle *fs_handle_any(struct fs_server *s, struct fs_node *n)
{
	struct fs_handle *h;

	pthread_mutex_lock(&s->lock);
	h = n->share ? n->handles : NULL;
	if (h)
		h->refs++;
	pthread_mutex_unlock(&s->lock);
	return h;
}

/* Drops a reference; the last one hands the descriptors out to be closed without the lock
 * (closing may have to write). */
static void put_locked(struct fs_server *s, struct fs_handle *h, int fds[2])
{
	bug_on(h->refs == 0);
	fds[0] = fds[1] = -1;
	if (--h->refs)
		return;
	fds[0] = h->fd;
	fds[1] = h->plain_fd;
	if (h->plain_fd >= 0)
		s->nextra--;
	pthread_mutex_destroy(&h->lock);
	fs_node_put_locked(s, h->node);
	fs_slots_free(&s->handles, h);
}

static void close_both(const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void fs_handle_put(struct fs_server *s, struct fs_handle *h)
{
	int fds[2];

	pthread_mutex_lock(&s->lock);
	put_locked(s, h, fds);
	pthread_mutex_unlock(&s->lock);
	close_both(fds);
}

void fs_handle_close_locked(struct fs_server *s, struct fs_handle *h)
{
	int fds[2];

	if (h->closing)
		return;
	h->closing = true;
	unlink_locked(h);
	put_locked(s, h, fds);
	close_both(fds);
}

bool fs_extra_get(struct fs_server *s)
{
	bool ok;

	pthread_mutex_lock(&s->lock);
	ok = s->nextra + s->handles.count < s->cfg.max_handles;
	if (ok)
		s->nextra++;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

void fs_extra_put(struct fs_server *s)
{
	pthread_mutex_lock(&s->lock);
	bug_on(s->nextra == 0);
	s->nextra--;
	pthread_mutex_unlock(&s->lock);
}
