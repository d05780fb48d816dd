/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's vhost-net, on a descriptor of /dev/vhost-net that came open: it serves one pair of rings
 * itself, from this process's memory. Which rings, with what features, and how it signals is told by
 * ioctls; nothing here needs a privilege. On the device's loop.
 */
#ifndef VMM_BACKEND_VHOST_H
#define VMM_BACKEND_VHOST_H

#include "vmm/virtio/vq.h"

/* Once a descriptor: makes it this process's. *ret_features: what its rings can. -EINVAL with a text. */
int vhost_prepare(int fd, uint64_t *ret_features, struct err *e);
/* All of @mem, and the features in force. */
int vhost_setup(int fd, const struct gmem *mem, uint64_t features, struct err *e);
/* Hands ring @index (0: to the guest, 1: from it) over: where it is and how far it came, the eventfd that
 * rings for it, the ones that it signals for the driver and when the ring is malformed, the tap. */
int vhost_start(int fd, unsigned index, const struct vq *q, int kick, int call, int error, int tap,
		struct err *e);
/* Takes it back; nothing is in flight when it returns. *ret_next: how far it came. */
int vhost_stop(int fd, unsigned index, uint16_t *ret_next);

#endif
