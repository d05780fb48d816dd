/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's control group, by one of two drivers: the file system (runtime/host/cgroup.h), or systemd
 * (runtime/systemd/client.h), for which it is a transient scope.
 *
 *	plan    where it will lie; all that can be wrong with it; nothing exists
 *	make    it exists, with its limits
 *	release its members keep it from here on
 *	remove  from what the state file says
 */
#ifndef RUNTIME_CONTAINER_GROUP_H
#define RUNTIME_CONTAINER_GROUP_H

#include <limits.h>

#include "runtime/container/state.h"
#include "runtime/host/cgroup.h"
#include "runtime/systemd/client.h"

struct container_group {
	char path[PATH_MAX]; /* below CGROUP_ROOT, "": none. A scope's is known when it was made */
	struct systemd_unit unit; /* name "": by the file system */
	char bus[SYSTEMD_BUS_MAX];
	struct systemd_hold hold;
	struct oci_limits limits;
	int fd; /* its directory, once made; -1 */
	bool reached; /* by group_make(): what is undone before leaves alone what has the name */
	bool ours; /* it was not there before: all that is in it ends with the container */
};

/* Whether a group that may not be made, by the file system, is done without. */
enum group_rootless { GROUP_ROOTLESS_AUTO /* for whom is not the host's root */, GROUP_ROOTLESS_TRUE, GROUP_ROOTLESS_FALSE };

void group_init(struct container_group *g);
int group_plan(struct container_group *g, const struct oci_spec *spec, const char *id, bool systemd,
	       uint64_t machine_memory, struct err *e);
/* -EBUSY, in runc's words, for one that has members. */
int group_check_free(const struct container_group *g, struct err *e);
/* Where it is done without one, g->path is "" and g->fd -1.
 * A unit that systemd did not make (-EEXIST: it has one of that name, which is somebody else's) is forgotten, with its name
 * in g->unit. */
int group_make(struct container_group *g, const struct oci_spec *spec, const char *id, enum group_rootless rootless,
	       struct err *e);
void group_release(struct container_group *g);
void group_done(struct container_group *g);

/* Its memory.max, for writing; -1: there is none. */
int group_open_memory(const struct container_group *g);

/* A group that a process can be started in. -1: it must be moved afterwards, by group_enter(): a user's own
 * manager may own neither the group that we are in nor one above both. */
int group_born_in(const struct container_state *s, int fd);
int group_enter(const struct container_state *s, int fd, pid_t pid, struct err *e);
/* New limits for a living container's group: what of them systemd has properties for, then all in the group itself. */
int group_set(const struct container_state *s, const struct oci_limits *limits, struct err *e);
/* The limits from before a group_set() that failed, or whose other half did: as many of them as can be had. The first failure. */
int group_set_back(const struct container_state *s, const struct oci_limits *limits, struct err *e);
/* What bounds one container and its machine bounds a machine that has and can have @memory bytes with several in it, one of
 * which may have @now bytes where it might have @before (0: it comes to the others; UINT64_MAX: as many as it likes, for which
 * the bound is nothing less than all of it, and stays so). No less than it holds at this moment. */
int group_share(const struct container_state *s, uint64_t memory, uint64_t before, uint64_t now, struct err *e);
/* Its memory.max, in bytes; UINT64_MAX: it has none. */
uint64_t group_memory(const struct container_state *s);
/* Whether another container below @root than @id is in the group of @s or below it, and is being created, lives, or has the
 * machine of others there: 1, 0. An error: it cannot be told now. */
int group_is_used(int root, const struct container_state *s, const char *id, struct err *e);
/* Ends every process in it, where the group is the container's alone, else what is husk's; then removes it. */
int group_remove(const struct container_state *s, const char *id, int timeout_ms, struct err *e);

#endif
