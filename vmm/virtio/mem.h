/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mem (VIRTIO 1.2, section 5.15): memory that comes when the guest asks for it. The region is part of the guest's
 * memory and of its hypervisor's slots from the start, and nothing of it is touched: what is plugged is an agreement between
 * driver and device, and what is unplugged goes back to the host. A guest that uses what it has not plugged gets what any
 * memory of its machine is, and no more than the region: the agreement protects nobody, the region's size does.
 */
#ifndef VMM_VIRTIO_MEM_H
#define VMM_VIRTIO_MEM_H

#include "vmm/virtio/vdev.h"

/* The unit of requests: a huge page of either architecture's usual kind. */
#define MEM_BLOCK MIB(2)

struct mem_cfg {
	gpa_t base;         /* all of the region is memory of the machine */
	uint64_t size;      /* bytes; this and the next are whole blocks */
	uint64_t requested; /* that the guest is asked to plug; at most @size */
};

extern const struct vdev_class mem_class;

/* Bytes that the guest has taken so far. Any thread. */
uint64_t mem_plugged(const struct vdev *d);

#endif
