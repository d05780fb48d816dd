// SPDX-License-Identifier: Apache-2.0
/* Where mounts come from: shares of the host, what the guest has itself, new file systems. */
#include "agent-proto/agent/mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent-proto/agent/common.h"
#include "agent-proto/agent/resolve.h"
#include "lib/cleanup.h"

static int open_how(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_PATH | O_CLOEXEC,
				.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, dir, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int mount_open_below(int dir, const char *path, uint64_t flags)
{
	return open_how(dir, path, flags, 0);
}

int mount_open_on(int dir, const char *path)
{
	return open_how(dir, path, 0, RESOLVE_NO_XDEV);
}

int mount_clone_share(const struct mount_env *env, const char *name, const char *subpath,
		      bool recursive, Husk__Agent__V1__Mount__Submount *const *below, size_t n_below,
		      struct err *e)
{
	_cleanup_close_ int dir = open(env->shares_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int sub = -1;
	_cleanup_close_ int share = -1;
	int tree;

	if (dir < 0)
		return err_errno(e, errno, "%s", env->shares_dir);
	/* open_tree(2), unlike a plain O_PATH open, makes a share that is a submount appear. */
	share = open_tree(dir, name, OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (share < 0)
		return err_errno(e, errno, "share %s", name);
	/* One that is no folder, or is gone since the host looked, is no mount here. */
	for (size_t i = 0; i < n_below; i++) {
		int fd = *below[i]->share ? -1 : mount_open_below(share, below[i]->path, O_DIRECTORY);

		close_and_reset(&fd);
	}
	if (*subpath) {
		sub = resolve_open(share, subpath, O_PATH, false);
		if (sub < 0)
			return err_errno(e, -sub, "share %s: %s", name, subpath);
	}
	tree = mount_clone(sub >= 0 ? sub : share, recursive);
	if (tree < 0)
		return err_errno(e, -tree, "share %s", name);
	return tree;
}

int mount_flag_below(int tree, Husk__Agent__V1__Mount__Submount *const *below, size_t n_below, struct err *e)
{
	for (size_t i = 0; i < n_below; i++) {
		_cleanup_close_ int fd = *below[i]->share ? -1 : mount_open_below(tree, below[i]->path, O_DIRECTORY);
		int rc = fd < 0 ? 0 : mount_flags(fd, below[i]->flags, MOUNT_ALL_FLAGS);

		/* -EINVAL: no mount is there. */
		if (rc < 0 && rc != -EINVAL)
			return err_errno(e, -rc, "flags of %s", below[i]->path);
	}
	return 0;
}

/* A bind mount keeps the attributes of what it shows but for those that are named. */
static int make_bind(const struct mount_env *env, const Husk__Agent__V1__Mount *m, struct err *e)
{
	_cleanup_close_ int tree = common_clone(env->common, m->common, e);
	int rc;

	if (tree == -ENOENT)
		tree = mount_clone_share(env, m->source, m->subpath, m->flags & MS_REC, m->submounts, m->n_submounts, e);
	if (tree < 0)
		return tree;
	rc = mount_flags(tree, m->flags, m->flags_clear);
	return rc < 0 ? err_errno(e, -rc, "flags") : steal_fd(&tree);
}

/* "cgroup" is what specifications made for version 1 say; the guest has version 2. */
int mount_make_cgroup(const struct mount_env *env, const char *data, uint64_t flags, struct err *e)
{
	_cleanup_close_ int tree = -1;
	int rc;

	if (env->own_cgroupns)
		return mount_new_fs("cgroup2", "cgroup", data, flags, e);
	tree = mount_clone(env->cgroup, false);
	if (tree < 0)
		return err_errno(e, -tree, "cgroup");
	rc = mount_flags(tree, flags, 0);
	return rc < 0 ? err_errno(e, -rc, "flags") : steal_fd(&tree);
}

/* The guest's own devices. */
static int make_dev(const Husk__Agent__V1__Mount *m, struct err *e)
{
	_cleanup_close_ int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = dev < 0 ? -errno : mount_open_below(dev, m->subpath, 0);
	_cleanup_close_ int tree = fd < 0 ? fd : mount_clone(fd, true);
	int rc;

	if (tree < 0)
		return err_errno(e, -tree, "/dev/%s of the guest", m->subpath);
	rc = mount_flags(tree, m->flags, m->flags_clear);
	return rc < 0 ? err_errno(e, -rc, "flags") : steal_fd(&tree);
}

/* A part of a new file system. A detached one cannot be copied in part: it is put in place for that, over the shares,
 * in this mount namespace that nobody else sees yet, and taken away again. */
static int part_of(const struct mount_env *env, int whole, const char *subpath, bool recursive, struct err *e)
{
	_cleanup_close_ int at = open(env->shares_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	int rc = at < 0 ? -errno : mount_put(whole, at), tree;

	if (rc < 0)
		return err_errno(e, -rc, "%s", env->shares_dir);
	fd = mount_open_below(whole, subpath, 0);
	tree = fd < 0 ? fd : mount_clone(fd, recursive);
	umount2(env->shares_dir, MNT_DETACH);
	return tree < 0 ? err_errno(e, -tree, "%s", subpath) : tree;
}

static int make_own(const struct mount_env *env, const Husk__Agent__V1__Mount *m, const char *data, struct err *e)
{
	_cleanup_close_ int whole = -1;
	_cleanup_close_ int tree = -1;
	int rc;

	if (strcmp(m->source, "dev") == 0)
		return make_dev(m, e);
	if (strcmp(m->source, "cgroup") == 0)
		return mount_make_cgroup(env, data, m->flags, e);
	tree = common_clone(env->common, m->common, e);
	if (tree >= 0) {
		rc = mount_flags(tree, m->flags, m->flags_clear);
		return rc < 0 ? err_errno(e, -rc, "flags") : steal_fd(&tree);
	}
	if (tree != -ENOENT)
		return tree;
	whole = mount_new_fs(m->source, m->source, data, m->flags, e);
	if (whole < 0 || !*m->subpath)
		return whole < 0 ? whole : steal_fd(&whole);
	tree = part_of(env, whole, m->subpath, m->flags & MS_REC, e);
	if (tree < 0)
		return tree;
	rc = mount_flags(tree, m->flags, m->flags_clear);
	return rc < 0 ? err_errno(e, -rc, "flags") : steal_fd(&tree);
}

/* The agent listens on it. */
static int make_socket(const struct mount_env *env, const Husk__Agent__V1__Mount *m, struct err *e)
{
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int tree = -1;
	char path[128];
	int rc;

	snprintf(path, sizeof(path), "%s%s", env->sockets, m->source);
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	tree = fd < 0 ? -errno : mount_clone(fd, false);
	if (tree < 0)
		return err_errno(e, -tree, "socket %s", m->source);
	rc = mount_flags(tree, m->flags, m->flags_clear);
	return rc < 0 ? err_errno(e, -rc, "flags") : steal_fd(&tree);
}

int mount_make(const struct mount_env *env, const Husk__Agent__V1__Mount *m, const char *data, struct err *e)
{
	if (strcmp(m->type, "bind") == 0)
		return make_bind(env, m, e);
	if (strcmp(m->type, "socket") == 0)
		return make_socket(env, m, e);
	if (strcmp(m->type, "own") == 0)
		return make_own(env, m, data, e);
	if (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0)
		return mount_make_cgroup(env, data, m->flags, e);
	return mount_new_fs(m->type, m->source, data, m->flags, e);
}
