/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon (VIRTIO 1.2, section 5.5): memory that the guest gives back. What it puts into the balloon, and
 * what it reports as free by itself (no resizing needed), is discarded: the host has it again at once, and the
 * guest gets zeros when it touches it anew. A guest that lies loses its own data, and nothing else.
 */
#ifndef VMM_VIRTIO_BALLOON_H
#define VMM_VIRTIO_BALLOON_H

#include "vmm/virtio/vdev.h"

#define BALLOON_STATS 16 /* VIRTIO_BALLOON_S_*, section 5.5.6.4 */

struct balloon_cfg {
	uint64_t size;	     /* bytes that the guest is asked for; below all of its memory */
	bool deflate_on_oom; /* the guest may take from the balloon rather than kill */
	bool reporting;	     /* free pages are reported */
	bool stats;	     /* statistics are wanted */
};

struct balloon_info {
	uint64_t target, actual;   /* bytes */
	uint64_t inflated, reported; /* bytes discarded so far by either way */
	uint64_t stat[BALLOON_STATS];
	uint32_t stat_set;	   /* bit n: the guest has told stat[n] */
};

extern const struct vdev_class balloon_class;

/* Any thread. -EINVAL: more than the guest has. The guest follows at its own pace, or not. */
int balloon_resize(struct vdev *d, uint64_t size, struct err *e);
/* Any thread: figures as last told; new ones are asked for. */
void balloon_info(struct vdev *d, struct balloon_info *ret);

#endif
