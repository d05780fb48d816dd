/* SPDX-License-Identifier: Apache-2.0 */
/* For create.c, exec.c, files.c, destroy.c and others. */
#ifndef RUNTIME_CONTAINER_CREATE_INTERNAL_H
#define RUNTIME_CONTAINER_CREATE_INTERNAL_H

#include "runtime/container/create.h"
#include "runtime/container/follow.h"
#include "runtime/container/hook_mounts.h"
#include "runtime/container/source.h"
#include "runtime/sandbox/sandbox.h"

#define SHARE_PREFIX      "s" /* of the container that made the machine; others draw one */
#define SHARE_NAME_MAX    (CONTAINER_SHARES_MAX + 4)
#define READY_TIMEOUT_MS  60000 /* for the guest to come up, on a processor of its own */
#define READY_CPU_MS	  20000 /* of processor time, where many start at a time */
#define ATTACH_TIMEOUT_MS (READY_TIMEOUT_MS * PROXY_STARVED_TIMES + 30000) /* and for its agent's own deadlines */
#define CALL_TIMEOUT_MS   15000

/* A proxy that is being started. */
struct stand_in {
	struct container_made made;
	struct oci_pack_streams tokens;
	const struct preserved *preserved; /* NULL: none */
	int stdio[3]; /* for it; -1: ours */
	int console_sock, master;
	bool terminal, own_tty;
	bool own_pids; /* it is to be in a pid namespace of its own */
	char title[512]; /* the process's arguments: what ps shows of the proxy, and with it docker top */
};
#define STAND_IN_INIT                                                                              \
	{                                                                                          \
		.made = CONTAINER_MADE_INIT, .stdio = { -1, -1, -1 }, .console_sock = -1,          \
		.master = -1                                                                       \
	}

/* Checks terminal against options, dials the console socket, makes the pty or takes the caller's
 * terminal; random tokens for the streams that there are. */
int stand_in_prepare(struct stand_in *p, const struct oci_process *process, bool detach,
		     const char *console_socket, struct err *e);
int stand_in_spawn(struct stand_in *p, int cgroup, struct err *e);
/* @m: flags and new_ns of the caller's; the log is added. @fds in the order of the flags, behind the
 * log. */
int stand_in_setup(struct stand_in *p, const struct container_host *h, struct proxy_setup *m,
		   const int *fds, size_t nfds, struct err *e);
/* @request: the packed message. @ready, @follow, @net: -1 without. Sends PROXY_ATTACH; the answer is awaited by
 * stand_in_wait(). */
int stand_in_attach(struct stand_in *p, struct proxy_attach *m, const struct buf *request,
		    int machine, int ready, int follow, int net, struct err *e);
int stand_in_wait(struct stand_in *p, int timeout_ms, struct err *e);
/* Gives the terminal's master away, tells the pid, commits. */
int stand_in_commit(struct stand_in *p, const char *pid_file, struct err *e);
/* @failed: ends the proxy. How one ended that had gone without a word is added to @e. */
void stand_in_done(struct stand_in *p, bool failed, struct err *e);

/* Asks for a SIGKILL by the ordinary way (nobody reads a stopped one's last output any more, says that), and waits for the
 * ordinary end: as long as it may take once the guest writes back, some seconds until then. It may live on afterwards. */
void container_end_in_order(int dir, const struct container_state *s, enum container_status status);

/* For one whose proxy hung up without an answer (-EPIPE): -ESRCH, in the words that callers know, when the container has ended;
 * else -EBUSY: the proxy takes no more clients. */
int container_hung_up(const struct proc_id *proxy, struct err *e);

/* The container's files, as shares of the machine and as mounts of the proxy. */
struct share_list {
	const char *prefix; /* of their names */
	size_t n; /* shares, the root file system first */
	char (*names)[SHARE_NAME_MAX];
	int *fds; /* dissolved */
	bool *readonly, *is_file, *nocache;
	uint32_t *common; /* source.h */
	/* [0]: the root file system, [i + 1]: spec->mounts[i]. */
	size_t n_sources;
	size_t n_sockets; /* of them */
	struct source *sources;
	struct oci_pack_source *packed;
	struct mountinfo mounts; /* of the host, when they were asked for */
};
/* @hooked: the last of the mounts, whose sources it gives away. @follow: started; is good as long as @l is. */
int share_list_open(struct share_list *l, const char *prefix, const struct oci_spec *spec, int bundle,
		    const char *rootfs, struct hook_mounts *hooked, struct follow *follow, struct err *e);
/* Sends the proxy its mount table; finds sources that cannot be used. */
int share_list_mounts(const struct oci_spec *spec, int bundle, const char *rootfs, int proxy,
		      struct err *e);
/* Gives the proxy the sockets that are among the sources, and says as whom the container may connect to them. */
int share_list_sockets(const struct share_list *l, const struct oci_spec *spec, int proxy, struct err *e);
void share_list_close(struct share_list *l);

#endif
