// SPDX-License-Identifier: Apache-2.0
/*
 * tmpcopyup: a folder's contents into a new tmpfs. Every name was chosen by an image: nothing is followed, and nothing
 * but regular files is opened.
 */
#include "agent-proto/agent/mounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define MAX_DEPTH  256 /* two descriptors each */
#define MAX_XATTRS 65536

/* What this file system does not take stays behind. */
static void copy_xattrs(int from, int to)
{
	_cleanup_free_ char *names = malloc(MAX_XATTRS);
	_cleanup_free_ char *value = malloc(MAX_XATTRS);
	ssize_t len = names && value ? flistxattr(from, names, MAX_XATTRS) : -1;

	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1) {
		ssize_t n = fgetxattr(from, names + i, value, MAX_XATTRS);

		if (n >= 0)
			(void)!fsetxattr(to, names + i, value, (size_t)n, 0);
	}
}

/* Owner before mode: a change of owner takes set-id bits away. */
static int copy_meta(int from, int to, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	copy_xattrs(from, to);
	return futimens(to, times) < 0 ? -errno : 0;
}

static int copy_file(int dir, int to_dir, const char *name)
{
	_cleanup_close_ int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_close_ int to = -1;
	struct stat st;
	ssize_t n;

	if (from < 0 || fstat(from, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EAGAIN;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	do
		n = sendfile(to, from, NULL, 1u << 20);
	while (n > 0);
	return n < 0 ? -errno : copy_meta(from, to, &st);
}

static int copy_link(int dir, int to_dir, const char *name, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = 0;
	if (symlinkat(target, to_dir, name) < 0 ||
	    fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* Devices, FIFOs; a socket without its server is of no use. */
static int copy_node(int to_dir, const char *name, const struct stat *st)
{
	if (S_ISSOCK(st->st_mode))
		return 0;
	if (mknodat(to_dir, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0 ||
	    fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

static int copy_dir(int from, int to, unsigned depth, struct err *e);

static int copy_one(int dir, int to_dir, const char *name, unsigned depth, struct err *e)
{
	_cleanup_close_ int from = -1;
	_cleanup_close_ int to = -1;
	struct stat st;
	int rc;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "%s", name);
	if (S_ISDIR(st.st_mode)) {
		from = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (from < 0 || mkdirat(to_dir, name, 0700) < 0)
			return err_errno(e, errno, "%s", name);
		to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (to < 0)
			return err_errno(e, errno, "%s", name);
		rc = copy_dir(from, to, depth + 1, e);
		if (rc < 0)
			return rc;
		rc = copy_meta(from, to, &st);
	} else if (S_ISREG(st.st_mode)) {
		rc = copy_file(dir, to_dir, name);
	} else if (S_ISLNK(st.st_mode)) {
		rc = copy_link(dir, to_dir, name, &st);
	} else {
		rc = copy_node(to_dir, name, &st);
	}
	return rc < 0 ? err_errno(e, -rc, "%s", name) : 0;
}

static int copy_dir(int from, int to, unsigned depth, struct err *e)
{
	_cleanup_closedir_ DIR *d = NULL;
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;
	int rc = 0;

	if (fd < 0 || !(d = fdopendir(fd))) {
		rc = err_errno(e, errno, "opendir");
		close_and_reset(&fd);
		return rc;
	}
	if (depth == MAX_DEPTH)
		return err_set(e, ELOOP, "more than %d folders deep", MAX_DEPTH);
	while (rc == 0 && (errno = 0, de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			rc = copy_one(from, to, de->d_name, depth, e);
	if (rc == 0 && errno)
		rc = err_errno(e, errno, "readdir");
	return rc;
}

int copyup(int from, int to, struct err *e)
{
	/* Whatever the modes say, until each is what it was. */
	return copy_dir(from, to, 0, e);
}
