// SPDX-License-Identifier: Apache-2.0
/*
 * Should: reach files only through descriptors that it was given; change owner, mode and content of the
 * shared ones as a root user of its own user namespace.
 * Mustn't: see any path of the host; mount; make or read anything outside shares; use a capability
 * against the host; reach a network, System V or POSIX queues; open files by handle (which
 * CAP_DAC_READ_SEARCH would allow, and which leads out of a share).
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/jail/jail.h"
#include "vmm/jail/userns.h"

/* Where there are no user namespaces: an id that owns nothing. */
#define NOBODY 65534

static const struct {
	int flag;
	const char *name;
	size_t seen; /* the field of struct jail_root that tells */
} spaces[] = {
	{ CLONE_NEWNET, "network", offsetof(struct jail_root, net_ns) },
	{ CLONE_NEWIPC, "ipc", offsetof(struct jail_root, ipc_ns) },
	{ CLONE_NEWUTS, "uts", offsetof(struct jail_root, uts_ns) },
};

static bool *seen_of(struct jail_root *r, size_t i)
{
	return (bool *)(void *)((char *)r + spaces[i].seen);
}

static void enter_each(struct jail_root *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		*seen_of(r, i) = unshare(spaces[i].flag) == 0;
		if (!*seen_of(r, i))
			log_debug("jail: no %s namespace of its own: %s", spaces[i].name,
				  strerror(errno));
	}
}

/* All at once is what nearly every host allows, and cheapest; else each that can be had. 1 with a mount
 * namespace, 0 without. */
static int enter_namespaces(struct jail_root *r, struct err *e)
{
	int rc = userns_enter(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
			      &r->all_ids, e);

	if (rc < 0)
		return err_wrap(e, rc, "jail");
	if (rc == 0) {
		r->user_ns = r->net_ns = r->ipc_ns = r->uts_ns = true;
		return 1;
	}
	log_debug("jail: all namespaces at once: %s", e->msg);
	rc = userns_enter(0, &r->all_ids, e);
	if (rc < 0)
		return err_wrap(e, rc, "jail");
	r->user_ns = rc == 0;
	if (!r->user_ns)
		log_debug("jail: %s; going on without one", e->msg);
	enter_each(r);
	if (unshare(CLONE_NEWNS) == 0)
		return 1;
	log_debug("jail: no mount namespace of its own: %s", strerror(errno));
	return 0;
}

/* The descriptor shows the numbers of this process alone and ".." stays in it: a plain open of the same
 * directory would lead to all of /proc. */
static int take_proc_fd(void)
{
	int fd = open_tree(AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		log_debug("jail: no copy of /proc/self/fd: %s", strerror(errno));
	return fd;
}

static int new_tmpfs(void)
{
	_cleanup_close_ int ctx = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (ctx < 0)
		return -errno;
	if (fsconfig(ctx, FSCONFIG_SET_STRING, "mode", "0555", 0) < 0 ||
	    fsconfig(ctx, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) < 0 ||
	    fsconfig(ctx, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(ctx, FSMOUNT_CLOEXEC,
		     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

static int empty_root(struct err *e)
{
	_cleanup_close_ int fd = -1;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(e, errno, "jail: private mounts");
	fd = new_tmpfs();
	if (fd < 0)
		return err_errno(e, -fd, "jail: tmpfs");
	if (move_mount(fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(e, errno, "jail: mounting the empty root");
	if (fchdir(fd) < 0)
		return err_errno(e, errno, "jail: fchdir");
	/* The old root ends up on top of the new one, and goes. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(e, errno, "jail: pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_errno(e, errno, "jail: letting go of the old root");
	if (chdir("/") < 0)
		return err_errno(e, errno, "jail: chdir");
	return 0;
}

/* What the file server needs to act for a guest's users inside its shares. Not MKNOD (devices are kept as
 * attributes of plain files), never DAC_READ_SEARCH. */
static const cap_value_t kept[] = { CAP_CHOWN,	CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
				    CAP_SETGID, CAP_SETUID,	  CAP_SETFCAP };

static bool is_kept(cap_value_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i] == c)
			return true;
	return false;
}

static int drop_capabilities(bool keep_some, struct err *e)
{
	cap_t caps;
	int rc = 0;

	for (cap_value_t c = 0; c < cap_max_bits(); c++)
		if (!keep_some || !is_kept(c))
			cap_drop_bound(c); /* EPERM where it never had the right: then nothing is gained */
	caps = cap_init();
	if (!caps)
		return err_set(e, ENOMEM, "jail: out of memory");
	if (keep_some &&
	    (cap_set_flag(caps, CAP_PERMITTED, ARRAY_SIZE(kept), kept, CAP_SET) < 0 ||
	     cap_set_flag(caps, CAP_EFFECTIVE, ARRAY_SIZE(kept), kept, CAP_SET) < 0))
		rc = err_errno(e, errno, "jail: capabilities");
	if (rc == 0 && cap_set_proc(caps) < 0)
		rc = err_errno(e, errno, "jail: dropping capabilities");
	cap_free(caps);
	return rc;
}

/* A capability that counts against the host is worse than a file server that can do less. */
static int become_nobody(struct err *e)
{
	if (geteuid() != 0)
		return 0;
	log_debug("jail: no user namespace: running as user %d; shares are served as that user",
		  NOBODY);
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return err_errno(e, errno, "jail: becoming user %d", NOBODY);
	return 0;
}

int jail_root(struct jail_root *ret, struct err *e)
{
	struct jail_root r = { .proc_fd = -1 };
	struct err why = ERR_INIT;
	int rc = enter_namespaces(&r, &why);

	if (rc < 0)
		return err_set(e, -rc, "%s", why.msg);
	if (rc) {
		r.proc_fd = take_proc_fd();
		rc = empty_root(e);
		if (rc < 0)
			return rc;
		r.empty = true;
	}
	umask(0); /* the guest's own masks count for what it creates */
	if (!r.user_ns) {
		rc = become_nobody(e);
		if (rc < 0)
			return rc;
	}
	rc = drop_capabilities(r.user_ns, e);
	if (rc < 0)
		return rc;
	/* Changing ids or capabilities may have set it anew. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(e, errno, "jail: undumpable");
	*ret = r;
	return 0;
}
