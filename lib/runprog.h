/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one program to its end: a hook. It gets a text on its standard input, what it writes is
 * kept for an error's message (the last of it), and it may have a deadline.
 *
 * Between the caller and the program stands a guard, a fork of the caller's that does nothing but wait for either
 * to end: when the caller goes first, killed even, the guard kills the program's process group, so that
 * nothing is left behind. A program that leaves its group (a daemon) is on its own.
 *
 * The program has descriptors 0, 1 and 2 alone, default signal actions, no blocked signal, a session of its own.
 * Any program, but only with one thread: it forks.
 */
#ifndef LIB_RUNPROG_H
#define LIB_RUNPROG_H

#include "lib/err.h"

#define RUNPROG_MAX_FDS 4

struct runprog {
	const char *path; /* absolute; not searched for */
	char *const *argv, *const *envp; /* NULL-terminated; exactly what the program gets */
	const void *input;
	size_t input_len;
	unsigned timeout_s; /* 0: none */
	/* In the child, before the program: enter namespaces, change the folder. @fds: copies of the ones given.
	 * Returns 0 or a negative errno, which is told with @enter_what. NULL: nothing is done. */
	int (*enter)(const int *fds, const void *arg);
	const char *enter_what;
	const void *arg;
	int fds[RUNPROG_MAX_FDS];
	unsigned nfds;
};

/* 0 when it ran and ended with status 0. Else -ENOENT and the like when it could not be run, -ETIMEDOUT, -EINTR (SIGINT,
 * SIGTERM, SIGHUP or SIGQUIT came, where the caller blocks them), -EIO for every other end; the text says which, with the
 * last of what it wrote: "exit status 3, stdout: ..., stderr: ...". It is dead then. */
int runprog(const struct runprog *r, struct err *e);

#endif
