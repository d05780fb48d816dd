/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the virtio PCI transport. Registers are under the lock, except what device
 * threads touch to raise interrupts: vectors, ISR and generation, that are atomics.
 *
 * The lock may be held while something is awaited on the device's loop, so nothing that runs there
 * takes it.
 */
#ifndef VMM_VIRTIO_VIRTIO_PCI_INTERNAL_H
#define VMM_VIRTIO_VIRTIO_PCI_INTERNAL_H

#include <pthread.h>

#include "vmm/virtio/virtio_pci.h"

/* Device status, section 2.1. NEEDS_RESET is vdev.broken. */
enum {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 64,
	STATUS_FAILED = 128,
};

/* ISR, section 4.1.4.5. */
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

#define NO_VECTOR 0xffffu

/* Inside BAR 0. Each part has a page of its own. */
enum {
	VPCI_BAR = 0,
	AT_COMMON = 0x0000,
	AT_ISR = 0x1000,
	AT_DEVICE = 0x2000,
	AT_NOTIFY = 0x3000,
	AT_MSIX_TABLE = 0x4000,
	AT_MSIX_PBA = 0x5000,
	VPCI_BAR_SIZE = 0x8000,
	VPCI_PART = 0x1000,
	COMMON_LEN = 0x38, /* without queue_notify_data and queue_reset, that are not offered */
	NOTIFY_MULTIPLIER = 4,
};
_Static_assert(VDEV_MAX_QUEUES * NOTIFY_MULTIPLIER <= VPCI_PART, "doorbells");
_Static_assert((VDEV_MAX_QUEUES + 1) * 16 <= VPCI_PART, "MSI-X table");

struct vpci_queue {
	struct evsrc src; /* doorbell; on the device's loop while the queue runs */
	struct virtio_pci *t;
	unsigned index;
	bool lent;        /* somebody else listens */
	struct pci_msix_lent irq; /* somebody else interrupts */
	uint64_t bound;   /* address of its ioeventfd, 0: none */
	/* as the driver wrote them; frozen by DRIVER_OK */
	uint16_t size;
	bool enabled;
	uint64_t desc, avail, used;
	atomic_uint vector;
};

struct virtio_pci {
	struct vdev *d;
	struct pci_dev *pci;
	struct hv_vm *vm;
	unsigned nqueues;
	pthread_mutex_t lock;
	uint64_t bar_base; /* 0: not mapped */
	unsigned cap_cfg;  /* offset of the configuration access capability; 0: none */
	uint8_t status;    /* without NEEDS_RESET */
	uint32_t device_feature_select, driver_feature_select;
	uint64_t driver_features;
	uint16_t queue_select;
	atomic_uint config_vector, isr, generation;
	struct vpci_queue q[]; /* [d->nqueues] */
};

/* virtio_pci_regs.c: the common configuration; lock held. */
uint64_t vpci_common_read(struct virtio_pci *t, uint64_t off, unsigned size);
void vpci_common_write(struct virtio_pci *t, uint64_t off, unsigned size, uint64_t v);

/* virtio_pci_status.c; lock held. */
uint8_t vpci_status(const struct virtio_pci *t);
void vpci_write_status(struct virtio_pci *t, uint8_t v);
void vpci_init_regs(struct virtio_pci *t);
int vpci_reset(struct virtio_pci *t);
bool vpci_status_valid(uint8_t status);
/* On the device's loop. */
void vpci_start_queues(struct virtio_pci *t);
void vpci_stop_queues(struct virtio_pci *t);
int vpci_lend_kicks(struct vdev *d, unsigned q);
void vpci_reclaim_kicks(struct vdev *d, unsigned q, bool listen);
/* Doorbells of running queues at the BAR's place; any earlier ones go. */
void vpci_bind(struct virtio_pci *t);
void vpci_unbind(struct virtio_pci *t);

#endif
