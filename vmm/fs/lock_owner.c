/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of the guest that have POSIX locks on a file. Each has an open file description of its own for it, with F_OFD locks;
 * closing it is the process's close(). Who reads has one for reading: opened for writing a file of an overlay would be copied, a
 * program could not be started meanwhile, and whoever watches on the host would be told of a writer. When a reader begins to
 * write it gets another one, with the same locks. The kernel does not say which those are, so they are noted until then.
 */
#include "vmm/fs/fs_internal.h"

#include <stdlib.h>
#include <unistd.h>

static void owner_free(struct fs_server *s, struct fs_posix_owner *o)
{
	close(o->fd);
	free(o);
	s->nextra--;
}

void fs_locks_free_locked(struct fs_server *s, struct fs_node *n)
{
	while (n->locks) {
		struct fs_posix_owner *o = n->locks;

		n->locks = o->next;
		owner_free(s, o);
	}
}

static void drop(struct fs_server *s, struct fs_node *n, bool by_handle, uint64_t id)
{
	struct fs_posix_owner **p;

	pthread_mutex_lock(&s->posix_lock); /* nobody uses a descriptor that goes */
	pthread_mutex_lock(&s->lock);
	for (p = &n->locks; *p;) {
		struct fs_posix_owner *o = *p;

		if ((by_handle ? o->fh : o->owner) == id) {
			*p = o->next;
			owner_free(s, o);
		} else {
			p = &o->next;
		}
	}
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->posix_lock);
}

static bool none(struct fs_server *s, const struct fs_node *n)
{
	bool ret;

	pthread_mutex_lock(&s->lock);
	ret = !n->locks;
	pthread_mutex_unlock(&s->lock);
	return ret;
}

void fs_locks_drop(struct fs_server *s, struct fs_node *n, uint64_t owner)
{
	if (!none(s, n))
		drop(s, n, false, owner);
}

void fs_locks_drop_handle(struct fs_server *s, struct fs_node *n, uint64_t fh)
{
	if (!none(s, n))
		drop(s, n, true, fh);
}

static int open_for(struct fs_server *s, const struct fs_handle *h, struct fs_posix_owner *o)
{
	o->writable = h->writable;
	o->fd = fs_reopen(s, h->fd, o->writable ? O_RDWR : O_RDONLY);
	if (o->fd < 0 && o->writable) {
		o->writable = false;
		o->fd = fs_reopen(s, h->fd, O_RDONLY);
	}
	return min_t(int, o->fd, 0);
}

/* By the open file, which is there even when the name is gone. */
int fs_lock_owner(struct fs_server *s, const struct fs_handle *h, uint64_t owner, bool make, struct fs_posix_owner **ret)
{
	struct fs_node *n = h->node;
	struct fs_posix_owner *o;
	int rc;

	for (o = n->locks; o; o = o->next)
		if (o->owner == owner)
			break;
	*ret = o;
	if (o || !make)
		return 0;
	if (!fs_extra_get(s))
		return -ENOLCK;
	o = calloc(1, sizeof(*o));
	rc = o ? open_for(s, h, o) : -ENOMEM;
	if (rc < 0) {
		free(o);
		fs_extra_put(s);
		return rc;
	}
	o->owner = owner;
	pthread_mutex_lock(&s->lock);
	o->next = n->locks;
	n->locks = o;
	n->locked = true;
	pthread_mutex_unlock(&s->lock);
	*ret = o;
	return 0;
}

/* --- from reading to writing ----------------------------------------------------------- */
/* What @o has for reading after @fl, in order of nothing; at most one more than it has, and one that is cut in two. Locks that
 * touch are one, as they are to the kernel. */
static unsigned after(const struct fs_posix_owner *o, const struct flock *fl, struct fs_lock_range ret[FS_LOCK_RANGES + 2])
{
	struct fs_lock_range r = { fl->l_start, fl->l_len ? fl->l_start + fl->l_len - 1 : INT64_MAX };
	bool add = fl->l_type == F_RDLCK;
	unsigned n = 0;

	for (unsigned i = 0; i < o->nheld; i++) {
		const struct fs_lock_range *h = &o->held[i];

		if (add && h->start - 1 <= r.end && r.start - 1 <= h->end) {
			r.start = min_t(int64_t, r.start, h->start);
			r.end = max_t(int64_t, r.end, h->end);
		} else if (h->start > r.end || r.start > h->end) {
			ret[n++] = *h;
		} else {
			if (h->start < r.start)
				ret[n++] = (struct fs_lock_range){ h->start, r.start - 1 };
			if (r.end < h->end)
				ret[n++] = (struct fs_lock_range){ r.end + 1, h->end };
		}
	}
	if (add)
		ret[n++] = r;
	return n;
}

/* Nobody else can have what is locked for reading already, so that nothing of it is lost on the way. */
static int widen(struct fs_server *s, const struct fs_handle *h, struct fs_posix_owner *o)
{
	int fd = o->untold ? -ENOLCK : fs_reopen(s, h->fd, O_RDWR), old = o->fd;

	if (fd < 0)
		return fd;
	for (unsigned i = 0; i < o->nheld; i++) {
		struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = o->held[i].start };

		if (o->held[i].end != INT64_MAX)
			fl.l_len = o->held[i].end - o->held[i].start + 1;
		if (fcntl(fd, F_OFD_SETLK, &fl) < 0) {
			close(fd);
			return -ENOLCK;
		}
	}
	pthread_mutex_lock(&s->lock);
	o->fd = fd;
	o->writable = true;
	pthread_mutex_unlock(&s->lock);
	close(old);
	return 0;
}

/* What @o has now, the first @n of @held; @untold: they are too many to be noted. */
static void note(struct fs_posix_owner *o, const struct flock *fl, const struct fs_lock_range *held, unsigned n, bool untold)
{
	if (fl->l_type == F_UNLCK && fl->l_start == 0 && fl->l_len == 0) { /* nothing, whatever it had */
		o->nheld = 0;
		o->untold = false;
	} else if (untold) {
		o->untold = true;
	} else if (!o->writable && !o->untold) {
		memcpy(o->held, held, n * sizeof(*held));
		o->nheld = n;
	}
}

int fs_lock_set(struct fs_server *s, const struct fs_handle *h, struct fs_posix_owner *o, struct flock *fl)
{
	struct fs_lock_range held[FS_LOCK_RANGES + 2];
	bool untold;
	unsigned n = 0;
	int rc = 0;

	if (!o->writable && fl->l_type == F_WRLCK && h->writable)
		rc = widen(s, h, o);
	if (rc < 0)
		return rc;
	if (!o->writable && fl->l_type != F_WRLCK)
		n = after(o, fl, held);
	/* In more pieces than can be noted: with a descriptor for writing they need not be. Where there can be none (a
	 * read-only mount), nobody will ask for one. */
	untold = n > FS_LOCK_RANGES && widen(s, h, o) < 0;
	if (fcntl(o->fd, F_OFD_SETLK, fl) < 0)
		return -errno;
	note(o, fl, held, n, untold);
	return 0;
}
