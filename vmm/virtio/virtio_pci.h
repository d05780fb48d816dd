/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio PCI transport (VIRTIO 1.2, section 4.1, modern only). What the specification says once
 * for all devices is checked here and nowhere else: order of status bits, features, queue selection,
 * ring geometry frozen at DRIVER_OK, reset.
 *
 * Register accesses come on vCPU threads under the transport's lock; activate, reset and
 * config_write are run on the device's loop and awaited. Kicks are ioeventfds read by that loop.
 */
#ifndef VMM_VIRTIO_VIRTIO_PCI_H
#define VMM_VIRTIO_VIRTIO_PCI_H

#include "vmm/pci/pci.h"
#include "vmm/virtio/vdev.h"

struct virtio_pci;

/* Puts @d (which becomes the transport's on success) at @slot (-1: first free). */
int virtio_pci_new(struct virtio_pci **ret, struct pci_seg *seg, int slot, struct vdev *d,
		   struct hv_vm *vm, struct err *e);
/* Removes it from the bus, resets and frees the device. Not on the device's loop. */
void virtio_pci_free(struct virtio_pci *t);
struct vdev *virtio_pci_vdev(struct virtio_pci *t);
unsigned virtio_pci_slot(const struct virtio_pci *t);

/* With the vCPUs stopped. Each waits for the device's loop. A failed quiesce leaves the device running;
 * a load needs a new device, must be followed by resume, and takes nothing of a state that it refuses.
 * The PCI side (BARs, MSI-X) is saved with the segment; the order of the two does not matter. */
int virtio_pci_quiesce(struct virtio_pci *t, struct err *e);
void virtio_pci_resume(struct virtio_pci *t);
int virtio_pci_save(struct virtio_pci *t, struct snap_w *w, struct err *e);
int virtio_pci_load(struct virtio_pci *t, struct snap_r *r, struct err *e);

#endif
