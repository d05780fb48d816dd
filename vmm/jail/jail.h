/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How husk-machine locks itself in. The stages, in this order; each says in its .c file what the
 * process should and must not be able to do after it:
 *
 *   jail_early()    nothing inherited but what was meant to be
 *   jail_root()     namespaces of its own, an empty root, no capability but the file server's
 *   (the machine is built)
 *   jail_thread()   every thread: system calls by role, made from the tables in policy_*.c
 *   (the first guest instruction)
 *
 * The namespaces come before the machine is built, because a process with threads cannot make a user
 * namespace, and because nothing of the building needs the host's: all it works on are descriptors.
 *
 * There is no pid namespace of its own making: after unshare(CLONE_NEWPID) a process can start no thread.
 * Whoever starts the machine may clone it into one. The filters forbid every call that names another
 * process.
 */
#ifndef VMM_JAIL_JAIL_H
#define VMM_JAIL_JAIL_H

#include "lib/err.h"

enum jail_role {
	JAIL_CONTROL, /* the native socket, events, shares */
	JAIL_IO,      /* vsock, console, rng, balloon, memory */
	JAIL_VCPU,
	JAIL_FS,      /* the file server and its workers */
	JAIL_DISK,    /* disks and their workers */
	JAIL_ROLES,
};

/* Keeps descriptors up to @last alone; 0 and 1 become /dev/null. */
int jail_early(int last, struct err *e);

struct jail_root {
	int proc_fd;    /* a private /proc/self/fd for the file server, -1: could not be had */
	bool user_ns;   /* in a user namespace of its own */
	bool all_ids;   /* with every id of the parent mapped to itself */
	bool empty;     /* the root directory is empty and read-only */
	bool net_ns, ipc_ns, uts_ns;
};
/* Single-threaded process only. What the host does not allow is left out and shows in @ret and in a
 * debug line; an error is a stage that broke half-way. */
int jail_root(struct jail_root *ret, struct err *e);

/* Binds the calling thread, and all it will start, to its role. A forbidden call kills the process. */
int jail_thread(enum jail_role role, struct err *e);

const char *jail_role_name(enum jail_role role);

#endif
