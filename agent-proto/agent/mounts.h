/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount table of a container, made in its own mount namespace before it enters its root. Only descriptors
 * are mounted upon (resolve.h); every mount is made detached, given its flags, and put in place last, so
 * that it is never there without them. What can only be said of mounts that are in place (those below others, and what
 * must wait until all mount points are made) follows before any program of the container runs.
 */
#ifndef AGENT_PROTO_AGENT_MOUNTS_H
#define AGENT_PROTO_AGENT_MOUNTS_H

#include "agent-proto/agent/follow.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

/* A mount of which something is left to do when all are in place. */
struct mount_late {
	int fd;
	bool readonly;
	const Husk__Agent__V1__Mount *m;
};

struct mount_env {
	int root;               /* O_PATH of the container's root */
	const char *root_dir;   /* where that is mounted, seen from here */
	const char *shares_dir; /* where the shares are, seen from here */
	const char *sockets;    /* likewise, those of the host: paths but for their numbers */
	int cgroup;             /* O_PATH of the container's cgroup, seen from here */
	bool own_cgroupns;
	const struct common *common; /* what containers have in common, or NULL (common.h) */
	const int *outside; /* struct mounts_outside; NULL: none */
	int sync; /* to the agent */
	struct mount_late *late;
	size_t n_late;
};

/* ---- one mount (mount.c) ---- */
/* A new file system of @type with comma-separated @data. Descriptor or -errno. */
int mount_new(const char *type, const char *source, const char *data, uint64_t attr, struct err *e);
/* The same with @flags (MS_*) of the file system itself (sync, dirsync …) and of the mount. */
int mount_new_fs(const char *type, const char *source, const char *data, uint64_t flags, struct err *e);
/* Puts a detached mount onto what @target (O_PATH) is. */
int mount_put(int tree, int target);
/* A copy of what @fd is, as a mount of its own. Descriptor or -errno. */
int mount_clone(int fd, bool recursive);
/* MOUNT_ATTR_* on @tree. 0 or -errno. */
int mount_attrs(int tree, uint64_t set, uint64_t clear, bool recursive);
/* The MOUNT_ATTR_* of MS_* flags; without the access time modes. */
uint64_t mount_attrs_of(uint64_t flags);
/* What a mount of the host's has or has not. */
#define MOUNT_ALL_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW)
/* MS_* to have and not to have on @tree; what neither names stays. 0 or -errno. */
int mount_flags(int tree, uint64_t flags, uint64_t clear);
/* MS_SHARED, MS_SLAVE … with MS_REC. */
int mount_propagation(int tree, uint64_t flags);

/* ---- sources (mount_source.c) ---- */
/* A copy of share @name (with what is mounted below it if @recursive), not mounted anywhere yet. Descriptor or
 * -errno. @below: mounts that the share has inside, to be mounted in the copy too. */
int mount_clone_share(const struct mount_env *env, const char *name, const char *subpath,
		      bool recursive, Husk__Agent__V1__Mount__Submount *const *below, size_t n_below,
		      struct err *e);
/* O_PATH of @path below @dir ("": itself), not through any link. With O_DIRECTORY in @flags a share's inner mount appears in
 * doing so. Descriptor or -errno. */
int mount_open_below(int dir, const char *path, uint64_t flags);
/* The same, onto no other mount: -EXDEV. */
int mount_open_on(int dir, const char *path);
/* Gives the mounts below @tree, which is in place, their own flags. */
int mount_flag_below(int tree, Husk__Agent__V1__Mount__Submount *const *below, size_t n_below, struct err *e);
/* Whatever @m says, detached. Descriptor or -errno. */
int mount_make(const struct mount_env *env, const Husk__Agent__V1__Mount *m, const char *data, struct err *e);
int mount_make_cgroup(const struct mount_env *env, const char *data, uint64_t flags, struct err *e);

/* ---- helpers of their own files ---- */
/* Copies all below the folder @from into the empty folder @to: owners, modes, times, attributes, links, nodes. */
int copyup(int from, int to, struct err *e);
/* Gives @tree, which was never in place, an id mapping: what belongs to container_id… is seen as host_id…'s. */
int idmap_apply(int tree, const Husk__Agent__V1__Mount *m, struct err *e);
/* For a container with a user namespace, whose root does not own the shares and so may not map their ids: in the agent, its
 * id-mapped bind mounts, detached. Descriptors are close-on-exec and go on to the child by its fork. */
struct mounts_outside {
	int *trees; /* of ct->mounts; -1: to be made inside */
	size_t n;
};
int mounts_outside_make(struct mounts_outside *m, const char *shares_dir, const Husk__Agent__V1__Container *ct,
			struct err *e);
void mounts_outside_close(struct mounts_outside *m);
/* runc's rules of what may be mounted over procfs. @path: the destination, or where it was found to be. */
int proc_guard(const Husk__Agent__V1__Mount *m, const char *path, struct err *e);
bool proc_allowed(const char *path);

/* ---- the table (mounts.c) ---- */
int mounts_apply(struct mount_env *env, Husk__Agent__V1__Mount *const *mounts, size_t n,
		 struct err *e);
/* When the root is entered: what had to wait. @propagation: the root's was set, all below it with it, so what
 * mounts asked for themselves is set again. */
int mounts_finish(struct mount_env *env, bool propagation, struct err *e);
void mounts_done(struct mount_env *env);

#endif
