// SPDX-License-Identifier: Apache-2.0
/* One mount: what the kernel's calls for detached mounts make of it. */
#include "agent-proto/agent/mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib/cleanup.h"

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

uint64_t mount_attrs_of(uint64_t flags)
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

int mount_flags(int tree, uint64_t flags, uint64_t clear)
{
	uint64_t set = mount_attrs_of(flags), clr = mount_attrs_of(clear & ~flags);

	if (flags & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME)) {
		clr |= MOUNT_ATTR__ATIME;
		set |= atime(flags);
	}
	return mount_attrs(tree, set, clr, false);
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

int mount_new_fs(const char *type, const char *source, const char *data, uint64_t flags, struct err *e)
{
	return new_fs(type, source, data, flags, mount_attrs_of(flags) | atime(flags), e);
}
