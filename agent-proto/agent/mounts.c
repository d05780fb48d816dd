// SPDX-License-Identifier: Apache-2.0
/* The table: each mount onto its destination, in order, with runc's rules. */
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

static const char *fs_type(const Husk__Agent__V1__Mount *m)
{
	return strcmp(m->type, "own") == 0 ? m->source : m->type;
}

/* For messages. */
static const char *name_of(const Husk__Agent__V1__Mount *m)
{
	if (*m->origin)
		return m->origin;
	return strcmp(m->type, "bind") == 0 ? m->source : fs_type(m);
}

static bool is_tmpfs(const Husk__Agent__V1__Mount *m)
{
	return strcmp(fs_type(m), "tmpfs") == 0;
}

static bool is_dev(const Husk__Agent__V1__Mount *m)
{
	const char *d = m->destination;

	return strncmp(d, "/dev", 4) == 0 && d[4 + strspn(d + 4, "/")] == 0;
}

/* Where @fd is, seen from the container's root. */
static int path_in_root(const struct mount_env *env, int fd, char *path, size_t size)
{
	size_t skip = strlen(env->root_dir);
	char link[40];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, size - 1);
	if (n < 0)
		return -errno;
	path[n] = 0;
	if (strncmp(path, env->root_dir, skip) != 0)
		return -EXDEV;
	memmove(path, path + skip, (size_t)n - skip + 1);
	return 0;
}

/* A link may lead into procfs what the destination's text does not show. */
static int guard_found(const struct mount_env *env, const Husk__Agent__V1__Mount *m, int target, struct err *e)
{
	char path[PATH_MAX];
	int rc = path_in_root(env, target, path, sizeof(path));

	if (rc < 0)
		return err_errno(e, -rc, "mount point");
	/* "/proc/net/dev" and such are links inside procfs. */
	return proc_allowed(m->destination) ? 0 : proc_guard(m, path, e);
}

/* Where the mount goes. procfs and sysfs must be where their names say, or what is masked and
 * made read-only in them later would be somewhere else. */
static int find_target(const struct mount_env *env, const Husk__Agent__V1__Mount *m, bool is_dir,
		       int *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int target = -1;
	struct stat st;
	int rc = proc_guard(m, m->destination, e);

	if (rc < 0)
		return rc;
	if (strcmp(m->type, "proc") == 0 || strcmp(m->type, "sysfs") == 0) {
		fd = resolve_open(env->root, m->destination, O_PATH, true);
		if (fd == -ELOOP || fd == -ENOTDIR ||
		    (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))))
			return err_set(e, EINVAL, "%s must be mounted on an ordinary directory",
				       m->type);
	}
	rc = resolve_make(env->root, m->destination, is_dir ? RESOLVE_DIR : RESOLVE_FILE, &target, e);
	if (rc == 0)
		rc = guard_found(env, m, target, e);
	if (rc == 0)
		*ret = steal_fd(&target);
	return rc;
}

/* The folder that a tmpfs will cover: it takes over its mode, unless it is given one, and perhaps what is in
 * it. -1: not there yet. */
static int look_under(const struct mount_env *env, const Husk__Agent__V1__Mount *m, char *mode, size_t size)
{
	int fd = is_tmpfs(m) ? resolve_open(env->root, m->destination, O_RDONLY | O_DIRECTORY, false) : -1;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0)
		snprintf(mode, size, "mode=%04o%s", st.st_mode & 07777, *m->data ? "," : "");
	return fd;
}

/* A detached mount's root can be written to by no path but by its descriptor. */
static int copy_up(int from, int tree, struct err *e)
{
	_cleanup_close_ int to = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int rc;

	if (to < 0 || fstat(from, &st) < 0)
		return err_errno(e, errno, "tmpcopyup");
	rc = copyup(from, to, e);
	return rc < 0 ? err_wrap(e, rc, "tmpcopyup") : 0;
}

/* @outside: it was made before, outside of the container's user namespace; -1. */
static int make_detached(const struct mount_env *env, const Husk__Agent__V1__Mount *m, int outside, bool late_ro,
			 struct err *e)
{
	Husk__Agent__V1__Mount now = *m;
	_cleanup_free_ char *data = NULL;
	_cleanup_close_ int under = -1;
	_cleanup_close_ int tree = -1;
	char mode[16] = "";
	int rc = 0;

	if (outside >= 0) {
		tree = fcntl(outside, F_DUPFD_CLOEXEC, 0);
		return tree < 0 ? err_errno(e, errno, "dup") : steal_fd(&tree);
	}
	if (late_ro)
		now.flags &= ~(uint64_t)MS_RDONLY;
	under = look_under(env, m, mode, sizeof(mode));
	if (asprintf(&data, "%s%s", mode, m->data) < 0)
		return err_set(e, ENOMEM, "out of memory");
	tree = mount_make(env, &now, data, e);
	if (tree < 0)
		return tree;
	if (m->copy_up && under >= 0)
		rc = copy_up(under, tree, e);
	if (rc == 0)
		rc = idmap_apply(tree, m, e);
	return rc < 0 ? rc : steal_fd(&tree);
}

static int set_propagation(int tree, const Husk__Agent__V1__Mount *m, struct err *e)
{
	int rc = mount_propagation(tree, m->propagation);

	for (size_t i = 0; rc == 0 && i < m->n_more_propagation; i++)
		rc = mount_propagation(tree, m->more_propagation[i]);
	return rc < 0 ? err_errno(e, -rc, "propagation") : 0;
}

/* Version 1's hierarchies are mounts below the host's sysfs; the one there is goes to the same place. */
static int add_cgroup(const struct mount_env *env, const Husk__Agent__V1__Mount *m, int sysfs, struct err *e)
{
	_cleanup_close_ int at = resolve_open(sysfs, "fs/cgroup", O_PATH | O_DIRECTORY, true);
	_cleanup_close_ int tree = at < 0 ? -1 : mount_make_cgroup(env, "", m->flags, e);
	int rc = tree < 0 ? tree : mount_put(tree, at);

	if (at < 0)
		return 0;
	return rc < 0 && tree >= 0 ? err_errno(e, -rc, "cgroup") : rc;
}

/* When it is in place: what is below it, and all of it together. */
static int finish_one(const struct mount_env *env, const Husk__Agent__V1__Mount *m, int tree, struct err *e)
{
	int rc = mount_flag_below(tree, m->submounts, m->n_submounts, e);

	if (rc == 0 && strcmp(m->type, "own") == 0 && strcmp(m->source, "sysfs") == 0 && m->flags & MS_REC &&
	    !*m->subpath)
		rc = add_cgroup(env, m, tree, e);
	if (rc == 0 && m->follow)
		rc = follow_first(env, m, tree, e);
	if (rc < 0)
		return rc;
	rc = mount_attrs(tree, m->rec_attr_set, m->rec_attr_clear, true);
	if (rc < 0)
		return err_errno(e, -rc, "recursive flags");
	return set_propagation(tree, m, e);
}

static void keep_late(struct mount_env *env, const Husk__Agent__V1__Mount *m, int *tree, bool late_ro)
{
	if (late_ro || m->propagation)
		env->late[env->n_late++] = (struct mount_late){ .fd = steal_fd(tree), .readonly = late_ro, .m = m };
}

/* As mount(2)'s MS_REMOUNT: with MS_BIND the flags of the mount that is there, all of them; without, those of its
 * file system. */
static int remount(const struct mount_env *env, const Husk__Agent__V1__Mount *m, struct err *e)
{
	const uint64_t all = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME | MS_NOSYMFOLLOW;
	_cleanup_close_ int fd = resolve_open(env->root, m->destination, O_PATH, false);
	char path[40];
	int rc;

	if (fd < 0)
		return err_errno(e, -fd, "remount");
	rc = guard_found(env, m, fd, e);
	if (rc < 0)
		return rc;
	if (strcmp(m->type, "bind") == 0) {
		rc = mount_flags(fd, m->flags, all);
		if (rc == 0)
			rc = mount_attrs(fd, m->rec_attr_set, m->rec_attr_clear, true);
		return rc < 0 ? err_errno(e, -rc, "remount") : set_propagation(fd, m, e);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (mount(NULL, path, NULL, (unsigned long)m->flags, m->data) < 0)
		return err_errno(e, errno, "remount");
	return set_propagation(fd, m, e);
}

static int apply_one(struct mount_env *env, const Husk__Agent__V1__Mount *m, int outside, struct err *e)
{
	/* In a tmpfs and in /dev mount points and devices are still to be made. */
	bool late_ro = m->flags & MS_RDONLY && (is_tmpfs(m) || (is_dev(m) && strcmp(m->type, "bind") != 0));
	_cleanup_close_ int tree = -1;
	_cleanup_close_ int target = -1;
	struct stat st;
	int rc;

	if (m->flags & MS_REMOUNT)
		return remount(env, m, e);
	rc = proc_guard(m, m->destination, e);
	if (rc < 0)
		return rc;
	tree = make_detached(env, m, outside, late_ro, e);
	if (tree < 0)
		return tree;
	if (fstat(tree, &st) < 0)
		return err_errno(e, errno, "fstat");
	rc = find_target(env, m, S_ISDIR(st.st_mode), &target, e);
	if (rc < 0)
		return rc;
	rc = mount_put(tree, target);
	if (rc < 0)
		return err_errno(e, -rc, "mount");
	rc = finish_one(env, m, tree, e);
	if (rc == 0)
		keep_late(env, m, &tree, late_ro);
	return rc;
}

int mounts_apply(struct mount_env *env, Husk__Agent__V1__Mount *const *mounts, size_t n,
		 struct err *e)
{
	env->n_late = 0;
	env->late = calloc(n + 1, sizeof(*env->late));
	if (!env->late)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		int rc = apply_one(env, mounts[i], env->outside ? env->outside[i] : -1, e);

		if (rc < 0)
			return err_wrap(e, rc, "error mounting \"%s\" to rootfs at \"%s\": mounts[%zu]",
					name_of(mounts[i]), mounts[i]->destination, i);
	}
	return 0;
}

int mounts_finish(struct mount_env *env, bool propagation, struct err *e)
{
	for (size_t i = 0; i < env->n_late; i++) {
		const struct mount_late *l = &env->late[i];
		int rc = l->readonly ? mount_attrs(l->fd, MOUNT_ATTR_RDONLY, 0, false) : 0;

		if (rc < 0)
			return err_errno(e, -rc, "read-only %s", l->m->destination);
		rc = propagation ? set_propagation(l->fd, l->m, e) : 0;
		if (rc < 0)
			return err_wrap(e, rc, "%s", l->m->destination);
	}
	return 0;
}

void mounts_done(struct mount_env *env)
{
	for (size_t i = 0; i < env->n_late; i++)
		close(env->late[i].fd);
	free(env->late);
	env->late = NULL;
	env->n_late = 0;
}
