/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks, which are the host's. flock() locks belong to an open file, as they do on the host: the
 * handle's descriptor. POSIX locks belong to a process of the guest, the "owner": each owner that
 * locks a file has an open file description of its own for it, with F_OFD locks; closing it is the
 * process's close(). Nothing here waits: a lock that is taken is FS_AGAIN to a request that would
 * wait.
 */
#include "vmm/fs/fs_internal.h"

#include <stdlib.h>
#include <sys/file.h>
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

/* posix_lock is held. @make: open one for a new owner (by the open file, which is there even
 * when the name is gone); else NULL when there is none. */
static int owner_get(struct fs_server *s, const struct fs_handle *h, uint64_t owner, bool make,
		     struct fs_posix_owner **ret)
{
	struct fs_node *n = h->node;
	struct fs_posix_owner *o;

	for (o = n->locks; o; o = o->next)
		if (o->owner == owner)
			break;
	*ret = o;
	if (o || !make)
		return 0;
	if (!fs_extra_get(s))
		return -ENOLCK;
	o = calloc(1, sizeof(*o));
	if (o) {
		o->owner = owner;
		o->fd = fs_reopen(s, h->fd, O_RDWR);
		if (o->fd < 0)
			o->fd = fs_reopen(s, h->fd, O_RDONLY);
	}
	if (!o || o->fd < 0) {
		int rc = o ? o->fd : -ENOMEM;

		free(o);
		fs_extra_put(s);
		return rc;
	}
	pthread_mutex_lock(&s->lock);
	o->next = n->locks;
	n->locks = o;
	n->locked = true;
	pthread_mutex_unlock(&s->lock);
	*ret = o;
	return 0;
}

/* The protocol's range has its last byte, the host's a length with 0 for "to the end". */
static int to_flock(const struct fuse_file_lock *lk, struct flock *ret)
{
	if (lk->start > INT64_MAX || lk->end < lk->start)
		return -EINVAL;
	if (lk->type != F_RDLCK && lk->type != F_WRLCK && lk->type != F_UNLCK)
		return -EINVAL;
	*ret = (struct flock){
		.l_type = (short)lk->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lk->start,
		.l_len = lk->end >= INT64_MAX ? 0 : (off_t)(lk->end - lk->start + 1),
	};
	return 0;
}

int fs_op_getlk(struct fs_req *rq)
{
	struct fuse_lk_out out = { 0 };
	struct fs_posix_owner *o;
	struct fs_handle *h;
	struct fuse_lk_in in;
	struct flock fl;
	int rc;

	FS_ARG(rq, in);
	rc = to_flock(&in.lk, &fl);
	if (rc == 0 && fl.l_type == F_UNLCK)
		rc = -EINVAL;
	if (rc == 0)
		rc = fs_handle_get(rq->s, rq->node, in.fh, false, &h);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&rq->s->posix_lock);
	owner_get(rq->s, h, in.owner, false, &o);
	rc = fcntl(o ? o->fd : h->fd, F_OFD_GETLK, &fl) < 0 ? -errno : 0;
	pthread_mutex_unlock(&rq->s->posix_lock);
	fs_handle_put(rq->s, h);
	if (rc < 0)
		return rc;
	out.lk.type = (uint32_t)fl.l_type;
	if (fl.l_type != F_UNLCK) {
		out.lk.start = (uint64_t)fl.l_start;
		out.lk.end = fl.l_len ? (uint64_t)fl.l_start + (uint64_t)fl.l_len - 1 : INT64_MAX;
	}
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

static int set_posix(struct fs_req *rq, const struct fs_handle *h, const struct fuse_lk_in *in,
		     bool wait)
{
	struct fs_posix_owner *o;
	struct flock fl;
	int rc = to_flock(&in->lk, &fl);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&rq->s->posix_lock);
	rc = owner_get(rq->s, h, in->owner, fl.l_type != F_UNLCK, &o);
	if (rc == 0 && o) {
		o->fh = in->fh;
		rc = fcntl(o->fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
	}
	if (wait && (rc == -EAGAIN || rc == -EACCES)) {
		const struct fs_lock_wait w = { rq->h.unique, rq->h.nodeid, in->owner, fl };

		rc = fs_lock_wait(rq->s, &w);
		rc = rc == 0 ? -EAGAIN : rc;
	} else if (wait) {
		fs_lock_wait_end(rq->s, rq->h.unique);
	}
	pthread_mutex_unlock(&rq->s->posix_lock);
	return rc;
}

static int set_flock(struct fs_handle *h, uint32_t type)
{
	static const int how[] = { [F_RDLCK] = LOCK_SH, [F_WRLCK] = LOCK_EX, [F_UNLCK] = LOCK_UN };

	if (type >= ARRAY_SIZE(how))
		return -EINVAL;
	if (flock(h->fd, how[type] | LOCK_NB) < 0)
		return -errno;
	h->flocked = type != F_UNLCK;
	return 0;
}

static int set_lock(struct fs_req *rq, bool wait)
{
	struct fs_handle *h;
	struct fuse_lk_in in;
	int rc;

	FS_ARG(rq, in);
	rc = fs_handle_get(rq->s, rq->node, in.fh, false, &h);
	if (rc < 0) /* directories can be flock()ed, too */
		rc = fs_handle_get(rq->s, rq->node, in.fh, true, &h);
	if (rc < 0)
		return rc;
	if (in.lk_flags & FUSE_LK_FLOCK)
		rc = set_flock(h, in.lk.type);
	else
		rc = h->dir ? -EBADF : set_posix(rq, h, &in, wait);
	fs_handle_put(rq->s, h);
	if (rc == -EACCES)
		rc = -EAGAIN;
	return wait && rc == -EAGAIN ? FS_AGAIN : rc;
}

int fs_op_setlk(struct fs_req *rq)
{
	return set_lock(rq, false);
}

int fs_op_setlkw(struct fs_req *rq)
{
	return set_lock(rq, true);
}

/* Nothing of ours waits: the carrier has the requests that were put off. */
int fs_op_interrupt(struct fs_req *rq)
{
	(void)rq;
	return 0;
}
