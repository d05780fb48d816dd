# SPDX-License-Identifier: Apache-2.0
# Queues and the life of a device, without any transport: what each device's own test links.
VMM_VIRTIO_CORE_OBJS := vmm/virtio/vq vmm/virtio/vq_chain vmm/virtio/vq_state vmm/virtio/vdev \
	vmm/virtio/vdev_state
