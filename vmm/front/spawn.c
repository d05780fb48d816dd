// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define CONTROL_FD 3
#define PROGRAM    "husk-machine"

static int find_program(char *path, size_t size, struct err *e)
{
	static const char *const places[] = { "/../libexec/husk/", "/" };
	const char *env = getenv("HUSK_LIBEXEC");
	char self[4096];
	ssize_t n;

	if (env && env[0]) {
		snprintf(path, size, "%s/" PROGRAM, env);
		return access(path, X_OK) < 0 ? err_errno(e, errno, "HUSK_LIBEXEC: %s", path) : 0;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_errno(e, errno, "/proc/self/exe");
	self[n] = 0;
	*strrchr(self, '/') = 0;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if ((size_t)snprintf(path, size, "%s%s" PROGRAM, self, places[i]) < size &&
		    access(path, X_OK) == 0)
			return 0;
	}
	return err_set(e, ENOENT, PROGRAM " is neither in %s/../libexec/husk nor in %s", self, self);
}

__attribute__((noreturn)) static void child(const char *path, int sock)
{
	char *const argv[] = { (char *)(uintptr_t)PROGRAM, NULL };
	char *const envp[] = { NULL };
	sigset_t none;

	/* Ctrl-C is ours to handle: the machine ends when we say so or are gone. */
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (sock == CONTROL_FD)
		fcntl(sock, F_SETFD, 0);
	else if (dup2(sock, CONTROL_FD) < 0)
		_exit(127);
	execve(path, argv, envp);
	_exit(127);
}

int spawn_machine(pid_t *ret_pid, int *ret_sock, struct err *e)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	char path[4200];
	int pair[2], rc;
	pid_t pid;

	rc = find_program(path, sizeof(path), e);
	if (rc < 0)
		return rc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return err_errno(e, errno, "fork");
	if (pid == 0)
		child(path, theirs);
	*ret_pid = pid;
	*ret_sock = steal_fd(&ours);
	return 0;
}
