// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/vm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/front/spawn.h"

#define CALL_MS   10000
#define CREATE_MS 60000 /* a big kernel from a slow disk */
#define TURN      8     /* events, before terminal and signals have theirs: a guest may cause them without end */

static void finish(struct vm *vm, int status)
{
	vm->status = status;
	evloop_stop(vm->loop);
}

/* --- events ------------------------------------------------------------------------------------------- */

static void restart(struct vm *vm)
{
	vm_stop(vm);
	events_send(vm->events, "vm", "rebooting");
	if (vm_start(vm, &vm->err) < 0)
		finish(vm, 1);
}

static void on_end(struct vm *vm, const struct nc_event *ev)
{
	if (vm->tty)
		terminal_drain(vm->tty);
	switch (ev->value) {
	case NC_END_RESET:
	case NC_END_TRIPLE_FAULT: /* an old way to reset a PC */
		if (vm->opt->restart && !vm->quitting) {
			restart(vm);
			return;
		}
		events_send(vm->events, "vm", "reset");
		break;
	case NC_END_PANIC:
		events_send(vm->events, "guest", "panic");
		break;
	default:
		events_send(vm->events, "vm", "shutdown");
		break;
	}
	if (ev->value == NC_END_POWEROFF || ev->value == NC_END_QUIT ||
	    ev->value == NC_END_RESET) {
		finish(vm, 0);
		return;
	}
	err_set(&vm->err, EIO, "%s: %s", nc_end_name(ev->value), ev->text);
	finish(vm, 1);
}

static void on_event(struct vm *vm, const struct nc_event *ev)
{
	switch (ev->kind) {
	case NC_EV_HOST_PORT:
		if (vm->vsock)
			vsock_front_host_port(vm->vsock, ev);
		break;
	case NC_EV_END:
		on_end(vm, ev);
		break;
	case NC_EV_STATE:
		if (ev->value == NC_STATE_RUNNING)
			events_send(vm->events, "vm", "booted");
		break;
	default:
		break;
	}
}

static void on_readable(struct evsrc *src, uint32_t events);

static void look_again(void *arg)
{
	struct vm *vm = arg;

	vm->looks_again = false;
	on_readable(&vm->src, 0);
}

static void on_readable(struct evsrc *src, uint32_t events)
{
	struct vm *vm = container_of(src, struct vm, src);
	struct nc_event ev;
	struct err e = ERR_INIT;
	unsigned n = 0;
	int rc = 0;

	(void)events;
	while (vm->ctl && n++ < TURN && (rc = ncl_event(vm->ctl, &ev, 0, &e)) == 1) {
		bool last = ev.kind == NC_EV_END;

		on_event(vm, &ev);
		if (last)
			return;
	}
	/* Those that came with replies are in the client, not on the socket. */
	if (rc == 1 && vm->ctl && !vm->looks_again)
		vm->looks_again = evloop_post(vm->loop, look_again, vm) == 0;
	if (rc >= 0)
		return;
	/* It went without a word. */
	err_set(&vm->err, -rc, "husk-machine died%s", vm->quitting ? " while it was stopped" : "");
	finish(vm, 1);
}

/* --- start and end ------------------------------------------------------------------------------------ */

static int add_shares(struct vm *vm, struct err *e)
{
	for (unsigned i = 0; i < vm->opt->nfs; i++) {
		char id[32];
		int rc = ncl_share_add(vm->ctl, files_fs_id(vm->opt, i, id, sizeof(id)),
				       vm->opt->fs[i].tag, vm->files->fs[i],
				       vm->opt->fs[i].readonly ? 1u : 0, 0, CALL_MS, e);

		if (rc < 0)
			return err_wrap(e, rc, "--fs tag=%s", vm->opt->fs[i].tag);
	}
	return 0;
}

static int create(struct vm *vm, struct err *e)
{
	_cleanup_free_ struct ncl_desc *d = malloc(sizeof(*d));
	_cleanup_close_ int in = -1, out = -1;
	int rc = 0;

	if (!d)
		return err_set(e, ENOMEM, "out of memory");
	if (vm->tty) {
		rc = terminal_connect(vm->tty, &in, e);
		if (rc == 0)
			out = dup(in);
	}
	if (rc == 0)
		rc = files_describe(vm->files, vm->opt, in, out, d, e);
	if (rc == 0)
		rc = ncl_create(vm->ctl, d, CREATE_MS, e);
	return rc;
}

static int attach_nets(struct vm *vm, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < vm->files->nnets; i++)
		rc = front_net_attach(&vm->files->net[i], vm->ctl, CALL_MS, e);
	return rc;
}

static int bring_up(struct vm *vm, struct err *e)
{
	int rc = ncl_hello(vm->ctl, NULL, CALL_MS, e);

	if (rc == 0)
		rc = ncl_command(vm->ctl, NC_SUBSCRIBE, CALL_MS, e);
	if (rc == 0)
		rc = create(vm, e);
	if (rc == 0)
		rc = add_shares(vm, e);
	if (rc == 0)
		rc = attach_nets(vm, e);
	if (rc == 0)
		rc = ncl_boot(vm->ctl, CALL_MS, e);
	return rc;
}

int vm_start(struct vm *vm, struct err *e)
{
	int sock, rc;

	rc = spawn_machine(&vm->pid, &sock, e);
	if (rc < 0)
		return rc;
	rc = ncl_new(&vm->ctl, sock, e);
	if (rc < 0) {
		close(sock);
		return rc;
	}
	events_send(vm->events, "vm", "booting");
	rc = bring_up(vm, e);
	vm->src = (struct evsrc){ .fd = ncl_fd(vm->ctl), .fn = on_readable, .name = "machine" };
	if (rc == 0 && evloop_add(vm->loop, &vm->src, EPOLLIN) < 0)
		rc = err_set(e, ENOMEM, "out of memory");
	if (rc < 0) {
		vm_stop(vm);
		return rc;
	}
	vsock_front_set(vm->vsock, vm->ctl);
	/* Events that came with replies are in the client already, not on the socket. */
	on_readable(&vm->src, 0);
	return 0;
}

void vm_quit(struct vm *vm)
{
	struct err e = ERR_INIT;

	if (vm->quitting || !vm->ctl) {
		finish(vm, 1); /* asked twice: at once */
		return;
	}
	vm->quitting = true;
	if (ncl_command(vm->ctl, NC_QUIT, CALL_MS, &e) < 0) {
		vm->err = e;
		finish(vm, 1);
		return;
	}
	on_readable(&vm->src, 0);
}

void vm_stop(struct vm *vm)
{
	vsock_front_set(vm->vsock, NULL);
	if (vm->ctl) {
		evloop_del(&vm->src);
		ncl_free(steal_ptr(&vm->ctl)); /* its lifeline: the machine goes if it has not yet */
	}
	if (vm->pid <= 0)
		return;
	for (unsigned ms = 0; waitpid(vm->pid, NULL, WNOHANG) == 0; ms++) {
		if (ms == 3000)
			kill(vm->pid, SIGKILL);
		usleep(1000);
	}
	vm->pid = 0;
}
