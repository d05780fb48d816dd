/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent is told of disks that come and go. */
#ifndef RUNTIME_OCI_DISKS_H
#define RUNTIME_OCI_DISKS_H

#include <sys/types.h>

#include "lib/buf.h"
#include "lib/err.h"

struct oci_disk {
	const char *disk; /* serial */
	const char *path; /* inside the container */
	const char *access; /* of "rwm" */
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* Appends a packed husk.agent.v1.UpdateDisksRequest; -E2BIG when @out has no room for it. */
int oci_pack_disks(const struct oci_disk *d, size_t n, bool remove, const char *container_id, struct buf *out, struct err *e);

#endif
