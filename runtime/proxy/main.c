// SPDX-License-Identifier: Apache-2.0
/* husk-proxy: stands on the host for one process of a guest. See proxy.h for what it is told, setup.h
 * for how it gives its privileges up, session.h for what it does then. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/proxy/session.h"
#include "runtime/proxy/setup.h"

#define CONTROL_FD 3
#define MAX_FILES  16384

struct proxy {
	struct session session; /* first: large, zeroed */
	struct setup_fds fds;
	struct setup_mounts mounts;
	int ready, machine;
	int proc; /* the host's, until the container's mounts are entered */
	int follow[FOLLOW_MAX_BINDS]; /* sources to follow, until the follower has them */
	uint32_t n_follow, follow_readonly;
	int follower; /* pidfd of it */
	void *request;
	bool is_setup;
	bool unit; /* its group is one of systemd's */
};

static int receive_setup(struct proxy *p, const struct proxy_setup *m, const int *fds, size_t nfds,
			 struct err *e)
{
	const struct {
		uint32_t flag;
		int *to;
	} in_order[] = {
		{ PROXY_SETUP_LOG, &p->fds.log },
		{ PROXY_SETUP_LISTEN, &p->fds.listen },
		{ PROXY_SETUP_PEER, &p->fds.peer },
		{ PROXY_SETUP_MEMORY, &p->fds.memory },
		{ PROXY_SETUP_NETNS, &p->fds.netns },
		{ PROXY_SETUP_IPCNS, &p->fds.ipcns },
		{ PROXY_SETUP_UTSNS, &p->fds.utsns },
	};
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(in_order); i++)
		if (m->flags & in_order[i].flag) {
			if (n == nfds)
				return err_set(e, EBADMSG, "setup: descriptors are missing");
			*in_order[i].to = fds[n++];
		}
	if (n != nfds || p->is_setup)
		return err_set(e, EBADMSG, "setup: unexpected");
	p->is_setup = true;
	p->unit = m->flags & PROXY_SETUP_UNIT;
	/* The C library looks for the time zone at the first time stamp, and once only. */
	if (p->fds.log >= 0) {
		tzset();
		log_open(p->fds.log, m->flags & PROXY_SETUP_LOG_JSON ? LOG_JSON : LOG_TEXT,
			 m->flags & PROXY_SETUP_DEBUG ? LOG_DEBUG : LOG_WARN, "husk-proxy");
	}
	setsid();
	if (m->flags & PROXY_SETUP_CTTY && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		return err_errno(e, errno, "cannot make the terminal the controlling one");
	/* While the host's /proc is there, and before any privilege is gone. */
	for (int i = 0; i < 3; i++)
		p->session.stdio[i] = relay_prepare(i, i != 0);
	p->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = setup_namespaces(m, &p->fds, e);
	close_and_reset(&p->fds.netns);
	close_and_reset(&p->fds.ipcns);
	close_and_reset(&p->fds.utsns);
	return rc;
}

static int receive_mount(struct proxy *p, const struct proxy_mount *m, const int *fds, size_t nfds,
			 struct err *e)
{
	bool root = p->mounts.root < 0;
	int rc;

	if (nfds != 1 || strnlen(m->dst, sizeof(m->dst)) == sizeof(m->dst))
		return err_set(e, EBADMSG, "mount: malformed");
	rc = setup_mount(&p->mounts, m, fds[0], e);
	close(fds[0]);
	/* The host's copy of the table serves people who look; the guest's is the one that counts. */
	if (rc < 0 && !root) {
		log_debug("%s", e->msg);
		rc = 0;
	}
	return rc;
}

static int receive_stream(struct proxy *p, const struct proxy_stream *m, const int *fds,
			  size_t nfds, struct err *e)
{
	if (nfds != 1)
		return err_set(e, EBADMSG, "stream: malformed");
	return extra_add(&p->session, m, fds[0], e);
}

static int receive_follow(struct proxy *p, const struct proxy_follow *m, const int *fds, size_t nfds, struct err *e)
{
	int rc = 0;

	if (nfds != 1 || (m->hdr.cmd == PROXY_FOLLOW && p->n_follow == FOLLOW_MAX_BINDS))
		return err_set(e, EBADMSG, "follow: malformed");
	if (m->hdr.cmd == PROXY_FOLLOW) {
		p->follow_readonly |= m->readonly ? 1u << p->n_follow : 0;
		p->follow[p->n_follow++] = fds[0];
		return 0;
	}
	rc = follower_start(p->proc, p->follow, p->n_follow, p->follow_readonly, fds[0], &p->follower, e);
	close(fds[0]);
	while (p->n_follow)
		close(p->follow[--p->n_follow]);
	return rc;
}

static int receive_attach(struct proxy *p, const struct proxy_attach *m, const int *fds,
			  size_t nfds, struct err *e)
{
	struct proxy_attach *at = &p->session.at;

	size_t n = 2u + !!(m->flags & PROXY_ATTACH_READY) + !!(m->flags & PROXY_ATTACH_NET) + !!(m->flags & PROXY_ATTACH_FOLLOW);

	if (nfds != n || m->nshares > PROXY_MAX_SHARES || m->nfollowed > FOLLOW_MAX_MOUNTS || m->request_len > AGENT_MAX_FRAME)
		return err_set(e, EBADMSG, "attach: malformed");
	*at = *m;
	at->container_id[sizeof(at->container_id) - 1] = 0;
	at->exec_id[sizeof(at->exec_id) - 1] = 0;
	at->fs_device[sizeof(at->fs_device) - 1] = 0;
	at->share_prefix[sizeof(at->share_prefix) - 1] = 0;
	p->machine = fds[0];
	p->ready = m->flags & PROXY_ATTACH_READY ? fds[2] : -1;
	if (m->flags & PROXY_ATTACH_NET)
		network_take(&p->session, fds[--nfds]);
	if (m->flags & PROXY_ATTACH_FOLLOW && follow_take(&p->session, fds[--nfds], p->follower, m->nfollowed, e) < 0)
		return -ENOMEM;
	p->request = malloc(at->request_len ? at->request_len : 1);
	if (!p->request)
		return err_set(e, ENOMEM, "out of memory");
	if (io_pread_full(fds[1], p->request, at->request_len, 0) < 0)
		return err_set(e, EBADMSG, "attach: request is short");
	close(fds[1]);
	return 0;
}

static int answer(enum proxy_cmd cmd, int rc, const char *text)
{
	struct proxy_reply r = {
		.hdr = { .version = PROXY_VERSION, .cmd = cmd, .rc = rc, .size = sizeof(r) }
	};

	snprintf(r.text, sizeof(r.text), "%s", text);
	return io_send_fds(CONTROL_FD, &r, sizeof(r), NULL, 0);
}

/* One packet. 1: it was PROXY_ATTACH. */
static int receive(struct proxy *p, struct err *e)
{
	static union {
		struct proxy_hdr hdr;
		struct proxy_setup setup;
		struct proxy_mount mount;
		struct proxy_stream stream;
		struct proxy_follow follow;
		struct proxy_ids ids;
		struct proxy_attach attach;
	} m;
	int fds[PROXY_SETUP_MAX_FDS];
	size_t nfds = PROXY_SETUP_MAX_FDS;
	ssize_t n = io_recv_fds(CONTROL_FD, &m, sizeof(m), fds, &nfds, 0);
	int rc;

	if (n <= 0)
		return err_set(e, ECANCELED, "husk has gone");
	if (n < (ssize_t)sizeof(m.hdr) || m.hdr.size != (size_t)n || m.hdr.version != PROXY_VERSION)
		return err_set(e, EBADMSG, "malformed packet");
	if (m.hdr.cmd == PROXY_SETUP && (size_t)n == sizeof(m.setup))
		return receive_setup(p, &m.setup, fds, nfds, e);
	if (m.hdr.cmd == PROXY_MOUNT && (size_t)n == sizeof(m.mount) && p->is_setup)
		return receive_mount(p, &m.mount, fds, nfds, e);
	if (m.hdr.cmd == PROXY_SYNC && (size_t)n == sizeof(struct proxy_simple) && p->is_setup && !nfds) {
		rc = answer(PROXY_SYNC, 0, "");
		return rc < 0 ? err_errno(e, -rc, "sync") : 0;
	}
	if (m.hdr.cmd == PROXY_STREAM && (size_t)n == sizeof(m.stream) && p->is_setup)
		return receive_stream(p, &m.stream, fds, nfds, e);
	if (m.hdr.cmd == PROXY_SOCKET && (size_t)n == sizeof(struct proxy_simple) && p->is_setup && nfds == 1)
		return sockets_add(&p->session, fds[0], e);
	if (m.hdr.cmd == PROXY_IDS && (size_t)n == sizeof(m.ids) && p->is_setup && !nfds)
		return sockets_add_ids(&p->session, &m.ids, e);
	if ((m.hdr.cmd == PROXY_FOLLOW || m.hdr.cmd == PROXY_FOLLOW_BEGIN) && (size_t)n == sizeof(m.follow) && p->is_setup)
		return receive_follow(p, &m.follow, fds, nfds, e);
	if (m.hdr.cmd != PROXY_ATTACH || (size_t)n != sizeof(m.attach) || !p->is_setup)
		return err_set(e, EBADMSG, "unexpected command %u", m.hdr.cmd);
	rc = receive_attach(p, &m.attach, fds, nfds, e);
	return rc < 0 ? rc : 1;
}

static void signals_event(struct evsrc *src, uint32_t events)
{
	struct session *s = container_of(src, struct session, signals);
	struct signalfd_siginfo si;

	(void)events;
	if (read(src->fd, &si, sizeof(si)) == sizeof(si))
		session_forward_signal(s, (int)si.ssi_signo);
}

static int prepare_loop(struct session *s, int listen, struct err *e)
{
	sigset_t all;
	int rc = evloop_new(&s->loop, e);

	if (rc < 0)
		return rc;
	sigfillset(&all);
	s->signals = (struct evsrc){ .fn = signals_event, .name = "signals" };
	s->signals.fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals.fd < 0 || evloop_add(s->loop, &s->signals, EPOLLIN) < 0)
		return err_errno(e, errno, "signalfd");
	if (serve_add(s, CONTROL_FD, &s->first) < 0 || (listen >= 0 && serve_listen(s, listen) < 0))
		return err_set(e, EIO, "epoll");
	return 0;
}

static int set_up(struct proxy *p, struct err *e)
{
	int rc;

	do
		rc = receive(p, e);
	while (rc == 0);
	if (rc < 0)
		return rc;
	rc = sockets_prepare(&p->session, p->proc, e);
	close_and_reset(&p->proc);
	if (rc == 0)
		rc = setup_enter(&p->mounts, e);
	if (rc == 0)
		rc = prepare_loop(&p->session, p->fds.listen, e);
	if (rc < 0)
		return rc;
	if (p->fds.peer >= 0)
		close(p->fds.peer);
	rc = ncl_new(&p->session.machine, p->machine, e);
	return rc < 0 ? rc : drop_privileges(p->unit && p->fds.memory >= 0, e);
}

/* Each connection of the container's takes up to four, and callers often have 1024. */
static void want_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= MAX_FILES)
		return;
	r.rlim_cur = min_t(rlim_t, r.rlim_max, MAX_FILES);
	setrlimit(RLIMIT_NOFILE, &r);
}

int main(void)
{
	static struct proxy p = {
		.fds = { -1, -1, -1, -1, -1, -1, -1 },
		.mounts = { .root = -1 },
		.ready = -1,
		.machine = -1,
		.follower = -1,
		.proc = -1,
	};
	struct session *s = &p.session;
	struct err e = ERR_INIT;
	sigset_t all;
	int rc;

	s->stamp[PROXY_T_BEGIN] = io_now_ns();
	s->exit_code = EXIT_LOST;
	s->sockets.src.fd = -1;
	log_open(-1, LOG_TEXT, LOG_ERR, "husk-proxy");
	if (syscall(SYS_close_range, CONTROL_FD + 1, ~0u, 0) < 0)
		return EXIT_LOST;
	want_files();
	/* From the first moment on: what arrives during set-up is forwarded after it. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	io_set_cloexec(CONTROL_FD, true);
	rc = set_up(&p, &e);
	if (rc < 0) {
		answer(PROXY_ATTACH, rc, e.msg);
		return EXIT_LOST;
	}
	s->stamp[PROXY_T_SETUP] = io_now_ns();
	session_attach(s, p.request, p.ready);
	free(p.request);
	if (p.ready >= 0)
		close(p.ready);
	if (!s->torn_down)
		evloop_run(s->loop);
	session_tell_oom(s, p.fds.memory, p.unit);
	return s->exit_code;
}
