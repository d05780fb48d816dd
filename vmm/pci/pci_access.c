// SPDX-License-Identifier: Apache-2.0
/*
 * How the guest reaches configuration space: ECAM, and mechanism 1 by ports for segment 0. Both are
 * pinned on the bus: a configuration write may move BARs on it.
 */
#include "vmm/pci/pci_internal.h"

#define ECAM_LEN   MIB(1) /* bus 0 */
#define CONF1_BASE 0xcf8u
#define CONF1_LEN  8u

/* The function at device and function number @devfn, lock held. */
static struct pci_dev *function(struct pci_seg *s, unsigned devfn)
{
	struct pci_dev *d = devfn & 7 ? NULL : s->dev[devfn >> 3];

	return d && !d->hidden ? d : NULL;
}

/* @size 1, 2, 4 or 8, within one function's 4 KiB. */
static uint64_t access_read(struct pci_seg *s, unsigned devfn, unsigned reg, unsigned size)
{
	uint64_t v = UINT64_MAX;
	struct pci_dev *d;

	pthread_mutex_lock(&s->lock);
	d = function(s, devfn);
	if (d && size == 8)
		v = pci_cfg_read_locked(d, reg, 4) |
		    (uint64_t)pci_cfg_read_locked(d, reg + 4, 4) << 32;
	else if (d)
		v = pci_cfg_read_locked(d, reg, size);
	pthread_mutex_unlock(&s->lock);
	return v;
}

static void access_write(struct pci_seg *s, unsigned devfn, unsigned reg, unsigned size, uint64_t v)
{
	struct pci_dev *d;

	pthread_mutex_lock(&s->lock);
	d = function(s, devfn);
	if (d && size == 8) {
		pci_cfg_write_locked(d, reg, 4, (uint32_t)v);
		pci_cfg_write_locked(d, reg + 4, 4, (uint32_t)(v >> 32));
	} else if (d) {
		pci_cfg_write_locked(d, reg, size, (uint32_t)v);
	}
	pthread_mutex_unlock(&s->lock);
}

static uint64_t ecam_read(void *dev, uint64_t off, unsigned size)
{
	unsigned reg = off & 0xfff;

	/* Across two functions: nobody's. */
	if (!range_within(reg, size, PCI_CFG_MAX))
		return UINT64_MAX;
	return access_read(dev, (unsigned)(off >> 12), reg, size);
}

static void ecam_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	unsigned reg = off & 0xfff;

	if (range_within(reg, size, PCI_CFG_MAX))
		access_write(dev, (unsigned)(off >> 12), reg, size, value);
}

static const struct bus_ops ecam_ops = {
	.name = "PCI ECAM",
	.pinned = true,
	.read = ecam_read,
	.write = ecam_write,
};

/* 31: enable; 23-16 bus, 15-8 devfn, 7-2 register. */
static bool conf1_target(uint32_t addr, uint64_t off, unsigned size, unsigned *devfn, unsigned *reg)
{
	*devfn = (addr >> 8) & 0xff;
	*reg = (addr & 0xfc) + (unsigned)(off & 3);
	return (addr >> 31) && !(addr & 0x7f000000) && !((addr >> 16) & 0xff) && off >= 4 &&
	       (off & 3) + size <= 4;
}

static uint32_t conf1_addr(struct pci_seg *s)
{
	uint32_t v;

	pthread_mutex_lock(&s->lock);
	v = s->conf1_addr;
	pthread_mutex_unlock(&s->lock);
	return v;
}

static uint64_t conf1_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_seg *s = dev;
	uint32_t addr = conf1_addr(s);
	unsigned devfn, reg;

	if (off == 0 && size == 4)
		return addr;
	if (!conf1_target(addr, off, size, &devfn, &reg))
		return UINT64_MAX;
	return access_read(s, devfn, reg, size);
}

static void conf1_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct pci_seg *s = dev;
	unsigned devfn, reg;

	if (off == 0 && size == 4) { /* narrower writes are for other registers of old chipsets */
		pthread_mutex_lock(&s->lock);
		s->conf1_addr = (uint32_t)value & 0x80fffffc;
		pthread_mutex_unlock(&s->lock);
	} else if (conf1_target(conf1_addr(s), off, size, &devfn, &reg)) {
		access_write(s, devfn, reg, size, value);
	}
}

static const struct bus_ops conf1_ops = {
	.name = "PCI configuration ports",
	.pinned = true,
	.read = conf1_read,
	.write = conf1_write,
};

int pci_access_add(struct pci_seg *s, struct err *e)
{
	int rc = bus_add(s->mmio, s->cfg.ecam_base, ECAM_LEN, &ecam_ops, s, e);

	if (rc < 0)
		return rc;
	s->ecam_added = true;
	if (s->cfg.number != 0 || !s->pio)
		return 0;
	rc = bus_add(s->pio, CONF1_BASE, CONF1_LEN, &conf1_ops, s, e);
	if (rc < 0)
		return rc;
	s->conf1_added = true;
	return 0;
}

void pci_access_remove(struct pci_seg *s)
{
	if (s->ecam_added)
		bus_remove(s->mmio, s->cfg.ecam_base);
	if (s->conf1_added)
		bus_remove(s->pio, CONF1_BASE);
}
