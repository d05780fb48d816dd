/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs between the fork and the exec of a container's process. It reports over a SEQPACKET
 * socket pair, and its end closes at the exec: end of file without SYNC_FAILED means that the program
 * runs.
 *
 *	child -> agent   SYNC_TTY (+ descriptor of the master), SYNC_FOLLOW, SYNC_READY, SYNC_FAILED
 *	agent -> child   one byte: go (containers only; an exec goes on by itself). Before that, with a user
 *	                 namespace to make, one byte: the maps are there
 */
#ifndef AGENT_PROTO_AGENT_CHILD_H
#define AGENT_PROTO_AGENT_CHILD_H

#include <sys/types.h>

#include "agent-proto/agent/follow.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"
#include "lib/err.h"

enum sync_kind { SYNC_TTY = 1, SYNC_READY = 2, SYNC_FAILED = 3, SYNC_FOLLOW = 4 };

struct sync_msg {
	uint32_t kind;
	/* SYNC_FAILED: -ENOENT and -EACCES are about the executable and nothing else. */
	int32_t rc;
	char text[500];
	/* SYNC_FOLLOW: a mount that follows the host's (follow.h), or one below it */
	uint32_t is_bind, number;
	struct mount_mark mark;
	uint64_t attrs; /* MOUNT_ATTR_* for all below a bind mount */
};

#define CHILD_MAX_JOIN 3 /* pid, ipc, uts */

/* Above every descriptor that a process begins with. */
#define CHILD_HIGH_FD (3 + AGENT_MAX_EXTRA + 1)

struct child_job {
	const Husk__Agent__V1__Container *ct; /* NULL for an exec */
	const Husk__Agent__V1__Process *proc;
	const Husk__Agent__V1__Container *kept; /* what holds for every process of the container (inherit.h) */
	const int *nodes; /* of ct->devices: trees with a node each, made outside; -1: make it inside */
	const int *mounts; /* of ct->mounts, likewise: id-mapped ones (mounts.h); NULL: none */
	int ns_flags;   /* CLONE_NEW*: made (container) or to be joined (exec) */
	/* A new container's: another's namespaces, by the pidfd of its process. */
	struct child_join {
		int flag, target;
	} join[CHILD_MAX_JOIN];
	unsigned njoin;
	int target;     /* exec: pidfd of the container's process, */
	pid_t target_pid; /* its pid */
	int sync;       /* the child's end */
	int cgroup;     /* to be entered once nothing of the agent's is held; -1: it was born in there */
	int stdio[3];   /* -1: /dev/null; not used with a terminal */
	const int *extra; /* to be its descriptors 3 and on; they and sync are from CHILD_HIGH_FD on; -1: /dev/null */
	unsigned nextra;
	int null;
	const char *shares_dir, *rootfs_dir, *cgroup_dir;
	int image; /* the root, when it is on a disk: detached; -1: it is a share */
	const struct common *common; /* what it may use of what containers have in common */
	const char *sockets; /* of the host: their paths but for the numbers */
};

/* The process's exit status when it never came to its program. */
int child_failure_status(int rc);

_Noreturn void child_run(const struct child_job *job);

#endif
