// SPDX-License-Identifier: Apache-2.0
/* The end of a container's proxy, which is a process of this test: it is given the time that its guest needs to write back. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/container/create_internal.h"
#include "runtime/host/sock.h"
#include "runtime/proxy/proxy.h"

/* Longer than delete has for what comes before. */
#define WRITES_MS 6000
#define NEVER	  -1

struct row {
	const char *why;
	enum container_status status; /* as delete has read it */
	const char *comm; /* of the proxy then */
	int rc; /* its answer to a SIGKILL */
	int kill_ms, term_ms; /* what it takes to begin with the last part, after that and after a SIGTERM */
	bool ends; /* by itself */
};

static const struct row rows[] = {
	{ "the reader of its last output stands still", CONTAINER_STOPPED, PROXY_COMM_END, -ESRCH, 2000, NEVER, true },
	{ "its output is being read for long", CONTAINER_STOPPED, PROXY_COMM_END, -ESRCH, NEVER, 50, true },
	{ "a socket's server does not read", CONTAINER_RUNNING, PROXY_COMM_RUN, 0, NEVER, 50, true },
	{ "it has ended meanwhile", CONTAINER_RUNNING, PROXY_COMM_END, -ESRCH, 100, NEVER, true },
	{ "it writes back already", CONTAINER_STOPPED, PROXY_COMM_AWAY, -ESRCH, NEVER, NEVER, true },
	{ "it does nothing", CONTAINER_RUNNING, PROXY_COMM_RUN, 0, NEVER, NEVER, false },
};

static void answer(int listener, int rc)
{
	struct proxy_reply r = { .hdr = { PROXY_VERSION, PROXY_SIGNAL, rc, sizeof(r) } };
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct proxy_signal m;

	if (recv(sock, &m, sizeof(m), 0) == sizeof(m) && m.hdr.cmd == PROXY_SIGNAL && m.signo == SIGKILL)
		send(sock, &r, sizeof(r), MSG_NOSIGNAL);
	close(sock);
}

static void write_back(void)
{
	prctl(PR_SET_NAME, PROXY_COMM_AWAY);
	usleep(WRITES_MS * 1000);
	_exit(0);
}

static void be_proxy(const struct row *r, int listener, int ready)
{
	struct pollfd p[2] = { { .fd = listener, .events = POLLIN }, { .events = POLLIN } };
	struct signalfd_siginfo si;
	sigset_t all;
	int after = NEVER;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, r->comm);
	p[1].fd = signalfd(-1, &all, SFD_CLOEXEC);
	close(ready);
	if (strcmp(r->comm, PROXY_COMM_AWAY) == 0)
		write_back();
	while (poll(p, 2, after) != 0) {
		if (p[0].revents) {
			answer(listener, r->rc);
			after = r->kill_ms;
		} else if (read(p[1].fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGTERM) {
			after = r->term_ms;
		}
	}
	write_back();
}

struct proxy {
	const struct row *r;
	char dir[64];
	int fd;
	struct container_state s;
	pthread_t thread;
};

static void *end(void *arg)
{
	struct proxy *p = arg;

	container_end_in_order(p->fd, &p->s, p->r->status);
	return NULL;
}

static void begin(struct proxy *p, const struct row *r)
{
	struct proc_info info;
	int listener, ready[2];
	pid_t pid;

	*p = (struct proxy){ .r = r };
	snprintf(p->dir, sizeof(p->dir), "/tmp/husk-end-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->fd = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(sock_listen(p->fd, CONTAINER_PROXY_SOCK, &listener, NULL), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		be_proxy(r, listener, ready[1]);
	}
	close(ready[1]);
	close(listener);
	assert_int_equal(read(ready[0], &(char){ 0 }, 1), 0);
	close(ready[0]);
	assert_int_equal(proc_read(pid, &info), 0);
	p->s.proxy = info.id;
}

/* All at a time, as each takes seconds. */
static void what_is_written_back_is_waited_for(void **state)
{
	struct proxy p[ARRAY_SIZE(rows)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		begin(&p[i], &rows[i]);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(pthread_create(&p[i].thread, NULL, end, &p[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		pthread_join(p[i].thread, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int st = -1;
		pid_t pid = waitpid(p[i].s.proxy.pid, &st, WNOHANG);

		check_row(rows[i].why, rows[i].ends ? pid > 0 && WIFEXITED(st) && WEXITSTATUS(st) == 0 : pid == 0);
		if (pid == 0) {
			kill(p[i].s.proxy.pid, SIGKILL);
			waitpid(p[i].s.proxy.pid, &st, 0);
		}
		unlinkat(p[i].fd, CONTAINER_PROXY_SOCK, 0);
		close(p[i].fd);
		rmdir(p[i].dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_back_is_waited_for),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
