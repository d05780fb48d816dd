// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-proto/agent/resolve.h"
#include "lib/cleanup.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#define PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

static const struct {
	uint64_t ms, attr;
} attr_of[] = {
	{ MS_RDONLY, MOUNT_ATTR_RDONLY },	  { MS_NOSUID, MOUNT_ATTR_NOSUID },
	{ MS_NODEV, MOUNT_ATTR_NODEV },		  { MS_NOEXEC, MOUNT_ATTR_NOEXEC },
	{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME }, { MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
};

/* Flags of the file system, not of the mount. */
static const struct {
	uint64_t ms;
	const char *key;
} super_flag[] = {
	{ MS_SYNCHRONOUS, "sync" },
	{ MS_DIRSYNC, "dirsync" },
	{ MS_LAZYTIME, "lazytime" },
	{ MS_MANDLOCK, "mand" },
};

static uint64_t attrs(uint64_t flags)
{
	uint64_t a = 0;

	for (size_t i = 0; i < ARRAY_SIZE(attr_of); i++)
		if (flags & attr_of[i].ms)
			a |= attr_of[i].attr;
	return a;
}

/* The access time modes exclude one another and need clearing before setting. */
static uint64_t atime(uint64_t flags)
{
	if (flags & MS_NOATIME)
		return MOUNT_ATTR_NOATIME;
	return flags & MS_STRICTATIME ? MOUNT_ATTR_STRICTATIME : MOUNT_ATTR_RELATIME;
}

int mount_attrs(int tree, uint64_t set, uint64_t clear, bool recursive)
{
	struct mount_attr a = { .attr_set = set, .attr_clr = clear };
	unsigned at = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u);

	if (!set && !clear)
		return 0;
	return mount_setattr(tree, "", at, &a, sizeof(a)) < 0 ? -errno : 0;
}

int mount_propagation(int tree, uint64_t flags)
{
	struct mount_attr a = { .propagation = flags & PROPAGATION };
	unsigned at = AT_EMPTY_PATH | (flags & MS_REC ? AT_RECURSIVE : 0u);

	if (!a.propagation)
		return 0;
	return mount_setattr(tree, "", at, &a, sizeof(a)) < 0 ? -errno : 0;
}

int mount_put(int tree, int target)
{
	return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
			       0 ?
		       -errno :
		       0;
}

int mount_clone(int fd, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
			 (recursive ? AT_RECURSIVE : 0u);
	int tree = open_tree(fd, "", flags);

	return tree < 0 ? -errno : tree;
}

int mount_clone_share(const struct mount_env *env, const char *name, const char *subpath,
		      bool recursive, struct err *e)
{
	_cleanup_close_ int dir = open(env->shares_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int below = -1;
	_cleanup_close_ int share = -1;
	int tree;

	if (dir < 0)
		return err_errno(e, errno, "%s", env->shares_dir);
	/* open_tree(2), unlike a plain O_PATH open, makes a share that is a submount appear. */
	share = open_tree(dir, name, OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (share < 0)
		return err_errno(e, errno, "share %s", name);
	if (*subpath) {
		below = resolve_open(share, subpath, O_PATH, false);
		if (below < 0)
			return err_errno(e, -below, "share %s: %s", name, subpath);
	}
	tree = mount_clone(below >= 0 ? below : share, recursive);
	if (tree < 0)
		return err_errno(e, -tree, "share %s", name);
	return tree;
}

/* What the file system itself had to say, if anything. */
static int fs_error(int fs, int errnum, const char *type, const char *key, struct err *e)
{
	char text[256];
	ssize_t n = read(fs, text, sizeof(text) - 1);

	if (n > 2) { /* "e tmpfs: Bad value for 'size'" */
		text[n] = 0;
		return err_set(e, errnum, "%s", text + 2);
	}
	return err_errno(e, errnum, key ? "%s: option %s" : "%s", type, key);
}

static int set_option(int fs, const char *type, char *option, struct err *e)
{
	char *value = strchr(option, '=');
	int rc;

	if (value)
		*value++ = 0;
	rc = fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value, 0);
	return rc < 0 ? fs_error(fs, errno, type, option, e) : 0;
}

static int set_options(int fs, const char *type, const char *data, struct err *e)
{
	_cleanup_free_ char *copy = strdup(data);
	char *rest = copy, *option;
	int rc = 0;

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	while (rc == 0 && (option = strsep(&rest, ",")))
		if (*option)
			rc = set_option(fs, type, option, e);
	return rc;
}

static int new_fs(const char *type, const char *source, const char *data, uint64_t flags,
		  uint64_t attr, struct err *e)
{
	_cleanup_close_ int fs = fsopen(type, FSOPEN_CLOEXEC);
	int rc, tree;

	if (fs < 0)
		return err_errno(e, errno == ENODEV ? ENODEV : errno, "file system %s", type);
	if (*source && fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return fs_error(fs, errno, type, "source", e);
	for (size_t i = 0; i < ARRAY_SIZE(super_flag); i++)
		if (flags & super_flag[i].ms &&
		    fsconfig(fs, FSCONFIG_SET_FLAG, super_flag[i].key, NULL, 0) < 0)
			return fs_error(fs, errno, type, super_flag[i].key, e);
	rc = set_options(fs, type, data, e);
	if (rc < 0)
		return rc;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fs_error(fs, errno, type, NULL, e);
	tree = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
	return tree < 0 ? fs_error(fs, errno, type, NULL, e) : tree;
}

int mount_new(const char *type, const char *source, const char *data, uint64_t attr, struct err *e)
{
	return new_fs(type, source, data, 0, attr, e);
}

/* A bind mount keeps the attributes of what it shows but for those that are named. */
static int make_bind(const struct mount_env *env, const Husk__Agent__V1__Mount *m, struct err *e)
{
	uint64_t set = attrs(m->flags), clear = attrs(m->flags_clear & ~m->flags);
	int tree = mount_clone_share(env, m->source, m->subpath, m->flags & MS_REC, e);
	int rc;

	if (tree < 0)
		return tree;
	if (m->flags & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME)) {
		clear |= MOUNT_ATTR__ATIME;
		set |= atime(m->flags);
	}
	rc = mount_attrs(tree, set, clear, false);
	if (rc < 0) {
		close(tree);
		return err_errno(e, -rc, "flags");
	}
	return tree;
}

/* "cgroup" is what specifications made for version 1 say; the guest has version 2. */
static int make_cgroup(const struct mount_env *env, const Husk__Agent__V1__Mount *m, struct err *e)
{
	int tree, rc;

	if (env->own_cgroupns)
		return new_fs("cgroup2", "cgroup2", m->data, m->flags,
			      attrs(m->flags) | atime(m->flags), e);
	tree = mount_clone(env->cgroup, false);
	if (tree < 0)
		return err_errno(e, -tree, "cgroup");
	rc = mount_attrs(tree, attrs(m->flags), 0, false);
	if (rc < 0) {
		close(tree);
		return err_errno(e, -rc, "flags");
	}
	return tree;
}

static int make_detached(const struct mount_env *env, const Husk__Agent__V1__Mount *m,
			 struct err *e)
{
	if (strcmp(m->type, "bind") == 0)
		return make_bind(env, m, e);
	if (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0)
		return make_cgroup(env, m, e);
	return new_fs(m->type, m->source, m->data, m->flags, attrs(m->flags) | atime(m->flags), e);
}

/* Where the mount goes. procfs and sysfs must be where their names say, or what is masked and
 * made read-only in them later would be somewhere else. */
static int find_target(const struct mount_env *env, const Husk__Agent__V1__Mount *m, int tree,
		       int *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (strcmp(m->type, "proc") == 0 || strcmp(m->type, "sysfs") == 0) {
		fd = resolve_open(env->root, m->destination, O_PATH, true);
		if (fd == -ELOOP || fd == -ENOTDIR ||
		    (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))))
			return err_set(e, EINVAL, "%s must be mounted on an ordinary directory",
				       m->type);
	}
	if (fstat(tree, &st) < 0)
		return err_errno(e, errno, "fstat");
	return resolve_make(env->root, m->destination,
			    S_ISDIR(st.st_mode) ? RESOLVE_DIR : RESOLVE_FILE, ret, e);
}

static int apply_one(const struct mount_env *env, const Husk__Agent__V1__Mount *m, struct err *e)
{
	_cleanup_close_ int tree = make_detached(env, m, e);
	_cleanup_close_ int target = -1;
	int rc;

	if (tree < 0)
		return tree;
	rc = find_target(env, m, tree, &target, e);
	if (rc < 0)
		return rc;
	rc = mount_put(tree, target);
	if (rc < 0)
		return err_errno(e, -rc, "mount");
	rc = mount_propagation(tree, m->propagation);
	if (rc < 0)
		return err_errno(e, -rc, "propagation");
	return 0;
}

int mounts_apply(const struct mount_env *env, Husk__Agent__V1__Mount *const *mounts, size_t n,
		 struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int rc = apply_one(env, mounts[i], e);

		if (rc < 0)
			return err_wrap(e, rc, "error mounting \"%s\" to rootfs at \"%s\"",
					strcmp(mounts[i]->type, "bind") == 0 ? mounts[i]->source :
									       mounts[i]->type,
					mounts[i]->destination);
	}
	return 0;
}
