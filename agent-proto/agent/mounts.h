/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount table of a container, made in its own mount namespace before it enters its root. Only descriptors
 * are mounted upon (resolve.h); every mount is made detached, given its flags, and put in place last, so
 * that it is never there without them.
 */
#ifndef AGENT_PROTO_AGENT_MOUNTS_H
#define AGENT_PROTO_AGENT_MOUNTS_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

struct mount_env {
	int root;               /* O_PATH of the container's root */
	const char *shares_dir; /* where the shares are, seen from here */
	int cgroup;             /* O_PATH of the container's cgroup, seen from here */
	bool own_cgroupns;
};

/* A copy of share @name (with what is mounted below it if @recursive), not mounted anywhere yet. Descriptor or
 * -errno. */
int mount_clone_share(const struct mount_env *env, const char *name, const char *subpath,
		      bool recursive, struct err *e);
/* A new file system of @type with comma-separated @data. Descriptor or -errno. */
int mount_new(const char *type, const char *source, const char *data, uint64_t attr, struct err *e);
/* Puts a detached mount onto what @target (O_PATH) is. */
int mount_put(int tree, int target);
/* A copy of what @fd is, as a mount of its own. Descriptor or -errno. */
int mount_clone(int fd, bool recursive);
/* MOUNT_ATTR_* on @tree. 0 or -errno. */
int mount_attrs(int tree, uint64_t set, uint64_t clear, bool recursive);
/* MS_SHARED, MS_SLAVE … with MS_REC. */
int mount_propagation(int tree, uint64_t flags);

int mounts_apply(const struct mount_env *env, Husk__Agent__V1__Mount *const *mounts, size_t n,
		 struct err *e);

#endif
