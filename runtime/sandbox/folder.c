// SPDX-License-Identifier: Apache-2.0
/* A sandbox's folder: what a later command finds its machine by, and how it is cleared away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/host/flat.h"
#include "runtime/host/sock.h"
#include "runtime/sandbox/record.h"
#include "runtime/sandbox/sandbox.h"
#include "runtime/sandbox/sandbox_internal.h"

/* For husk-net to take away what it added to the namespace. */
#define NET_END_MS 3000

int sandbox_open_all(int root)
{
	int fd = openat(root, SANDBOX_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Whether @dir still has that name below @root: while its lock was waited for, it may have been removed, and another machine's
 * have been made. */
static bool still_there(int root, const char *name, int dir)
{
	_cleanup_close_ int all = sandbox_open_all(root);
	struct stat a, b;

	return all >= 0 && fstat(dir, &a) == 0 && fstatat(all, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int sandbox_open(int root, const char *name, bool lock, int *ret_dir, struct err *e)
{
	for (;;) {
		_cleanup_close_ int all = sandbox_open_all(root);
		_cleanup_close_ int dir = -1;

		if (all < 0)
			return err_errno(e, -all, "sandbox %s", name);
		dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0)
			return err_errno(e, errno, "sandbox %s", name);
		while (lock && flock(dir, LOCK_EX) < 0)
			if (errno != EINTR)
				return err_errno(e, errno, "cannot lock the folder of sandbox %s", name);
		if (lock && !still_there(root, name, dir))
			continue;
		*ret_dir = steal_fd(&dir);
		return 0;
	}
}

int sandbox_make_dir(int root, const char *name, int *ret_dir, struct err *e)
{
	_cleanup_close_ int all = -1;

	for (;;) {
		if (mkdirat(root, SANDBOX_FOLDER, 0700) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make the folder of sandboxes");
		close_and_reset(&all);
		all = sandbox_open_all(root);
		if (all >= 0 && mkdirat(all, name, 0700) == 0)
			break;
		/* Another command may have removed the folder with what was its last sandbox. */
		if (errno != ENOENT)
			return err_errno(e, errno, "cannot make the sandbox's folder");
	}
	*ret_dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_dir < 0 ? err_errno(e, errno, "cannot open the sandbox's folder") : 0;
}

static int connect_to(int root, const char *name, const char *sock, int *ret_fd, struct err *e)
{
	_cleanup_close_ int dir = -1;
	int rc = sandbox_open(root, name, false, &dir, NULL);

	if (rc == 0)
		rc = sock_connect(dir, sock, ret_fd);
	return rc < 0 ? err_errno(e, -rc, "cannot reach the virtual machine") : 0;
}

int sandbox_connect(int root, const char *name, int *ret_fd, struct err *e)
{
	return connect_to(root, name, SANDBOX_MACHINE_SOCK, ret_fd, e);
}

int sandbox_join(int root, const char *name, int *ret_fd, struct err *e)
{
	return connect_to(root, name, SANDBOX_JOIN_SOCK, ret_fd, e);
}

int sandbox_join_net(int root, const char *name, int *ret_fd, struct err *e)
{
	return connect_to(root, name, SANDBOX_NET_SOCK, ret_fd, e);
}

static int end_processes(int dir, int timeout_ms, struct err *e)
{
	struct sandbox_record r;
	int rc = sandbox_load(dir, &r, e);

	/* Without it there are none, or they are not to be found: then they end with their last lifeline. */
	if (rc < 0)
		return io_may_work_later(rc) ? rc : 0;
	rc = proc_kill(&r.machine, timeout_ms);
	if (rc < 0)
		return err_errno(e, -rc, "husk-machine (process %d) does not end", r.machine.pid);
	return sandbox_end_net(&r.net, e);
}

int sandbox_end_net(const struct proc_id *net, struct err *e)
{
	_cleanup_close_ int pidfd = net->pid ? proc_open(net) : -1;
	int rc = 0;

	if (pidfd >= 0 && proc_wait_end(pidfd, NET_END_MS) < 0)
		rc = proc_kill(net, NET_END_MS);
	return rc < 0 ? err_errno(e, -rc, "husk-net (process %d) does not end", net->pid) : 0;
}

/* The last sandbox takes the folder of all along; that others are in it, or took it, is no error. */
static int remove_all_when_empty(int root, struct err *e)
{
	if (unlinkat(root, SANDBOX_FOLDER, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
		return err_errno(e, errno, "cannot remove the folder " SANDBOX_FOLDER);
	return 0;
}

int sandbox_remove(int root, const char *name, int dir, int timeout_ms, struct err *e)
{
	_cleanup_close_ int all = -1;
	_cleanup_close_ int members = -1;
	int rc;

	/* Whoever was to make it may have come as far as the folder of all. */
	if (dir < 0)
		return remove_all_when_empty(root, e);
	rc = end_processes(dir, timeout_ms, e);
	if (rc < 0)
		return rc;
	members = openat(dir, SANDBOX_MEMBERS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (members >= 0)
		rc = flat_remove(dir, SANDBOX_MEMBERS, members, e);
	all = sandbox_open_all(root);
	if (rc == 0)
		rc = flat_remove(all, name, dir, e);
	if (rc == 0)
		rc = remove_all_when_empty(root, e);
	return rc;
}
