/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making containers, processes in them, and an end of both: what create, run, exec and delete share.
 *
 * container_create() leaves a container in state created, its proxy waiting, or nothing at all: a
 * failure removes whatever was made on the way, and if this process is killed in the middle
 * the proxy and the machine go with it (each holds the end of a connection to it) and the rest is
 * found by the next command.
 */
#ifndef RUNTIME_CONTAINER_CREATE_H
#define RUNTIME_CONTAINER_CREATE_H

#include "runtime/container/group.h"
#include "runtime/container/state.h"
#include "runtime/io/console.h"
#include "runtime/proxy/proxy.h"

struct container_host { /* where and how: from the global options */
	int root; /* folder of all containers */
	bool systemd_cgroup;
	enum group_rootless rootless;
	const char *config; /* the operator's configuration (runtime/host/config.h), NULL: the usual one */
	int log; /* for the machine and the proxies, -1: none */
	bool log_json, debug;
};

/* Descriptors 3 and on of the caller's that the process gets, too. */
struct preserved {
	size_t n;
	int fds[PROXY_MAX_EXTRA];
	struct oci_pack_extra streams[PROXY_MAX_EXTRA];
	char listen_fds[32]; /* "LISTEN_FDS=1" for the process, "" when there are none */
};
/* --preserve-fds @n, behind those of socket activation (LISTEN_FDS, for this process) if @listen. Pipes, connected stream
 * sockets and /dev/null; every other is refused by its number. Before anything else is opened without close-on-exec. */
int preserve_descriptors(struct preserved *p, int n, bool listen, struct err *e);

struct container_request {
	const struct container_host *host;
	const char *id;
	const char *bundle; /* "" or NULL: the current directory */
	const char *pid_file; /* NULL: none */
	const char *console_socket; /* NULL: none */
	bool detach;
	const struct preserved *preserved; /* NULL: none */
};

struct container_made {
	struct proc_id proxy;
	int sock; /* the proxy's descriptor 3, our end */
	struct console_saved saved; /* the caller's terminal, raw while the process has it */
	int program; /* written on failure, too: 127 when the guest has no such
				     * program, 126 when it may not be run, else 0 */
	bool start_hooks; /* there are startContainer or poststart hooks: `start` needs the state */
};
#define CONTAINER_MADE_INIT                                                                        \
	{                                                                                          \
		.proxy = { 0, 0 }, .sock = -1, .saved = { .fd = -1 }, .program = 0                 \
	}

int container_create(const struct container_request *r, struct container_made *ret, struct err *e);

struct exec_request {
	const struct container_host *host;
	const char *id;
	const struct oci_process *process;
	const char *pid_file, *console_socket;
	const struct preserved *preserved; /* NULL: none */
	const char *cgroup; /* below the container's in the guest, "" for that itself */
	bool detach;
	bool ignore_paused; /* waits for a paused container's resumption instead of refusing */
};
/* The process runs when this returns. */
int container_exec(const struct exec_request *r, struct container_made *ret, struct err *e);

/* Lets the created process go, and runs the poststart hooks of @s (NULL: it has none of these and no startContainer ones).
 * *ret_program: as in struct container_made. */
int container_start(int sock, const struct container_state *s, int *ret_program, struct err *e);
/* 127, 126 or 0 for the number that a proxy answered with. */
int container_program_status(int rc);
/* Sends the process (@all: every process) of the container behind @sock a signal, which is not 0. -ESRCH when it is not
 * running; a SIGKILL that the guest does not carry out ends the machine. */
int container_signal(int sock, const struct container_state *s, int signo, bool all, struct err *e);
/* What `pause` and `resume` do: runc's words when the container is in no state for it. */
int container_pause(const struct container_host *h, const char *id, struct err *e);
int container_resume(const struct container_host *h, const char *id, struct err *e);
/* *ret_sock: a stream socket on which the console of the container's machine speaks, from what it has kept on (@once: that alone,
 * then it closes), and, where *input, listens; *input becomes false where somebody else has that already. What
 * comes is the guest's. */
int container_console(const struct container_host *h, const char *id, bool once, bool *input, int *ret_sock, struct err *e);
/* A connection to a living container's proxy. */
int container_proxy(int dir, int *ret_sock, struct err *e);

/* Waits for the proxy, a child, forwarding signals to it; then the terminal is what it was. The exit
 * status; when the machine was lost, @e says why (and 0 is returned all the same). */
int container_attend(struct container_made *m, int *ret_status, struct err *e);
/* Lets go of it: the proxy goes on alone. */
void container_leave(struct container_made *m);
/* Blocks the signals that container_attend() forwards; before anything is started. */
void container_block_signals(void);

/* Ends every process of it, removes machine, group, folders. The caller holds the lock @dir; @s may
 * be empty (pid 0, "" or NULL strings) where nothing is known. */
int container_destroy(const struct container_host *h, int dir, const char *id,
		      const struct container_state *s, struct err *e);
/* What `delete` does. -ENOENT with runc's words. */
int container_delete(const struct container_host *h, const char *id, bool force, struct err *e);

/* Checks of runc that need the bundle only. */
int container_check_terminal(bool terminal, bool detach, const char *console_socket, struct err *e);
/* The pid, by rename. */
int container_write_pid(const char *path, pid_t pid, struct err *e);

#endif
