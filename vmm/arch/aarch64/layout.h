/* SPDX-License-Identifier: Apache-2.0 */
/* Guest-physical addresses. The guest sees all of it: none may change once machines are saved. */
#ifndef VMM_ARCH_AARCH64_LAYOUT_H
#define VMM_ARCH_AARCH64_LAYOUT_H

#include "lib/util.h"

#define ARM_GIC_DIST       0x08ff0000u
#define ARM_GIC_DIST_LEN   0x10000u
#define ARM_GIC_REDIST_LEN 0x20000u /* a vCPU, below the distributor */
#define ARM_GIC_ITS_LEN    0x20000u /* below the redistributors */
#define ARM_UART           0x09000000u
#define ARM_RTC            0x09010000u
#define ARM_GPIO           0x09020000u
#define ARM_MMIO32         0x10000000ull
#define ARM_MMIO32_LEN     MIB(512)
#define ARM_ECAM           0x30000000ull
#define ARM_ECAM_LEN       MIB(1)
#define ARM_RAM            0x40000000ull /* the device tree first */
#define ARM_FDT_MAX        MIB(2)
#define ARM_KERNEL         0x40400000ull
#define ARM_RAM32_END      0xfc000000ull
#define ARM_RAM64          GIB(4)
#define ARM_MMIO64_ALIGN   GIB(4)
#define ARM_MMIO64_MAX     GIB(512)
#define ARM_PHYS_BITS      46

#endif
