/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-physical addresses, ports and interrupts. The guest sees all of it: a saved machine expects
 * to find what it knew, so none of these may change (add instead).
 */
#ifndef VMM_ARCH_X86_64_LAYOUT_H
#define VMM_ARCH_X86_64_LAYOUT_H

#include "lib/util.h"

/* Below 1 MiB. */
#define X86_GDT          0x500u
#define X86_IDT          0x520u
#define X86_PVH_INFO     0x6000u
#define X86_PVH_MODLIST  0x6040u
#define X86_PVH_MEMMAP   0x6800u /* 24 bytes an entry */
#define X86_ZERO_PAGE    0x7000u
#define X86_BOOT_STACK   0x8ff0u
#define X86_CMDLINE      0x20000u
#define X86_LOW_RAM_END  0xa0000u
#define X86_RSDP         0xa0000u /* and all tables behind it */
#define X86_ACPI_END     0xe0000u
#define X86_VMGENID      0xef000u /* a page of its own */
#define X86_HIGH_RAM     0x100000u

/* Below 4 GiB. */
#define X86_RAM32_END    0xc0000000ull
#define X86_MMIO32       0xc0000000ull
#define X86_MMIO32_LEN   MIB(640)
#define X86_ECAM         0xe8000000ull /* X86_ECAM_LEN a segment */
#define X86_ECAM_LEN     MIB(1)
/* 0xfffbc000 … 0xfffbffff: KVM's identity map and TSS (vmm/hv/kvm/vm.c). */
#define X86_IOAPIC       0xfec00000u
#define X86_LAPIC        0xfee00000u

#define X86_RAM64        GIB(4)
#define X86_MMIO64_ALIGN GIB(4)
#define X86_MMIO64_MAX   GIB(512)
#define X86_PHYS_BITS    46 /* more is not used, so that hosts agree */

/* Ports. */
#define X86_PORT_SERIAL  0x3f8
#define X86_PORT_POWER   0x600
#define X86_PORT_GED     0x604

/* Pins of the I/O APIC. */
#define X86_IRQ_SERIAL   4
#define X86_IRQ_GED      5

#endif
