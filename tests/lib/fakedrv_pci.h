/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake driver behind a PCI segment of the fake hypervisor: finds the capabilities, negotiates, and
 * sets queues and MSI-X up through registers, as a guest does.
 */
#ifndef TESTS_LIB_FAKEDRV_PCI_H
#define TESTS_LIB_FAKEDRV_PCI_H

#include "tests/lib/fakedrv.h"
#include "vmm/hv/fake/fake.h"
#include "vmm/virtio/virtio_pci.h"

#define FDV_ECAM      0xe0000000ull
#define FDV_MMIO32    0xc0000000ull
#define FDV_MMIO32_LEN MIB(16)
#define FDV_MMIO64    (1ull << 38)
#define FDV_MMIO64_LEN MIB(64)
#define FDV_SLOT      3u
#define FDV_MSI_ADDR  0xfee00000ull

/* Registers of the common configuration, section 4.1.4.3. */
enum fdv_reg {
	FDV_R_DEVICE_FEATURE_SELECT = 0x00,
	FDV_R_DEVICE_FEATURE = 0x04,
	FDV_R_DRIVER_FEATURE_SELECT = 0x08,
	FDV_R_DRIVER_FEATURE = 0x0c,
	FDV_R_CONFIG_VECTOR = 0x10,
	FDV_R_NUM_QUEUES = 0x12,
	FDV_R_STATUS = 0x14,
	FDV_R_GENERATION = 0x15,
	FDV_R_QUEUE_SELECT = 0x16,
	FDV_R_QUEUE_SIZE = 0x18,
	FDV_R_QUEUE_VECTOR = 0x1a,
	FDV_R_QUEUE_ENABLE = 0x1c,
	FDV_R_QUEUE_NOTIFY_OFF = 0x1e,
	FDV_R_QUEUE_DESC = 0x20,
	FDV_R_QUEUE_AVAIL = 0x28,
	FDV_R_QUEUE_USED = 0x30,
};

struct fdv_pci {
	struct fakedrv f; /* first: fdv_mode functions get it */
	struct hv *hv;
	struct hv_vm *vm;
	struct bus *mmio, *pio;
	struct pci_seg *seg;
	struct virtio_pci *t;
	/* found by looking: guest addresses of the parts, offsets of capabilities (0: none) */
	uint64_t bar, common, notify, isr, device, msix_table, msix_pba;
	uint32_t notify_multiplier, device_len;
	unsigned cap_cfg, cap_msix;
};

void fdv_pci_init(struct fdv_pci *p, const struct fdv_opts *o);
void fdv_pci_done(struct fdv_pci *p);

uint64_t fdv_pci_read(struct fdv_pci *p, uint64_t addr, unsigned size);
void fdv_pci_write(struct fdv_pci *p, uint64_t addr, unsigned size, uint64_t v);
uint32_t fdv_pci_cfg_read(struct fdv_pci *p, unsigned slot, unsigned off, unsigned size);
void fdv_pci_cfg_write(struct fdv_pci *p, unsigned slot, unsigned off, unsigned size, uint32_t v);
/* A register of the common configuration, in its own width. */
uint32_t fdv_reg_read(struct fdv_pci *p, enum fdv_reg r);
void fdv_reg_write(struct fdv_pci *p, enum fdv_reg r, uint32_t v);

/* Finds BAR and capabilities, turns memory decoding and MSI-X on, vector n with data n. Done by
 * fdv_create(). */
void fdv_pci_probe(struct fdv_pci *p);
/* From reset to FEATURES_OK; true when the device took it. */
bool fdv_pci_negotiate(struct fdv_pci *p, uint64_t features);
/* The second half of fdv_start(): tells where the queues are, without DRIVER_OK. */
void fdv_pci_queues(struct fdv_pci *p);
/* MSIs since the last call; *ret_last: data of the last. */
unsigned fdv_pci_msis(struct fdv_pci *p, uint32_t *ret_last);

#endif
