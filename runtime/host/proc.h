/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of the host, told apart from later ones with the same number by their start time.
 */
#ifndef RUNTIME_HOST_PROC_H
#define RUNTIME_HOST_PROC_H

#include <sys/types.h>
#include "lib/err.h"

struct proc_id {
	pid_t pid; /* 0: none */
	uint64_t start; /* clock ticks since boot, /proc/PID/stat field 22 */
};

struct proc_info {
	struct proc_id id;
	pid_t ppid;
	char state; /* R S D Z … */
	char comm[64];
};

/* -ESRCH: no such process; -EBADMSG: a stat line that is none. */
int proc_read(pid_t pid, struct proc_info *ret);
/* The line of /proc/PID/stat itself; the name in it may hold any byte. */
int proc_parse_stat(const char *line, size_t len, struct proc_info *ret);
/* 1: @id lives, and *ret (may be NULL) is filled; 0: it does not (a zombie does not); a negative errno: it cannot be told now. */
int proc_alive(const struct proc_id *id, struct proc_info *ret);
/* A pidfd of exactly that process; -ESRCH when it has gone. Close-on-exec. */
int proc_open(const struct proc_id *id);
int proc_signal(int pidfd, int signo);
/* 0 when the process has ended, -ETIMEDOUT. */
int proc_wait_end(int pidfd, int timeout_ms);
/* SIGKILL and wait. A process that is not there is fine. -ETIMEDOUT. */
int proc_kill(const struct proc_id *id, int timeout_ms);

/* This process is in a user namespace that is not the host's first. */
bool proc_in_userns(void);

#endif
