// SPDX-License-Identifier: Apache-2.0
/*
 * Configuration space as memory. A kernel that looks through six devices reads it some 1100 times, mostly
 * on its way along lists of capabilities, and each read is an exit or two. In a read-only memory slot at
 * the function's place in ECAM a read is a load; a write still exits, to pci_cfg_write_locked(), whose
 * result the guest then sees, for it is the same page.
 */
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

static int set_slot(struct pci_dev *d, uint64_t size, struct err *e)
{
	struct pci_seg *s = d->seg;
	gpa_t at = gpa(s->cfg.ecam_base + ((uint64_t)d->slot << 3) * PCI_CFG_MAX);

	return s->vm->ops->slot_set(s->vm, FIRST_SLOT + d->slot, at, size, d->cfg, true, e);
}

void pci_cfg_page_show_locked(struct pci_dev *d)
{
	struct err e = ERR_INIT;

	/* The slots' numbers are for one segment. */
	if (!d->seg->cfg.cfg_is_memory || d->seg->cfg.number != 0)
		return;
	if (set_slot(d, PCI_CFG_MAX, &e) < 0)
		log_debug("%s: configuration space is read by exits: %s", d->ops->name, e.msg);
	else
		d->cfg_shown = true;
}

void pci_cfg_page_hide_locked(struct pci_dev *d)
{
	struct err e = ERR_INIT;

	if (!d->cfg_shown)
		return;
	/* Nothing else may come to be seen there: rather keep the page than give it back. */
	if (set_slot(d, 0, &e) < 0) {
		log_debug("%s: %s", d->ops->name, e.msg);
		d->cfg = NULL;
	}
	d->cfg_shown = false;
}

void pci_cfg_page_free(struct pci_dev *d)
{
	if (d->cfg)
		munmap(d->cfg, PCI_CFG_MAX);
	d->cfg = NULL;
}
