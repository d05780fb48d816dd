/* SPDX-License-Identifier: Apache-2.0 */
/* What the memory maps of both architectures have in common, for their arch_later_region(). */
#ifndef VMM_ARCH_LATER_H
#define VMM_ARCH_LATER_H

#include "vmm/mem/gmem.h"

/* @size bytes from @from on, as arch_later_region() says; addresses end at @end, and the devices' window above begins at a
 * multiple of @window. */
void later_place(uint64_t size, uint64_t from, uint64_t end, uint64_t window, struct gmem_region *ret);

#endif
