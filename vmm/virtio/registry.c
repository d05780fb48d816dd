// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/mem.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/rng.h"
#include "vmm/virtio/vsock.h"

/* One line for each class, in alphabetical order; the class itself lives in its device's file. */
const struct vdev_class *const vdev_classes[] = {
	&balloon_class,
	&blk_class,
	&console_class,
	&mem_class,
	&net_class,
	&rng_class,
	&vsock_class,
	NULL,
};
