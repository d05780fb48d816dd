// SPDX-License-Identifier: Apache-2.0
#include "lib/diskfile.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000u
#endif

/* struct statx of kernels from 6.1 on: where they write what is asked for by STATX_DIOALIGN. */
struct dio_align {
	uint32_t mem, offset;
};
#define DIO_AT 152

/* A machine that has just gone may have it still: the kernel takes its io_uring apart, and with it the file, in its own time. */
#define PATIENCE_MS 500
#define TURN_MS	    10

static int lock(int fd, const char *path, unsigned flags, uint64_t size, struct err *e)
{
	struct flock l = { .l_type = flags & DISKFILE_READONLY ? F_RDLCK : F_WRLCK,
			   .l_whence = SEEK_SET,
			   .l_len = flags & DISKFILE_LOCK_RANGE ? (off_t)size : 0 };

	for (unsigned ms = 0; fcntl(fd, F_OFD_SETLK, &l) < 0; ms += TURN_MS) {
		if (errno == EOPNOTSUPP || errno == ENOLCK || errno == ENOSYS)
			return 0; /* a file system without locks: as safe as it is anyway */
		if (errno != EAGAIN && errno != EACCES)
			return err_errno(e, errno, "%s: cannot lock it", path);
		if (ms >= PATIENCE_MS)
			return err_set(e, EBUSY, "%s is in use by another machine%s", path,
				       flags & DISKFILE_READONLY ? ", which writes to it" : "");
		nanosleep(&(struct timespec){ .tv_nsec = TURN_MS * 1000000L }, NULL);
	}
	return 0;
}

/* What O_DIRECT transfers on a file must be multiples of. */
static uint32_t direct_block(int fd)
{
	struct statx x;
	struct dio_align a;

	_Static_assert(sizeof(x) >= DIO_AT + sizeof(a), "struct statx");
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) < 0 || !(x.stx_mask & STATX_DIOALIGN))
		return 4096; /* not told: good for all */
	__builtin_memcpy(&a, (const char *)&x + DIO_AT, sizeof(a));
	return max_t(uint32_t, max_t(uint32_t, a.mem, a.offset), 512);
}

static int measure_block(struct diskfile *d, const char *path, struct err *e)
{
	unsigned phys = 0;
	int logical = 0;

	if (ioctl(d->fd, BLKGETSIZE64, &d->size) < 0 || ioctl(d->fd, BLKSSZGET, &logical) < 0)
		return err_errno(e, errno, "%s", path);
	if (ioctl(d->fd, BLKPBSZGET, &phys) < 0 || !is_pow2_64(phys))
		phys = (unsigned)logical;
	d->block_size = (uint32_t)logical;
	d->phys_size = max_t(uint32_t, phys, d->block_size);
	return 0;
}

static int measure(struct diskfile *d, const char *path, unsigned flags, struct err *e)
{
	struct stat st;
	int rc = 0;

	if (fstat(d->fd, &st) < 0)
		return err_errno(e, errno, "%s", path);
	if (S_ISBLK(st.st_mode)) {
		d->is_block = true;
		rc = measure_block(d, path, e);
	} else if (S_ISREG(st.st_mode)) {
		d->size = (uint64_t)st.st_size;
		d->block_size = flags & DISKFILE_DIRECT ? direct_block(d->fd) : 512;
		d->phys_size = max_t(uint32_t, d->block_size, 4096);
	} else {
		return err_set(e, EINVAL, "%s is neither a file nor a block device", path);
	}
	if (rc < 0)
		return rc;
	if (!is_pow2_64(d->block_size) || d->block_size < 512 || d->block_size > 4096)
		return err_set(e, EINVAL, "%s: blocks of %u bytes cannot be shown to a machine", path,
			       d->block_size);
	d->phys_size = min_t(uint32_t, d->phys_size, MIB(1));
	if (d->size < d->block_size)
		return err_set(e, ENODATA, "%s is empty", path);
	return 0;
}

/* @name: in messages, of @dirfd/@path. */
static int open_as(struct diskfile *ret, int dirfd, const char *path, const char *name, unsigned flags, struct err *e)
{
	struct diskfile d = { .fd = -1 };
	_cleanup_close_ int fd = -1;
	int rc, how = flags & DISKFILE_READONLY ? O_RDONLY : O_RDWR;

	/* A FIFO must not keep us waiting before it is refused. */
	fd = openat(dirfd, path, how | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
			    (flags & DISKFILE_DIRECT ? O_DIRECT : 0));
	if (fd < 0 && errno == EINVAL && flags & DISKFILE_DIRECT)
		return err_set(e, EINVAL, "%s: its file system knows no direct access", name);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", name);
	d.fd = fd;
	rc = measure(&d, name, flags, e);
	if (rc == 0)
		rc = lock(fd, name, flags, d.size, e);
	if (rc < 0)
		return rc;
	*ret = d;
	ret->fd = steal_fd(&fd);
	return 0;
}

int diskfile_open(struct diskfile *ret, int dirfd, const char *path, unsigned flags, struct err *e)
{
	return open_as(ret, dirfd, path, path, flags, e);
}

int diskfile_reopen(struct diskfile *ret, int fd, const char *name, unsigned flags, struct err *e)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open_as(ret, AT_FDCWD, path, name, flags, e);
}
