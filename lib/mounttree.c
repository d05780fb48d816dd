// SPDX-License-Identifier: Apache-2.0
#include "lib/mounttree.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/cleanup.h"

/* The root of the detached tree @tree, by a descriptor that does not keep the tree together: dup() would share the very
 * one that is to be dissolved. */
static int open_root(int tree)
{
	int fd = open_tree(tree, "", AT_EMPTY_PATH | OPEN_TREE_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Nothing can be run, opened as a device or gain privileges in it. */
static int lock_down(int tree, unsigned flags)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NOEXEC,
				   /* Nothing mounted under the source later may show up here. */
				   .propagation = MS_PRIVATE };
	struct mount_attr top = { .attr_set = MOUNT_ATTR_RDONLY };

	if (flags & MOUNTTREE_READONLY_ALL)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	if ((flags & (MOUNTTREE_READONLY | MOUNTTREE_READONLY_ALL)) == MOUNTTREE_READONLY &&
	    mount_setattr(tree, "", AT_EMPTY_PATH, &top, sizeof(top)) < 0)
		return -errno;
	return 0;
}

int mounttree_open(int dirfd, const char *path, unsigned flags, int *ret_fd, bool *ret_is_dir,
		   struct err *e)
{
	unsigned how = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0u : AT_EMPTY_PATH) |
		       (flags & MOUNTTREE_ALL ? AT_RECURSIVE : 0u);
	_cleanup_close_ int tree = open_tree(dirfd, path, how);
	struct stat st;
	int fd, rc;

	if (tree < 0)
		return err_errno(e, errno, "cannot take a copy of the mounts at %s", path);
	rc = lock_down(tree, flags);
	if (rc < 0)
		return err_errno(e, -rc, "cannot lock down the copy of %s", path);
	if (fstat(tree, &st) < 0)
		return err_errno(e, errno, "cannot look at %s", path);
	fd = open_root(tree);
	if (fd < 0)
		return err_errno(e, -fd, "cannot open the copy of %s", path);
	*ret_fd = fd;
	if (ret_is_dir)
		*ret_is_dir = S_ISDIR(st.st_mode);
	return 0;
}
