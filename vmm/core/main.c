// SPDX-License-Identifier: Apache-2.0
/*
 * husk-machine: one virtual machine, driven over descriptor 3 (vmm/control/native.h). It is given
 * descriptors, never paths, and locks itself in before it reads the first message. Not for people
 * to start: husk and husk-vmm do.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/evloop.h"
#include "lib/io.h"
#include "lib/log.h"
#include "vmm/core/commands.h"
#include "vmm/jail/jail.h"

#define CONTROL_FD 3

static struct commands *commands;

static void on_signal(struct evsrc *src, uint32_t events)
{
	struct signalfd_siginfo si;
	ssize_t rc = read(src->fd, &si, sizeof(si));

	(void)events;
	if (rc == (ssize_t)sizeof(si))
		commands_quit(commands);
}

static int watch_signals(struct evloop *loop, struct evsrc *src, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	*src = (struct evsrc){ .fn = on_signal, .name = "signals" };
	src->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (src->fd < 0)
		return err_errno(e, errno, "signalfd");
	if (evloop_add(loop, src, 1 /* EPOLLIN */) < 0)
		return err_set(e, ENOMEM, "signalfd");
	return 0;
}

static int run(uint64_t started, struct err *e)
{
	struct commands_setup s = { .jail = true, .open_hv = hv_kvm_open, .started_ns = started };
	static struct evsrc signals;
	struct jail_root root;
	int rc;

	rc = jail_early(CONTROL_FD, e);
	if (rc == 0)
		rc = jail_root(&root, e);
	if (rc < 0)
		return rc;
	s.proc_fd = root.proc_fd;
	rc = evloop_new(&s.loop, e);
	if (rc == 0)
		rc = watch_signals(s.loop, &signals, e);
	if (rc == 0)
		rc = commands_new(&commands, &s, e);
	if (rc == 0)
		rc = commands_add_first(commands, CONTROL_FD, e);
	if (rc < 0)
		return rc;
	rc = evloop_run(s.loop);
	return rc < 0 ? err_errno(e, -rc, "control loop") : 0;
}

int main(int argc, char **argv)
{
	uint64_t started = io_now_ns();
	struct err e = ERR_INIT;

	log_open(STDERR_FILENO, LOG_TEXT, LOG_WARN, "husk-machine");
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("husk-machine %s\n", HUSK_VERSION);
		return 0;
	}
	if (argc != 1) {
		log_err("takes no arguments: it is started by husk or husk-vmm");
		return 1;
	}
	/* One arena: the threads allocate little, and each arena is 64 MiB of address space. */
	mallopt(M_ARENA_MAX, 1);
	if (run(started, &e) < 0) {
		log_err("%s", e.msg);
		_exit(1);
	}
	/* Nothing is taken down piece by piece: the kernel does that at once, and sooner. */
	_exit(commands_status(commands));
}
