/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One machine as husk-vmm drives it: started, described, booted, listened to, started anew after a reset.
 */
#ifndef VMM_FRONT_VM_H
#define VMM_FRONT_VM_H

#include <sys/types.h>
#include "lib/evloop.h"
#include "vmm/control/native_client.h"
#include "vmm/front/events.h"
#include "vmm/front/files.h"
#include "vmm/front/terminal.h"
#include "vmm/front/vsock.h"

struct vm {
	struct evloop *loop;
	const struct options *opt;
	struct files *files;
	struct terminal *tty;     /* NULL: no port is the terminal */
	struct vsock_front *vsock; /* NULL: no vsock device */
	struct events *events;    /* NULL: nobody monitors */
	struct ncl *ctl;          /* NULL: no machine */
	struct evsrc src;
	pid_t pid;
	bool quitting;
	bool looks_again;         /* posted: there may be more events */
	int status;               /* exit status, valid when the loop has stopped */
	struct err err;           /* why status is not 0 */
};

/* Starts a machine and boots it. */
int vm_start(struct vm *vm, struct err *e);
/* Asks the machine to end; the loop stops when it has. */
void vm_quit(struct vm *vm);
/* Waits for the process, kills it if it must. */
void vm_stop(struct vm *vm);

#endif
