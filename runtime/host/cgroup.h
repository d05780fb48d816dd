/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's control group on the host, cgroup version 2, by its file system. husk-machine and the
 * proxies are its members, so that what engines read there (memory.events, cpu.stat, the pids) is true.
 *
 * Limits are written with the machine's own need added: the guest enforces the exact ones
 * on the container, the host's bound the machine as a whole.
 */
#ifndef RUNTIME_HOST_CGROUP_H
#define RUNTIME_HOST_CGROUP_H

#include <sys/types.h>
#include "lib/err.h"
#include "runtime/oci/limits.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* The path below CGROUP_ROOT, beginning with '/', by runc's rules for its cgroupfs driver:
 *   absolute cgroupsPath: that path;  relative: below the parent of the caller's own group;
 *   "": @id below the parent of the caller's own group.
 * ".." never leaves the root. @own: the text of /proc/self/cgroup. */
int cgroup_path(const char *cgroups_path, const char *id, const char *own, char *out, size_t size,
		struct err *e);
/* The same, reading /proc/self/cgroup; *out = "" when the host has no version 2 hierarchy and the
 * spec asks for nothing that needs one (@limits: there are some). */
int cgroup_find(const struct oci_spec *spec, bool limits, const char *id, char *out, size_t size,
		struct err *e);
/* Whether CGROUP_ROOT is a version 2 hierarchy, alone. */
bool cgroup_is_v2(void);
/* The group in @text, that of /proc/PID/cgroup. -EINVAL: no version 2 one. */
int cgroup_of(const char *text, char *out, size_t size, struct err *e);

/* A group that is there and has members, itself or below it, is somebody else's: -EBUSY, in runc's words. */
int cgroup_check_empty(const char *path, struct err *e);
/* Makes the group and those above it that are missing, with the controllers that the host has.
 * *ret_fd: its directory. *ret_made: it was not there. */
int cgroup_make(const char *path, int *ret_fd, bool *ret_made, struct err *e);
/* Every value, in order; the first that the kernel refuses is named. */
int cgroup_write(int fd, const struct oci_limits *l, struct err *e);
/* What stood there before a cgroup_write(): the last first, as values bound each other and what was written in between could be.
 * One that is refused keeps none of the others; the first such is named. */
int cgroup_write_back(int fd, const struct oci_limits *l, struct err *e);
int cgroup_add(int fd, pid_t pid, struct err *e);
int cgroup_open(const char *path, int *ret_fd); /* 0, -ENOENT … */

/* Members, at most @max; the number that there are, or -errno. */
int cgroup_pids(int fd, pid_t *out, size_t max);
/* @ours: kills every member, then removes the group and those below it, trying until it is empty or @timeout_ms is over.
 * Else it was there before: husk's own processes in it are killed, and it is removed only when nothing is left in it.
 * A group that is not there is fine. */
int cgroup_remove(const char *path, bool ours, int timeout_ms, struct err *e);

#endif
