// SPDX-License-Identifier: Apache-2.0
/*
 * Written by a fork: less memory than is used is taken back page by page before write(2) returns, dirty ones by way of the
 * host, and the agent's one thread has others to answer meanwhile.
 */
#include "agent-proto/agent/update.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/fork.h"
#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define MAX_FILE 65536

struct update {
	struct container *ct;
	struct ttrpc_call *call;
	struct evsrc result;
	int pidfd;
};

struct update_result {
	int rc;
	char text[AGENT_MAX_ERROR_TEXT];
};

/* ---- in the fork ------------------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
}

/* Not io_write_str(), which would begin anew: who has written for too long is to come back. */
static int write_value(int dir, const char *file, const char *value)
{
	_cleanup_close_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		return errno == EINTR ? -ETIMEDOUT : -errno;
	return 0;
}

/* As much as one write(2) is needed for each of the lines that a file of this kind shows. */
static void put_back(int fd, const char *file, char *was)
{
	char *rest;

	for (char *line = strtok_r(was, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		io_write_str(fd, file, line);
}

/* What is used already would have to be taken away from the processes, by killing some. */
static int check_memory(int fd, const char *limit, struct err *e)
{
	_cleanup_free_ char *used = NULL;
	char *end;
	unsigned long long want = strtoull(limit, &end, 10);

	if (*end || io_read_file(fd, "memory.current", MAX_FILE, &used, NULL) < 0 ||
	    strtoull(used, NULL, 10) <= want)
		return 0;
	return err_set(e, EINVAL, "rejecting memory limit %s because of memory usage %llu", limit,
		       strtoull(used, NULL, 10));
}

/* "- PERIOD" of cpu.max, which is no word of the kernel's: with the quota that there is. */
static int write_period(int fd, const char *file, const char *was, const char *period)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%.*s %s", (int)strcspn(was, " \n"), was, period);

	return n < 0 || (size_t)n >= sizeof(text) ? -EINVAL : write_value(fd, file, text);
}

/* @ret_was: what stood there, NULL when there was no such file and none is needed. */
static int write_one(int fd, const Husk__Agent__V1__CgroupValue *v, bool check, char **ret_was,
		     struct err *e)
{
	_cleanup_free_ char *was = NULL;
	int rc = io_read_file(fd, v->file, MAX_FILE, &was, NULL);

	if (rc == -ENOENT && v->optional)
		return 0;
	if (rc == 0 && check && strcmp(v->file, "memory.max") == 0) {
		rc = check_memory(fd, v->value, e);
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && strcmp(v->file, "cpu.max") == 0 && strncmp(v->value, "- ", 2) == 0)
		rc = write_period(fd, v->file, was, v->value + 2);
	else if (rc == 0)
		rc = write_value(fd, v->file, v->value);
	if (rc == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "cgroup: writing \"%s\" to %s took more than %d seconds", v->value, v->file,
			       AGENT_UPDATE_MS / 1000);
	if (rc < 0)
		return err_errno(e, -rc, "cgroup: writing \"%s\" to %s", v->value, v->file);
	*ret_was = steal_ptr(&was);
	return 0;
}

/* All of them or none. A value that the kernel refuses is named in @e, and those that were written before it have their old
 * ones again. */
static int apply(const struct cgroup *cg, const Husk__Agent__V1__UpdateRequest *req, struct err *e)
{
	char *was[AGENT_MAX_VALUES] = { NULL };
	size_t n = 0;
	int rc = 0;

	while (rc == 0 && n < req->n_values) {
		rc = write_one(cg->fd, req->values[n], req->check_memory, &was[n], e);
		n += rc == 0;
	}
	while (n-- > 0) {
		if (rc < 0 && was[n])
			put_back(cg->fd, req->values[n]->file, was[n]);
		free(was[n]);
	}
	return rc;
}

static _Noreturn void run(const struct cgroup *cg, const Husk__Agent__V1__UpdateRequest *req, int sync)
{
	struct sigaction sa = { .sa_handler = on_alarm }; /* no SA_RESTART */
	struct update_result r = { .rc = 0 };
	int keep[] = { cg->fd, sync };
	struct err e = ERR_INIT;
	sigset_t none;

	fork_enter(keep, ARRAY_SIZE(keep));
	sigaction(SIGALRM, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(AGENT_UPDATE_MS / 1000);
	r.rc = apply(cg, req, &e);
	memcpy(r.text, e.msg, min_t(size_t, sizeof(e.msg), sizeof(r.text)));
	_exit(send(sync, &r, sizeof(r), MSG_NOSIGNAL) == sizeof(r) ? 0 : 1);
}

/* ---- in the agent ------------------------------------------------------------------------------------ */

static void answer(struct update *u, int rc, const char *text)
{
	u->ct->update = NULL;
	evloop_del(&u->result);
	close_and_reset(&u->result.fd);
	close_and_reset(&u->pidfd);
	/* -ENOENT and the like would be about the container. */
	if (rc < 0)
		ttrpc_reply_err(u->call, rc == -EINVAL || rc == -ESRCH || rc == -ENOSPC ? rc : -EIO, text);
	else
		ttrpc_reply(u->call, NULL);
	free(u);
}

static void on_result(struct evsrc *src, uint32_t events)
{
	struct update *u = container_of(src, struct update, result);
	struct update_result r;
	ssize_t n = recv(src->fd, &r, sizeof(r), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(r)) {
		answer(u, -EIO, "the guest's helper has ended");
		return;
	}
	r.text[sizeof(r.text) - 1] = 0;
	answer(u, r.rc, r.text);
}

static int begin(struct update *u, const Husk__Agent__V1__UpdateRequest *req, struct err *e)
{
	int pair[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	u->result = (struct evsrc){ .fd = pair[0], .fn = on_result, .name = "update" };
	rc = evloop_add(u->ct->agent->loop, &u->result, EPOLLIN);
	pid = rc < 0 ? -1 : fork();
	if (pid == 0)
		run(&u->ct->cgroup, req, pair[1]);
	if (rc == 0)
		u->pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (rc == 0 && u->pidfd < 0)
		rc = -errno;
	close(pair[1]);
	if (rc == 0)
		return 0;
	evloop_del(&u->result);
	close_and_reset(&u->result.fd);
	return err_errno(e, -rc, "fork");
}

void update_begin(struct container *ct, const Husk__Agent__V1__UpdateRequest *req, struct ttrpc_call *call)
{
	struct update *u = ct->update ? NULL : calloc(1, sizeof(*u));
	struct err e = ERR_INIT;
	int rc;

	if (!u) {
		ttrpc_reply_err(call, -ENOSPC, ct->update ? "another update is under way" : "out of memory");
		return;
	}
	u->ct = ct;
	u->call = call;
	rc = begin(u, req, &e);
	if (rc < 0) {
		free(u);
		ttrpc_reply_err(call, -EIO, e.msg);
		return;
	}
	ct->update = u;
}

void update_done(struct container *ct)
{
	if (!ct->update)
		return;
	syscall(SYS_pidfd_send_signal, ct->update->pidfd, SIGKILL, NULL, 0);
	answer(ct->update, -ESRCH, "container not running");
}
