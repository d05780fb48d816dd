// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/hook_mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/mounttree.h"

/* From the fork: first that it stands there, then each new mount, and an end. With a descriptor where it is a share. */
struct answer {
	int32_t rc; /* -errno, and why */
	uint32_t end;
	char text[sizeof(((struct err *)0)->msg)];
	char at[PATH_MAX], real[PATH_MAX];
	struct stat st;
	struct statfs fs;
};

/* ---- in the proxy's mount namespace ------------------------------------------------------------- */

/* The container's table, whole, at the path that the bundle names: where it stands upon "/" no path leads. In the proxy's
 * mount namespace, whose "/" and all below it goes when the proxy enters the container's root. */
static int show(int table, const char *rootfs)
{
	_cleanup_close_ int tree =
		open_tree(table, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree < 0 || move_mount(tree, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

/* Joining a mount namespace leads to what is mounted upon its root, the container's own. *ret: where the table is seen. */
static int go_there(int pidfd, int root, const char *rootfs, char ret[PATH_MAX], struct err *e)
{
	_cleanup_close_ int table = -1;
	int rc;

	if (setns(pidfd, CLONE_NEWNS) < 0)
		return err_errno(e, errno, "the container's mount namespace");
	table = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (table < 0 || fchdir(root) < 0 || chroot(".") < 0)
		return err_errno(e, errno, "the container's mount namespace");
	rc = show(table, rootfs);
	if (rc < 0)
		return err_errno(e, -rc, "cannot show the container's mounts at %s", rootfs);
	return realpath(rootfs, ret) ? 0 : err_errno(e, errno, "%s", rootfs);
}

static bool was_there(const struct mountinfo *before, const struct mountinfo_row *row)
{
	const struct mountinfo_row *old = mountinfo_by_id(before, row->id);

	return old && !strcmp(old->at, row->at) && !strcmp(old->root, row->root);
}

static int describe(struct answer *a, const char *path, const char *in_root, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	struct source s = { .fd = -1, .sock = -1 };
	int rc;

	*ret_fd = -1;
	if (fd < 0 || fstat(fd, &a->st) < 0 || fstatfs(fd, &a->fs) < 0)
		return err_errno(e, errno, "%s", path);
	if ((size_t)snprintf(a->at, sizeof(a->at), "/%s", in_root) >= sizeof(a->at) ||
	    (size_t)snprintf(a->real, sizeof(a->real), "%s", path) >= sizeof(a->real))
		return err_set(e, ENAMETOOLONG, "%s: too long", path);
	rc = source_decide(&s, a->real, &a->st, (long)a->fs.f_type, a->at, e);
	if (rc > 0 && S_ISSOCK(a->st.st_mode))
		return err_set(e, EINVAL, "%s is a socket, which only a bind mount of config.json can share", path);
	return rc == 0 ? mounttree_open(fd, "", 0, ret_fd, NULL, e) : min_t(int, rc, 0);
}

static int tell(int sock, struct answer *a, int rc, int fd, const struct err *e)
{
	a->rc = rc;
	snprintf(a->text, sizeof(a->text), "%s", rc < 0 ? e->msg : "");
	return io_send_fds(sock, a, sizeof(*a), &fd, fd >= 0);
}

static int tell_new(int sock, const char *rootfs, const struct mountinfo *before, struct answer *a, struct err *e)
{
	struct mountinfo now;
	int rc = mountinfo_load(&now, e);

	for (size_t i = 0; rc == 0 && i < now.n; i++) {
		const char *in_root = mountinfo_below(&now.rows[i], rootfs);
		_cleanup_close_ int fd = -1;

		if (!in_root || was_there(before, &now.rows[i]))
			continue;
		rc = describe(a, now.rows[i].at, in_root, &fd, e);
		if (rc == 0)
			rc = tell(sock, a, 0, fd, e);
	}
	return rc;
}

static _Noreturn void stand_there(int sock, int pidfd, int root, const char *rootfs)
{
	static struct answer a;
	struct mountinfo before = { .n = 0 };
	struct err e = ERR_INIT;
	char real[PATH_MAX], go;
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rc = go_there(pidfd, root, rootfs, real, &e);
	if (rc == 0)
		rc = mountinfo_load(&before, &e);
	if (tell(sock, &a, rc, -1, &e) < 0 || rc < 0 || read(sock, &go, 1) != 1)
		_exit(1);
	rc = tell_new(sock, real, &before, &a, &e);
	a.end = 1;
	tell(sock, &a, rc, -1, &e);
	_exit(0);
}

/* ---- here ----------------------------------------------------------------------------------------- */

/* *ret_fd: -1 without one. */
static int hear(struct hook_mounts *h, struct answer *a, int *ret_fd, struct err *e)
{
	size_t nfds = 1;
	ssize_t n = io_recv_fds(h->sock, a, sizeof(*a), ret_fd, &nfds, 0);

	if (n < 0 || !nfds)
		*ret_fd = -1;
	if (n < 0)
		return err_errno(e, (int)-n, "mounts of createContainer hooks");
	if (n != (ssize_t)sizeof(*a))
		return err_set(e, ECHILD, "mounts of createContainer hooks: husk's fork has ended");
	a->text[sizeof(a->text) - 1] = 0;
	return a->rc < 0 ? err_set(e, -a->rc, "mounts of createContainer hooks: %s", a->text) : 0;
}

int hook_mounts_begin(struct hook_mounts *h, int pidfd, int root, const char *rootfs, struct err *e)
{
	struct answer a;
	int pair[2], fd, rc;
	pid_t pid;

	*h = (struct hook_mounts){ .sock = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		stand_there(pair[1], pidfd, root, rootfs);
	}
	rc = errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_errno(e, rc, "fork");
	}
	h->pid = pid;
	h->sock = pair[0];
	return hear(h, &a, &fd, e);
}

/* Takes @fd. */
static int take(struct hook_mounts *h, const struct answer *a, int fd, struct err *e)
{
	_cleanup_close_ int mine = fd;
	struct hook_mount *m = &h->v[h->n];
	int rc;

	if (h->n == HOOK_MOUNTS_MAX)
		return err_set(e, E2BIG, "createContainer hooks have made more than %d mounts", HOOK_MOUNTS_MAX);
	snprintf(m->at, sizeof(m->at), "%s", a->at);
	rc = source_found(&m->src, a->real, &a->st, &a->fs, m->at, e);
	if (rc < 0)
		return rc;
	h->n++;
	if (rc == 0 && mine < 0)
		return err_set(e, EBADMSG, "mounts of createContainer hooks: %s: no descriptor", m->at);
	if (rc == 0)
		source_share(&m->src, steal_fd(&mine));
	return 0;
}

int hook_mounts_end(struct hook_mounts *h, struct err *e)
{
	struct answer a = { .end = 0 };
	int fd, rc;

	if (!h->pid)
		return 0;
	h->v = calloc(HOOK_MOUNTS_MAX, sizeof(*h->v));
	if (!h->v)
		return err_set(e, ENOMEM, "out of memory");
	rc = send(h->sock, "g", 1, MSG_NOSIGNAL) < 0 ? err_errno(e, errno, "mounts of createContainer hooks") : 0;
	while (rc == 0) {
		rc = hear(h, &a, &fd, e);
		if (rc == 0 && a.end)
			break;
		if (rc == 0)
			rc = take(h, &a, fd, e);
	}
	return rc;
}

int hook_mounts_add(struct hook_mounts *h, struct oci_spec *s, struct err *e)
{
	if (!h->n)
		return 0;
	h->rows = calloc(s->n_mounts + h->n, sizeof(*h->rows));
	if (!h->rows)
		return err_set(e, ENOMEM, "out of memory");
	if (s->n_mounts)
		memcpy(h->rows, s->mounts, s->n_mounts * sizeof(*h->rows));
	for (size_t i = 0; i < h->n; i++)
		h->rows[s->n_mounts + i] = (struct oci_mount){
			.destination = h->v[i].at,
			.source = h->v[i].at,
			.type = "bind",
			.data = "",
			.bind = true,
		};
	s->mounts = h->rows;
	s->n_mounts += h->n;
	return 0;
}

void hook_mounts_done(struct hook_mounts *h)
{
	/* The fork waits for a word, and ends without. */
	if (h->pid) {
		close_and_reset(&h->sock);
		while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (size_t i = 0; i < h->n; i++)
		source_done(&h->v[i].src);
	free(h->v);
	free(h->rows);
	*h = (struct hook_mounts){ .sock = -1 };
}
