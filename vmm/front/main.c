// SPDX-License-Identifier: Apache-2.0
/* husk-vmm: one virtual machine from the command line. Opens what it names, starts a husk-machine, and
 * stays to relay the terminal and to report the end. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/log.h"
#include "vmm/front/options.h"
#include "vmm/front/vm.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2

static struct vm vm;

static void on_signal(struct evsrc *src, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	if (read(src->fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		vm_quit(&vm);
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
	if (src->fd < 0 || evloop_add(loop, src, EPOLLIN) < 0)
		return err_errno(e, errno, "signalfd");
	return 0;
}

static bool wants_tty(const struct options *o)
{
	return o->console.mode == PORT_TTY || o->serial.mode == PORT_TTY ||
	       o->debug.mode == PORT_TTY;
}

static int start(const struct options *o, struct files *files, struct err *e)
{
	static struct evsrc signals;
	int rc = evloop_new(&vm.loop, e);

	vm.opt = o;
	vm.files = files;
	if (rc == 0)
		rc = watch_signals(vm.loop, &signals, e);
	if (rc == 0)
		rc = events_open(&vm.events, o, e);
	if (rc == 0 && o->vsock_socket)
		rc = vsock_front_new(&vm.vsock, vm.loop, o->vsock_socket, e);
	if (rc == 0 && wants_tty(o))
		rc = terminal_new(&vm.tty, vm.loop, e);
	if (rc == 0)
		rc = vm_start(&vm, e);
	return rc;
}

static int run(const struct options *o)
{
	struct err e = ERR_INIT;
	struct files files;

	if (files_open(&files, o, &e) < 0) {
		log_err("%s", e.msg);
		return EXIT_FAILED;
	}
	if (files.log >= 0)
		log_open(files.log, LOG_TEXT, o->verbose ? LOG_DEBUG : LOG_WARN, "husk-vmm");
	log_also_stderr(true);
	if (start(o, &files, &e) < 0) {
		vm.status = EXIT_FAILED;
		vm.err = e;
	} else {
		evloop_run(vm.loop);
	}
	vm_stop(&vm);
	terminal_free(vm.tty); /* before the message, so that it starts at a line's begin */
	vsock_front_free(vm.vsock);
	events_close(vm.events);
	if (vm.status)
		log_err("%s", vm.err.msg);
	return vm.status;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct options o;
	int rc;

	umask(077);
	/* A caller may ignore it, which is inherited: husk-machine would not hear of its children. */
	signal(SIGCHLD, SIG_DFL);
	log_open(STDERR_FILENO, LOG_TEXT, LOG_WARN, "husk-vmm");
	if (options_parse(&o, argc, argv, &e) < 0) {
		log_err("%s", e.msg);
		fprintf(stderr, "Try husk-vmm --help.\n");
		return EXIT_USAGE;
	}
	if (o.help || o.version) {
		if (o.help)
			options_print_help();
		else
			printf("husk-vmm %s\n", HUSK_VERSION);
		rc = io_flush_stdout(&e);
		if (rc < 0)
			log_err("%s", e.msg);
		return rc < 0 ? EXIT_FAILED : 0;
	}
	if (o.verbose)
		log_open(STDERR_FILENO, LOG_TEXT, o.verbose > 1 ? LOG_TRACE : LOG_DEBUG,
			 "husk-vmm");
	rc = run(&o);
	options_free(&o);
	return rc;
}
