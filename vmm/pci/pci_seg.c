// SPDX-License-Identifier: Apache-2.0
/*
 * A segment: its host bridge and the devices that come and go.
 */
#include <stdlib.h>

#include "vmm/pci/pci_internal.h"

static const struct pci_ids bridge_ids = {
	.vendor = 0x1b36, /* Red Hat's identifiers for generic devices, as QEMU uses them */
	.device = 0x0008,
	.sub_vendor = 0x1af4,
	.sub_device = 0x1100,
	.class_code = 0x060000,
};

static const struct pci_ops bridge_ops = { .name = "host bridge" };

int pci_seg_new(struct pci_seg **ret, const struct pci_seg_cfg *cfg, struct hv_vm *vm,
		struct bus *mmio, struct bus *pio, struct err *e)
{
	struct pci_seg *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, ENOMEM, "PCI segment: out of memory");
	s->cfg = *cfg;
	s->vm = vm;
	s->mmio = mmio;
	s->pio = pio;
	pthread_mutex_init(&s->lock, NULL);
	rc = pci_dev_add(s, 0, &bridge_ids, &bridge_ops, NULL, &s->bridge, e);
	if (rc == 0)
		rc = pci_access_add(s, e);
	if (rc < 0) {
		pci_seg_free(s);
		return err_wrap(e, rc, "PCI segment %u", cfg->number);
	}
	*ret = s;
	return 0;
}

void pci_seg_free(struct pci_seg *s)
{
	if (!s)
		return;
	pci_access_remove(s);
	pci_dev_remove(s->bridge);
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		bug_on(s->dev[i]);
	pci_cfg_pages_free(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The slot to use, or a negative errno. */
static int choose_slot(const struct pci_seg *s, int slot, struct err *e)
{
	if (slot >= PCI_SLOTS)
		return err_set(e, EINVAL, "PCI slot %d: there are %d", slot, PCI_SLOTS);
	if (slot >= 0)
		return s->dev[slot] ? err_set(e, EEXIST, "PCI slot %d is taken by %s", slot,
					      s->dev[slot]->ops->name)
				    : slot;
	for (slot = 0; slot < PCI_SLOTS; slot++)
		if (!s->dev[slot])
			return slot;
	return err_set(e, ENOSPC, "all %d PCI slots are taken", PCI_SLOTS);
}

int pci_dev_add_hidden(struct pci_seg *s, int slot, const struct pci_ids *ids,
		       const struct pci_ops *ops, void *priv, struct pci_dev **ret, struct err *e)
{
	struct pci_dev *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, ENOMEM, "%s: out of memory", ops->name);
	d->seg = s;
	d->ops = ops;
	d->priv = priv;
	d->hidden = true;
	rc = pci_cfg_page_new(d, e);
	if (rc < 0) {
		free(d);
		return rc;
	}
	pci_cfg_init(d, ids);
	for (unsigned i = 0; i < PCI_BARS; i++)
		d->bar[i] = (struct pci_bar){ .dev = d, .index = i };
	pthread_mutex_lock(&s->lock);
	slot = choose_slot(s, slot, e);
	if (slot >= 0) {
		d->slot = (unsigned)slot;
		s->dev[slot] = d;
		*ret = d;
	}
	pthread_mutex_unlock(&s->lock);
	if (slot < 0) {
		pci_cfg_page_free(d);
		free(d);
		return slot;
	}
	return 0;
}

void pci_dev_show(struct pci_dev *d)
{
	pthread_mutex_lock(&d->seg->lock);
	if (d->hidden)
		pci_cfg_page_show_locked(d);
	d->hidden = false;
	pthread_mutex_unlock(&d->seg->lock);
}

int pci_dev_add(struct pci_seg *s, int slot, const struct pci_ids *ids, const struct pci_ops *ops,
		void *priv, struct pci_dev **ret, struct err *e)
{
	int rc = pci_dev_add_hidden(s, slot, ids, ops, priv, ret, e);

	if (rc == 0)
		pci_dev_show(*ret);
	return rc;
}

void pci_seg_seal(struct pci_seg *s)
{
	s->sealed = true;
}

void pci_dev_detach(struct pci_dev *d)
{
	pthread_mutex_lock(&d->seg->lock);
	d->hidden = true;
	pci_bars_unmap_locked(d);
	pci_cfg_page_hide_locked(d);
	if (d->seg->dev[d->slot] == d)
		d->seg->dev[d->slot] = NULL;
	pthread_mutex_unlock(&d->seg->lock);
}

void pci_dev_remove(struct pci_dev *d)
{
	if (!d)
		return;
	pci_dev_detach(d);
	msix_free(d->msix);
	pci_cfg_page_free(d);
	free(d);
}

void *pci_dev_priv(const struct pci_dev *d)
{
	return d->priv;
}

bool pci_dev_cfg_is_memory(const struct pci_dev *d)
{
	return d->seg->cfg.cfg_is_memory;
}

unsigned pci_dev_slot(const struct pci_dev *d)
{
	return d->slot;
}
