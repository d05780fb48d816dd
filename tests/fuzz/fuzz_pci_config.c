// SPDX-License-Identifier: Apache-2.0
/*
 * Configuration accesses of any kind to a segment of three devices, both ways, mixed with accesses to
 * wherever the BARs are then, and interrupts. What must hold: a BAR access reaches the device only within
 * the BAR, and no two BARs are in one place (the bus would refuse it).
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/fuzz/bytes.h"
#include "vmm/hv/fake/fake.h"
#include "vmm/pci/pci.h"
#include "vmm/pci/pvpanic.h"

#define ECAM  0xe0000000ull
#define WIN32 0xc0000000ull
#define WIN64 (1ull << 38)
#define BAR   0x4000u

static uint64_t bar_read(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size)
{
	(void)d;
	(void)bar;
	bug_on(!range_within(off, size, BAR));
	return off;
}

static void bar_write(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t v)
{
	(void)d;
	(void)bar;
	(void)v;
	bug_on(!range_within(off, size, BAR));
}

static void bar_moved(struct pci_dev *d, unsigned bar, uint64_t base)
{
	(void)d;
	(void)bar;
	bug_on(base % BAR);
}

static void panicked(void *arg, unsigned events)
{
	(void)arg;
	bug_on(events == 0 || events > 3);
}

static const struct pci_ops ops = {
	.name = "dev", .bar_read = bar_read, .bar_write = bar_write, .bar_moved = bar_moved,
};

static void act(struct bus *mmio, struct bus *pio, struct pci_dev **dev, struct bytes *in)
{
	unsigned what = (unsigned)take(in, 1), size = (what >> 4) % 8 + 1;
	uint32_t off = (uint32_t)take(in, 2);
	uint64_t v = take(in, 4);

	v |= v << 32;
	switch (what & 7) {
	case 0:
		bus_write(mmio, ECAM + 0x8000 * (1 + what % 3) + off % 0x1008, &v, size);
		break;
	case 1:
		bus_read(mmio, ECAM + 0x8000 * (off % 4) + off % 0x1008, &v, size);
		break;
	case 2: /* BAR registers and command: most of what there is to find */
		off = off & 1 ? 4 : 0x10 + off % 24;
		bus_write(mmio, ECAM + 0x8000 * (1 + (what >> 3) % 3) + off, &v, 4);
		break;
	case 3:
		bus_write(pio, 0xcf8 + off % 8, &v, size);
		break;
	case 4:
		bus_write(mmio, WIN32 + off % 0x18000, &v, size);
		bus_read(mmio, WIN32 + off % 0x18000, &v, size);
		break;
	case 5:
		bus_write(mmio, WIN64 + off % 0x18000, &v, size);
		bus_read(mmio, WIN64 + off % 0x18000, &v, size);
		break;
	case 6:
		pci_msix_notify(dev[off & 1], (unsigned)v % 8);
		break;
	case 7:
		bus_read(pio, 0xcf8 + off % 8, &v, size);
		break;
	}
}

static void taken_back(void *arg)
{
	(void)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pci_seg_cfg cfg = { .ecam_base = ECAM, .mmio32_base = WIN32, .mmio32_len = 0x14000,
				   .mmio64_base = WIN64, .mmio64_len = 0x14000 };
	const struct pci_ids ids = { .vendor = 1, .device = 2 };
	struct bytes in = { data, size };
	/* Somebody else's that is lent for the first device's first to eighth vector, of which there are five. */
	atomic_uint vector = (unsigned)take(&in, 1) % 8;
	const struct pci_msix_lender by = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .vector = &vector,
					    .fallback = taken_back };
	struct pci_msix_lent lent = { .is_lent = false };
	struct bus *mmio, *pio;
	struct pci_dev *dev[2];
	struct pvpanic *pv;
	struct pci_seg *s;
	struct hv_vm *vm;
	struct hv *hv;

	bug_on(by.fd < 0);
	bug_on(hv_fake_open(&hv, NULL) < 0 || hv->ops->vm_new(hv, &vm, NULL) < 0);
	bug_on(bus_new(&mmio, NULL) < 0 || bus_new(&pio, NULL) < 0);
	bug_on(pci_seg_new(&s, &cfg, vm, mmio, pio, NULL) < 0);
	for (int i = 0; i < 2; i++) {
		bug_on(pci_dev_add(s, i + 1, &ids, &ops, NULL, &dev[i], NULL) < 0);
		bug_on(pci_add_bar(dev[i], 0, BAR, true, false, NULL) < 0);
		bug_on(pci_add_bar(dev[i], 2, BAR, false, false, NULL) < 0);
		bug_on(pci_add_msix(dev[i], 5, 2, 0x1000, 0x2000, NULL) < 0);
	}
	bug_on(pvpanic_new(&pv, s, 3, panicked, NULL, NULL) < 0);
	bug_on(pci_msix_lend(dev[0], &lent, &by) < 0);
	for (unsigned i = 0; in.len && i < 300; i++)
		act(mmio, pio, dev, &in);
	for (int i = 0; i < 2; i++)
		pci_dev_remove(dev[i]);
	pvpanic_free(pv);
	pci_seg_free(s);
	bus_free(mmio);
	bus_free(pio);
	vm->ops->vm_free(vm);
	hv->ops->close(hv);
	close(by.fd);
	return 0;
}
