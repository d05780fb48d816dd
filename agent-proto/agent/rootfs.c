// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/rootfs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent-proto/agent/mounts.h"
#include "agent-proto/agent/resolve.h"
#include "lib/cleanup.h"

/* The guest's own, still "/" here, in this mount namespace: nothing that an image could have prepared. */
static int clone_null(void)
{
	int tree = open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct stat st;

	if (tree < 0)
		return -errno;
	if (fstat(tree, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
		close(tree);
		return -ENODEV;
	}
	return tree;
}

static int hide_one(int root, const char *path, struct err *e)
{
	_cleanup_close_ int fd = resolve_open(root, path, O_PATH, false);
	_cleanup_close_ int tree = -1;
	struct stat st;
	int rc;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return err_errno(e, -fd, "masked path %s", path);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "masked path %s", path);
	if (S_ISDIR(st.st_mode))
		tree = mount_new("tmpfs", "tmpfs", "nr_blocks=1,nr_inodes=1",
				 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					 MOUNT_ATTR_NOEXEC,
				 e);
	else
		tree = clone_null();
	if (tree < 0)
		return err_wrap(e, tree, "masked path %s", path);
	rc = mount_put(tree, fd);
	return rc < 0 ? err_errno(e, -rc, "masked path %s", path) : 0;
}

static int freeze_one(int root, const char *path, struct err *e)
{
	_cleanup_close_ int fd = resolve_open(root, path, O_PATH, false);
	_cleanup_close_ int tree = -1;
	int rc;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return err_errno(e, -fd, "read-only path %s", path);
	tree = mount_clone(fd, true);
	if (tree < 0)
		return err_errno(e, -tree, "read-only path %s", path);
	rc = mount_attrs(tree, MOUNT_ATTR_RDONLY, 0, true);
	if (rc == 0)
		rc = mount_put(tree, fd);
	return rc < 0 ? err_errno(e, -rc, "read-only path %s", path) : 0;
}

int rootfs_hide(int root, const Husk__Agent__V1__Container *ct, struct err *e)
{
	int rc;

	for (size_t i = 0; i < ct->n_readonly_paths; i++) {
		rc = freeze_one(root, ct->readonly_paths[i], e);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < ct->n_masked_paths; i++) {
		rc = hide_one(root, ct->masked_paths[i], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* "net.ipv4.ip_forward", or with slashes where a part has a dot in it, as sysctl(8) has it. */
static int sysctl_path(const char *key, char *path, size_t size)
{
	size_t first = strcspn(key, "./");
	bool dots = key[first] == '.';

	if ((size_t)snprintf(path, size, "%s", key) >= size)
		return -ENAMETOOLONG;
	for (char *p = path; *p; p++) {
		if (dots && *p == '.')
			*p = '/';
		else if (dots && *p == '/')
			*p = '.';
	}
	return 0;
}

static int set_sysctl(int dir, const char *key, const char *value, struct err *e)
{
	struct open_how how = { .flags = O_WRONLY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					   RESOLVE_NO_MAGICLINKS };
	_cleanup_close_ int fd = -1;
	char path[512];
	int rc = sysctl_path(key, path, sizeof(path));

	if (rc < 0)
		return err_errno(e, -rc, "sysctl %s", key);
	fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return err_errno(e, errno, "sysctl %s", key);
	return 0;
}

int rootfs_sysctl(const Husk__Agent__V1__Container *ct, struct err *e)
{
	_cleanup_close_ int dir = -1;
	int rc = 0;

	if (!ct->n_sysctl)
		return 0;
	dir = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, errno, "/proc/sys");
	for (size_t i = 0; rc == 0 && i < ct->n_sysctl; i++)
		rc = set_sysctl(dir, ct->sysctl[i]->key, ct->sysctl[i]->value, e);
	return rc;
}

int rootfs_enter(int root, const Husk__Agent__V1__Container *ct, struct err *e)
{
	int rc;

	if (ct->rootfs_readonly || ct->rootfs_flags & MS_RDONLY) {
		rc = mount_attrs(root, MOUNT_ATTR_RDONLY, 0, false);
		if (rc < 0)
			return err_errno(e, -rc, "read-only root");
	}
	if (fchdir(root) < 0)
		return err_errno(e, errno, "container root");
	/* The old root comes to lie over the new one, and is taken off. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(e, errno, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_errno(e, errno, "old root");
	if (chdir("/") < 0)
		return err_errno(e, errno, "/");
	if (ct->rootfs_propagation && mount(NULL, "/", NULL, ct->rootfs_propagation, NULL) < 0)
		return err_errno(e, errno, "propagation of the root");
	return 0;
}
