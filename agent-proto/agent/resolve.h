/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths inside a container's root, whose every byte an image chose. Nothing here ever leaves the root or
 * follows one of procfs's magic links; the descriptor that is returned, not the path, is used from there on.
 */
#ifndef AGENT_PROTO_AGENT_RESOLVE_H
#define AGENT_PROTO_AGENT_RESOLVE_H

#include "lib/err.h"

/* openat2(2) within @root; @path may be absolute. @nofollow: a symbolic link in any place is -ELOOP.
 * Returns a descriptor or -errno. */
int resolve_open(int root, const char *path, uint64_t flags, bool nofollow);

enum resolve_kind { RESOLVE_DIR, RESOLVE_FILE };

/* O_PATH of @path, made if it is not there: missing folders 0755, and the last component as @kind
 * says. Links that point to nothing are followed to where they point, as an image's /etc/resolv.conf asks
 * for. */
int resolve_make(int root, const char *path, enum resolve_kind kind, int *ret_fd, struct err *e);

/* O_PATH of the folder that holds @path, made if missing; *ret_name: the last component, inside
 * @path. -EINVAL for "/" or a path that ends in ".." or ".". */
int resolve_parent(int root, const char *path, int *ret_fd, const char **ret_name, struct err *e);

#endif
