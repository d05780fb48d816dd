// SPDX-License-Identifier: Apache-2.0
/* The folders of containers and their locks (state.h). */
#include "runtime/container/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/container/id.h"
#include "runtime/host/flat.h"

/* More than a create takes to undo what it did. */
#define LOCK_TIMEOUT_MS 30000

static int make_parents(const char *path)
{
	char part[4096];

	if ((size_t)snprintf(part, sizeof(part), "%s", path) >= sizeof(part))
		return -ENAMETOOLONG;
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(part, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int container_root_open(const char *path, bool make, int *ret_fd, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && make) {
		int rc = make_parents(path);

		if (rc < 0)
			return err_errno(e, -rc, "cannot make %s", path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return err_errno(e, errno, "%s", path);
	*ret_fd = fd;
	return 0;
}

/* Whether @dir is still what stands under @id: while its lock was waited for, it may have been
 * removed and even made again. */
static bool still_there(int root, const char *id, int dir)
{
	struct stat a, b;

	return fstat(dir, &a) == 0 && fstatat(root, id, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A create that is killed, or another change, is waited for; one that hangs in a hook has no end. */
static int lock(int dir, const char *id, struct err *e)
{
	uint64_t end = io_now_ns() + (uint64_t)LOCK_TIMEOUT_MS * 1000000u;
	useconds_t pause_us = 100;

	while (flock(dir, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(e, errno, "cannot lock the container's folder");
		if (io_now_ns() >= end)
			return err_set(e, EBUSY, "container %s is being created or changed by another husk command", id);
		usleep(pause_us);
		pause_us = min_t(useconds_t, pause_us * 2, 20000);
	}
	return 0;
}

int container_open(int root, const char *id, bool want_lock, int *ret_dir, struct err *e)
{
	for (;;) {
		_cleanup_close_ int dir =
			openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int rc;

		if (dir < 0 && errno == ENOENT)
			return err_set(e, ENOENT, "container does not exist");
		if (dir < 0)
			return err_errno(e, errno, "cannot open the container's folder");
		if (want_lock) {
			rc = lock(dir, id, e);
			if (rc < 0)
				return rc;
			if (!still_there(root, id, dir))
				continue;
		}
		*ret_dir = steal_fd(&dir);
		return 0;
	}
}

int container_find(int root, const char *id, int *ret_dir, struct container_state *ret, struct err *e)
{
	_cleanup_close_ int dir = -1;
	int rc = container_id_check(id, e);

	if (rc == 0)
		rc = container_open(root, id, false, &dir, e);
	if (rc == 0)
		rc = container_state_load(dir, ret, e);
	if (rc < 0)
		return rc;
	rc = container_status(dir, ret, &ret->status, e);
	if (rc < 0)
		container_state_done(ret);
	else
		*ret_dir = steal_fd(&dir);
	return rc;
}

int container_each(int root, container_each_fn *fn, void *arg, struct err *e)
{
	_cleanup_closedir_ DIR *d = NULL;
	_cleanup_close_ int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;
	int rc = 0;

	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return err_errno(e, errno, "cannot read the folder of all containers");
	fd = -1;
	while (rc == 0 && (errno = 0, de = readdir(d)))
		if (container_id_check(de->d_name, NULL) == 0)
			rc = fn(arg, root, de->d_name, e);
	return rc == 0 && errno ? err_errno(e, errno, "cannot read the folder of all containers") : rc;
}

int container_make(int root, const char *id, int *ret_dir, bool *ret_leftover, struct err *e)
{
	static const char exists[] = "container with given ID already exists";

	for (;;) {
		bool made = mkdirat(root, id, 0700) == 0;
		struct container_state s;
		_cleanup_close_ int dir = -1;
		bool leftover;

		if (!made && errno != EEXIST)
			return err_errno(e, errno, "cannot make the container's folder");
		dir = openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0 && errno == ENOENT)
			continue;
		if (dir < 0)
			return err_errno(e, errno, "cannot open the container's folder");
		/* Somebody creates or deletes it right now: it exists. */
		if (flock(dir, LOCK_EX | LOCK_NB) < 0)
			return err_set(e, EEXIST, exists);
		if (!still_there(root, id, dir))
			continue;
		leftover = !made;
		if (leftover && container_state_load(dir, &s, NULL) == 0) {
			bool used = s.proxy.pid != 0;

			container_state_done(&s);
			if (used)
				return err_set(e, EEXIST, exists);
		} else if (leftover && faccessat(dir, "state.json", F_OK, 0) == 0) {
			/* Unreadable is not the same as unused: delete --force is the way out. */
			return err_set(e, EEXIST, exists);
		}
		*ret_dir = steal_fd(&dir);
		*ret_leftover = leftover;
		return 0;
	}
}

int container_remove_dir(int root, const char *id, int dir, struct err *e)
{
	return flat_remove(root, id, dir, e);
}
