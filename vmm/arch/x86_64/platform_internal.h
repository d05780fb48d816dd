/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by platform.c and tables.c. */
#ifndef VMM_ARCH_X86_64_PLATFORM_INTERNAL_H
#define VMM_ARCH_X86_64_PLATFORM_INTERNAL_H

#include "vmm/acpi/ged.h"
#include "vmm/acpi/power.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/ioapic.h"
#include "vmm/bus/debugcon.h"
#include "vmm/bus/serial.h"

struct arch_platform {
	struct arch_platform_cfg cfg;
	struct ioapic *ioapic;
	struct ged *ged;
	struct power power;
	unsigned on_bus;            /* how many of the ranges of platform.c are on their buses */
	struct serial *serial;      /* NULL: none */
	struct debugcon *debugcon;  /* NULL: none */
};

#endif
