// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/mounttree.h"
#include "runtime/proxy/follow_table.h"
#include "runtime/proxy/lockin.h"
#include "runtime/proxy/setup.h"

#define COMM "husk-follower"
/* Its descriptors. */
#define SOCK_FD 3
#define LIST_FD 4 /* mountinfo */

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
/* Of a mount, as far as a guest's can have them. */
#define TOLD_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_NOSYMFOLLOW)

static const struct filter_call allowed[] = {
	{ SYS_read, "the list of mounts" },
	{ SYS_lseek, "from its beginning" },
#ifdef SYS_poll
	{ SYS_poll, "until it changes" },
#endif
	{ SYS_ppoll, "until it changes" },
	{ SYS_open_tree, "copies of mounts" },
	{ SYS_mount_setattr, "which are locked down" },
	{ SYS_statx, "whether it is the mount that was meant" },
	{ SYS_newfstatat, "folder or file" },
	{ SYS_fstat, "folder or file" },
	{ SYS_recvmsg, "answers" },
	{ SYS_sendmsg, "events" },
	{ SYS_close, "what was sent on" },
	{ SYS_brk, "memory" },
	{ SYS_munmap, "memory" },
	{ SYS_mremap, "memory" },
	{ SYS_madvise, "memory" },
	{ SYS_rt_sigreturn, "return from a handler" },
	{ SYS_restart_syscall, "after SIGSTOP and SIGCONT" },
	{ SYS_exit_group, "the end" },
};

static const struct filter_arg allowed_with[] = {
	{ SYS_mmap, 2, PROT_READ | PROT_WRITE, "memory" },
	{ SYS_mprotect, 2, PROT_READ | PROT_WRITE, "memory" },
};

struct follower {
	struct follow_table table;
	uint32_t readonly;
	bool beginning; /* nobody answers yet */
	bool full; /* said so already */
	struct follow_event ev;
};

/* ---- what it says -------------------------------------------------------------------------------- */

static void send_event(struct follower *f, uint32_t kind, int fd)
{
	f->ev.kind = kind;
	if (io_send_fds(SOCK_FD, &f->ev, sizeof(f->ev), &fd, fd >= 0) < 0)
		_exit(0);
}

/* Its answer. */
static int tell(struct follower *f, uint32_t kind, int fd)
{
	struct follow_answer a;
	ssize_t n;

	send_event(f, kind, fd);
	if (f->beginning)
		return 0;
	n = io_recv_fds(SOCK_FD, &a, sizeof(a), NULL, NULL, 0);
	if (n != sizeof(a) || a.slot != f->ev.slot)
		_exit(0);
	return a.rc;
}

/* Waits for a reader once, not for each of them. */
static void tell_full(struct follower *f)
{
	if (!f->full)
		send_event(f, FOLLOW_FULL, -1);
	f->full = true;
}

/* ---- what it finds ------------------------------------------------------------------------------- */

/* The mount itself, not what is mounted over it, and no folder that a name leads to now. */
static bool is_mount(int fd, uint64_t id)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) == 0 && st.stx_mask & STATX_MNT_ID &&
	       st.stx_mnt_id == id && st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

enum { GONE_AGAIN = -1, COVERED = -2, NO_SHARE = -3 };

/* A share of it, or why there is none. */
static int open_share(const struct follower *f, const struct follow_place *p, bool *ret_is_dir)
{
	_cleanup_close_ int fd = open_tree(AT_FDCWD, p->row->at, OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
	unsigned how = f->readonly >> p->bind & 1 ? MOUNTTREE_READONLY_ALL : 0;
	struct stat st;
	int share, rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return GONE_AGAIN;
	if (!is_mount(fd, p->row->id))
		return COVERED;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return NO_SHARE;
	rc = mounttree_open(fd, "", how, &share, ret_is_dir, NULL);
	/* What an unprivileged namespace was given as one it may not take apart. */
	if (rc == -EINVAL)
		rc = mounttree_open(fd, "", how | MOUNTTREE_ALL, &share, ret_is_dir, NULL);
	return rc < 0 ? NO_SHARE : share;
}

/* 1: the table has grown; 0: nothing came of it. */
static int take_new(struct follower *f, const struct follow_place *p)
{
	int slot = follow_free_slot(&f->table);
	_cleanup_close_ int fd = NO_SHARE;
	bool is_dir = false;

	if (p->covered) {
		fd = COVERED;
	} else if (!mountinfo_is_kernel_fs(p->row->type) && strlen(p->path) < sizeof(f->ev.path)) {
		if (slot == FOLLOW_NO_SLOT) {
			tell_full(f);
			return 0;
		}
		fd = open_share(f, p, &is_dir);
		if (fd == GONE_AGAIN)
			return 0;
	}
	if (follow_table_add(&f->table, p->row, p->bind, fd >= 0 ? slot : FOLLOW_NO_SLOT) < 0)
		_exit(1);
	/* Then what is over it goes where it would. */
	f->table.v[f->table.n - 1].covered = fd == COVERED;
	if (fd < 0)
		return 1;
	memset(&f->ev, 0, sizeof(f->ev));
	f->ev.bind = p->bind;
	f->ev.slot = (uint32_t)slot;
	f->ev.parent = p->parent;
	f->ev.is_file = !is_dir;
	f->ev.through = p->through;
	f->ev.flags = p->row->flags & TOLD_FLAGS;
	snprintf(f->ev.path, sizeof(f->ev.path), "%s", p->path);
	/* One that the guest could not take keeps its place until it has gone: nobody asks again and again. */
	tell(f, FOLLOW_HERE, fd);
	return 1;
}

static void take_gone(struct follower *f, size_t i)
{
	int slot = f->table.v[i].slot;

	memset(&f->ev, 0, sizeof(f->ev));
	f->ev.slot = (uint32_t)slot;
	if (slot >= 0)
		tell(f, FOLLOW_GONE, -1);
	follow_table_remove(&f->table, i);
	f->full = f->full && slot < 0;
}

static bool look_for_new(struct follower *f, const struct mountinfo *now)
{
	struct follow_place p;
	bool any = false;
	size_t from = 0;

	while (follow_next_new(&f->table, now, &from, &p))
		any |= take_new(f, &p) > 0;
	return any;
}

/* As often as the table grows: one may be listed before the one that it is on. */
static void look(struct follower *f)
{
	bool more = true;

	follow_table_uncover(&f->table);
	while (more) {
		struct mountinfo now;
		ssize_t gone;

		if (mountinfo_read(&now, LIST_FD, NULL) < 0)
			_exit(1);
		while ((gone = follow_next_gone(&f->table, &now)) >= 0)
			take_gone(f, (size_t)gone);
		more = look_for_new(f, &now);
		mountinfo_free(&now);
	}
}

/* More than can be told apart: then they are the sources' own, for good. */
static size_t count_new(struct follower *f, bool add)
{
	struct follow_table counted = { .n = 0 };
	struct mountinfo now;
	struct follow_place p;
	size_t n = 0, before;

	if (mountinfo_read(&now, LIST_FD, NULL) < 0)
		_exit(1);
	do {
		size_t from = 0;

		before = counted.n;
		while (follow_next_new(&counted, &now, &from, &p)) {
			n += !mountinfo_is_kernel_fs(p.row->type);
			if (follow_table_add(&counted, p.row, p.bind, FOLLOW_NO_SLOT) < 0)
				_exit(1);
		}
	} while (counted.n != before);
	mountinfo_free(&now);
	if (add)
		f->table = counted;
	else
		follow_table_free(&counted);
	return n;
}

static void begin(struct follower *f)
{
	f->beginning = true;
	if (count_new(f, false) > FOLLOW_MAX_MOUNTS) {
		send_event(f, FOLLOW_FULL, -1);
		count_new(f, true);
	} else {
		look(f);
	}
	send_event(f, FOLLOW_END, -1);
	f->beginning = false;
}

static _Noreturn void serve(struct follower *f)
{
	begin(f);
	for (;;) {
		struct pollfd p[] = {
			{ .fd = LIST_FD, .events = POLLPRI },
			{ .fd = SOCK_FD, .events = POLLIN },
		};

		if (poll(p, 2, -1) < 0)
			continue;
		/* Nothing is asked, so it is the end. */
		if (p[1].revents)
			_exit(0);
		if (p[0].revents)
			look(f);
	}
}

/* ---- what it becomes ----------------------------------------------------------------------------- */

static int new_root(void)
{
	_cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

/* Nothing but the copies, each at its number. */
static int enter(const int *trees, size_t n, struct err *e)
{
	struct setup_mounts m = { .root = -1 };
	struct proxy_mount at = { .dst = "/" };
	_cleanup_close_ int root = new_root();
	int rc = root < 0 ? -errno : setup_mount(&m, &at, root, e);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		snprintf(at.dst, sizeof(at.dst), "/%zu", i);
		rc = setup_mount(&m, &at, trees[i], e);
	}
	return rc < 0 ? rc : setup_enter(&m, e);
}

/* Its descriptors alone, at their places. */
static int arrange(int sock, int list)
{
	int s = fcntl(sock, F_DUPFD, LIST_FD + 1), l = fcntl(list, F_DUPFD, LIST_FD + 1);

	if (s < 0 || l < 0 || dup2(s, SOCK_FD) < 0 || dup2(l, LIST_FD) < 0)
		return -errno;
	/* The standard streams, too: whoever waits for their end must not wait for this process. */
	if (close_range(0, SOCK_FD - 1, 0) < 0 || close_range(LIST_FD + 1, ~0u, 0) < 0)
		return -errno;
	return 0;
}

static _Noreturn void run(int proc, const int *trees, size_t n, uint32_t readonly, int sock)
{
	static struct follower f;
	struct err e = ERR_INIT;
	int list;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, COMM);
	f.readonly = readonly;
	if (enter(trees, n, &e) < 0)
		_exit(1);
	list = openat(proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (list < 0 || arrange(sock, list) < 0 ||
	    lockin(1u << CAP_SYS_ADMIN | 1u << CAP_DAC_READ_SEARCH, allowed, ARRAY_SIZE(allowed), allowed_with,
		   ARRAY_SIZE(allowed_with), &e) < 0)
		_exit(1);
	serve(&f);
}

int follower_start(int proc, const int *trees, size_t n, uint32_t readonly, int sock, int *ret_pidfd, struct err *e)
{
	pid_t pid;

	if (n > FOLLOW_MAX_BINDS)
		return err_set(e, E2BIG, "more than %d sources to follow", FOLLOW_MAX_BINDS);
	/* Nobody asks how it ended. */
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0)
		run(proc, trees, n, readonly, sock);
	if (pid < 0)
		return err_errno(e, errno, "fork");
	*ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return 0;
}
