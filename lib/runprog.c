// SPDX-License-Identifier: Apache-2.0
#include "lib/runprog.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

/* Descriptors in the guard: 0, 1, 2 are the program's already. */
enum { FD_LIFELINE = 3, FD_RESULT = 4, FD_OWN = 5 };
#define FD_APART 64 /* copies are made above it first, so that none is overwritten */

enum what { ENDED = 1, NOT_ENTERED, NOT_EXECUTED, NOT_WAITED_FOR };
struct result {
	int32_t what; /* enum what */
	int32_t value; /* ENDED: a wait status; else a positive errno */
};

/* The last of what came through a pipe. */
struct tail {
	int fd; /* -1: at its end */
	size_t len;
	char text[1024];
};

/* What the caller holds while the program runs; every descriptor close-on-exec. */
struct running {
	pid_t guard;
	int lifeline, result, signals; /* signals -1: none are blocked here */
	struct tail out, err;
};

/* ---- in the guard and the program ------------------------------------------------------------------ */

static int reset_signals(void)
{
	/* The kernel's struct sigaction with SIG_DFL. The C library keeps 32 and 33 from its own callers. */
	const uint64_t dfl[8] = { 0 }, none = 0;

	for (int sig = 1; sig < _NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, sizeof(none));
	return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none)) < 0 ? -errno : 0;
}

static _Noreturn void give_up(enum what what, int rc)
{
	struct result res = { .what = what, .value = -rc };

	io_write_full(FD_RESULT, &res, sizeof(res));
	_exit(127);
}

static _Noreturn void program(const struct runprog *r)
{
	int own[RUNPROG_MAX_FDS], rc = 0;

	for (unsigned i = 0; i < r->nfds; i++)
		own[i] = FD_OWN + (int)i;
	setsid();
	reset_signals();
	/* Last: what it enters may be a filter of system calls. */
	if (r->enter)
		rc = r->enter(own, r->arg);
	if (rc < 0)
		give_up(NOT_ENTERED, rc);
	execve(r->path, r->argv, r->envp);
	give_up(NOT_EXECUTED, -errno);
}

/* The descriptors @from to 0 and up, close-on-exec but for the standard ones, and no other left. */
static int arrange(const int *from, unsigned n)
{
	int apart[FD_OWN + RUNPROG_MAX_FDS];

	for (unsigned i = 0; i < n; i++) {
		apart[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FD_APART);
		if (apart[i] < 0)
			return -errno;
	}
	for (unsigned i = 0; i < n; i++)
		if (dup3(apart[i], (int)i, i > 2 ? O_CLOEXEC : 0) < 0)
			return -errno;
	return syscall(SYS_close_range, n, ~0u, 0) < 0 ? -errno : 0;
}

static _Noreturn void guard(const struct runprog *r, const int *from)
{
	struct result res = { .what = NOT_EXECUTED };
	struct pollfd p[2] = { { .fd = FD_LIFELINE, .events = POLLIN }, { .events = POLLIN } };
	int rc = arrange(from, FD_OWN + r->nfds), st = 0;
	sigset_t all;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "husk-hook", 0, 0, 0);
	if (rc < 0)
		_exit(127);
	pid = fork();
	if (pid == 0)
		program(r);
	p[1].fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (p[1].fd < 0)
		give_up(NOT_EXECUTED, -errno);
	/* The caller never writes: its end has an end only. */
	while (poll(p, 2, -1) < 0 || !(p[0].revents | p[1].revents))
		;
	if (!p[1].revents) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &st, 0) < 0)
		give_up(NOT_WAITED_FOR, -errno);
	res = (struct result){ .what = ENDED, .value = st };
	io_write_full(FD_RESULT, &res, sizeof(res));
	_exit(0);
}

/* ---- in the caller --------------------------------------------------------------------------------- */

/* The text as a file of its own, at its beginning: nobody need write into a pipe while the program runs, and one that
 * reads nothing hurts nobody. */
static int input_file(const struct runprog *r, int *ret, struct err *e)
{
	_cleanup_close_ int mem = memfd_create("input", MFD_CLOEXEC);
	char path[32];
	int rc;

	if (mem < 0)
		return err_errno(e, errno, "memfd_create");
	rc = io_write_full(mem, r->input, r->input_len);
	if (rc < 0)
		return err_errno(e, -rc, "memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", mem);
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	/* Without a /proc of its own (an agent's container): the file itself, back at its beginning. */
	if (*ret < 0 && lseek(mem, 0, SEEK_SET) == 0)
		*ret = steal_fd(&mem);
	return *ret < 0 ? err_errno(e, errno, "memfd") : 0;
}

static int start(const struct runprog *r, struct running *run, struct err *e)
{
	_cleanup_close_ int in = -1;
	int pipes[4][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int from[FD_OWN + RUNPROG_MAX_FDS], rc = input_file(r, &in, e);
	unsigned n = 0;

	bug_on(r->nfds > RUNPROG_MAX_FDS);
	if (rc < 0)
		return rc;
	while (n < 4 && pipe2(pipes[n], O_CLOEXEC) == 0)
		n++;
	if (n == 4) {
		from[0] = in;
		from[1] = pipes[0][1];
		from[2] = pipes[1][1];
		from[FD_LIFELINE] = pipes[2][0];
		from[FD_RESULT] = pipes[3][1];
		memcpy(from + FD_OWN, r->fds, r->nfds * sizeof(int));
		run->guard = fork();
		if (run->guard == 0)
			guard(r, from);
	}
	if (n < 4 || run->guard < 0)
		rc = err_errno(e, errno, "cannot start %s", r->path);
	run->out.fd = pipes[0][0];
	run->err.fd = pipes[1][0];
	run->lifeline = pipes[2][1];
	run->result = pipes[3][0];
	close_and_reset(&pipes[0][1]);
	close_and_reset(&pipes[1][1]);
	close_and_reset(&pipes[2][0]);
	close_and_reset(&pipes[3][1]);
	return rc;
}

static void take(struct tail *t)
{
	char part[4096];
	ssize_t n = read(t->fd, part, sizeof(part));
	size_t keep;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_and_reset(&t->fd);
		return;
	}
	if ((size_t)n >= sizeof(t->text)) {
		memcpy(t->text, part + (size_t)n - sizeof(t->text), sizeof(t->text));
		t->len = sizeof(t->text);
		return;
	}
	keep = min_t(size_t, t->len, sizeof(t->text) - (size_t)n);
	memmove(t->text, t->text + t->len - keep, keep);
	memcpy(t->text + keep, part, (size_t)n);
	t->len = keep + (size_t)n;
}

/* What was written before the end and has not been read; not what a child of the program's may still write. */
static void take_rest(struct tail *t)
{
	for (int i = 0; t->fd >= 0 && i < 64; i++) {
		struct pollfd p = { .fd = t->fd, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0)
			break;
		take(t);
	}
}

/* For a caller that blocks them, as one in the foreground does. */
static int watch_signals(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t blocked, set;
	bool any = false;

	sigprocmask(SIG_SETMASK, NULL, &blocked);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (sigismember(&blocked, ends[i])) {
			sigaddset(&set, ends[i]);
			any = true;
		}
	return any ? signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
}

/* 0: the guard has said how it went. */
static int attend(struct running *run, unsigned timeout_s, struct err *e)
{
	struct signalfd_siginfo si;
	uint64_t end = timeout_s ? io_now_ns() + timeout_s * UINT64_C(1000000000) : UINT64_MAX;

	for (;;) {
		struct pollfd p[] = { { .fd = run->result, .events = POLLIN },
				      { .fd = run->signals, .events = POLLIN },
				      { .fd = run->out.fd, .events = POLLIN },
				      { .fd = run->err.fd, .events = POLLIN } };
		uint64_t now = io_now_ns(), left = now < end ? (end - now) / 1000000u + 1 : 0;
		int n = poll(p, 4, end == UINT64_MAX ? -1 : (int)min_t(uint64_t, left, 3600000));

		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (n > 0 && p[2].revents)
			take(&run->out);
		if (n > 0 && p[3].revents)
			take(&run->err);
		if (n > 0 && p[0].revents)
			return 0;
		if (n > 0 && p[1].revents && read(run->signals, &si, sizeof(si)) == sizeof(si))
			return err_set(e, EINTR, "interrupted by a signal");
		if (io_now_ns() >= end)
			return err_set(e, ETIMEDOUT, "ran past its timeout of %u seconds",
				       timeout_s);
	}
}

static int outcome(const struct runprog *r, int result, struct err *e)
{
	struct result res;

	if (io_read_full(result, &res, sizeof(res)) < 0)
		return err_set(e, EIO, "lost");
	switch (res.what) {
	case NOT_ENTERED:
		return err_errno(e, res.value, "%s", r->enter_what);
	case NOT_EXECUTED:
		return err_errno(e, res.value, "exec %s", r->path);
	case NOT_WAITED_FOR:
		return err_errno(e, res.value, "cannot tell how it ended");
	}
	if (WIFSIGNALED(res.value))
		return err_set(e, EIO, "killed by signal %d", WTERMSIG(res.value));
	if (WEXITSTATUS(res.value))
		return err_set(e, EIO, "exit status %d", WEXITSTATUS(res.value));
	return 0;
}

/* The last @max bytes without the newlines at the end. */
static int shown(const struct tail *t, size_t max, const char **ret)
{
	size_t len = t->len, n;

	while (len && t->text[len - 1] == '\n')
		len--;
	n = min_t(size_t, len, max);
	*ret = t->text + len - n;
	return (int)n;
}

static void add_output(const struct running *run, struct err *e)
{
	struct err why = *e;
	const char *o, *s;
	int nout = shown(&run->out, 100, &o), nerr = shown(&run->err, 240, &s);

	err_set(e, why.code, "%.120s, stdout: %.*s, stderr: %.*s", why.msg, nout, o, nerr, s);
}

int runprog(const struct runprog *r, struct err *e)
{
	struct running run = { .signals = watch_signals(), .lifeline = -1, .result = -1,
			       .out = { .fd = -1 }, .err = { .fd = -1 } };
	struct err why = ERR_INIT;
	int rc = start(r, &run, &why);

	if (rc == 0) {
		rc = attend(&run, r->timeout_s, &why);
		if (rc == 0)
			rc = outcome(r, run.result, &why);
		/* From here on the guard kills what still runs. */
		close_and_reset(&run.lifeline);
		while (waitpid(run.guard, NULL, 0) < 0 && errno == EINTR)
			;
		take_rest(&run.out);
		take_rest(&run.err);
		if (rc < 0)
			add_output(&run, &why);
	}
	close_and_reset(&run.lifeline);
	close_and_reset(&run.result);
	close_and_reset(&run.signals);
	close_and_reset(&run.out.fd);
	close_and_reset(&run.err.fd);
	if (rc < 0 && e)
		*e = why;
	return rc;
}
