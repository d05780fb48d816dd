// SPDX-License-Identifier: Apache-2.0
/* Where RAM and device windows lie. */
#include "vmm/arch/aarch64/layout.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/later.h"

#define RAM_GRANULE MIB(2)

static uint64_t address_end(unsigned phys_bits)
{
	return 1ull << min_t(unsigned, phys_bits, ARM_PHYS_BITS);
}

int arch_ram_regions(uint64_t size, unsigned phys_bits,
		     struct gmem_region ret[ARCH_MAX_RAM_REGIONS], size_t *ret_n, struct err *e)
{
	uint64_t low = min_t(uint64_t, size, ARM_RAM32_END - ARM_RAM), high = size - low;

	if (size < ARCH_MIN_RAM || size % RAM_GRANULE)
		return err_set(e, EINVAL, "%ju bytes of memory are not a multiple of 2 MiB from %ju MiB on",
			       (uintmax_t)size, (uintmax_t)(ARCH_MIN_RAM >> 20));
	if (phys_bits < 33 || !range_within(ARM_RAM64, high, address_end(phys_bits) -
					    ARM_MMIO64_ALIGN))
		return err_set(e, EINVAL, "%ju MiB of memory do not fit %u address bits of this CPU",
			       (uintmax_t)(size >> 20), phys_bits);
	ret[0] = (struct gmem_region){ .base = gpa(ARM_RAM), .size = low };
	*ret_n = 1;
	if (high)
		ret[(*ret_n)++] = (struct gmem_region){ .base = gpa(ARM_RAM64), .size = high };
	return 0;
}

void arch_later_region(uint64_t size, uint64_t ram_end, unsigned phys_bits, struct gmem_region *ret)
{
	later_place(size, max_t(uint64_t, ram_end, ARM_RAM64), address_end(phys_bits), ARM_MMIO64_ALIGN, ret);
}

int arch_pci_window(uint16_t number, uint64_t ram_end, unsigned phys_bits,
		    struct pci_seg_cfg *ret, struct err *e)
{
	uint64_t end = address_end(phys_bits), base;

	if (number >= ARCH_MAX_PCI_SEGS || ram_end > end - ARM_MMIO64_ALIGN)
		return err_set(e, EINVAL, "no room for PCI segment %u", number);
	base = align_up64(max_t(uint64_t, ram_end, ARM_RAM64), ARM_MMIO64_ALIGN);
	*ret = (struct pci_seg_cfg){
		.number = number,
		.ecam_base = ARM_ECAM + number * ARM_ECAM_LEN,
		.mmio32_base = ARM_MMIO32,
		.mmio32_len = ARM_MMIO32_LEN,
		.mmio64_base = base,
		.mmio64_len = min_t(uint64_t, end - base, ARM_MMIO64_MAX),
	};
	return 0;
}
