/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices, FIFOs and sockets that the guest makes. On the host each is an empty regular file with
 * the sticky bit (which means nothing there and tells cheaply where to look) and an attribute that
 * says what it is, so nobody on the host can open a device that the guest thought up. The attribute
 * is out of the guest's reach (xattr.c). Directories that hold such files carry a mark, since a
 * plain READDIR would show the host's type.
 *
 * A whiteout of overlayfs, character device 0:0, is the host's own where it can be: no driver is
 * behind it, anybody may make one, and so an upper directory that a guest filled is one for the host.
 */
#include "vmm/fs/fs_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_MARK FS_XATTR_PREFIX "specials"
#define VALUE_MAX  32 /* "c 4294967295 4294967295" */

static const struct {
	char letter;
	mode_t type;
} kinds[] = { { 'c', S_IFCHR }, { 'b', S_IFBLK }, { 'p', S_IFIFO }, { 's', S_IFSOCK } };

bool fs_special_maybe(const struct statx *st)
{
	return S_ISREG(st->stx_mode) && st->stx_size == 0 && (st->stx_mode & S_ISVTX);
}

/* Strict: a value that somebody else wrote shows the file as what it is on the host. */
static bool parse(const char *v, mode_t *type, uint32_t *major_, uint32_t *minor_)
{
	char letter, end;

	if (sscanf(v, "%c %9u %9u%c", &letter, major_, minor_, &end) != 3)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].letter == letter) {
			*type = kinds[i].type;
			return true;
		}
	}
	return false;
}

int fs_special_show(struct fs_server *s, int path_fd, struct statx *st)
{
	char v[VALUE_MAX + 1];
	uint32_t ma, mi;
	mode_t type;
	ssize_t n;
	int fd = fs_reopen(s, path_fd, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return fs_no_resources(fd) ? fd : 0;
	n = fgetxattr(fd, FS_XATTR_SPECIAL, v, VALUE_MAX);
	close(fd);
	if (n <= 0)
		return 0;
	v[n] = '\0';
	if (!parse(v, &type, &ma, &mi))
		return 0;
	st->stx_mode = (uint16_t)((st->stx_mode & 07777 & ~S_ISVTX) | type);
	st->stx_rdev_major = ma;
	st->stx_rdev_minor = mi;
	return 1;
}

static int write_attr(int fd, mode_t mode, uint32_t rdev)
{
	char v[VALUE_MAX + 1], letter = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == (mode & S_IFMT))
			letter = kinds[i].letter;
	/* The protocol's rdev is the kernel's new_encode_dev(). */
	snprintf(v, sizeof(v), "%c %u %u", letter, (rdev & 0xfff00) >> 8,
		 (rdev & 0xff) | ((rdev >> 12) & 0xfff00));
	return fsetxattr(fd, FS_XATTR_SPECIAL, v, strlen(v), 0) < 0 ? -errno : 0;
}

int fs_special_make(struct fs_server *s, int dirfd, const char *name, mode_t mode, uint32_t rdev)
{
	mode_t type = mode & S_IFMT;
	int fd, rc;

	if (type == S_IFCHR && rdev == 0 && mknodat(dirfd, name, mode, 0) == 0)
		return 0;
	fd = fs_open_beneath(s, dirfd, name, O_CREAT | O_EXCL | O_RDWR, (mode & 07777) | S_ISVTX,
			     false);
	if (fd < 0)
		return fd;
	rc = write_attr(fd, mode, rdev);
	close(fd);
	if (rc == 0)
		return 0;
	unlinkat(dirfd, name, 0);
	/* No such attributes here (tmpfs before 6.6). A FIFO or a socket file of the host's own is
	 * harmless, since this server never opens one. */
	if (rc == -EOPNOTSUPP && (type == S_IFIFO || type == S_IFSOCK))
		return mknodat(dirfd, name, mode, 0) < 0 ? -errno : 0;
	return rc == -EOPNOTSUPP ? -EPERM : rc;
}

void fs_special_mark(struct fs_server *s, int dir_path_fd)
{
	int fd = fs_reopen(s, dir_path_fd, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return;
	/* Where this fails, the type in READDIR is less exact, and that is all. */
	(void)!fsetxattr(fd, XATTR_MARK, "1", 1, XATTR_CREATE);
	close(fd);
}

bool fs_special_marked(int dir_fd)
{
	char v;

	return fgetxattr(dir_fd, XATTR_MARK, &v, sizeof(v)) >= 0;
}
