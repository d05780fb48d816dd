// SPDX-License-Identifier: Apache-2.0
/*
 * The first byte says whether the rest is a saved state, or a list of six bytes each: what is done to an
 * I/O APIC. What must hold: an MSI comes only from an unmasked pin, and a level pin has no second one
 * before its EOI.
 */
#include <stdlib.h>
#include <string.h>
#include "vmm/arch/x86_64/ioapic.h"
#include "vmm/hv/fake/fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(struct ioapic *a, const uint8_t *data, size_t size)
{
	struct snap_r r;

	if (snap_r_init(&r, data, size, NULL) == 0)
		ioapic_load(a, &r, 16, NULL);
}

static uint64_t redir(struct ioapic *a, unsigned pin)
{
	uint64_t lo, hi;

	ioapic_ops.write(a, 0, 4, 0x10 + 2 * pin);
	lo = ioapic_ops.read(a, 0x10, 4);
	ioapic_ops.write(a, 0, 4, 0x11 + 2 * pin);
	hi = ioapic_ops.read(a, 0x10, 4);
	return hi << 32 | lo;
}

static void set_line(struct ioapic *a, struct hv_vm *vm, unsigned pin, bool level)
{
	uint64_t before = redir(a, pin);
	struct hv_msi m[4];
	size_t n;

	fake_take_msis(vm, m, 4);
	irq_line_set(ioapic_line(a, pin), level);
	n = fake_take_msis(vm, m, 4);
	if (n > 1 || (n && (before & 1 << 16)) || (n && (before & 1 << 15) && (before & 1 << 14)))
		abort();
	if (n && (m[0].data & 0xff) != (before & 0xff))
		abort();
}

static void act(struct ioapic *a, struct hv_vm *vm, const uint8_t *x)
{
	struct hv_msi m[64];
	uint32_t v;

	memcpy(&v, x + 2, 4);
	switch (x[0] & 7) {
	case 0:
		ioapic_ops.write(a, 0, 4, x[1]);
		break;
	case 1:
		ioapic_ops.write(a, 0x10, 4, v);
		break;
	case 2:
		ioapic_ops.write(a, x[1], 1u << (x[2] & 3), v);
		break;
	case 3:
		ioapic_ops.read(a, x[1], 1u << (x[2] & 3));
		break;
	case 4:
	case 5:
		set_line(a, vm, x[1] % IOAPIC_PINS, x[0] & 1);
		break;
	default:
		ioapic_eoi(a, x[1]);
	}
	while (fake_take_msis(vm, m, 64))
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT(4096);
	struct snap_w w = { .b = &b };
	struct ioapic *a;
	struct hv_vm *vm;
	struct hv *hv;

	if (!size)
		return 0;
	if (hv_fake_open(&hv, NULL) < 0 || hv->ops->vm_new(hv, &vm, NULL) < 0 ||
	    ioapic_new(&a, vm, NULL) < 0)
		abort();
	if (data[0] & 1)
		load(a, data + 1, size - 1);
	else
		for (size_t i = 1; i + 6 <= size; i += 6)
			act(a, vm, data + i);
	ioapic_save(a, &w, 16);
	load(a, b.data, b.len);
	buf_free(&b);
	ioapic_free(a);
	hv->ops->vm_free(vm);
	hv->ops->close(hv);
	return 0;
}
