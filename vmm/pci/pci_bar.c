// SPDX-License-Identifier: Apache-2.0
/*
 * BARs: where they are placed first, and how the bus follows what the guest writes. A BAR is mapped
 * when memory decoding is on and its value lies in one of the windows and overlaps nothing; values that
 * are none of that (all ones, while it is sized) just leave it unmapped.
 */
#include "vmm/pci/pci_internal.h"

static uint64_t bar_value(const struct pci_bar *b)
{
	unsigned off = PCI_BAR0 + 4 * b->index;
	uint64_t v = cfg_get(b->dev->cfg, off, 4) & ~(uint32_t)0xf;

	if (b->is64)
		v |= (uint64_t)cfg_get(b->dev->cfg, off + 4, 4) << 32;
	return v;
}

static bool in_window(uint64_t at, uint64_t size, uint64_t base, uint64_t len)
{
	return at >= base && range_within(at - base, size, len);
}

/* Where it should be on the bus; 0: nowhere. */
static uint64_t bar_wanted(const struct pci_bar *b)
{
	const struct pci_seg_cfg *c = &b->dev->seg->cfg;
	uint64_t at;

	if (!b->size || !(b->dev->cfg[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return 0;
	at = bar_value(b);
	if (in_window(at, b->size, c->mmio32_base, c->mmio32_len) ||
	    in_window(at, b->size, c->mmio64_base, c->mmio64_len))
		return at;
	return 0;
}

uint64_t pci_bar_read(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size)
{
	if (d->msix && msix_bar(d->msix) == bar && msix_owns(d->msix, off))
		return msix_read(d->msix, off, size);
	return d->ops->bar_read ? d->ops->bar_read(d, bar, off, size) : 0;
}

void pci_bar_write(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t v)
{
	if (d->msix && msix_bar(d->msix) == bar && msix_owns(d->msix, off))
		msix_write(d->msix, off, size, v);
	else if (d->ops->bar_write)
		d->ops->bar_write(d, bar, off, size, v);
}

static uint64_t on_bus_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bar *b = dev;

	return pci_bar_read(b->dev, b->index, off, size);
}

static void on_bus_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct pci_bar *b = dev;

	pci_bar_write(b->dev, b->index, off, size, value);
}

static const struct bus_ops bar_ops = {
	.name = "PCI BAR",
	.read = on_bus_read,
	.write = on_bus_write,
};

static void told(struct pci_bar *b)
{
	if (b->dev->ops->bar_moved)
		b->dev->ops->bar_moved(b->dev, b->index, b->mapped);
}

/* A mapped BAR whose place is another now, or none. */
static void bar_leave(struct pci_bar *b, uint64_t want)
{
	if (want && bus_move(b->dev->seg->mmio, b->mapped, want, NULL) == 0) {
		b->mapped = want;
	} else {
		bus_remove(b->dev->seg->mmio, b->mapped);
		b->mapped = 0;
	}
	told(b);
}

/* Maps what wants to be and is not: after something left, there may be room for a BAR that was in
 * conflict with it. */
static void map_waiting(struct pci_seg *s)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct pci_dev *d = s->dev[slot];

		for (unsigned i = 0; d && i < PCI_BARS; i++) {
			struct pci_bar *b = &d->bar[i];
			uint64_t want = b->mapped ? 0 : bar_wanted(b);

			if (want && bus_add(s->mmio, want, b->size, &bar_ops, b, NULL) == 0) {
				b->mapped = want;
				told(b);
			}
		}
	}
}

void pci_bars_update_locked(struct pci_dev *d)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar *b = &d->bar[i];

		if (b->mapped && b->mapped != bar_wanted(b))
			bar_leave(b, bar_wanted(b));
	}
	map_waiting(d->seg);
}

void pci_bars_unmap_locked(struct pci_dev *d)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (d->bar[i].mapped)
			bar_leave(&d->bar[i], 0);
}

/* The end of a BAR of any device that overlaps [at, at+size), 0 when none does. */
static uint64_t taken_until(const struct pci_seg *s, uint64_t at, uint64_t size)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		const struct pci_dev *d = s->dev[slot];

		for (unsigned i = 0; d && i < PCI_BARS; i++) {
			const struct pci_bar *b = &d->bar[i];
			uint64_t v = bar_value(b);

			if (b->size && v && at < v + b->size && v < at + size)
				return v + b->size;
		}
	}
	return 0;
}

/* First fit; 0: no room. */
static uint64_t place(const struct pci_seg *s, uint64_t size, uint64_t base, uint64_t len)
{
	uint64_t at = align_up64(base, size), end;

	while (in_window(at, size, base, len)) {
		end = taken_until(s, at, size);
		if (!end)
			return at;
		at = align_up64(end, size);
	}
	return 0;
}

int pci_add_bar(struct pci_dev *d, unsigned bar, uint64_t size, bool is64, bool prefetch,
		struct err *e)
{
	const struct pci_seg_cfg *c = &d->seg->cfg;
	uint32_t flags = (is64 ? PCI_BAR_64 : 0) | (prefetch ? PCI_BAR_PREFETCH : 0);
	unsigned off = PCI_BAR0 + 4 * bar;
	struct pci_bar *b = &d->bar[bar];
	uint64_t at = 0;

	bug_on(bar + is64 >= PCI_BARS || b->size || !is_pow2_64(size) || size < 16);
	bug_on(!is64 && size > GIB(1));
	pthread_mutex_lock(&d->seg->lock);
	if (is64)
		at = place(d->seg, size, c->mmio64_base, c->mmio64_len);
	if (!at)
		at = place(d->seg, size, c->mmio32_base, c->mmio32_len);
	if (at) {
		*b = (struct pci_bar){ .dev = d, .index = bar, .size = size, .is64 = is64 };
		cfg_put(d->cfg, off, 4, (uint32_t)at | flags);
		cfg_put(d->wmask, off, 4, (uint32_t)~(size - 1));
		if (is64) {
			cfg_put(d->cfg, off + 4, 4, (uint32_t)(at >> 32));
			cfg_put(d->wmask, off + 4, 4, (uint32_t)(~(size - 1) >> 32));
		}
	}
	pthread_mutex_unlock(&d->seg->lock);
	return at ? 0 : err_set(e, ENOSPC, "%s: no room for BAR %u of %llu bytes", d->ops->name, bar,
				(unsigned long long)size);
}
