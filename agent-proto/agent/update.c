// SPDX-License-Identifier: Apache-2.0
/*
 * Written by a fork: less memory than is used is taken back page by page before write(2) returns, dirty ones by way of the
 * host, and the agent's one thread has others to answer meanwhile.
 */
#include "agent-proto/agent/update.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/fork.h"
#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define MAX_FILE   65536
#define PUT_BACK_S 4 /* and as long for the writing one's end: AGENT_DEADLINE_MS after all */

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

/* ---- in the forks ------------------------------------------------------------------------------------ */

/* The one that writes may have to be stopped within a write(2); the one that looks after it then puts back what it leaves. This
 * is in memory that they share. */
struct writing {
	size_t reached; /* values that were begun */
	bool over;
	struct update_result r;
	struct {
		bool is_known;
		char was[MAX_FILE]; /* what stood there */
	} old[AGENT_MAX_VALUES];
};

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

	return n < 0 || (size_t)n >= sizeof(text) ? -EINVAL : io_write_str(fd, file, text);
}

static int write_one(int fd, const Husk__Agent__V1__CgroupValue *v, bool check, struct writing *w, size_t i, struct err *e)
{
	_cleanup_free_ char *was = NULL;
	int rc = io_read_file(fd, v->file, MAX_FILE - 1, &was, NULL);

	if (rc == -ENOENT && v->optional)
		return 0;
	if (rc == 0) {
		memcpy(w->old[i].was, was, strlen(was) + 1);
		w->old[i].is_known = true;
	}
	if (rc == 0 && check && strcmp(v->file, "memory.max") == 0) {
		rc = check_memory(fd, v->value, e);
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && strcmp(v->file, "cpu.max") == 0 && strncmp(v->value, "- ", 2) == 0)
		rc = write_period(fd, v->file, was, v->value + 2);
	else if (rc == 0)
		rc = io_write_str(fd, v->file, v->value);
	return rc < 0 ? err_errno(e, -rc, "cgroup: writing \"%s\" to %s", v->value, v->file) : 0;
}

static _Noreturn void write_all(int fd, const Husk__Agent__V1__UpdateRequest *req, struct writing *w, pid_t looking_after)
{
	struct err e = ERR_INIT;
	int rc = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != looking_after)
		_exit(1);
	for (size_t i = 0; rc == 0 && i < req->n_values; i++) {
		w->reached = i + 1;
		rc = write_one(fd, req->values[i], req->check_memory, w, i, &e);
	}
	w->r.rc = rc;
	memcpy(w->r.text, e.msg, min_t(size_t, sizeof(e.msg), sizeof(w->r.text)));
	w->over = true;
	_exit(0);
}

/* The kernel takes memory back within the write(2) that limits it, and of all signals only a deadly one ends that. */
static int write_within(int ms, int fd, const Husk__Agent__V1__UpdateRequest *req, struct writing *w, struct err *e)
{
	pid_t self = getpid(), pid = fork();
	struct pollfd end = { .events = POLLIN };
	bool late;

	if (pid == 0)
		write_all(fd, req, w, self);
	end.fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0) {
		int rc = err_errno(e, errno, "fork");

		if (pid > 0)
			kill(pid, SIGKILL);
		return rc;
	}
	late = poll(&end, 1, ms) == 0;
	if (late) {
		kill(pid, SIGKILL);
		poll(&end, 1, PUT_BACK_S * 1000);
	}
	close(end.fd);
	if (w->over)
		return w->r.rc < 0 ? err_set(e, -w->r.rc, "%s", w->r.text) : 0;
	if (late && w->reached)
		return err_set(e, ETIMEDOUT, "cgroup: writing \"%s\" to %s took more than %g seconds",
			       req->values[w->reached - 1]->value, req->values[w->reached - 1]->file, ms / 1000.0);
	return err_set(e, EIO, "the guest's helper has ended");
}

/* All of them or none. A value that the kernel refuses is named, and what was written has its old value again. */
static int apply(int ms, int fd, const Husk__Agent__V1__UpdateRequest *req, struct writing *w, struct err *e)
{
	int rc = write_within(ms, fd, req, w, e);

	if (rc == 0)
		return 0;
	/* The old value may be less than is used, too: then this process's end is what is told. */
	alarm(PUT_BACK_S);
	for (size_t n = w->reached; n-- > 0;)
		if (w->old[n].is_known)
			put_back(fd, req->values[n]->file, w->old[n].was);
	return rc;
}

static _Noreturn void run(const struct container *ct, const Husk__Agent__V1__UpdateRequest *req, int sync)
{
	int ms = ct->agent->cfg.update_ms ? ct->agent->cfg.update_ms : AGENT_UPDATE_MS;
	int keep[] = { ct->cgroup.fd, sync };
	struct update_result r = { .rc = 0 };
	struct err e = ERR_INIT;
	struct writing *w;
	sigset_t none;

	fork_enter(keep, ARRAY_SIZE(keep));
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w == MAP_FAILED)
		_exit(1);
	r.rc = apply(ms, ct->cgroup.fd, req, w, &e);
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
		run(u->ct, req, pair[1]);
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
