/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket that NOTIFY_SOCKET names (sd_notify(3)), where it lies in a folder that is bound: engines bind the folder that
 * their monitor has made it in. A socket is no file that a share could pass on, so it becomes a bind mount of its own, on
 * top of the folder's, and is relayed like any other.
 */
#ifndef RUNTIME_CONTAINER_NOTIFY_H
#define RUNTIME_CONTAINER_NOTIFY_H

#include "runtime/oci/spec.h"

struct notify {
	int fd;                 /* O_PATH, of the socket; -1: none */
	char source[32];
	struct oci_mount *rows; /* the specification's, and it */
};
#define NOTIFY_INIT { .fd = -1 }

/* Appends it to @s, which must not outlive @n, when it is there; a path with links in it is none, as the folder may be the
 * container's to write. @bundle: what relative sources are below. -ENOMEM. */
int notify_add(struct notify *n, struct oci_spec *s, int bundle, struct err *e);
void notify_done(struct notify *n);

#endif
