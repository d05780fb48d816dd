/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ways in which this server opens anything: one name in a directory, which cannot lead out
 * of it, and what a descriptor of ours stands for, by /proc/self/fd. When descriptors are short,
 * unused ones of nodes are closed first.
 */
#include "vmm/fs/fs_internal.h"

#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHRINK_BATCH 64

struct fs_num fs_num(int fd)
{
	struct fs_num n;

	snprintf(n.s, sizeof(n.s), "%d", fd);
	return n;
}

/* Runs an open again after closing some descriptors, if it failed for want of one. */
static bool retry(struct fs_server *s, int rc)
{
	return (rc == -EMFILE || rc == -ENFILE) && fs_fds_shrink(s, SHRINK_BATCH) > 0;
}

static int open_beneath(int dirfd, const char *name, int flags, mode_t mode, bool cross)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   (cross ? 0 : (uint64_t)RESOLVE_NO_XDEV),
	};
	long fd;

	if (flags & O_PATH)
		how.flags &= ~(uint64_t)O_NOCTTY; /* openat2 takes no superfluous flag */
	do
		fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int fs_open_beneath(struct fs_server *s, int dirfd, const char *name, int flags, mode_t mode,
		    bool cross)
{
	int rc = open_beneath(dirfd, name, flags, mode, cross);

	if (retry(s, rc))
		rc = open_beneath(dirfd, name, flags, mode, cross);
	return rc;
}

static int reopen(struct fs_server *s, int path_fd, int flags)
{
	int fd;

	do
		fd = openat(s->proc_fd, fs_num(path_fd).s,
			    (flags | O_CLOEXEC | O_NOCTTY) & ~O_NOFOLLOW);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int fs_reopen(struct fs_server *s, int path_fd, int flags)
{
	int rc = reopen(s, path_fd, flags);

	if (retry(s, rc))
		rc = reopen(s, path_fd, flags);
	return rc;
}
