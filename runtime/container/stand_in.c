// SPDX-License-Identifier: Apache-2.0
/* Starting a husk-proxy, for a container's first process and for an exec alike. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/timeline.h"
#include "runtime/host/spawn.h"
#include "runtime/proxy/client.h"

int container_check_terminal(bool terminal, bool detach, const char *console_socket, struct err *e)
{
	if (detach && terminal && !console_socket)
		return err_set(
			e, EINVAL,
			"cannot allocate tty if husk will detach without setting console socket");
	if ((!terminal || !detach) && console_socket)
		return err_set(e, EINVAL,
			       "cannot use console socket if husk will not detach or allocate tty");
	return 0;
}

static bool is_dev_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* A terminal that stays somebody else's: with husk out of the way what is typed is for who reads there, and a process that
 * does not read must not take it. */
static bool is_typed_at(int i, bool detach)
{
	return i == 0 && detach && isatty(i);
}

/* A token for each stream that there is something behind. */
static int make_tokens(struct stand_in *p, bool detach, struct err *e)
{
	uint64_t t[3];

	if (getrandom(t, sizeof(t), 0) != (ssize_t)sizeof(t))
		return err_errno(e, errno, "getrandom");
	for (int i = 0; i < 3; i++) {
		bool wanted = p->terminal ? i == 0 : !is_dev_null(i) && !is_typed_at(i, detach);

		t[i] = wanted ? t[i] | 1 : 0;
	}
	p->tokens = (struct oci_pack_streams){ .in = t[0],
					       .out = t[1],
					       .err = t[2],
					       .extra = p->preserved ? p->preserved->streams : NULL,
					       .n_extra = p->preserved ? p->preserved->n : 0 };
	return 0;
}

static void make_title(struct stand_in *p, const struct oci_strv *args)
{
	size_t len = 0;

	for (size_t i = 0; i < args->n && len < sizeof(p->title); i++)
		len += (size_t)snprintf(p->title + len, sizeof(p->title) - len, "%s%s", i ? " " : "", args->v[i]);
}

int stand_in_prepare(struct stand_in *p, const struct oci_process *process, bool detach,
		     const char *console_socket, struct err *e)
{
	int slave = -1;
	int rc = container_check_terminal(process->terminal, detach, console_socket, e);

	p->terminal = process->terminal;
	make_title(p, &process->args);
	if (rc == 0 && console_socket)
		rc = console_dial(console_socket, &p->console_sock, e);
	if (rc == 0 && console_socket)
		rc = console_pair(process->rows, process->columns, &p->master, &slave, e);
	if (rc < 0)
		return rc;
	if (slave >= 0) {
		p->own_tty = true;
		p->stdio[0] = p->stdio[1] = p->stdio[2] = slave;
	} else if (p->terminal) {
		rc = console_raw(&p->made.saved, e);
	}
	return rc < 0 ? rc : make_tokens(p, detach, e);
}

int stand_in_spawn(struct stand_in *p, int cgroup, struct err *e)
{
	const struct spawn sp = { .program = "husk-proxy",
				  .title = p->title,
				  .cgroup = cgroup,
				  .own_pids = p->own_pids,
				  .stdio = { p->stdio[0], p->stdio[1], p->stdio[2] } };

	return spawn_start(&sp, &p->made.proxy, &p->made.sock, e);
}

static int send_preserved(const struct stand_in *p, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && p->preserved && i < p->preserved->n; i++) {
		struct proxy_stream m = { .kind = p->preserved->streams[i].kind,
					  .token = p->preserved->streams[i].token };

		if (m.token)
			rc = proxy_send(p->made.sock, PROXY_STREAM, &m, sizeof(m),
					&p->preserved->fds[i], 1, e);
	}
	return rc;
}

int stand_in_setup(struct stand_in *p, const struct container_host *h, struct proxy_setup *m,
		   const int *fds, size_t nfds, struct err *e)
{
	int all[PROXY_SETUP_MAX_FDS], rc;
	size_t n = 0;

	if (h->log >= 0) {
		m->flags |= PROXY_SETUP_LOG;
		all[n++] = h->log;
	}
	for (size_t i = 0; i < nfds; i++)
		all[n++] = fds[i];
	if (h->log_json)
		m->flags |= PROXY_SETUP_LOG_JSON;
	if (h->debug)
		m->flags |= PROXY_SETUP_DEBUG;
	if (p->own_tty)
		m->flags |= PROXY_SETUP_CTTY;
	rc = proxy_send(p->made.sock, PROXY_SETUP, m, sizeof(*m), all, n, e);
	return rc < 0 ? rc : send_preserved(p, e);
}

int stand_in_attach(struct stand_in *p, struct proxy_attach *m, const struct buf *request,
		    int machine, int ready, int follow, int net, struct err *e)
{
	_cleanup_close_ int mem = memfd_create("request", MFD_CLOEXEC);
	int fds[5] = { machine, mem };
	size_t n = 2;
	int rc;

	if (mem < 0)
		return err_errno(e, errno, "memfd_create");
	rc = io_write_full(mem, request->data, request->len);
	if (rc < 0)
		return err_errno(e, -rc, "memfd");
	m->request_len = (uint32_t)request->len;
	m->timeout_ms = READY_TIMEOUT_MS;
	m->token[0] = p->tokens.in;
	m->token[1] = p->tokens.out;
	m->token[2] = p->tokens.err;
	if (p->terminal)
		m->flags |= PROXY_ATTACH_TERMINAL;
	if (ready >= 0) {
		m->flags |= PROXY_ATTACH_READY;
		fds[n++] = ready;
	}
	if (follow >= 0) {
		m->flags |= PROXY_ATTACH_FOLLOW;
		fds[n++] = follow;
	}
	if (net >= 0) {
		m->flags |= PROXY_ATTACH_NET;
		fds[n++] = net;
	}
	return proxy_send(p->made.sock, PROXY_ATTACH, m, sizeof(*m), fds, n, e);
}

int stand_in_wait(struct stand_in *p, int timeout_ms, struct err *e)
{
	struct proxy_reply r;
	int rc = proxy_wait(p->made.sock, PROXY_ATTACH, &r, timeout_ms, e);

	if (rc == 0)
		timeline_proxy(&r);
	p->made.program = container_program_status(rc);
	return rc;
}

int container_write_pid(const char *path, pid_t pid, struct err *e)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", pid);
	int rc = io_write_file(AT_FDCWD, path, text, (size_t)n, 0666);

	return rc < 0 ? err_errno(e, -rc, "cannot write the pid file %s", path) : 0;
}

int stand_in_commit(struct stand_in *p, const char *pid_file, struct err *e)
{
	int rc = 0;

	if (p->console_sock >= 0)
		rc = console_give(p->console_sock, p->master, e);
	if (rc == 0 && pid_file)
		rc = container_write_pid(pid_file, p->made.proxy.pid, e);
	if (rc == 0)
		rc = proxy_call(p->made.sock, PROXY_COMMIT, NULL, CALL_TIMEOUT_MS, e);
	return rc;
}

void stand_in_done(struct stand_in *p, bool failed, struct err *e)
{
	close_and_reset(&p->stdio[0]);
	p->stdio[1] = p->stdio[2] = -1;
	close_and_reset(&p->master);
	close_and_reset(&p->console_sock);
	if (!failed)
		return;
	close_and_reset(&p->made.sock);
	console_restore(&p->made.saved);
	if (p->made.proxy.pid) {
		proc_kill(&p->made.proxy, CALL_TIMEOUT_MS);
		spawn_reap("husk-proxy", &p->made.proxy, 0, e && e->code == EPIPE ? e : NULL);
	}
}
