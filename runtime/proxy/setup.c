// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/setup.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define PROXY_NEW_NS (CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)

int setup_namespaces(const struct proxy_setup *s, const struct setup_fds *fds, struct err *e)
{
	const struct {
		int fd, type;
		const char *name;
	} join[] = {
		{ fds->netns, CLONE_NEWNET, "network" },
		{ fds->ipcns, CLONE_NEWIPC, "ipc" },
		{ fds->utsns, CLONE_NEWUTS, "uts" },
	};

	if (s->new_ns & ~(uint32_t)PROXY_NEW_NS)
		return err_set(e, EINVAL, "unknown namespaces 0x%x", s->new_ns);
	if (fds->peer >= 0 && setns(fds->peer, PROXY_NEW_NS | CLONE_NEWNS) < 0)
		return err_errno(e, errno, "cannot join the container's namespaces");
	for (size_t i = 0; i < ARRAY_SIZE(join); i++)
		if (join[i].fd >= 0 && setns(join[i].fd, join[i].type) < 0)
			return err_errno(e, errno, "cannot join the %s namespace", join[i].name);
	if (s->new_ns && unshare((int)s->new_ns) < 0)
		return err_errno(e, errno, "cannot make new namespaces");
	return 0;
}

static int first_mount(struct setup_mounts *m, int tree, struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(e, errno, "cannot make a mount namespace");
	/* Nothing done here may reach the host. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_errno(e, errno, "cannot make the mounts private");
	/* Upon "/" itself: a place that every host has and nobody's path passes through any more. */
	if (move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(e, errno, "cannot mount the root file system");
	m->root = fcntl(tree, F_DUPFD_CLOEXEC, 3);
	return m->root < 0 ? err_errno(e, errno, "dup") : 0;
}

static int open_in_root(int root, const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* Opens the folder that holds @path's last component, and says where that begins. */
static int open_parent(int root, const char *path, const char **ret_last)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];

	*ret_last = slash ? slash + 1 : path;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 0, path);
	return open_in_root(root, *dir ? dir : "/", O_PATH | O_DIRECTORY);
}

/* Makes what is missing of @path, one component after the other, each looked up inside the root. */
static int make_target(int root, const char *path, bool is_file)
{
	char part[4096];
	size_t len = strlen(path);

	memcpy(part, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		_cleanup_close_ int dir = -1;
		const char *last;
		int fd, rc = 0;

		if (part[i] != '/' && part[i] != 0)
			continue;
		part[i] = 0;
		fd = open_in_root(root, part, O_PATH);
		if (fd >= 0) {
			close(fd);
		} else {
			dir = open_parent(root, part, &last);
			if (dir < 0)
				return dir;
			if (i == len && is_file)
				rc = mknodat(dir, last, S_IFREG | 0644, 0);
			else
				rc = mkdirat(dir, last, 0755);
			if (rc < 0 && errno != EEXIST)
				return -errno;
		}
		part[i] = i == len ? 0 : '/';
	}
	return open_in_root(root, path, O_PATH);
}

int setup_mount(struct setup_mounts *m, const struct proxy_mount *msg, int tree, struct err *e)
{
	_cleanup_close_ int target = -1;

	if (m->root < 0)
		return first_mount(m, tree, e);
	target = open_in_root(m->root, msg->dst, O_PATH);
	if (target == -ENOENT)
		target = make_target(m->root, msg->dst, msg->is_file);
	if (target < 0)
		return err_errno(e, -target, "cannot find the mount point %s", msg->dst);
	if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_errno(e, errno, "cannot mount on %s", msg->dst);
	return 0;
}

int setup_enter(struct setup_mounts *m, struct err *e)
{
	_cleanup_close_ int root = m->root;

	m->root = -1;
	if (root < 0)
		return 0;
	if (fchdir(root) < 0)
		return err_errno(e, errno, "fchdir");
	/* The old root ends up below the new one, at the same place, and is taken away there. On a
	 * host whose root is the initial ramfs there is no pivoting: then the new root is moved on top. */
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0)
			return err_errno(e, errno, "cannot let go of the host's root");
	} else if (errno != EINVAL || chroot(".") < 0) {
		return err_errno(e, errno, "cannot enter the container's root");
	}
	return chdir("/") < 0 ? err_errno(e, errno, "chdir /") : 0;
}
