// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define CONTROL_FD 3

/* What a child that cannot run its program says on its socket. No program's first packet is of this size. */
struct no_exec {
	char magic[3];
	uint8_t errnum;
};
#define NO_EXEC_MAGIC { 'n', 'o', '!' }

static int own_folder(char *out, size_t size, struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", out, size - 1);
	char *slash;

	if (n < 0)
		return err_errno(e, errno, "/proc/self/exe");
	out[n] = 0;
	slash = strrchr(out, '/');
	if ((size_t)n == size - 1 || !slash)
		return err_set(e, ENAMETOOLONG, "/proc/self/exe: path too long");
	*slash = 0;
	return 0;
}

static int join(char *out, size_t size, const char *dir, const char *rest, const char *name,
		struct err *e)
{
	if ((size_t)snprintf(out, size, "%s%s%s", dir, rest, name) >= size)
		return err_set(e, ENAMETOOLONG, "%s%s%s: path too long", dir, rest, name);
	return 0;
}

int spawn_find_program(const char *name, char *out, size_t size, struct err *e)
{
	static const char *const places[] = { "/../libexec/husk/", "/" };
	char dir[4096];
	int rc = own_folder(dir, sizeof(dir), e);

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(places); i++) {
		rc = join(out, size, dir, places[i], name, e);
		if (rc == 0 && access(out, X_OK) == 0)
			return 0;
	}
	if (rc < 0)
		return rc;
	return err_set(e, ENOENT, "%s is neither in %s/../libexec/husk nor in %s", name, dir, dir);
}

int spawn_find_data(const char *name, const char *env, char *out, size_t size, struct err *e)
{
	const char *set = getenv(env);
	char dir[4096];
	int rc;

	if (set && *set)
		return join(out, size, set, "", "", e);
	rc = own_folder(dir, sizeof(dir), e);
	return rc < 0 ? rc : join(out, size, dir, "/../share/husk/", name, e);
}

/* In the child: only system calls; returns only on failure. */
static void child_exec(const struct spawn *s, const char *path, const int stdio[3], int control)
{
	char *argv[] = { (char *)(uintptr_t)s->program, (char *)(uintptr_t)s->title, NULL };
	char *envp[] = { NULL };
	sigset_t none;

	for (int i = 0; i < 3; i++)
		if (stdio[i] >= 0 && dup2(stdio[i], i) < 0)
			return;
	if (control == CONTROL_FD) {
		if (fcntl(CONTROL_FD, F_SETFD, 0) < 0)
			return;
	} else if (dup2(control, CONTROL_FD) < 0) {
		return;
	}
	if (s->detached)
		setsid();
	for (int i = 1; i < SIGRTMIN; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(path, argv, envp);
}

static int start(const struct spawn *s, const char *path, const int stdio[3], int control, struct proc_id *ret_id,
		 struct err *e)
{
	struct clone_args ca = { .exit_signal = SIGCHLD, .flags = CLONE_VFORK };
	struct proc_info info;
	long pid;
	struct no_exec no = { .magic = NO_EXEC_MAGIC };
	int rc;

	if (s->cgroup >= 0) {
		ca.flags |= CLONE_INTO_CGROUP;
		ca.cgroup = (uint64_t)s->cgroup;
	}
	if (s->own_pids)
		ca.flags |= CLONE_NEWPID;
	pid = syscall(SYS_clone3, &ca, sizeof(ca));
	if (pid == 0) {
		child_exec(s, path, stdio, control);
		no.errnum = (uint8_t)errno;
		send(control, &no, sizeof(no), MSG_NOSIGNAL);
		_exit(127);
	}
	if (pid < 0)
		return err_errno(e, errno, "cannot start %s", path);
	rc = proc_read((pid_t)pid, &info);
	if (rc < 0) {
		kill((pid_t)pid, SIGKILL);
		waitpid((pid_t)pid, NULL, 0);
		return err_errno(e, -rc, "cannot read /proc/%ld/stat", pid);
	}
	*ret_id = info.id;
	return 0;
}

/* The child has run its program by then, or has not and said so. */
static int has_begun(int sock, const char *path, pid_t pid, struct err *e)
{
	static const char magic[] = NO_EXEC_MAGIC;
	struct no_exec no;

	if (recv(sock, &no, sizeof(no), MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC) != (ssize_t)sizeof(no) ||
	    memcmp(no.magic, magic, sizeof(magic)) != 0)
		return 0;
	waitpid(pid, NULL, 0);
	return err_errno(e, no.errnum, "cannot start %s", path);
}

void spawn_reap(const char *program, struct proc_id *id, int options, struct err *e)
{
	const struct err was = e ? *e : (struct err)ERR_INIT;
	int st = 0;

	if (!id->pid || waitpid(id->pid, &st, options) != id->pid)
		return;
	id->pid = 0;
	if (WIFSIGNALED(st))
		err_set(e, was.code, "%s (%s was killed by signal %d)", was.msg, program, WTERMSIG(st));
	else
		err_set(e, was.code, "%s (%s ended with status %d)", was.msg, program, WEXITSTATUS(st));
}

int spawn_start(const struct spawn *s, struct proc_id *ret_id, int *ret_sock, struct err *e)
{
	_cleanup_close_ int null = s->detached ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
	const int detached[3] = { null, null, null };
	const char *program = s->path;
	struct proc_id id = { 0, 0 };
	char path[4096];
	int pair[2], rc = 0;

	if (s->detached && null < 0)
		return err_errno(e, errno, "/dev/null");
	if (!program) {
		rc = spawn_find_program(s->program, path, sizeof(path), e);
		program = path;
	}
	if (rc < 0)
		return rc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	rc = start(s, program, s->detached ? detached : s->stdio, pair[1], &id, e);
	close(pair[1]);
	if (rc == 0)
		rc = has_begun(pair[0], program, id.pid, e);
	if (rc < 0) {
		close(pair[0]);
		return rc;
	}
	*ret_id = id;
	*ret_sock = pair[0];
	return 0;
}
