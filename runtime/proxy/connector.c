// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/connector.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/proxy/lockin.h"
#include "runtime/proxy/proxy.h"

#define COMM "husk-connector"
/* Descriptors of the connector: its end, then the sockets. */
#define OWN_FD    3
#define FIRST_FD  4

static const struct filter_call allowed[] = {
	{ SYS_recvmsg, "questions" },
	{ SYS_sendmsg, "answers" },
	{ SYS_connect, "what it is for" },
	{ SYS_close, "what was sent on" },
	{ SYS_setresuid, "as whom" },
	{ SYS_setresgid, "as whom" },
	{ SYS_rt_sigreturn, "return from a handler" },
	{ SYS_restart_syscall, "after SIGSTOP and SIGCONT" },
	{ SYS_exit_group, "the end" },
};

static const struct filter_arg allowed_with[] = {
	{ SYS_socket, 0, AF_UNIX, "what it is for" },
};

/* For this one connection, whose permission and peer credentials are that user's. The system calls themselves: the library's
 * functions want to tell threads. */
static void become(uint32_t uid, uint32_t gid)
{
	syscall(SYS_setresgid, -1, gid, -1);
	syscall(SYS_setresuid, -1, uid, -1);
}

static void come_back(uid_t uid, gid_t gid)
{
	syscall(SYS_setresuid, -1, uid, -1);
	syscall(SYS_setresgid, -1, gid, -1);
}

static int dial(uint32_t n, int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	/* Non-blocking: a full queue is an answer, too. */
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* The working directory is /proc/self/fd. */
	snprintf(at.sun_path, sizeof(at.sun_path), "%u", FIRST_FD + n);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* @uid, @gid: those to come back to. */
static _Noreturn void serve(size_t n, uid_t uid, gid_t gid)
{
	for (;;) {
		struct connector_ask ask;
		struct connector_answer answer;
		ssize_t len = io_recv_fds(OWN_FD, &ask, sizeof(ask), NULL, NULL, 0);
		int fd = -EINVAL, datagram = 0;

		if (len <= 0)
			_exit(0);
		if (len == sizeof(ask) && ask.socket < n) {
			become(ask.uid, ask.gid);
			fd = dial(ask.socket, SOCK_STREAM);
			datagram = fd == -EPROTOTYPE;
			if (datagram)
				fd = dial(ask.socket, SOCK_DGRAM);
			come_back(uid, gid);
		}
		answer = (struct connector_answer){ .rc = min_t(int, fd, 0), .datagram = datagram };
		if (io_send_fds(OWN_FD, &answer, sizeof(answer), &fd, fd >= 0) < 0)
			_exit(0);
		if (fd >= 0)
			close(fd);
	}
}

/* Its descriptors alone, at their places. */
static int arrange(int sock, const int *fds, size_t n)
{
	/* Out of the way of where they go. */
	int beyond[1 + PROXY_MAX_SOCKETS];

	for (size_t i = 0; i <= n; i++) {
		beyond[i] = fcntl(i ? fds[i - 1] : sock, F_DUPFD, FIRST_FD + (int)n);
		if (beyond[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i <= n; i++)
		if (dup2(beyond[i], OWN_FD + (int)i) < 0)
			return -errno;
	/* The standard streams, too: whoever waits for their end must not wait for this process. */
	if (close_range(0, OWN_FD - 1, 0) < 0 || close_range(FIRST_FD + (unsigned)n, ~0u, 0) < 0)
		return -errno;
	return 0;
}

static _Noreturn void run(int proc, int sock, const int *fds, size_t n)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct err e = ERR_INIT;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, COMM);
	if (fchdir(proc) < 0 || chdir("self/fd") < 0 || arrange(sock, fds, n) < 0 ||
	    lockin(1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_DAC_OVERRIDE, allowed, ARRAY_SIZE(allowed), allowed_with,
		   ARRAY_SIZE(allowed_with), &e) < 0)
		_exit(1);
	serve(n, uid, gid);
}

int connector_start(int proc, const int *fds, size_t n, int *ret_sock, struct err *e)
{
	int pair[2];
	pid_t pid;

	if (n > PROXY_MAX_SOCKETS)
		return err_set(e, E2BIG, "more than %d sockets", PROXY_MAX_SOCKETS);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	pid = fork();
	if (pid == 0)
		run(proc, pair[1], fds, n);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_errno(e, errno, "fork");
	}
	*ret_sock = pair[0];
	return 0;
}
