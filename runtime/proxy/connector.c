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
	{ SYS_setgroups, "as whom" },
	{ SYS_rt_sigreturn, "return from a handler" },
	{ SYS_restart_syscall, "after SIGSTOP and SIGCONT" },
	{ SYS_exit_group, "the end" },
};

static const struct filter_arg allowed_with[] = {
	{ SYS_socket, 0, AF_UNIX, "what it is for" },
};

static bool is_among(const struct connector_range *v, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (id >= v[i].first && id - v[i].first < v[i].n)
			return true;
	return false;
}

static bool is_bound(const struct connector_ids *ids)
{
	return ids->n_uids || ids->n_gids;
}

/* The last id is nobody's: the kernel takes it for "as now". */
static bool may_become(const struct connector_ids *ids, uint32_t uid, uint32_t gid)
{
	if (uid == UINT32_MAX || gid == UINT32_MAX)
		return false;
	return !is_bound(ids) || (is_among(ids->uids, ids->n_uids, uid) && is_among(ids->gids, ids->n_gids, gid));
}

/* Without those that a container with a user namespace does not have, and, where one is none of the host's (in a user namespace
 * of husk's own), without any. An unprivileged user keeps its own, as it keeps its id. */
static bool take_groups(const struct connector_ask *ask, const struct connector_ids *ids)
{
	gid_t groups[AGENT_MAX_PEER_GROUPS];
	size_t n = 0;

	for (size_t i = 0; i < min_t(size_t, ask->ngroups, ARRAY_SIZE(groups)); i++)
		if (!is_bound(ids) || is_among(ids->gids, ids->n_gids, ask->groups[i]))
			groups[n++] = ask->groups[i];
	return syscall(SYS_setgroups, n, groups) == 0 || syscall(SYS_setgroups, 0, NULL) == 0 || errno == EPERM;
}

/* For this one connection, whose permission and peer credentials are that user's. The system calls themselves: the library's
 * functions want to tell threads. */
static bool become(const struct connector_ask *ask, const struct connector_ids *ids)
{
	bool groups = take_groups(ask, ids), group = syscall(SYS_setresgid, -1, ask->gid, -1) == 0;

	return syscall(SYS_setresuid, -1, ask->uid, -1) == 0 && group && groups;
}

/* Where that fails nothing more may be done as whoever this process is now. */
static void come_back(uid_t uid, gid_t gid)
{
	if (syscall(SYS_setresuid, -1, uid, -1) < 0 || syscall(SYS_setresgid, -1, gid, -1) < 0)
		_exit(1);
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

static int dial_as(const struct connector_ask *ask, const struct connector_ids *ids, int *ret_datagram)
{
	int fd;

	if (!become(ask, ids) && is_bound(ids))
		return -EPERM;
	fd = dial(ask->socket, SOCK_STREAM);
	*ret_datagram = fd == -EPROTOTYPE;
	return *ret_datagram ? dial(ask->socket, SOCK_DGRAM) : fd;
}

/* @uid, @gid: those to come back to. */
static _Noreturn void serve(size_t n, const struct connector_ids *ids, uid_t uid, gid_t gid)
{
	for (;;) {
		struct connector_ask ask;
		struct connector_answer answer;
		ssize_t len = io_recv_fds(OWN_FD, &ask, sizeof(ask), NULL, NULL, 0);
		int fd = -EINVAL, datagram = 0;

		if (len <= 0)
			_exit(0);
		if (len == sizeof(ask) && ask.socket < n)
			fd = may_become(ids, ask.uid, ask.gid) ? dial_as(&ask, ids, &datagram) : -EPERM;
		come_back(uid, gid);
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

static _Noreturn void run(int proc, int sock, const int *fds, size_t n, const struct connector_ids *ids)
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
	serve(n, ids, uid, gid);
}

int connector_start(int proc, const int *fds, size_t n, const struct connector_ids *ids, int *ret_sock, struct err *e)
{
	int pair[2];
	pid_t pid;

	if (n > PROXY_MAX_SOCKETS)
		return err_set(e, E2BIG, "more than %d sockets", PROXY_MAX_SOCKETS);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	pid = fork();
	if (pid == 0)
		run(proc, pair[1], fds, n, ids);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_errno(e, errno, "fork");
	}
	*ret_sock = pair[0];
	return 0;
}
