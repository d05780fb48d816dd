// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/vdev.h"

/* One line for each class, in alphabetical order; the class itself lives in its device's file. */
const struct vdev_class *const vdev_classes[] = {
	NULL,
};
