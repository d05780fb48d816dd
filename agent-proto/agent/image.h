/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's root file system on a disk of its own: found by its serial, mounted by whichever of the kernel's
 * file systems knows it, under an overlay where the disk or the file system cannot be written to.
 */
#ifndef AGENT_PROTO_AGENT_IMAGE_H
#define AGENT_PROTO_AGENT_IMAGE_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

struct image {
	int root;      /* the mount, detached; -1: none, or the container has it */
	char disk[48]; /* "/dev/vda"; "": none */
};
#define IMAGE_NONE { .root = -1, .disk = "" }

/* Nothing, when the container's root is no disk. Errors name what was tried. */
int image_mount(struct image *im, const Husk__Agent__V1__Container *ct, struct err *e);
/* The mount is the container's own now, or was never needed. */
void image_handed_over(struct image *im);
/* Once the container is gone: whether its file system is still held somewhere. When it is not, all that was
 * written has reached the disk, and the host may take the file. Waits for the disk. */
bool image_busy(struct image *im);

#endif
