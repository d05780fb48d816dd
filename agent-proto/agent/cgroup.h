/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups (version 2) of the guest, one for each container. */
#ifndef AGENT_PROTO_AGENT_CGROUP_H
#define AGENT_PROTO_AGENT_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

struct cgroup {
	int fd;       /* of its folder, readable; -1: none */
	char *path;   /* below the root: "a/b" */
	char *dir;    /* the whole path */
};

#define CGROUP_NONE { .fd = -1, .path = NULL, .dir = NULL }

/* Makes @path below @root (and what is missing above it); a group that exists must hold no process, -EBUSY
 * else. @values: files and what is written to them; their controllers are switched on, and those that only count what
 * is used as well, where the kernel has them. */
int cgroup_make(struct cgroup *cg, const char *root, const char *path,
		Husk__Agent__V1__Container__CgroupValuesEntry *const *values, size_t n,
		struct err *e);
/* The group @path below it, "" and "/" for itself. -EINVAL in runc's words for a path that leads out of it. Descriptor
 * of its folder. */
int cgroup_open_below(const struct cgroup *cg, const char *path, struct err *e);
/* Whether it hands controllers down to groups in it: then it takes no process. */
bool cgroup_hands_down(const struct cgroup *cg);
/* The one below it in which process @pid is. */
int cgroup_open_of(const struct cgroup *cg, pid_t pid, struct err *e);
/* SIGKILL to all in it and below. */
int cgroup_kill(const struct cgroup *cg);
/* A signal to each process in it and below. */
int cgroup_signal(const struct cgroup *cg, int sig);
/* 1: a process is in it or below, 0: none, or -errno. */
int cgroup_populated(const struct cgroup *cg);
/* cgroup.events, for EPOLLPRI. Descriptor or -errno. */
int cgroup_events(const struct cgroup *cg);
/* Processes in it and below that the OOM killer has ended. */
uint64_t cgroup_oom_kills(const struct cgroup *cg);
/* Removes it with all below, and what is empty above it. -EBUSY: processes are left. */
int cgroup_remove(const struct cgroup *cg, const char *root);
void cgroup_done(struct cgroup *cg);

/* Calls @fn for each process in it and below, until it returns non-zero. */
int cgroup_each(const struct cgroup *cg, int (*fn)(pid_t pid, void *arg), void *arg);

#endif
