/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy's stages before it may hear from a guest.
 *
 * setup_namespaces()  Should: make or join the host's side of the container's namespaces.
 *                     Mustn't: touch anything of the container's files.
 * setup_mount()       Should: put one mount of the container's table in place, below the new root only.
 * setup_enter()       Should: make that root the process's own, and let go of the host's.
 * drop_privileges()   Should: leave nothing but the descriptors, one user without capabilities, and the system calls
 *                     of drop.c. Mustn't: come back.
 */
#ifndef RUNTIME_PROXY_SETUP_H
#define RUNTIME_PROXY_SETUP_H

#include "lib/err.h"
#include "runtime/proxy/proxy.h"

/* @fds: as received, -1 what the flags did not announce. */
struct setup_fds {
	int log, listen, peer, memory, netns, ipcns, utsns;
};

struct setup_mounts {
	int root; /* of the container's mount table, -1 before the first mount */
};

int setup_namespaces(const struct proxy_setup *s, const struct setup_fds *fds, struct err *e);
/* @tree: detached; stays the caller's. */
int setup_mount(struct setup_mounts *m, const struct proxy_mount *msg, int tree, struct err *e);
/* Without any mount: nothing is done, the process stays where it is. */
int setup_enter(struct setup_mounts *m, struct err *e);
/* @copies: may make copies of itself, for session_tell_oom(). */
int drop_privileges(bool copies, struct err *e);

#endif
