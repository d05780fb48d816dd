/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached, locked-down mounts to share with a virtual machine.
 *
 * mounttree_open() clones the mount (or the tree of mounts) under a path, sets nodev, nosuid, noexec (and read-only) on
 * all of it, opens its root with O_PATH and lets the tree go: it is *dissolved*. What is left can be
 * walked by its holder, but never be mounted, changed or escaped from ("..": stays), not even with
 * a user and mount namespace of the holder's own. Nobody sees it in any mount table, and it goes away
 * with its last descriptor.
 *
 * Needs CAP_SYS_ADMIN over the mount namespace (as root, or in a user and mount namespace of one's own).
 */
#ifndef LIB_MOUNTTREE_H
#define LIB_MOUNTTREE_H

#include "lib/err.h"

enum mounttree_flags {
	MOUNTTREE_ALL = 1u << 0,          /* with what is mounted below */
	MOUNTTREE_READONLY = 1u << 1,     /* the mount itself */
	MOUNTTREE_READONLY_ALL = 1u << 2, /* and all below it */
};

/* @dirfd/@path: a directory or any other file; its last component may be a symbolic link; "": @dirfd itself.
 * @flags: enum mounttree_flags. *ret_fd: close-on-exec O_PATH descriptor. *ret_is_dir may be NULL. Errors name
 * the path. */
int mounttree_open(int dirfd, const char *path, unsigned flags, int *ret_fd, bool *ret_is_dir,
		   struct err *e);

#endif
