// SPDX-License-Identifier: Apache-2.0
#include "vmm/jail/userns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"

/* The kernel takes at most one page, and writes are all or nothing. */
#define MAP_TEXT 4096

/* Every id that this process's namespace has, mapped to itself: lines "first first count". */
static int identity_map(const char *of, char *out, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(of, "re");
	unsigned long first, parent, count;
	size_t n = 0;

	if (!f)
		return -errno;
	while (fscanf(f, "%lu %lu %lu", &first, &parent, &count) == 3) {
		int rc = snprintf(out + n, size - n, "%lu %lu %lu\n", first, first, count);

		if (rc < 0 || (size_t)rc >= size - n)
			return -E2BIG;
		n += (size_t)rc;
	}
	return n ? 0 : -EINVAL;
}

static int write_map(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return io_write_str(AT_FDCWD, path, text);
}

struct maps {
	char uid[MAP_TEXT], gid[MAP_TEXT];
};

/* A process cannot write a full map for itself: that takes rights over the parent namespace, which it
 * has left. So a child stays behind and does it. */
static void helper(pid_t target, int sock, const struct maps *m)
{
	char go;

	if (io_read_full(sock, &go, 1) < 0)
		_exit(1);
	if (write_map(target, "uid_map", m->uid) < 0 || write_map(target, "gid_map", m->gid) < 0)
		_exit(1);
	_exit(0);
}

/* Without rights, only the own id can be mapped, and only after giving up setgroups(2). */
static int map_self(uid_t uid, gid_t gid)
{
	char text[64];
	int rc = io_write_str(AT_FDCWD, "/proc/self/setgroups", "deny");

	if (rc < 0)
		return rc;
	snprintf(text, sizeof(text), "%u %u 1", uid, uid);
	rc = io_write_str(AT_FDCWD, "/proc/self/uid_map", text);
	if (rc < 0)
		return rc;
	snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	return io_write_str(AT_FDCWD, "/proc/self/gid_map", text);
}

static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

int userns_enter(int flags, bool *ret_all_ids, struct err *e)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	pid_t self = getpid(), child;
	struct maps m;
	int pair[2], rc;

	rc = identity_map("/proc/self/uid_map", m.uid, sizeof(m.uid));
	if (rc == 0)
		rc = identity_map("/proc/self/gid_map", m.gid, sizeof(m.gid));
	if (rc < 0)
		return err_errno(e, -rc, "cannot read the id maps of this process");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	child = fork();
	if (child < 0)
		return err_errno(e, errno, "fork");
	if (child == 0) {
		close(ours);
		helper(self, theirs, &m);
	}
	close_and_reset(&theirs);
	if (unshare(CLONE_NEWUSER | flags) < 0) {
		err_errno(e, errno, "user namespace");
		close_and_reset(&ours); /* the child reads end of file, and goes */
		reap(child);
		return 1;
	}
	/* The map files of an undumpable process belong to root, which we may not be. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	rc = io_write_full(ours, "", 1);
	if (reap(child) == 0 && rc == 0) {
		*ret_all_ids = true;
		return 0;
	}
	rc = map_self(uid, gid);
	if (rc < 0)
		return err_errno(e, -rc, "user namespace: id maps");
	*ret_all_ids = false;
	return 0;
}
