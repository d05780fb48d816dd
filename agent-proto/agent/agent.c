// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent-proto/agent/conn.h"
#include "agent-proto/agent/container.h"
#include "lib/cleanup.h"

int agent_accept_host(const struct agent *a, struct evsrc *listener)
{
	int fd = evloop_accept(listener, SOCK_NONBLOCK);

	if (fd >= 0 && a->cfg.is_host && !a->cfg.is_host(fd))
		close_and_reset(&fd);
	return fd;
}

static void on_control(struct evsrc *src, uint32_t events)
{
	struct agent *a = container_of(src, struct agent, control);
	int fd;

	(void)events;
	for (int i = 0; i < AGENT_ACCEPTS && (fd = agent_accept_host(a, src)) >= 0; i++)
		conn_accept(a, fd);
}

static void on_stream(struct evsrc *src, uint32_t events)
{
	struct agent *a = container_of(src, struct agent, stream);
	int fd;

	(void)events;
	for (int i = 0; i < AGENT_ACCEPTS && (fd = agent_accept_host(a, src)) >= 0; i++)
		stream_hub_accept(a->streams, fd);
}

static void reap(struct agent *a)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		/* Another's orphan belongs to nobody. */
		for (struct container *ct = a->containers; ct; ct = ct->next)
			if (container_reaped(ct, pid, status))
				break;
}

static void on_signal(struct evsrc *src, uint32_t events)
{
	struct agent *a = container_of(src, struct agent, signals);
	struct signalfd_siginfo si;

	(void)events;
	while (read(src->fd, &si, sizeof(si)) == sizeof(si))
		if (si.ssi_signo != SIGCHLD && a->on_term)
			a->on_term(a);
	/* One SIGCHLD may stand for many. */
	reap(a);
}

static int listen_to(struct agent *a, struct evsrc *src, int fd, ev_fn *fn, const char *name)
{
	*src = (struct evsrc){ .fd = fd, .fn = fn, .name = name };
	return evloop_add(a->loop, src, EPOLLIN);
}

static int take_signals(struct agent *a)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGPWR);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : listen_to(a, &a->signals, fd, on_signal, "signals");
}

static int open_files(struct agent *a, struct err *e)
{
	a->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (a->null < 0)
		return err_errno(e, errno, "/dev/null");
	a->own_pidns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (a->own_pidns < 0)
		return err_errno(e, errno, "/proc/self/ns/pid");
	return 0;
}

int agent_new(struct agent **ret, struct evloop *l, const struct agent_config *cfg, struct err *e)
{
	struct agent *a = calloc(1, sizeof(*a));
	struct timespec born;
	int rc;

	if (!a)
		return err_set(e, ENOMEM, "out of memory");
	clock_gettime(CLOCK_BOOTTIME, &born);
	a->born_ns = (uint64_t)born.tv_sec * 1000000000u + (uint64_t)born.tv_nsec;
	a->cfg = *cfg;
	a->cfg.control_fd = a->cfg.stream_fd = a->cfg.resolver_fd = a->cfg.forward_fd = a->cfg.udp_fd = -1;
	a->loop = l;
	a->null = a->own_pidns = -1;
	a->network.again.src.fd = -1;
	a->control.fd = a->stream.fd = a->signals.fd = -1;
	rc = open_files(a, e);
	if (rc == 0)
		rc = stream_hub_new(&a->streams, l, e);
	if (rc == 0 && (network_init(&a->network, a, l) < 0 || resolver_init(&a->resolver, l, cfg->resolver_fd) < 0 ||
			forwards_init(&a->forwards, l, cfg->forward_fd) < 0 ||
			udp_ports_init(&a->udp_ports, l, cfg->udp_fd) < 0))
		rc = err_errno(e, errno, "event loop");
	if (rc < 0)
		goto fail;
	rc = take_signals(a);
	if (rc == 0)
		rc = listen_to(a, &a->control, cfg->control_fd, on_control, "control listener");
	if (rc == 0)
		rc = listen_to(a, &a->stream, cfg->stream_fd, on_stream, "stream listener");
	if (rc < 0) {
		err_errno(e, -rc, "event loop");
		goto fail;
	}
	*ret = a;
	return 0;
fail:
	evloop_del(&a->control);
	evloop_del(&a->stream);
	evloop_del(&a->resolver.listen);
	evloop_del(&a->forwards.listen);
	evloop_del(&a->udp_ports.listen);
	a->control.fd = a->stream.fd = a->resolver.listen.fd = a->forwards.listen.fd = -1;
	a->udp_ports.listen.fd = -1;
	agent_free(a);
	return rc;
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	while (a->conns)
		conn_close(a->conns);
	while (a->containers)
		container_abandon(a->containers);
	network_done(&a->network);
	resolver_done(&a->resolver);
	forwards_done(&a->forwards);
	udp_ports_done(&a->udp_ports);
	stream_hub_free(a->streams);
	evloop_del(&a->control);
	evloop_del(&a->stream);
	evloop_del(&a->signals);
	close_and_reset(&a->control.fd);
	close_and_reset(&a->stream.fd);
	close_and_reset(&a->signals.fd);
	close_and_reset(&a->null);
	close_and_reset(&a->own_pidns);
	free(a);
}

int agent_need_sysfs(struct agent *a, struct err *e)
{
	int rc = 0;

	if (!a->sysfs_mounted && a->cfg.mount_sysfs)
		rc = a->cfg.mount_sysfs(e);
	a->sysfs_mounted = rc == 0;
	return rc;
}

int agent_need_sockets(struct agent *a, struct err *e)
{
	int rc = 0;

	if (!a->sockets_mounted && a->cfg.mount_sockets)
		rc = a->cfg.mount_sockets(e);
	a->sockets_mounted = rc == 0;
	return rc;
}

void agent_owner_gone(struct agent *a, const struct conn *owner)
{
	struct container *next;

	for (struct container *ct = a->containers; ct; ct = next) {
		next = ct->next;
		container_owner_gone(ct, owner);
	}
}
