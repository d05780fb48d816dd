// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/child.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent-proto/agent/creds.h"
#include "agent-proto/agent/fork.h"
#include "agent-proto/agent/limits.h"
#include "agent-proto/agent/mounts.h"
#include "agent-proto/agent/program.h"
#include "agent-proto/agent/resolve.h"
#include "agent-proto/agent/rootfs.h"
#include "agent-proto/agent/seccomp.h"
#include "agent-proto/agent/starthooks.h"
#include "agent-proto/agent/tty.h"
#include "agent-proto/agent/userns.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

int child_failure_status(int rc)
{
	return rc == -ENOENT ? 127 : 126;
}

static _Noreturn void fail(const struct child_job *j, int rc, const struct err *e)
{
	struct sync_msg m = { .kind = SYNC_FAILED, .rc = rc };

	snprintf(m.text, sizeof(m.text), "%s", e->msg);
	io_send_fds(j->sync, &m, sizeof(m), NULL, 0);
	_exit(child_failure_status(rc));
}

/*
 * What the agent blocks and ignores must not reach a program. The library keeps signals 32 and 33 for itself and
 * refuses them in sigaction() and sigprocmask(), and its posix_spawn() leaves them ignored in every program that it
 * starts: so the system calls themselves.
 */
static void reset_signals(void)
{
	/* The kernel's struct sigaction: handler (SIG_DFL is 0), flags, restorer, mask. */
	const uint64_t dfl[8] = { 0 }, none = 0;

	for (int sig = 1; sig < _NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, sizeof(none));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

static int loopback_up(struct err *e)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return err_errno(e, errno, "loopback interface");
	return 0;
}

static int set_names(const Husk__Agent__V1__Container *ct, struct err *e)
{
	if (*ct->hostname && sethostname(ct->hostname, strlen(ct->hostname)) < 0)
		return err_errno(e, errno, "hostname");
	if (*ct->domainname && setdomainname(ct->domainname, strlen(ct->domainname)) < 0)
		return err_errno(e, errno, "domainname");
	return 0;
}

/* Puts the container's root in place, in this process's new mount namespace. */
static int mount_root(const struct child_job *j, struct mount_env *env, struct err *e)
{
	_cleanup_close_ int target = -1;
	int rc;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(e, errno, "private mounts");
	env->cgroup = open(j->cgroup_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (env->cgroup < 0)
		return err_errno(e, errno, "cgroup");
	if (j->image >= 0)
		env->root = fcntl(j->image, F_DUPFD_CLOEXEC, CHILD_HIGH_FD);
	else
		env->root = mount_clone_share(env, j->ct->rootfs_share, "", true, j->ct->rootfs_submounts,
					      j->ct->n_rootfs_submounts, e);
	if (env->root < 0 && j->image >= 0)
		return err_errno(e, errno, "container root");
	if (env->root < 0)
		return err_wrap(e, env->root, "container root");
	/* Mount points are still to be made: read-only it gets when it is entered. */
	rc = mount_flags(env->root, j->ct->rootfs_flags & ~(uint64_t)MS_RDONLY, 0);
	if (rc < 0)
		return err_errno(e, -rc, "container root: flags");
	target = open(j->rootfs_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return err_errno(e, errno, "%s", j->rootfs_dir);
	rc = mount_put(env->root, target);
	if (rc < 0)
		return err_errno(e, -rc, "container root");
	return mount_flag_below(env->root, j->ct->rootfs_submounts, j->ct->n_rootfs_submounts, e);
}

/* For a terminal, which comes when /dev may have become read-only. */
static int make_console(const struct child_job *j, int root, struct err *e)
{
	_cleanup_close_ int fd = -1;

	return j->proc->terminal ? resolve_make(root, "/dev/console", RESOLVE_FILE, &fd, e) : 0;
}

/* As runc: missing parts are made with the container's own rights over its root, before that may become read-only; a
 * failure shows when changing into it. */
static void make_cwd(int root, const char *cwd)
{
	_cleanup_close_ int fd = -1;

	if (*cwd)
		resolve_make(root, cwd, RESOLVE_DIR, &fd, NULL);
}

static int make_root(const struct child_job *j, struct err *e)
{
	struct mount_env env = { .root = -1,
				 .cgroup = -1,
				 .root_dir = j->rootfs_dir,
				 .shares_dir = j->shares_dir,
				 .sockets = j->sockets,
				 .common = j->common,
				 .outside = j->mounts,
				 .sync = j->sync,
				 .own_cgroupns = j->ns_flags & CLONE_NEWCGROUP };
	int rc = mount_root(j, &env, e);

	if (rc == 0)
		rc = mounts_apply(&env, j->ct->mounts, j->ct->n_mounts, e);
	if (rc == 0)
		rc = rootfs_devices(env.root, j->ct, j->nodes, e);
	if (rc == 0)
		rc = make_console(j, env.root, e);
	if (rc == 0)
		make_cwd(env.root, j->proc->cwd);
	if (rc == 0)
		rc = rootfs_hide(env.root, j->ct, e);
	if (rc == 0)
		rc = rootfs_sysctl(j->ct, e);
	if (rc == 0)
		rc = rootfs_enter(env.root, j->ct, e);
	if (rc == 0)
		rc = mounts_finish(&env, j->ct->rootfs_propagation, e);
	mounts_done(&env);
	close_and_reset(&env.root);
	close_and_reset(&env.cgroup);
	return rc;
}

/* The agent writes the maps, and says so; until then this process is nobody in its namespace. It goes on being the
 * owner of its files in /proc, as the agent is, until it becomes root there. */
static int enter_userns(const struct child_job *j, struct err *e)
{
	char mapped;
	int rc = 0;

	if (!(j->ns_flags & CLONE_NEWUSER))
		rc = limits_privileged(0, j->proc, e);
	else if (read(j->sync, &mapped, 1) != 1)
		_exit(126);
	if (rc == 0 && j->ns_flags & CLONE_NEWTIME)
		rc = userns_new_time(j->ct, e);
	return rc == 0 && j->ns_flags & CLONE_NEWUSER ? userns_become_root(e) : rc;
}

/* The pid namespace was entered by the fork. */
static int join_others(const struct child_job *j, struct err *e)
{
	for (unsigned i = 0; i < j->njoin; i++)
		if (j->join[i].flag != CLONE_NEWPID && setns(j->join[i].target, j->join[i].flag) < 0)
			return err_errno(e, errno, "another container's %s namespace",
					 j->join[i].flag == CLONE_NEWIPC ? "ipc" : "uts");
	return 0;
}

static int set_up_container(const struct child_job *j, struct err *e)
{
	int rc = enter_userns(j, e);

	if (rc == 0)
		rc = join_others(j, e);
	if (rc < 0)
		return rc;
	/* Here, not in the fork: the namespace's root is the group that its maker is in. */
	if (j->ns_flags & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
		return err_errno(e, errno, "cgroup namespace");
	if (j->ns_flags & CLONE_NEWNET)
		rc = loopback_up(e);
	if (rc == 0)
		rc = set_names(j->ct, e);
	if (rc == 0)
		rc = make_root(j, e);
	return rc;
}

static int join_container(const struct child_job *j, struct err *e)
{
	/* The pid namespace was entered by the fork; the time namespace is another one before the start. */
	int flags = j->ns_flags & ~(CLONE_NEWPID | CLONE_NEWTIME);
	int rc = limits_privileged(0, j->proc, e);

	if (rc == 0)
		rc = limits_first_cpus(j->proc, e);
	if (rc == 0 && j->ns_flags & CLONE_NEWUSER)
		rc = limits_sched(0, j->proc, e);
	if (rc == 0 && j->ns_flags & CLONE_NEWTIME)
		rc = userns_join_time(j->target_pid, e);
	if (rc < 0)
		return rc;
	if (setns(j->target, flags) < 0)
		return err_errno(e, errno, "container's namespaces");
	if (chdir("/") < 0)
		return err_errno(e, errno, "container's root");
	return flags & CLONE_NEWUSER ? userns_become_root(e) : 0;
}

static int take_terminal(const struct child_job *j, struct err *e)
{
	struct sync_msg m = { .kind = SYNC_TTY };
	_cleanup_close_ int master = -1;
	_cleanup_close_ int slave = -1;
	int rc = tty_open(&master, &slave, e);

	if (rc < 0)
		return rc;
	if (j->proc->rows || j->proc->columns)
		tty_resize(slave, j->proc->rows, j->proc->columns);
	if (j->ct)
		rc = tty_console(slave, e);
	if (rc == 0)
		rc = tty_control(slave, e);
	if (rc < 0)
		return rc;
	rc = io_send_fds(j->sync, &m, sizeof(m), &master, 1);
	if (rc < 0)
		return err_errno(e, -rc, "terminal");
	for (int i = 0; i < 3; i++)
		if (dup2(slave, i) < 0)
			return err_errno(e, errno, "terminal");
	return 0;
}

static int take_stdio(const struct child_job *j, struct err *e)
{
	for (int i = 0; i < 3; i++)
		if (dup2(j->stdio[i] >= 0 ? j->stdio[i] : j->null, i) < 0)
			return err_errno(e, errno, "standard streams");
	return 0;
}

static int take_extra(const struct child_job *j, struct err *e)
{
	/* It may lie where one of them goes. */
	int null = j->nextra ? fcntl(j->null, F_DUPFD_CLOEXEC, CHILD_HIGH_FD) : -1;

	for (unsigned i = 0; i < j->nextra; i++)
		if (dup2(j->extra[i] >= 0 ? j->extra[i] : null, (int)(3 + i)) < 0)
			return err_errno(e, errno, "descriptor %u", 3 + i);
	return 0;
}

/* So that a process that is not root can open /dev/stdout again. */
static void own_stdio(const Husk__Agent__V1__Process *p)
{
	struct stat st;

	for (int i = 0; i < 3; i++)
		if (p->user && fstat(i, &st) == 0 && !(S_ISCHR(st.st_mode) && !p->terminal) &&
		    fchown(i, p->user->uid, (gid_t)-1) < 0)
			return;
}

/* Without no_new_privs a filter takes a right that the process may not have; see creds.h. */
static bool needs_admin(const struct child_job *j)
{
	return j->kept->seccomp && !j->proc->no_new_privileges;
}

static int set_limits(const struct child_job *j, struct err *e)
{
	const Husk__Agent__V1__Container *k = j->kept;
	int rc = limits_rlimits(j->proc, e);

	if (rc == 0 && !(j->ns_flags & CLONE_NEWUSER))
		rc = limits_sched(0, j->proc, e);
	if (rc == 0 && !j->ct)
		rc = limits_last_cpus(j->proc, e);
	if (rc == 0)
		rc = limits_memory(k->memory_policy, e);
	if (rc == 0 && k->has_personality && personality(k->personality) < 0)
		rc = err_errno(e, errno, "personality");
	return rc;
}

static int set_up_process(const struct child_job *j, struct program *prog, struct err *e)
{
	const Husk__Agent__V1__Process *p = j->proc;
	int rc = p->terminal ? take_terminal(j, e) : take_stdio(j, e);

	if (rc < 0)
		return rc;
	own_stdio(p);
	rc = take_extra(j, e);
	if (rc < 0)
		return rc;
	/* From here on none of the agent's descriptors is there to be found: not by a working directory
	 * below /proc/self/fd, not by a program of the image. */
	if (close_range(3 + j->nextra, (unsigned)j->sync - 1, 0) < 0)
		return err_errno(e, errno, "close_range");
	if (close_range((unsigned)j->sync + 1, ~0u, 0) < 0)
		return err_errno(e, errno, "close_range");
	umask(p->user && p->user->has_umask ? p->user->umask & 0777 : 0022);
	rc = set_limits(j, e);
	if (rc == 0)
		rc = creds_become(p, needs_admin(j), e);
	if (rc == 0)
		rc = program_prepare(prog, p, e);
	return rc;
}

/* What comes may take long, with many mounts or a host that is slow. Until the exec this is the agent's memory, whatever the
 * user. */
static int enter(const struct child_job *j, struct err *e)
{
	size_t ndevices = j->nodes ? j->ct->n_devices : 0, nmounts = j->mounts ? j->ct->n_mounts : 0, n = 0;
	int *keep = calloc(ndevices + nmounts + CHILD_MAX_JOIN + AGENT_MAX_EXTRA + 10, sizeof(*keep));

	if (!keep)
		return err_set(e, ENOMEM, "out of memory");
	keep[n++] = j->sync;
	keep[n++] = j->null;
	keep[n++] = j->target;
	keep[n++] = j->image;
	keep[n++] = j->cgroup;
	for (size_t i = 0; i < ARRAY_SIZE(j->stdio); i++)
		keep[n++] = j->stdio[i];
	for (size_t i = 0; i < j->nextra; i++)
		keep[n++] = j->extra[i];
	for (size_t i = 0; i < j->njoin; i++)
		keep[n++] = j->join[i].target;
	for (size_t i = 0; i < ndevices; i++)
		keep[n++] = j->nodes[i];
	for (size_t i = 0; i < nmounts; i++)
		keep[n++] = j->mounts[i];
	fork_enter(keep, n);
	free(keep);
	return 0;
}

static int set_up(const struct child_job *j, struct program *prog, struct err *e)
{
	int rc;

	reset_signals();
	setsid();
	rc = enter(j, e);
	if (rc == 0 && j->cgroup >= 0) {
		rc = io_write_str(j->cgroup, "cgroup.procs", "0");
		if (rc < 0)
			err_errno(e, -rc, "container's cgroup");
	}
	if (rc == 0)
		rc = j->ct ? set_up_container(j, e) : join_container(j, e);
	if (rc == 0)
		rc = set_up_process(j, prog, e);
	/* -ENOENT and -EACCES are kept for what is said about the executable. */
	return rc == -EINVAL || rc == 0 ? rc : -EIO;
}

/* As late as can be: the program's own calls are what a profile is made for. */
static int install_filter(const struct child_job *j, struct err *e)
{
	int rc = 0;

	if (!j->kept->seccomp)
		return 0;
	if (needs_admin(j))
		rc = creds_admin(e);
	if (rc == 0)
		rc = seccomp_install(j->kept->seccomp, e);
	return rc < 0 ? -EIO : 0;
}

/* A hook is a program of the container's, too, while this process itself has its filter last of all. */
static int confine_hook(const int *fds, const void *arg)
{
	(void)fds;
	return install_filter(arg, NULL);
}

_Noreturn void child_run(const struct child_job *j)
{
	struct sync_msg m = { .kind = SYNC_READY };
	struct err e = ERR_INIT;
	struct program prog;
	char go;
	int rc = set_up(j, &prog, &e);

	if (rc == 0)
		rc = program_find(&prog, &e);
	if (rc < 0)
		fail(j, rc, &e);
	if (io_send_fds(j->sync, &m, sizeof(m), NULL, 0) < 0)
		_exit(126);
	/* End of file: nobody will ever start it. */
	if (j->ct && read(j->sync, &go, 1) != 1)
		_exit(126);
	if (j->ct)
		rc = starthooks_run(j->ct, prog.envp, confine_hook, j, &e);
	if (rc == 0)
		rc = install_filter(j, &e);
	if (rc == 0)
		rc = program_exec(&prog, &e);
	fail(j, rc, &e);
}
