/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What createContainer hooks mount below the container's root file system. They do it in the proxy's mount namespace, which
 * goes no further than the proxy; so what is new there when they have run becomes bind mounts of the container, on top of
 * all that config.json names.
 *
 * A fork of husk stands in that namespace while the hooks run: it knows what was mounted before, and hands over the new
 * ones as sources, detached like any share's. It hears no guest: there is none yet. It ends with husk.
 */
#ifndef RUNTIME_CONTAINER_HOOK_MOUNTS_H
#define RUNTIME_CONTAINER_HOOK_MOUNTS_H

#include <sys/types.h>

#include "runtime/container/source.h"

#define HOOK_MOUNTS_MAX 64

struct hook_mounts {
	pid_t pid; /* of the fork; 0: none */
	int sock;
	size_t n;
	struct hook_mount {
		char at[4096]; /* in the container */
		struct source src;
	} *v;
	struct oci_mount *rows; /* the specification's and these */
};

/* Shows the container's mount table at @rootfs, for the hooks, and notes what is in it. @pidfd: the proxy; @root: its root,
 * O_PATH: the host's in its namespace. Both stay the caller's. With one thread only: it forks. */
int hook_mounts_begin(struct hook_mounts *h, int pidfd, int root, const char *rootfs, struct err *e);
/* When the hooks have run: fills v. -EINVAL: one that a virtual machine cannot have; the text says which. */
int hook_mounts_end(struct hook_mounts *h, struct err *e);
/* Appends them to @s, which must not outlive @h. */
int hook_mounts_add(struct hook_mounts *h, struct oci_spec *s, struct err *e);
void hook_mounts_done(struct hook_mounts *h);

#endif
