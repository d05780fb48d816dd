// SPDX-License-Identifier: Apache-2.0
#include "vmm/pci/pvpanic.h"

#include <stdlib.h>

#define BAR      0
#define BAR_SIZE 16 /* the smallest there is; the register is its first byte */
#define EVENTS   (PVPANIC_PANICKED | PVPANIC_CRASHLOADED)

struct pvpanic {
	struct pci_dev *dev;
	void (*fn)(void *arg, unsigned events);
	void *arg;
};

static uint64_t reg_read(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size)
{
	(void)d;
	(void)bar;
	(void)size;
	return off == 0 ? EVENTS : 0;
}

static void reg_write(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t v)
{
	struct pvpanic *p = pci_dev_priv(d);

	(void)bar;
	(void)size;
	if (off == 0 && (v & EVENTS))
		p->fn(p->arg, (unsigned)(v & EVENTS));
}

static const struct pci_ops ops = {
	.name = "pvpanic",
	.bar_read = reg_read,
	.bar_write = reg_write,
};

static const struct pci_ids ids = {
	.vendor = 0x1b36,
	.device = 0x0011,
	.sub_vendor = 0x1af4,
	.sub_device = 0x1100,
	.class_code = 0x088000,
	.revision = 1,
};

int pvpanic_new(struct pvpanic **ret, struct pci_seg *seg, int slot,
		void (*fn)(void *arg, unsigned events), void *arg, struct err *e)
{
	struct pvpanic *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return err_set(e, ENOMEM, "pvpanic: out of memory");
	p->fn = fn;
	p->arg = arg;
	rc = pci_dev_add(seg, slot, &ids, &ops, p, &p->dev, e);
	if (rc == 0)
		rc = pci_add_bar(p->dev, BAR, BAR_SIZE, false, false, e);
	if (rc < 0) {
		pvpanic_free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void pvpanic_free(struct pvpanic *p)
{
	if (!p)
		return;
	pci_dev_remove(p->dev);
	free(p);
}
