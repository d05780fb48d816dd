// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/child.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/limits.h"
#include "agent-proto/agent/mounts.h"
#include "agent-proto/agent/process_internal.h"
#include "agent-proto/agent/rootfs.h"
#include "agent-proto/agent/tty.h"
#include "agent-proto/agent/userns.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* ---- what the child says ---------------------------------------------------------------------- */

static void reply_made(struct process *p)
{
	/* The two messages have the same one field. */
	Husk__Agent__V1__CreateContainerResponse m;

	husk__agent__v1__create_container_response__init(&m);
	m.pid = (uint32_t)p->pid;
	if (p->make)
		ttrpc_reply(steal_ptr(&p->make), &m.base);
}

static void on_message(struct process *p, const struct sync_msg *m, int fd)
{
	bool is_exec = *p->exec_id;

	if (m->kind == SYNC_TTY && fd >= 0 && p->terminal && p->state == PROC_PREPARING) {
		relay_set_local(&p->io[0].relay, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (m->kind == SYNC_FOLLOW && p->state == PROC_PREPARING) {
		follow_told(p->ct, m);
	} else if (m->kind == SYNC_READY && p->state == PROC_PREPARING) {
		p->state = is_exec ? PROC_STARTING : PROC_CREATED;
		devices_made_done(&p->nodes);
		if (!is_exec)
			reply_made(p);
	} else if (m->kind == SYNC_FAILED) {
		p->failed = true;
		p->fail_rc = m->rc;
		err_set(&p->fail, -m->rc, "%.*s", (int)strnlen(m->text, AGENT_MAX_ERROR_TEXT),
			m->text);
	}
}

/* The child's end has closed: its program runs, or it is dead and will be reaped. */
static void on_end(struct process *p)
{
	evloop_del(&p->sync);
	close_and_reset(&p->sync.fd);
	if (p->failed || p->state != PROC_STARTING)
		return;
	p->state = PROC_RUNNING;
	if (*p->exec_id)
		reply_made(p);
	if (p->start)
		ttrpc_reply(steal_ptr(&p->start), NULL);
}

static void on_sync(struct evsrc *src, uint32_t events)
{
	struct process *p = container_of(src, struct process, sync);

	(void)events;
	while (p->sync.fd >= 0) {
		struct sync_msg m;
		size_t nfds = 1;
		int fd = -1;
		ssize_t n = io_recv_fds(p->sync.fd, &m, sizeof(m), &fd, &nfds, MSG_DONTWAIT);

		if (n == -EAGAIN)
			return;
		if (n == sizeof(m)) {
			m.text[sizeof(m.text) - 1] = 0;
			on_message(p, &m, nfds ? fd : -1);
			continue;
		}
		if (n > 0 && nfds)
			close(fd);
		on_end(p);
	}
}

/* ---- birth ------------------------------------------------------------------------------------ */

/* As fork(), into the container's cgroup (-1: the agent's) and namespaces; *ret_pidfd is close-on-exec. */
static pid_t fork_into(int flags, int cgroup, int *ret_pidfd)
{
	struct clone_args args = { .flags = (uint64_t)flags | CLONE_PIDFD | (cgroup < 0 ? 0 : CLONE_INTO_CGROUP),
				   .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
				   .exit_signal = SIGCHLD,
				   .cgroup = cgroup < 0 ? 0 : (uint64_t)cgroup };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : (pid_t)pid;
}

/* Whose pid namespace the child is to be born in: a process's descriptor, -1: the agent's, or a new one. */
static int pid_namespace(const struct child_job *job)
{
	if (!job->ct)
		return job->ns_flags & CLONE_NEWPID ? job->target : -1;
	for (unsigned i = 0; i < job->njoin; i++)
		if (job->join[i].flag == CLONE_NEWPID)
			return job->join[i].target;
	return -1;
}

static pid_t fork_child(struct process *p, struct child_job *job, int cgroup, struct err *e)
{
	struct agent *a = p->ct->agent;
	int flags = job->ct ? job->ns_flags & ~(CLONE_NEWCGROUP | CLONE_NEWTIME | p->ct->joined) : 0;
	int target = pid_namespace(job);
	bool join = target >= 0;
	pid_t pid;

	if (join && setns(target, CLONE_NEWPID) < 0)
		return err_errno(e, errno, "container's pid namespace");
	/* Who is born in a frozen group comes to nothing before it is thawed, and has copies of all the agent's descriptors:
	 * ends of others' pipes, which then have no end. It goes in by itself, when it has let go of them. */
	if (p->ct->freezer.frozen)
		job->cgroup = cgroup;
	pid = fork_into(flags, job->cgroup < 0 ? cgroup : -1, &p->pidfd);
	if (pid == 0)
		child_run(job);
	/* The agent's next child would end up in there: no going on without. */
	if (join)
		bug_on(setns(a->own_pidns, CLONE_NEWPID) < 0);
	if (pid < 0)
		return err_errno(e, -pid, "fork");
	return pid;
}

/* A group that hands controllers down takes no process: where the container has made its own an inner one (systemd
 * in it does), its first process shows where they may be, as with runc. */
static pid_t fork_somewhere(struct process *p, struct child_job *job, const char *cgroup, struct err *e)
{
	_cleanup_close_ int fd = *cgroup ? cgroup_open_below(&p->ct->cgroup, cgroup, e) : -1;
	pid_t pid;

	if (*cgroup)
		return fd < 0 ? fd : fork_child(p, job, fd, e);
	/* A frozen one's is told so by itself, too late to go elsewhere. */
	pid = p->ct->freezer.frozen && cgroup_hands_down(&p->ct->cgroup) ? -EBUSY : fork_child(p, job, p->ct->cgroup.fd, e);
	if (pid != -EBUSY || job->ct)
		return pid;
	fd = cgroup_open_of(&p->ct->cgroup, p->ct->init.pid, e);
	return fd < 0 ? fd : fork_child(p, job, fd, e);
}

/* In a user namespace neither the kernel nor the files of the host obey the process; what it needs of
 * them is done for it, while it waits. */
static int help_child(const struct process *p, const Husk__Agent__V1__Container *ct, struct err *e)
{
	int rc = userns_map(p->pid, ct, e);

	if (rc == 0)
		rc = limits_privileged(p->pid, ct->process, e);
	if (rc == 0)
		rc = limits_sched(p->pid, ct->process, e);
	if (rc == 0 && send(p->sync.fd, "m", 1, MSG_NOSIGNAL) < 0)
		rc = err_errno(e, errno, "socketpair");
	return rc;
}

/* A failure here is the child's: it dies of it, and with its death it is told. */
static void help(struct process *p, const Husk__Agent__V1__Container *ct)
{
	int rc = help_child(p, ct, &p->fail);

	if (rc == 0)
		return;
	p->failed = true;
	p->fail_rc = rc == -EINVAL ? rc : -EIO;
	process_signal(p, SIGKILL, NULL);
}

/* Root's of the container, who gives them to the process's user. */
static void own_pipes(const struct process *p, const int stdio[3])
{
	const Husk__Agent__V1__Container *k = p->ct->kept;
	uint32_t uid = userns_outside(k->uid_mappings, k->n_uid_mappings, 0);
	uint32_t gid = userns_outside(k->gid_mappings, k->n_gid_mappings, 0);

	for (int i = 0; k->n_uid_mappings && i < 3; i++)
		if (stdio[i] >= 0 && fchown(stdio[i], uid, gid) < 0)
			return; /* then it cannot open them anew, no more */
}

static int spawn(struct process *p, const char *cgroup, const Husk__Agent__V1__Container *ct_spec,
		 const Husk__Agent__V1__Process *spec, int stdio[3],
		 int extra[AGENT_MAX_EXTRA], struct err *e)
{
	struct agent *a = p->ct->agent;
	struct mounts_outside mounts = { .n = 0 };
	_cleanup_close_ int theirs = -1;
	int ends[2], rc;
	struct child_job job = { .ct = ct_spec,
				 .proc = spec,
				 .kept = p->ct->kept,
				 .ns_flags = p->ct->ns_flags,
				 .target = p->ct->init.pidfd,
				 .target_pid = p->ct->init.pid,
				 .cgroup = -1,
				 .stdio = { -1, -1, -1 },
				 .null = a->null,
				 .shares_dir = a->cfg.shares_dir,
				 .sockets = p->ct->sockets.prefix,
				 .common = p->ct->n_common ? a->common : NULL,
				 .rootfs_dir = a->cfg.rootfs_dir,
				 .cgroup_dir = p->ct->cgroup.dir,
				 .image = ct_spec ? p->ct->image.root : -1 };

	rc = ct_spec ? container_joins(p->ct, ct_spec, &job, e) : 0;
	if (rc == 0)
		rc = process_make_streams(p, spec, stdio, e);
	if (rc == 0)
		rc = process_make_extra(p, spec, extra, e);
	if (rc < 0)
		return rc;
	own_pipes(p, stdio);
	memcpy(job.stdio, stdio, sizeof(job.stdio));
	job.extra = extra;
	job.nextra = p->nextra;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(e, errno, "socketpair");
	p->sync.fd = ends[0];
	theirs = job.sync = fcntl(ends[1], F_DUPFD_CLOEXEC, CHILD_HIGH_FD);
	close(ends[1]);
	if (theirs < 0)
		return err_errno(e, errno, "socketpair");
	rc = evloop_add(a->loop, &p->sync, EPOLLIN);
	if (rc < 0)
		return err_errno(e, -rc, "epoll");
	if (ct_spec && job.ns_flags & CLONE_NEWUSER)
		rc = devices_make(&p->nodes, ct_spec, e);
	if (rc < 0)
		return rc;
	if (ct_spec && job.ns_flags & CLONE_NEWUSER)
		rc = mounts_outside_make(&mounts, job.shares_dir, ct_spec, e);
	job.nodes = p->nodes.trees;
	job.mounts = mounts.trees;
	p->pid = rc < 0 ? rc : fork_somewhere(p, &job, cgroup, e);
	mounts_outside_close(&mounts);
	devices_made_close(&p->nodes);
	if (p->pid > 0 && ct_spec && job.ns_flags & CLONE_NEWUSER) {
		container_forked(p->ct, p->pid);
		help(p, ct_spec);
	}
	return p->pid < 0 ? p->pid : 0;
}

int process_spawn(struct process *p, struct container *ct, const char *exec_id, const char *cgroup,
		  const Husk__Agent__V1__Container *ct_spec, const Husk__Agent__V1__Process *spec,
		  struct ttrpc_call *call, const struct conn *owner, struct err *e)
{
	int stdio[3] = { -1, -1, -1 }, extra[AGENT_MAX_EXTRA];
	int rc;

	memset(p, 0, sizeof(*p));
	p->ct = ct;
	p->pidfd = -1;
	p->terminal = spec->terminal;
	p->owner = owner;
	p->sync = (struct evsrc){ .fd = -1, .fn = on_sync, .name = "child" };
	p->drain.src.fd = -1;
	p->exec_id = strdup(exec_id);
	rc = p->exec_id ? spawn(p, cgroup, ct_spec, spec, stdio, extra, e) : err_set(e, ENOMEM, "out of memory");
	for (unsigned i = 0; i < 3; i++)
		close_and_reset(&stdio[i]);
	for (unsigned i = 0; i < p->nextra; i++)
		close_and_reset(&extra[i]);
	if (rc < 0) {
		process_done(p);
		return rc;
	}
	p->make = call;
	return 0;
}

void process_done(struct process *p)
{
	process_forget_waiters(p);
	devices_made_done(&p->nodes);
	if (p->make)
		ttrpc_reply_err(steal_ptr(&p->make), -ECANCELED, "process was forgotten");
	if (p->start)
		ttrpc_reply_err(steal_ptr(&p->start), -ECANCELED, "process was forgotten");
	process_close_streams(p);
	evloop_del(&p->sync);
	close_and_reset(&p->sync.fd);
	evtimer_done(&p->drain);
	close_and_reset(&p->pidfd);
	free(p->exec_id);
	p->exec_id = NULL;
}

/* ---- life and death --------------------------------------------------------------------------- */

void process_start(struct process *p, struct ttrpc_call *call)
{
	if (p->state != PROC_CREATED) {
		ttrpc_reply_err(call, -ESRCH,
				p->state == PROC_ENDED ? "process already finished" :
							 "process is not in the created state");
		return;
	}
	if (send(p->sync.fd, "g", 1, MSG_NOSIGNAL) < 0) {
		ttrpc_reply_err(call, -ESRCH, "process already finished");
		return;
	}
	p->state = PROC_STARTING;
	p->start = call;
}

int process_signal(struct process *p, int sig, struct err *e)
{
	if (p->state == PROC_ENDED || p->pidfd < 0)
		return err_set(e, ESRCH, "process already finished");
	if (syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0) < 0)
		return err_errno(e, errno, "signal %d", sig);
	return 0;
}

int process_resize(struct process *p, uint32_t rows, uint32_t columns, struct err *e)
{
	int fd = p->io[0].relay.local.fd, rc;

	if (!p->terminal)
		return err_set(e, EINVAL, "process has no terminal");
	if (p->state == PROC_ENDED || p->state == PROC_PREPARING || p->io[0].relay.over || fd < 0)
		return err_set(e, ESRCH, "terminal is not open");
	rc = tty_resize(fd, rows, columns);
	return rc < 0 ? err_errno(e, -rc, "resize") : 0;
}

static uint32_t exit_status(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return 128u + (uint32_t)WTERMSIG(wait_status);
	return (uint32_t)WEXITSTATUS(wait_status);
}

static void fail_start(struct process *p)
{
	struct ttrpc_call *call = steal_ptr(&p->start);

	if (!call)
		return;
	if (p->failed)
		ttrpc_reply_err(call, p->fail_rc, p->fail.msg);
	else
		ttrpc_reply_err(call, -EIO, "process died while it was started");
}

void process_fail_make(struct process *p)
{
	char text[128];

	if (!p->make)
		return;
	if (p->failed) {
		ttrpc_reply_err(steal_ptr(&p->make), p->fail_rc, p->fail.msg);
		return;
	}
	snprintf(text, sizeof(text), "process died while it was set up (status %u)", p->status);
	ttrpc_reply_err(steal_ptr(&p->make), -EIO, text);
}

void process_reaped(struct process *p, int wait_status)
{
	/* What it said last, before what became of it. */
	if (p->sync.fd >= 0)
		on_sync(&p->sync, EPOLLIN);
	p->state = PROC_ENDED;
	p->status = exit_status(wait_status);
	p->oom = p->status == 128 + SIGKILL && cgroup_oom_kills(&p->ct->cgroup) > 0;
	clock_gettime(CLOCK_REALTIME, &p->at);
	close_and_reset(&p->pidfd);
	fail_start(p);
	process_drain(p);
}
