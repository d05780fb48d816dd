/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks, which are the host's. flock() locks belong to an open file, as they do on the host: the
 * handle's descriptor. POSIX locks belong to a process of the guest, the "owner" (lock_owner.c).
 * Nothing here waits: a lock that is taken is FS_AGAIN to a request that would wait.
 */
#include "vmm/fs/fs_internal.h"

#include <sys/file.h>

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
	fs_lock_owner(rq->s, h, in.owner, false, &o);
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
	rc = fs_lock_owner(rq->s, h, in->owner, fl.l_type != F_UNLCK, &o);
	if (rc == 0 && o) {
		o->fh = in->fh;
		rc = fs_lock_set(rq->s, h, o, &fl);
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
