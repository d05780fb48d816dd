/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File data: straight between the guest's pages and system calls.
 */
#include "vmm/fs/fs_internal.h"

#include <limits.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK    512	     /* no file system has smaller ones */
#define COPY_MAX (64u << 20) /* of one COPY_FILE_RANGE: the guest asks again for the rest */

/* The first @len bytes of @src. Count of parts, or -EINVAL when there is less or too many parts. */
static int iov_clip(struct iovec *dst, const struct iovec *src, int n, size_t len)
{
	int i = 0;

	for (; len > 0; i++) {
		if (i == n || i == IOV_MAX)
			return -EINVAL;
		dst[i] = src[i];
		dst[i].iov_len = min_t(size_t, dst[i].iov_len, len);
		len -= dst[i].iov_len;
	}
	return i;
}

/* What is left of @n parts behind their first @done bytes: *ret_first is the first of them. Count of parts. */
static int iov_rest(struct iovec *iov, int n, size_t done, struct iovec **ret_first)
{
	while (n > 0 && done >= iov->iov_len) {
		done -= iov->iov_len;
		iov++;
		n--;
	}
	if (n > 0) {
		iov->iov_base = (uint8_t *)iov->iov_base + done;
		iov->iov_len -= done;
	}
	*ret_first = iov;
	return n;
}

/* Less than is asked for is the end of the file to the guest, who from then on believes the file to be so short. A file system
 * that cannot read a block in the midst gives what is before it, and the error to who asks again: so where a block may end it is
 * asked, and the error is told for all (the guest then asks for less at a time). */
static ssize_t read_to_end(int fd, struct iovec *iov, int n, size_t len, off_t at)
{
	size_t got = 0;

	for (;;) {
		ssize_t k = preadv(fd, iov, n, at + (off_t)got);

		if (k < 0)
			return -errno;
		got += (size_t)k;
		if (k == 0 || got == len || ((uint64_t)at + got) % BLOCK)
			return (ssize_t)got;
		n = iov_rest(iov, n, (size_t)k, &iov);
	}
}

int fs_op_read(struct fs_req *rq)
{
	struct iovec iov[IOV_MAX];
	struct fuse_read_in in;
	struct fs_handle *h;
	bool direct = rq->r->data != NULL;
	size_t len;
	ssize_t got = 0;
	int n = 1, rc;

	FS_ARG(rq, in);
	if (in.offset > INT64_MAX)
		return -EINVAL;
	len = min_t(size_t, in.size, direct ? rq->data_room : rq->out_room);
	len = min_t(size_t, len, FS_MAX_WRITE);
	if (direct)
		n = iov_clip(iov, rq->r->data, rq->r->data_count, len);
	else
		iov[0] = (struct iovec){ .iov_base = rq->out, .iov_len = len };
	if (n < 0)
		return n;
	rc = fs_handle_get(rq->s, rq->node, in.fh, false, &h);
	if (rc < 0)
		return rc;
	if (len > 0)
		got = read_to_end(h->fd, iov, n, len, (off_t)in.offset);
	fs_handle_put(rq->s, h);
	if (got < 0)
		return (int)got;
	if (direct)
		rq->r->data_len = (size_t)got;
	else
		rq->out_len = (size_t)got;
	return 0;
}

/* The descriptor of an O_APPEND file without that flag: the guest's page cache writes back at
 * offsets. */
static int plain_fd(struct fs_server *s, struct fs_handle *h)
{
	int fd;

	pthread_mutex_lock(&h->lock);
	if (h->plain_fd < 0 && fs_extra_get(s)) {
		h->plain_fd = fs_reopen(s, h->fd, O_WRONLY);
		if (h->plain_fd < 0) {
			fs_extra_put(s);
			h->plain_fd = -1;
		}
	}
	fd = h->plain_fd;
	pthread_mutex_unlock(&h->lock);
	return fd;
}

/* Pages of the guest's cache, which is done with them whatever count is told: all of them or the error. */
static ssize_t write_back(int fd, struct iovec *iov, int n, size_t len, off_t at)
{
	size_t put = 0;

	while (put < len) {
		ssize_t k = pwritev2(fd, iov, n, at + (off_t)put, 0);

		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		put += (size_t)k;
		n = iov_rest(iov, n, (size_t)k, &iov);
	}
	return (ssize_t)put;
}

static ssize_t write_to(struct fs_req *rq, struct fs_handle *h, const struct fuse_write_in *in, struct iovec *iov, int n)
{
	bool append = (in->flags & O_APPEND) && !(in->write_flags & FUSE_WRITE_CACHE);
	int fd = h->fd, rc = 0;
	ssize_t put;

	if (!append && h->append) {
		fd = plain_fd(rq->s, h);
		if (fd < 0)
			return -ENFILE;
	}
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		rc = fs_cred_kill(fd);
	if (rc < 0)
		return rc;
	if (in->write_flags & FUSE_WRITE_CACHE)
		return write_back(fd, iov, n, in->size, (off_t)in->offset);
	put = pwritev2(fd, iov, n, (off_t)in->offset, append && !h->append ? RWF_APPEND : 0);
	return put < 0 ? -errno : put;
}

int fs_op_write(struct fs_req *rq)
{
	struct fuse_write_out out = { 0 };
	struct iovec iov[IOV_MAX];
	struct fuse_write_in in;
	struct fs_handle *h;
	ssize_t put = 0;
	int n, rc;

	FS_ARG(rq, in);
	if (in.offset > INT64_MAX || in.size > FS_MAX_WRITE)
		return -EINVAL;
	n = iov_clip(iov, rq->payload, rq->npayload, in.size);
	if (n < 0)
		return n;
	rc = fs_handle_get(rq->s, rq->node, in.fh, false, &h);
	if (rc < 0)
		return rc;
	if (n > 0)
		put = write_to(rq, h, &in, iov, n);
	fs_handle_put(rq->s, h);
	if (put < 0)
		return (int)put;
	out.size = (uint32_t)put;
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

static int sync_handle(struct fs_req *rq, bool dir)
{
	struct fuse_fsync_in in;
	struct fs_handle *h;
	int rc;

	FS_ARG(rq, in);
	rc = fs_handle_get(rq->s, rq->node, in.fh, dir, &h);
	if (rc < 0)
		return rc;
	rc = in.fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(h->fd) : fsync(h->fd);
	rc = rc < 0 ? -errno : 0;
	fs_handle_put(rq->s, h);
	return rc;
}

int fs_op_fsync(struct fs_req *rq)
{
	return sync_handle(rq, false);
}

int fs_op_fsyncdir(struct fs_req *rq)
{
	return sync_handle(rq, true);
}

int fs_op_syncfs(struct fs_req *rq)
{
	int fd = fs_node_open(rq->s, rq->node, O_RDONLY), rc;

	if (fd < 0)
		return fd;
	rc = syncfs(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int fs_op_lseek(struct fs_req *rq)
{
	struct fuse_lseek_out out;
	struct fuse_lseek_in in;
	struct fs_handle *h;
	off_t at;
	int rc;

	FS_ARG(rq, in);
	if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE)
		return -EINVAL;
	if (in.offset > INT64_MAX) /* what a file says of a place before its begin */
		return -ENXIO;
	rc = fs_handle_get(rq->s, rq->node, in.fh, false, &h);
	if (rc < 0)
		return rc;
	at = lseek(h->fd, (off_t)in.offset, (int)in.whence); /* nobody uses the position */
	rc = at < 0 ? -errno : 0;
	fs_handle_put(rq->s, h);
	if (rc < 0)
		return rc;
	out.offset = (uint64_t)at;
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

/* Set-id bits go with a change of the data unless root makes it. The protocol's flags say so for
 * WRITE and SETATTR alone, and kernels that map ids do not even name the caller: then they go. */
static int kill_for(const struct fs_req *rq, int fd)
{
	return rq->h.uid ? fs_cred_kill(fd) : 0;
}

int fs_op_fallocate(struct fs_req *rq)
{
	struct fuse_fallocate_in in;
	struct fs_handle *h;
	int rc;

	FS_ARG(rq, in);
	if (in.offset > INT64_MAX || in.length > INT64_MAX)
		return -EINVAL;
	if (in.mode &
	    ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	rc = fs_handle_get(rq->s, rq->node, in.fh, false, &h);
	if (rc < 0)
		return rc;
	rc = h->writable ? kill_for(rq, h->fd) : -EBADF;
	if (rc == 0 && fallocate(h->fd, (int)in.mode, (off_t)in.offset, (off_t)in.length) < 0)
		rc = -errno;
	fs_handle_put(rq->s, h);
	return rc;
}

int fs_op_copy_file_range(struct fs_req *rq)
{
	struct fuse_copy_file_range_in in;
	struct fuse_write_out out = { 0 };
	struct fs_handle *from, *to;
	off_t at_in, at_out;
	ssize_t n;
	int rc, fd;

	FS_ARG(rq, in);
	if (in.off_in > INT64_MAX || in.off_out > INT64_MAX || in.flags)
		return -EINVAL;
	rc = fs_req_node2(rq, in.nodeid_out);
	if (rc == 0)
		rc = fs_handle_get(rq->s, rq->node, in.fh_in, false, &from);
	if (rc < 0)
		return rc;
	rc = fs_handle_get(rq->s, rq->node2, in.fh_out, false, &to);
	if (rc < 0) {
		fs_handle_put(rq->s, from);
		return rc;
	}
	at_in = (off_t)in.off_in;
	at_out = (off_t)in.off_out;
	/* Who has the flag still is refused by the guest's kernel already. */
	fd = to->append ? plain_fd(rq->s, to) : to->fd;
	rc = !to->writable ? -EBADF : fd < 0 ? -ENFILE : kill_for(rq, fd);
	n = rc < 0 ? 0 : copy_file_range(from->fd, &at_in, fd, &at_out, min_t(uint64_t, in.len, COPY_MAX), 0);
	if (n < 0)
		rc = -errno;
	fs_handle_put(rq->s, to);
	fs_handle_put(rq->s, from);
	if (rc < 0)
		return rc;
	out.size = (uint32_t)n;
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

int fs_op_ioctl(struct fs_req *rq)
{
	(void)rq;
	return -ENOTTY;
}
