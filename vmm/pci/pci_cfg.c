// SPDX-License-Identifier: Apache-2.0
/*
 * Configuration space of one device: bytes and a mask of those bits that the guest may change.
 */
#include <string.h>

#include "vmm/pci/pci_internal.h"

void pci_cfg_init(struct pci_dev *d, const struct pci_ids *ids)
{
	cfg_put(d->cfg, PCI_VENDOR, 2, ids->vendor);
	cfg_put(d->cfg, PCI_DEVICE, 2, ids->device);
	cfg_put(d->cfg, PCI_REVISION, 1, ids->revision);
	cfg_put(d->cfg, PCI_CLASS, 3, ids->class_code);
	cfg_put(d->cfg, PCI_SUB_VENDOR, 2, ids->sub_vendor);
	cfg_put(d->cfg, PCI_SUB_DEVICE, 2, ids->sub_device);
	cfg_put(d->wmask, PCI_COMMAND, 2,
		PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF);
	/* Scratch for firmware and kernels; there is no INTx that they could mean. */
	cfg_put(d->wmask, PCI_CACHE_LINE, 1, 0xff);
	cfg_put(d->wmask, PCI_IRQ_LINE, 1, 0xff);
	d->cap_end = PCI_FIRST_CAP;
}

int pci_add_cap(struct pci_dev *d, uint8_t id, const void *body, size_t len, struct err *e)
{
	unsigned off = (unsigned)align_up64(d->cap_end, 4);

	bug_on(len < 2);
	if (!range_within(off, len, PCI_CFG_SIZE))
		return err_set(e, ENOSPC, "%s: no room for capability %#x", d->ops->name, id);
	memcpy(&d->cfg[off], body, len);
	d->cfg[off] = id;
	d->cfg[off + 1] = 0;
	d->cfg[d->cap_last ? d->cap_last + 1 : PCI_CAP_PTR] = (uint8_t)off;
	d->cap_last = off;
	d->cap_end = off + (unsigned)len;
	d->cfg[PCI_STATUS] |= PCI_STATUS_CAPS;
	return (int)off;
}

void pci_cfg_allow(struct pci_dev *d, unsigned off, unsigned len)
{
	bug_on(!range_within(off, len, PCI_CFG_SIZE));
	memset(&d->wmask[off], 0xff, len);
}

uint32_t pci_cfg_peek(const struct pci_dev *d, unsigned off, unsigned size)
{
	bug_on(size > 4 || !range_within(off, size, PCI_CFG_SIZE));
	return cfg_get(d->cfg, off, size);
}

uint32_t pci_cfg_read_locked(struct pci_dev *d, unsigned off, unsigned size)
{
	uint32_t v;

	if (!range_within(off, size, PCI_CFG_SIZE))
		return 0;
	if (d->ops->cfg_read && d->ops->cfg_read(d, off, size, &v))
		return v;
	return cfg_get(d->cfg, off, size);
}

static bool overlaps(unsigned off, unsigned size, unsigned at, unsigned len)
{
	return off < at + len && at < off + size;
}

void pci_cfg_write_locked(struct pci_dev *d, unsigned off, unsigned size, uint32_t v)
{
	if (!range_within(off, size, PCI_CFG_SIZE))
		return;
	if (d->ops->cfg_write && d->ops->cfg_write(d, off, size, v))
		return;
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = d->wmask[off + i], byte = (uint8_t)(v >> (8 * i));

		d->cfg[off + i] = (uint8_t)((d->cfg[off + i] & ~mask) | (byte & mask));
	}
	if (overlaps(off, size, PCI_COMMAND, 2) || overlaps(off, size, PCI_BAR0, 4 * PCI_BARS))
		pci_bars_update_locked(d);
	if (d->msix)
		msix_control_changed(d->msix);
}
