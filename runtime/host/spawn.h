/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the installation's other programs: one fork and exec each, nothing inherited but what is listed.
 * And where the installation's files lie.
 */
#ifndef RUNTIME_HOST_SPAWN_H
#define RUNTIME_HOST_SPAWN_H

#include <sys/types.h>
#include "lib/err.h"
#include "runtime/host/proc.h"

/* Every descriptor of the caller must be close-on-exec but 0, 1, 2. */
struct spawn {
	const char *program; /* "husk-proxy" */
	const char *path; /* NULL: the installation's */
	const char *title; /* its only argument, for people who look at processes; NULL: none */
	int stdio[3]; /* become 0, 1, 2; -1: the caller's own */
	int cgroup; /* directory of a version 2 cgroup to be born in, -1: the caller's */
	bool own_pids; /* in a new pid namespace */
	bool detached; /* /dev/null instead of @stdio, and a session of its own: a terminal's signals are not for it */
};

/* Starts it with one end of a SEQPACKET socket pair as descriptor 3; *ret_sock is the other, close-on-exec.
 * *ret_id is written once the child runs the program. The child has default signal actions and no blocked signal. */
int spawn_start(const struct spawn *s, struct proc_id *ret_id, int *ret_sock, struct err *e);
/* Waits for the child @id (@options: as waitpid's) and adds how it ended to @e, in which there is a failure already (NULL: it is
 * waited for, no more). @id->pid is 0 then. Nothing for one that lives or was waited for. */
void spawn_reap(const char *program, struct proc_id *id, int options, struct err *e);

/* "husk-proxy" to the path of that program: PREFIX/libexec/husk beside the running program's
 * PREFIX/bin, else its own folder (the build tree). -ENOENT names the places looked at. */
int spawn_find_program(const char *name, char *out, size_t size, struct err *e);
/* "vmlinux" to PREFIX/share/husk/vmlinux. The environment variable @env, when set, wins. */
int spawn_find_data(const char *name, const char *env, char *out, size_t size, struct err *e);

#endif
