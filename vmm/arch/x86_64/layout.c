// SPDX-License-Identifier: Apache-2.0
/* Where RAM and device windows lie. */
#include "vmm/arch/arch.h"
#include "vmm/arch/later.h"
#include "vmm/arch/x86_64/layout.h"

#define RAM_GRANULE MIB(2)

static uint64_t address_end(unsigned phys_bits)
{
	return 1ull << min_t(unsigned, phys_bits, X86_PHYS_BITS);
}

int arch_ram_regions(uint64_t size, unsigned phys_bits,
		     struct gmem_region ret[ARCH_MAX_RAM_REGIONS], size_t *ret_n, struct err *e)
{
	uint64_t low = min_t(uint64_t, size, X86_RAM32_END), high = size - low;

	if (size < ARCH_MIN_RAM)
		return err_set(e, EINVAL, "%ju MiB of memory, at least %ju are needed",
			       (uintmax_t)(size >> 20), (uintmax_t)(ARCH_MIN_RAM >> 20));
	if (size % RAM_GRANULE)
		return err_set(e, EINVAL, "%ju bytes of memory are not a multiple of 2 MiB",
			       (uintmax_t)size);
	if (phys_bits < 32 || (high && !range_within(X86_RAM64, high, address_end(phys_bits) -
						     min_t(uint64_t, X86_MMIO64_ALIGN,
							   address_end(phys_bits)))))
		return err_set(e, EINVAL, "%ju MiB of memory do not fit %u address bits of this CPU",
			       (uintmax_t)(size >> 20), phys_bits);
	ret[0] = (struct gmem_region){ .base = gpa(0), .size = low };
	*ret_n = 1;
	if (high)
		ret[(*ret_n)++] = (struct gmem_region){ .base = gpa(X86_RAM64), .size = high };
	return 0;
}

void arch_later_region(uint64_t size, uint64_t ram_end, unsigned phys_bits, struct gmem_region *ret)
{
	later_place(size, max_t(uint64_t, ram_end, X86_RAM64), address_end(phys_bits), X86_MMIO64_ALIGN, ret);
}

int arch_pci_window(uint16_t number, uint64_t ram_end, unsigned phys_bits,
		    struct pci_seg_cfg *ret, struct err *e)
{
	uint64_t end = address_end(phys_bits), base;

	if (number >= ARCH_MAX_PCI_SEGS)
		return err_set(e, EINVAL, "PCI segment %u, at most %d", number,
			       ARCH_MAX_PCI_SEGS - 1);
	if (ram_end > end - X86_MMIO64_ALIGN)
		return err_set(e, EINVAL, "memory leaves no room for devices");
	base = align_up64(max_t(uint64_t, ram_end, X86_RAM64), X86_MMIO64_ALIGN);
	*ret = (struct pci_seg_cfg){
		.number = number,
		.ecam_base = X86_ECAM + number * X86_ECAM_LEN,
		.mmio32_base = X86_MMIO32,
		.mmio32_len = X86_MMIO32_LEN,
	};
	/* A CPU of 32 address bits has no upper window. */
	if (base < end) {
		ret->mmio64_base = base;
		ret->mmio64_len = min_t(uint64_t, end - base, X86_MMIO64_MAX);
	}
	return 0;
}
