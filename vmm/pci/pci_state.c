// SPDX-License-Identifier: Apache-2.0
/*
 * Save and load of configuration spaces and MSI-X. What the guest cannot write is compared: a
 * difference there means another machine.
 */
#include <string.h>

#include "vmm/pci/pci_internal.h"

enum {
	TAG_CONF1 = 1,
	TAG_SLOT0 = 0x100,
	TAGS_PER_SLOT = 1 + MSIX_TAGS, /* configuration space, MSI-X */
};

static uint16_t slot_tag(unsigned slot)
{
	return (uint16_t)(TAG_SLOT0 + slot * TAGS_PER_SLOT);
}

int pci_seg_save(const struct pci_seg *s, struct snap_w *w, struct err *e)
{
	snap_w_u32(w, TAG_CONF1, s->conf1_addr);
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		const struct pci_dev *d = s->dev[i];

		if (!d)
			continue;
		snap_w_bytes(w, slot_tag(i), d->cfg, PCI_CFG_SIZE);
		if (d->msix)
			msix_save(d->msix, w, (uint16_t)(slot_tag(i) + 1));
	}
	return w->failed ? err_set(e, ENOMEM, "PCI: no room for its state") : 0;
}

/* *ret is the saved space of @slot; NULL when there was no device. -EINVAL unless the same devices are
 * there now. */
static int check_slot(const struct pci_seg *s, struct snap_r *r, unsigned slot, const uint8_t **ret,
		      struct err *e)
{
	const struct pci_dev *d = s->dev[slot];
	const void *p = NULL;
	size_t len = 0;
	int rc = snap_r_bytes(r, slot_tag(slot), &p, &len, PCI_CFG_SIZE);

	if (rc == -ENOENT && !d) {
		*ret = NULL;
		return 0;
	}
	if (rc == -ENOENT || !d)
		return err_set(e, EINVAL, "PCI slot %u: %s in the state, %s in the machine", slot,
			       d ? "nothing" : "a device", d ? "a device" : "nothing");
	if (rc < 0 || len != PCI_CFG_SIZE)
		return err_set(e, EBADMSG, "PCI slot %u: malformed state", slot);
	*ret = p;
	for (unsigned i = 0; i < PCI_CFG_SIZE; i++)
		if (((*ret)[i] ^ d->cfg[i]) & ~d->wmask[i])
			return err_set(e, EINVAL, "PCI slot %u: another device (byte %#x)", slot, i);
	return 0;
}

int pci_seg_load(struct pci_seg *s, struct snap_r *r, struct err *e)
{
	const uint8_t *cfg[PCI_SLOTS];
	int rc = 0;

	/* All is checked before anything is changed, but for MSI-X tables, that any value is good in. */
	for (unsigned i = 0; i < PCI_SLOTS && rc == 0; i++)
		rc = check_slot(s, r, i, &cfg[i], e);
	if (rc < 0)
		return rc;
	snap_r_u32(r, TAG_CONF1, &s->conf1_addr);
	s->conf1_addr &= 0x80fffffc;
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < PCI_SLOTS && rc == 0; i++) {
		struct pci_dev *d = s->dev[i];

		if (!d)
			continue;
		memcpy(d->cfg, cfg[i], PCI_CFG_SIZE);
		pci_bars_update_locked(d);
		if (d->msix)
			rc = msix_load(d->msix, r, (uint16_t)(slot_tag(i) + 1), e);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
