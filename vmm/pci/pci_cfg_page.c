// SPDX-License-Identifier: Apache-2.0
/*
 * Configuration space as memory. A kernel that looks through six devices reads it some 1100 times, mostly
 * on its way along lists of capabilities, and each read is an exit or two. In a read-only memory slot at
 * the function's place in ECAM a read is a load; a write still exits, to pci_cfg_write_locked(), whose
 * result the guest then sees, for it is the same page.
 */
#include <string.h>
#include <sys/mman.h>

#include "lib/log.h"
#include "vmm/mem/gmem.h"
#include "vmm/pci/pci_internal.h"

/* Slots of the hypervisor behind those of memory. */
#define FIRST_SLOT GMEM_MAX_REGIONS

int pci_cfg_page_new(struct pci_dev *d, struct err *e)
{
	void *page = mmap(NULL, PCI_CFG_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);

	if (page == MAP_FAILED)
		return err_errno(e, errno, "%s: configuration space", d->ops->name);
	d->cfg = page;
	return 0;
}

static int set_slot(struct pci_seg *s, unsigned slot, uint8_t *page, uint64_t size, struct err *e)
{
	gpa_t at = gpa(s->cfg.ecam_base + ((uint64_t)slot << 3) * PCI_CFG_MAX);

	return s->vm->ops->slot_set(s->vm, FIRST_SLOT + slot, at, size, page, true, e);
}

/* The slot's page comes to hold the configuration space. Identifiers last: a guest that reads meanwhile
 * sees no device, or a whole one. */
static void move_in(struct pci_dev *d)
{
	uint8_t *page = d->seg->left_page[d->slot], *own = d->cfg;
	uint32_t id = cfg_get(own, PCI_VENDOR, 4);

	memcpy(page + 4, own + 4, PCI_CFG_MAX - 4);
	__atomic_store_n((uint32_t *)(void *)page, id, __ATOMIC_RELEASE);
	d->cfg = page;
	d->seg->left_page[d->slot] = NULL;
	munmap(own, PCI_CFG_MAX);
}

void pci_cfg_page_show_locked(struct pci_dev *d)
{
	struct err e = ERR_INIT;

	if (d->seg->left_page[d->slot]) {
		move_in(d);
		d->cfg_shown = true;
		return;
	}
	/* The slots' numbers are for one segment. Once a guest runs the hypervisor's slots stay as they
	 * are: the jail does not let us change them. */
	if (!d->seg->cfg.cfg_is_memory || d->seg->cfg.number != 0 || d->seg->sealed)
		return;
	if (set_slot(d->seg, d->slot, d->cfg, PCI_CFG_MAX, &e) < 0)
		log_debug("%s: configuration space is read by exits: %s", d->ops->name, e.msg);
	else
		d->cfg_shown = true;
}

void pci_cfg_page_hide_locked(struct pci_dev *d)
{
	struct err e = ERR_INIT;

	if (!d->cfg_shown)
		return;
	d->cfg_shown = false;
	if (!d->seg->sealed && set_slot(d->seg, d->slot, d->cfg, 0, &e) == 0)
		return;
	/* It stays to be seen: then as the place of no device. */
	memset(d->cfg, 0xff, PCI_CFG_MAX);
	d->seg->left_page[d->slot] = d->cfg;
	d->cfg = NULL;
}

void pci_cfg_page_free(struct pci_dev *d)
{
	if (d->cfg)
		munmap(d->cfg, PCI_CFG_MAX);
	d->cfg = NULL;
}

void pci_cfg_pages_free(struct pci_seg *s)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct err e = ERR_INIT;

		if (!s->left_page[slot])
			continue;
		/* What the hypervisor still shows is rather kept than given back. */
		if (set_slot(s, slot, s->left_page[slot], 0, &e) < 0)
			log_debug("PCI slot %u: %s", slot, e.msg);
		else
			munmap(s->left_page[slot], PCI_CFG_MAX);
		s->left_page[slot] = NULL;
	}
}
