// SPDX-License-Identifier: Apache-2.0
/* Requests done by waiting for them: what a thread does. */
#include "vmm/backend/disk_internal.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#define PIECE	  (64u << 10)
#define ALIGN_MAX 4096

void disk_advance(struct disk_io *io, size_t n)
{
	io->off += n;
	io->len -= n;
	while (n) {
		struct iovec *v = io->iov;

		if (n < v->iov_len) {
			v->iov_base = (char *)v->iov_base + n;
			v->iov_len -= n;
			return;
		}
		n -= v->iov_len;
		io->iov++;
		io->niov--;
	}
}

static ssize_t once(const struct disk *d, const struct disk_io *io)
{
	if (io->op == DISK_READ)
		return preadv(d->fd, io->iov, io->niov, (off_t)io->off);
	return pwritev2(d->fd, io->iov, io->niov, (off_t)io->off, io->sync ? RWF_DSYNC : 0);
}

static int transfer(const struct disk *d, struct disk_io *io)
{
	while (io->len) {
		ssize_t n = once(d, io);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* the file is shorter than it was */
		disk_advance(io, (size_t)n);
	}
	return 0;
}

bool disk_aligned(const struct disk *d, const struct disk_io *io)
{
	for (int i = 0; d->align && i < io->niov; i++)
		if (((uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len) & (d->align - 1))
			return false;
	return true;
}

/* @len bytes between the iovecs and @buf. The iovecs are not used up. */
static void copy(struct disk_io *io, void *buf, size_t len)
{
	size_t done = 0;

	for (int i = 0; done < len; i++) {
		size_t n = min_t(size_t, io->iov[i].iov_len, len - done);

		if (io->op == DISK_READ)
			memcpy(io->iov[i].iov_base, (char *)buf + done, n);
		else
			memcpy((char *)buf + done, io->iov[i].iov_base, n);
		done += n;
	}
}

/* O_DIRECT wants aligned memory; guests are free to use any. */
static int transfer_copied(const struct disk *d, struct disk_io *io)
{
	_Alignas(ALIGN_MAX) char piece[PIECE];

	while (io->len) {
		struct iovec v = { piece, min_t(size_t, io->len, sizeof(piece)) };
		struct disk_io part = *io;
		ssize_t n;

		part.iov = &v;
		part.niov = 1;
		if (io->op == DISK_WRITE)
			copy(io, piece, v.iov_len);
		n = once(d, &part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		if (io->op == DISK_READ)
			copy(io, piece, (size_t)n);
		disk_advance(io, (size_t)n);
	}
	return 0;
}

static int write_zeros(const struct disk *d, const struct disk_io *io)
{
	static const _Alignas(ALIGN_MAX) char zeros[PIECE];
	uint64_t off = io->off, len = io->len;

	while (len) {
		ssize_t n = pwrite(d->fd, zeros, min_t(size_t, len, sizeof(zeros)), (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int range(const struct disk *d, const struct disk_io *io, int mode)
{
	int rc;

	do
		rc = fallocate(d->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)io->off, (off_t)io->len);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

static int sync_data(const struct disk *d)
{
	return fdatasync(d->fd) < 0 ? -errno : 0;
}

static int zero(const struct disk *d, const struct disk_io *io)
{
	int rc = io->unmap ? range(d, io, FALLOC_FL_PUNCH_HOLE) : -EOPNOTSUPP;

	if (rc == -EOPNOTSUPP)
		rc = range(d, io, FALLOC_FL_ZERO_RANGE);
	if (rc == -EOPNOTSUPP)
		rc = write_zeros(d, io);
	return rc == 0 && io->sync ? sync_data(d) : rc;
}

void disk_work(const struct disk *d, struct disk_io *io)
{
	switch (io->op) {
	case DISK_READ:
	case DISK_WRITE:
		io->rc = disk_aligned(d, io) ? transfer(d, io) : transfer_copied(d, io);
		break;
	case DISK_FLUSH:
		io->rc = sync_data(d);
		break;
	case DISK_DISCARD:
		io->rc = range(d, io, FALLOC_FL_PUNCH_HOLE);
		if (io->rc == -EOPNOTSUPP)
			io->rc = 0; /* a hint */
		break;
	case DISK_ZERO:
		io->rc = zero(d, io);
		break;
	}
}
