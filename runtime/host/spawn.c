// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define CONTROL_FD 3

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
static void child_exec(const struct spawn *s)
{
	char *argv[] = { (char *)(uintptr_t)s->argv0, (char *)(uintptr_t)s->title, NULL };
	char *envp[] = { NULL };
	sigset_t none;

	for (int i = 0; i < 3; i++)
		if (s->stdio[i] >= 0 && dup2(s->stdio[i], i) < 0)
			return;
	if (s->control == CONTROL_FD) {
		if (fcntl(CONTROL_FD, F_SETFD, 0) < 0)
			return;
	} else if (dup2(s->control, CONTROL_FD) < 0) {
		return;
	}
	if (s->new_session)
		setsid();
	for (int i = 1; i < SIGRTMIN; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(s->path, argv, envp);
}

int spawn_start(const struct spawn *s, struct proc_id *ret_id, struct err *e)
{
	struct clone_args ca = { .exit_signal = SIGCHLD, .flags = CLONE_VFORK };
	struct proc_info info;
	long pid;
	int rc;

	if (s->cgroup >= 0) {
		ca.flags |= CLONE_INTO_CGROUP;
		ca.cgroup = (uint64_t)s->cgroup;
	}
	pid = syscall(SYS_clone3, &ca, sizeof(ca));
	if (pid == 0) {
		child_exec(s);
		_exit(127);
	}
	if (pid < 0)
		return err_errno(e, errno, "cannot start %s", s->path);
	rc = proc_read((pid_t)pid, &info);
	if (rc < 0) {
		kill((pid_t)pid, SIGKILL);
		waitpid((pid_t)pid, NULL, 0);
		return err_errno(e, -rc, "cannot read /proc/%ld/stat", pid);
	}
	*ret_id = info.id;
	return 0;
}
