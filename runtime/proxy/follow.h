/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that the host makes, and takes away, below the sources of bind mounts that are to follow it (rslave). A process
 * beside the proxy, the follower, holds slave copies of the sources in a mount namespace of its own, waits for their mounts
 * to change and hands each new one over as a share: detached, locked down, dissolved (lib/mounttree.h). It keeps the right to
 * make such copies, which the proxy gives up, and so reads nothing that a guest wrote: it hears the kernel's list
 * of mounts, and one answer of fixed size to each event. It ends when the proxy does.
 *
 * Its connection is a SOCK_SEQPACKET pair whose other end husk has first: that is told what is mounted there already, and then
 * FOLLOW_END; none of these is answered. husk hands the end on to the proxy, which from then on is told what changes, each
 * after the last one's answer.
 */
#ifndef RUNTIME_PROXY_FOLLOW_H
#define RUNTIME_PROXY_FOLLOW_H

#include <stddef.h>
#include <stdint.h>

#include "agent-proto/proto/limits.h"
#include "lib/err.h"

#define FOLLOW_MAX_BINDS  AGENT_MAX_FOLLOWING /* of one container */
#define FOLLOW_MAX_MOUNTS AGENT_MAX_FOLLOWED  /* below all of them, at a time */

/* Shares of such mounts are called so, behind the prefix of the container's: the mark, then the slot. */
#define FOLLOW_SHARE_MARK "m"

enum follow_kind {
	FOLLOW_HERE = 1, /* + the share: a mount has come */
	FOLLOW_GONE = 2, /* one that was told of is no more */
	FOLLOW_END = 3,  /* what was there at the beginning has been told */
	FOLLOW_FULL = 4, /* there are more than can be told; at the beginning: none of them is. Not answered */
};

struct follow_event {
	uint32_t kind;    /* enum follow_kind */
	uint32_t bind;    /* number in the list given to follower_start() */
	uint32_t slot;    /* below FOLLOW_MAX_MOUNTS: its name until it has gone; at the beginning 0, 1, 2 … */
	uint32_t parent;  /* 0: it is on the bind's own mount, else slot + 1 of the one that it is on */
	uint32_t is_file;
	uint32_t through; /* path leads through mounts that were not told of */
	uint64_t flags;   /* MS_* that the mount has on the host */
	char path[4096];  /* where in its parent, relative; "": on all of it */
};

struct follow_answer {
	uint32_t slot;
	int32_t rc; /* 0 or -errno: it is not to be seen in the container */
};

/* @proc: the host's /proc; @trees: detached slave copies of the sources; @readonly: bit i: all that comes below trees[i] is
 * read-only; @sock: its end of the connection. All stay the caller's. *ret_pidfd: readable when it has ended. While the caller
 * has its privileges; CAP_SYS_ADMIN is needed. */
int follower_start(int proc, const int *trees, size_t n, uint32_t readonly, int sock, int *ret_pidfd, struct err *e);

#endif
