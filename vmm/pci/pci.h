/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI Express by ECAM: flat segments of 32 slots, function 0, no bridges. Configuration space, BARs
 * that the guest may move, capabilities, MSI-X. Devices implement pci_ops and get MSI-X by calling
 * pci_msix_notify().
 *
 * Configuration and BAR accesses come on vCPU threads; the segment's lock is held for configuration
 * space, none for BARs.
 */
#ifndef VMM_PCI_PCI_H
#define VMM_PCI_PCI_H

#include <stdatomic.h>

#include "vmm/bus/bus.h"
#include "vmm/hv/hv.h"
#include "vmm/snapshot/snap.h"

#define PCI_SLOTS 32
#define PCI_BARS  6

struct pci_seg;
struct pci_dev;

struct pci_ids {
	uint16_t vendor, device, sub_vendor, sub_device;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t revision;
};

struct pci_ops {
	const char *name;
	uint64_t (*bar_read)(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size);
	void (*bar_write)(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t v);
	/* Configuration bytes that the device wants to handle itself (a vendor capability): true when
	 * taken. May be NULL. */
	bool (*cfg_read)(struct pci_dev *d, unsigned off, unsigned size, uint32_t *ret);
	bool (*cfg_write)(struct pci_dev *d, unsigned off, unsigned size, uint32_t v);
	/* The BAR was mapped, moved or unmapped (base 0): register ioeventfds anew. May be NULL. */
	void (*bar_moved)(struct pci_dev *d, unsigned bar, uint64_t base);
};

struct pci_seg_cfg {
	uint16_t number;
	uint64_t ecam_base;               /* 1 MiB: bus 0 */
	uint64_t mmio32_base, mmio32_len; /* windows for BARs */
	uint64_t mmio64_base, mmio64_len;
	uint16_t io_base, io_len;         /* may be 0 */
	/* Functions' configuration spaces are memory that the guest reads without an exit; its writes
	 * come as ever. For that, devices have no register there that reading changes or computes: no
	 * window of virtio's, and nothing answers by ports. */
	bool cfg_is_memory;
};

/* @pio: segment 0 also answers configuration mechanism 1 (ports 0xcf8, 0xcfc) there, whose exits are
 * cheaper than ECAM's; may be NULL. */
int pci_seg_new(struct pci_seg **ret, const struct pci_seg_cfg *cfg, struct hv_vm *vm,
		struct bus *mmio, struct bus *pio, struct err *e);
void pci_seg_free(struct pci_seg *s);
/* Before the guest runs: from now on no slot of the hypervisor is changed (cfg_is_memory). */
void pci_seg_seal(struct pci_seg *s);

/* @slot 0 … 31 or -1 for the first free one. Slot 0 holds the host bridge. The device stays in the
 * segment until pci_dev_remove() (which takes NULL). */
int pci_dev_add(struct pci_seg *s, int slot, const struct pci_ids *ids, const struct pci_ops *ops,
		void *priv, struct pci_dev **ret, struct err *e);
/* The same without being seen by the guest yet, for a bus that it is using: the device is given its BARs and
 * capabilities first, and then appears whole. */
int pci_dev_add_hidden(struct pci_seg *s, int slot, const struct pci_ids *ids,
		       const struct pci_ops *ops, void *priv, struct pci_dev **ret, struct err *e);
void pci_dev_show(struct pci_dev *d);
void pci_dev_remove(struct pci_dev *d);
/* The first half of pci_dev_remove(), which is still to be called: when it returns, no vCPU is inside
 * the device or can get there; raising vectors is still fine. */
void pci_dev_detach(struct pci_dev *d);
void *pci_dev_priv(const struct pci_dev *d);
unsigned pci_dev_slot(const struct pci_dev *d);
/* Whether reads of configuration space may bypass pci_ops.cfg_read: struct pci_seg_cfg, cfg_is_memory. */
bool pci_dev_cfg_is_memory(const struct pci_dev *d);

/* @size a power of two, at least 16; places it in the 32- or 64-bit window. The guest turns memory
 * decoding on; until then, and while a BAR's value is outside the windows, it is not mapped. */
int pci_add_bar(struct pci_dev *d, unsigned bar, uint64_t size, bool is64, bool prefetch,
		struct err *e);
/* Appends a capability of @len bytes (id and next pointer included, filled in here). Returns its
 * offset, or a negative errno. */
int pci_add_cap(struct pci_dev *d, uint8_t id, const void *body, size_t len, struct err *e);
/* Makes bytes of a capability writable, and reads them back. */
void pci_cfg_allow(struct pci_dev *d, unsigned off, unsigned len);
uint32_t pci_cfg_peek(const struct pci_dev *d, unsigned off, unsigned size); /* 1, 2, 4 */
/* An access to a BAR's inside by another way than the bus, as if it came from there: the range is
 * checked by the caller. Not for use within bar_read and bar_write. */
uint64_t pci_bar_read(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size);
void pci_bar_write(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t v);
/* @n vectors, table and PBA in @bar at the given offsets (the accesses to these two areas are taken
 * before bar_read/bar_write). */
int pci_add_msix(struct pci_dev *d, unsigned n, unsigned bar, uint32_t table_off, uint32_t pba_off,
		 struct err *e);
/* Raises a vector: any thread; masked ones become pending. Vectors out of range are ignored. */
void pci_msix_notify(struct pci_dev *d, unsigned vector);

/* Somebody else's eventfd that raises a vector by an irqfd of its own, without a thread of ours in between. While the vector
 * is masked, what is written stays in the eventfd or becomes the vector's pending bit, when that is looked at. */
struct pci_msix_lender {
	int fd; /* non-blocking */
	const atomic_uint *vector; /* one that the device does not have: nothing is raised, nothing is lost */
	/* The hypervisor does not take it any more: @fd is the owner's to read again. Any thread, a lock held: no call back. */
	void (*fallback)(void *arg);
	void *arg;
};

/* Embedded in its owner, zeros at first, and msix.c's alone: vCPUs look at it whether it is lent or not. */
struct pci_msix_lent {
	struct pci_msix_lender by;
	struct pci_msix_lent *next;
	unsigned at, gsi;
	struct hv_msi route;
	bool attached, is_lent;
};

/* @l is not lent. 0, or -ENOTSUP of a device without MSI-X, -ENOSPC where no route is left. @by->fallback may be called
 * already. Any thread. */
int pci_msix_lend(struct pci_dev *d, struct pci_msix_lent *l, const struct pci_msix_lender *by);
/* The vector of it has changed. No-op for one that is not lent. */
void pci_msix_lent_moved(struct pci_dev *d, struct pci_msix_lent *l);
/* What has been written and not delivered is still in the eventfd. No-op for one that is not lent. */
void pci_msix_reclaim(struct pci_dev *d, struct pci_msix_lent *l);

/* State of the segment and of what its devices share: configuration spaces, MSI-X. Loading needs the same
 * devices in the same slots. vCPUs are stopped. */
int pci_seg_save(const struct pci_seg *s, struct snap_w *w, struct err *e);
int pci_seg_load(struct pci_seg *s, struct snap_r *r, struct err *e);

#endif
