/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of vmm/pci. Lock order: segment, then a device's own (the transport's), then
 * MSI-X. The segment's lock covers configuration spaces and where BARs are mapped.
 */
#ifndef VMM_PCI_PCI_INTERNAL_H
#define VMM_PCI_PCI_INTERNAL_H

#include <pthread.h>

#include "vmm/pci/pci.h"

#define PCI_CFG_SIZE 256u  /* what we implement; the rest of the 4 KiB reads as zeros */
#define PCI_CFG_MAX  4096u

/* PCI Local Bus Specification 3.0, section 6.1 and 6.7. */
enum {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09,
	PCI_CACHE_LINE = 0x0c,
	PCI_BAR0 = 0x10,
	PCI_SUB_VENDOR = 0x2c,
	PCI_SUB_DEVICE = 0x2e,
	PCI_CAP_PTR = 0x34,
	PCI_IRQ_LINE = 0x3c,
	PCI_FIRST_CAP = 0x40,

	PCI_COMMAND_MEMORY = 1u << 1,
	PCI_COMMAND_MASTER = 1u << 2,
	PCI_COMMAND_INTX_OFF = 1u << 10,
	PCI_STATUS_CAPS = 1u << 4,

	PCI_BAR_64 = 1u << 2,
	PCI_BAR_PREFETCH = 1u << 3,

	PCI_CAP_MSIX = 0x11,
};

struct pci_bar {
	struct pci_dev *dev;
	unsigned index;
	uint64_t size;   /* 0: absent */
	bool is64;
	uint64_t mapped; /* where it is on the bus, 0: nowhere */
};

struct msix;

struct pci_dev {
	struct pci_seg *seg;
	unsigned slot;
	const struct pci_ops *ops;
	void *priv;
	uint8_t *cfg;                /* PCI_CFG_SIZE, the start of a page; the guest may see it live */
	bool cfg_shown;
	bool hidden;                 /* has its slot, and the guest finds nothing there */
	uint8_t wmask[PCI_CFG_SIZE]; /* bits that the guest may write */
	unsigned cap_last, cap_end;  /* offset of the last capability (0: none); first free byte */
	struct pci_bar bar[PCI_BARS];
	struct msix *msix;
};

struct pci_seg {
	struct pci_seg_cfg cfg;
	struct hv_vm *vm;
	struct bus *mmio, *pio;
	pthread_mutex_t lock;
	bool ecam_added, conf1_added;
	bool sealed;
	uint32_t conf1_addr;
	struct pci_dev *dev[PCI_SLOTS];
	uint8_t *left_page[PCI_SLOTS]; /* shown to the guest, by a device that has gone: all ones */
	struct pci_dev *bridge;
};

static inline uint32_t cfg_get(const uint8_t *cfg, unsigned off, unsigned size)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint32_t)cfg[off + i] << (8 * i);
	return v;
}

static inline void cfg_put(uint8_t *cfg, unsigned off, unsigned size, uint32_t v)
{
	for (unsigned i = 0; i < size; i++)
		cfg[off + i] = (uint8_t)(v >> (8 * i));
}

/* pci_cfg.c; lock held. Any offset and size that lie in the 4 KiB. */
uint32_t pci_cfg_read_locked(struct pci_dev *d, unsigned off, unsigned size);
void pci_cfg_write_locked(struct pci_dev *d, unsigned off, unsigned size, uint32_t v);
void pci_cfg_init(struct pci_dev *d, const struct pci_ids *ids);

/* pci_cfg_page.c: the page that holds d->cfg, and showing it to the guest where the segment wants that
 * and the hypervisor can; where it cannot, reads exit. In a sealed segment a page that was shown stays
 * where it is when its device goes, and the slot's next one lives in it. */
int pci_cfg_page_new(struct pci_dev *d, struct err *e);
void pci_cfg_page_show_locked(struct pci_dev *d);
void pci_cfg_page_hide_locked(struct pci_dev *d);
void pci_cfg_page_free(struct pci_dev *d);
void pci_cfg_pages_free(struct pci_seg *s); /* of devices that have gone */

/* pci_access.c: the two ways to configuration space. */
int pci_access_add(struct pci_seg *s, struct err *e);
void pci_access_remove(struct pci_seg *s);

/* pci_bar.c; lock held. Brings the bus in line with the configuration spaces. */
void pci_bars_update_locked(struct pci_dev *d);
void pci_bars_unmap_locked(struct pci_dev *d);

/* msix.c */
void msix_free(struct msix *m);
unsigned msix_bar(const struct msix *m);
/* True when [off, off+size) starts in the table or the PBA. */
bool msix_owns(const struct msix *m, uint64_t off);
uint64_t msix_read(struct msix *m, uint64_t off, unsigned size);
void msix_write(struct msix *m, uint64_t off, unsigned size, uint64_t v);
/* Configuration space was written: look at the control word. */
void msix_control_changed(struct msix *m);
void msix_save(struct msix *m, struct snap_w *w, uint16_t tag);
int msix_load(struct msix *m, struct snap_r *r, uint16_t tag, struct err *e);
#define MSIX_TAGS 2u /* used from @tag on */

#endif
