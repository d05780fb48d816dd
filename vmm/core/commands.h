/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process husk-machine as its clients see it: the native commands over one machine. Separate from
 * main() so that tests and fuzzers run it with another hypervisor and no jail.
 */
#ifndef VMM_CORE_COMMANDS_H
#define VMM_CORE_COMMANDS_H

#include "lib/evloop.h"
#include "vmm/hv/hv.h"

struct commands;

struct commands_setup {
	struct evloop *loop;
	int proc_fd;  /* see struct machine_setup; the commands' from now on */
	bool jail;
	int (*open_hv)(struct hv **ret, int kvm_fd, struct err *e); /* takes kvm_fd on success */
	uint64_t started_ns;
};

int commands_new(struct commands **ret, const struct commands_setup *s, struct err *e);
void commands_free(struct commands *c);
/* @sock: the first client, which may do everything and is a lifeline; the commands' on success. */
int commands_add_first(struct commands *c, int sock, struct err *e);
/* Asks the machine to end (a signal came); the loop stops when it has. */
void commands_quit(struct commands *c);
/* After the loop has stopped: the exit status of the process. */
int commands_status(const struct commands *c);

#endif
