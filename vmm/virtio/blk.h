/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk (VIRTIO 1.2, section 5.2) over a raw file or block device. Requests are asynchronous and never
 * keep the loop waiting; each has its own status, and an error of the host is that request's alone.
 *
 * Writes are as safe as the driver asks: with a write-back cache (the default, when it takes FLUSH) what was
 * written before a flush that succeeded is on stable storage; without one, each write is, when it is done.
 */
#ifndef VMM_VIRTIO_BLK_H
#define VMM_VIRTIO_BLK_H

#include "vmm/backend/ratelimit.h"
#include "vmm/virtio/vdev.h"

#define BLK_QUEUES_MAX	   64
#define BLK_QUEUE_SIZE_MIN 4
#define BLK_SERIAL_MAX	   20

struct blk_cfg {
	int fd;
	uint64_t size;	     /* bytes; the last part of a sector is not shown */
	uint32_t block_size; /* logical: 512 … 4096, a power of two */
	uint32_t phys_size;  /* physical: from block_size up, a power of two; 0: block_size */
	bool readonly;
	bool direct;	     /* fd is O_DIRECT */
	bool discard;	     /* ranges may be given back to the host */
	bool no_uring;	     /* see struct disk_cfg */
	unsigned queues;     /* 1 … BLK_QUEUES_MAX */
	unsigned queue_size; /* a power of two, BLK_QUEUE_SIZE_MIN … VQ_MAX_SIZE */
	char serial[BLK_SERIAL_MAX + 1];
	struct rate_cfg rate; /* of all queues together */
};

struct blk_counters {
	uint64_t reads, read_bytes, writes, written_bytes, flushes, errors;
};

extern const struct vdev_class blk_class;

/* The end of @d (which follows) waits for the host's disk no longer than a reset does: what is in flight by then ends
 * without it. For a device that goes while the machine, and so the guest's memory, stays. Any thread. */
void blk_leave(struct vdev *d);
void blk_counters(const struct vdev *d, struct blk_counters *ret); /* on the device's loop */

#endif
