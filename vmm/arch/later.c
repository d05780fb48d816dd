// SPDX-License-Identifier: Apache-2.0
#include "vmm/arch/later.h"

#include "vmm/arch/arch.h"

#define LATER_ALIGN GIB(2)

void later_place(uint64_t size, uint64_t from, uint64_t end, uint64_t window, struct gmem_region *ret)
{
	const uint64_t base = align_up64(from, LATER_ALIGN), room = end > base + window ? end - window - base : 0;

	*ret = (struct gmem_region){ .base = gpa(base), .size = align_down64(min_t(uint64_t, size, room), ARCH_LATER_GRANULE),
				     .later = true };
}
