/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rng (VIRTIO 1.2, section 5.4). A request gets at most RNG_MAX_REQUEST bytes, whatever its
 * length; a token bucket bounds the rate. A full bucket holds more than any boot asks for.
 */
#ifndef VMM_VIRTIO_RNG_H
#define VMM_VIRTIO_RNG_H

#include "vmm/virtio/vdev.h"

#define RNG_MAX_REQUEST (64u << 10)

struct rng_cfg {
	int src_fd;             /* read from here; -1: getrandom(2). Must not block for long */
	uint64_t bytes_per_sec; /* 0: 1 MiB/s */
	uint64_t burst;         /* 0: 1 MiB; at least RNG_MAX_REQUEST */
};

extern const struct vdev_class rng_class; /* cfg: struct rng_cfg */

#endif
