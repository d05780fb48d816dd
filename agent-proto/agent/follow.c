// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/follow.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/child.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/mounts.h"
#include "agent-proto/agent/resolve.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/mountinfo.h"

/* A folder that the host has just made is believed not to be there for a second (docs/mounts.md), and then some. */
#define PLACE_TRIES   150
#define QUIET_TRIES   200
#define AGAIN_NS      10000000

struct follow {
	struct mount_mark binds[AGENT_MAX_FOLLOWING], slots[AGENT_MAX_FOLLOWED];
	uint64_t attrs[AGENT_MAX_FOLLOWING]; /* MOUNT_ATTR_* for all that is below */
	struct container *ct;
	struct evsrc helper; /* fd -1: none at work */
	int pidfd; /* of it */
	struct ttrpc_call *call;
	uint32_t slot; /* what it works on */
};

struct result {
	int32_t rc;
	struct mount_mark mark; /* of what is in the slot now */
	char text[sizeof(((struct err *)0)->msg)];
};

/* ---- the helper ---------------------------------------------------------------------------------- */

struct job {
	const Husk__Agent__V1__ChangeMountRequest *req;
	const struct agent_config *cfg;
	struct mount_mark on; /* what it is to be mounted on; or what is to go */
	uint64_t attrs;
	int mntns, own_ns, self; /* the container's, the agent's; the helper's folder in procfs */
};

static void a_little_later(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = AGAIN_NS }, NULL);
}

/* The root of the mount @mark, wherever it is now, seen from this mount namespace's root. -ESRCH: it is not there, or
 * something is mounted over it. */
static int find(int self, const struct mount_mark *mark)
{
	_cleanup_close_ int list = openat(self, "mountinfo", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	const struct mountinfo_row *row;
	struct mount_mark is;
	struct mountinfo mi;

	if (list < 0 || root < 0 || mountinfo_read(&mi, list, NULL) < 0)
		return -EIO;
	row = mountinfo_by_id(&mi, mark->id);
	if (row && row->dev == mark->dev)
		fd = resolve_open(root, row->at, O_PATH, true);
	mountinfo_free(&mi);
	if (fd < 0 || follow_mark(fd, &is) < 0 || is.id != mark->id || is.dev != mark->dev)
		return -ESRCH;
	return steal_fd(&fd);
}

static int find_place(int on, const char *path, bool through)
{
	for (int i = 0;; i++) {
		int fd = through ? mount_open_below(on, path, 0) : mount_open_on(on, path);

		if (fd != -ENOENT || i == PLACE_TRIES)
			return fd;
		a_little_later();
	}
}

/* The share, detached. What appears by looking at it does so in a mount namespace that nobody else is in. */
static int open_share(const struct job *j, struct err *e)
{
	const struct mount_env env = { .shares_dir = j->cfg->shares_dir };
	_cleanup_close_ int tree = -1;
	int rc;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(e, errno, "mount namespace");
	tree = mount_clone_share(&env, j->req->share, "", false, NULL, 0, e);
	if (tree < 0)
		return tree;
	rc = mount_flags(tree, j->req->flags, MOUNT_ALL_FLAGS);
	if (rc == 0)
		rc = mount_attrs(tree, j->attrs, j->attrs & MOUNT_ATTR__ATIME ? MOUNT_ATTR__ATIME : 0, false);
	return rc < 0 ? err_errno(e, -rc, "flags") : steal_fd(&tree);
}

static int mount_here(const struct job *j, struct mount_mark *ret, struct err *e)
{
	_cleanup_close_ int tree = open_share(j, e);
	_cleanup_close_ int on = -1;
	_cleanup_close_ int place = -1;
	int rc;

	if (tree < 0)
		return tree;
	if (setns(j->mntns, CLONE_NEWNS) < 0)
		return err_errno(e, errno, "container's mounts");
	on = find(j->self, &j->on);
	if (on < 0)
		return err_set(e, -on, "what it is to be mounted on is not to be found");
	place = find_place(on, j->req->path, j->req->through);
	/* With any kernel it would come to lie below that. */
	if (place == -EXDEV)
		return err_set(e, EXDEV, "the container has mounted something there itself");
	if (place < 0)
		return err_errno(e, -place, "its mount point");
	rc = mount_put(tree, place);
	if (rc == 0)
		rc = follow_mark(tree, ret);
	return rc < 0 ? err_errno(e, -rc, "mount") : 0;
}

/* What was written by way of memory is still the guest's. */
static void write_back(int self, int fd)
{
	_cleanup_close_ int file = -1;
	char name[24];

	snprintf(name, sizeof(name), "fd/%d", fd);
	file = openat(self, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (file >= 0)
		syncfs(file);
}

/* The kernel takes a share's superblock away under requests that are on their way; so it is held until there are none. */
static void let_go(const struct job *j)
{
	if (!j->cfg->is_quiet || setns(j->own_ns, CLONE_NEWNS) < 0)
		return;
	for (int i = 0; !j->cfg->is_quiet() && i < QUIET_TRIES; i++)
		a_little_later();
}

static int unmount_it(const struct job *j, struct err *e)
{
	_cleanup_close_ int fd = -1;
	char name[24];

	if (setns(j->mntns, CLONE_NEWNS) < 0)
		return err_errno(e, errno, "container's mounts");
	fd = find(j->self, &j->on);
	/* The container has been quicker, or has covered it: then what is below ends with its share. */
	if (fd < 0)
		return 0;
	write_back(j->self, fd);
	snprintf(name, sizeof(name), "fd/%d", fd);
	if (fchdir(j->self) < 0 || umount2(name, MNT_DETACH) < 0)
		return err_errno(e, errno, "unmount");
	let_go(j);
	return 0;
}

/* None of the agent's descriptors but these: a connection must end when the agent closes it. */
static int arrange(int *sync, int *mntns)
{
	int s = fcntl(*sync, F_DUPFD_CLOEXEC, 5), m = fcntl(*mntns, F_DUPFD_CLOEXEC, 5);

	if (s < 0 || m < 0 || dup2(s, 3) < 0 || dup2(m, 4) < 0 || close_range(5, ~0u, 0) < 0)
		return -errno;
	*sync = 3;
	*mntns = 4;
	return 0;
}

static _Noreturn void help(struct job *j, int sync)
{
	struct result r = { .rc = 0 };
	struct err e = ERR_INIT;
	int rc = arrange(&sync, &j->mntns);

	if (rc == 0) {
		j->self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
		j->own_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		rc = j->self < 0 || j->own_ns < 0 ? -errno : 0;
	}
	if (rc < 0)
		err_errno(&e, -rc, "helper");
	else
		rc = j->req->gone ? unmount_it(j, &e) : mount_here(j, &r.mark, &e);
	r.rc = rc;
	snprintf(r.text, sizeof(r.text), "%s", rc < 0 ? e.msg : "");
	io_send_fds(sync, &r, sizeof(r), NULL, 0);
	_exit(0);
}

/* ---- the agent ----------------------------------------------------------------------------------- */

static void settle(struct follow *f, int rc, const char *text)
{
	struct ttrpc_call *call = steal_ptr(&f->call);

	evloop_del(&f->helper);
	close_and_reset(&f->helper.fd);
	close_and_reset(&f->pidfd);
	if (!call)
		return;
	/* The codes of a missing container are not for anything else to use. */
	if (rc < 0)
		ttrpc_reply_err(call, rc == -ESRCH ? rc : -EIO, text);
	else
		ttrpc_reply(call, NULL);
}

static void on_result(struct evsrc *src, uint32_t events)
{
	struct follow *f = container_of(src, struct follow, helper);
	struct result r;
	ssize_t n = io_recv_fds(src->fd, &r, sizeof(r), NULL, NULL, MSG_DONTWAIT);

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n != sizeof(r)) {
		settle(f, -EIO, "the helper has died");
		return;
	}
	r.text[sizeof(r.text) - 1] = 0;
	if (r.rc == 0)
		f->slots[f->slot] = r.mark;
	settle(f, r.rc, r.text);
}

static struct follow *get(struct container *ct)
{
	if (!ct->follow) {
		ct->follow = calloc(1, sizeof(*ct->follow));
		if (ct->follow) {
			ct->follow->ct = ct;
			ct->follow->pidfd = -1;
			ct->follow->helper = (struct evsrc){ .fd = -1, .fn = on_result, .name = "follow" };
		}
	}
	return ct->follow;
}

void follow_told(struct container *ct, const struct sync_msg *m)
{
	struct follow *f = get(ct);

	if (!f || m->number >= (m->is_bind ? AGENT_MAX_FOLLOWING : AGENT_MAX_FOLLOWED))
		return;
	if (m->is_bind) {
		f->binds[m->number] = m->mark;
		f->attrs[m->number] = m->attrs;
	} else {
		f->slots[m->number] = m->mark;
	}
}

static int start(struct follow *f, struct job *j, struct err *e)
{
	_cleanup_close_ int theirs = -1;
	int ends[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(e, errno, "socketpair");
	f->helper.fd = ends[0];
	theirs = ends[1];
	pid = fork();
	if (pid == 0)
		help(j, theirs);
	f->pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	rc = f->pidfd < 0 ? -errno : evloop_add(f->ct->agent->loop, &f->helper, EPOLLIN);
	if (rc == 0)
		return 0;
	/* It may be at work: its end is nobody's then. */
	if (f->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, f->pidfd, SIGKILL, NULL, 0);
	close_and_reset(&f->pidfd);
	close_and_reset(&f->helper.fd);
	return err_errno(e, -rc, "fork");
}

void follow_change(struct container *ct, const Husk__Agent__V1__ChangeMountRequest *req, struct ttrpc_call *call)
{
	struct follow *f = ct->follow;
	struct job j = { .req = req, .cfg = &ct->agent->cfg, .mntns = ct->mntns };
	struct err e = ERR_INIT;
	int rc;

	if (!f || ct->going || ct->init.state == PROC_ENDED || ct->mntns < 0) {
		ttrpc_reply_err(call, -ESRCH, "container not running, or it follows no mounts");
		return;
	}
	if (f->helper.fd >= 0) {
		ttrpc_reply_err(call, -EIO, "another mount is under way");
		return;
	}
	if (req->gone || req->parent)
		j.on = f->slots[req->gone ? req->slot : req->parent - 1];
	else
		j.on = f->binds[req->bind];
	if (!j.on.id) {
		ttrpc_reply_err(call, -ESRCH, "what it is about was never mounted");
		return;
	}
	j.attrs = f->attrs[req->bind];
	f->slot = req->slot;
	rc = start(f, &j, &e);
	if (rc < 0)
		ttrpc_reply_err(call, -EIO, e.msg);
	else
		f->call = call;
}

bool follow_busy(struct container *ct)
{
	struct follow *f = ct->follow;

	if (!f || f->helper.fd < 0)
		return false;
	syscall(SYS_pidfd_send_signal, f->pidfd, SIGKILL, NULL, 0);
	return true;
}

void follow_done(struct container *ct)
{
	if (ct->follow && follow_busy(ct))
		settle(ct->follow, -ESRCH, "container not running");
	free(ct->follow);
	ct->follow = NULL;
}
