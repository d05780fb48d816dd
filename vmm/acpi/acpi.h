/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware-reduced ACPI 6.5 tables from a description: RSDP, XSDT, FADT, MADT, MCFG, DSDT. The arch
 * code fills the description in and copies the result into guest memory.
 *
 * The guest sees: processors, one PCI host bridge per segment (MSI only, no _PRT), a generic event
 * device with a power button, \_S5, optionally a VM generation counter and a 16550.
 */
#ifndef VMM_ACPI_ACPI_H
#define VMM_ACPI_ACPI_H

#include "lib/buf.h"
#include "lib/err.h"

#define ACPI_MAX_PCI     16
#define ACPI_MAX_CPUS    4096
#define ACPI_TABLES_MAX  (256u << 10) /* all of them together, at most */

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1 };

struct acpi_reg {
	enum acpi_space space;
	uint64_t addr; /* 0: absent */
};

/* Windows of one PCI segment, bus 0 only; a length of 0 leaves a window out. */
struct acpi_pci {
	uint16_t segment;
	uint64_t ecam_base;               /* 1 MiB */
	uint64_t mmio32_base, mmio32_len;
	uint64_t mmio64_base, mmio64_len;
	uint16_t io_base, io_len;
};

struct acpi_desc {
	unsigned cpus;                    /* x86: APIC ids 0 … cpus-1 */
	uint32_t lapic_base, ioapic_base;
	unsigned ged_gsi;                 /* edge */
	struct acpi_reg ged;              /* 32-bit selector: vmm/acpi/ged.h */
	struct acpi_reg sleep_control, sleep_status, reset; /* 8 bits each */
	uint8_t reset_value;
	uint64_t vmgenid;                 /* guest-physical address of the 16 bytes, 0: none */
	uint16_t serial_port;             /* 0: none */
	uint8_t serial_gsi;
	size_t npci;
	struct acpi_pci pci[ACPI_MAX_PCI];
};

/* Sleep type of \_S5, as the sleep control register takes it. */
#define ACPI_SLEEP_TYPE_S5 5

/* Writes all tables as one block, the RSDP first, to be placed at @base. @b is empty. */
int acpi_build(struct buf *b, const struct acpi_desc *d, uint64_t base, struct err *e);

/* DSDT alone, with its header; used by acpi_build(). */
int acpi_build_dsdt(struct buf *b, const struct acpi_desc *d, struct err *e);

#endif
