// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/power.h"
#include "vmm/acpi/acpi.h"

#define SLEEP_TYPE(v)  ((v) >> 2 & 7)
#define SLEEP_ENABLE   (1u << 5)

static uint64_t power_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	(void)size;
	return 0; /* never woken, never asleep */
}

static void power_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	const struct power *p = dev;

	if (size != 1)
		return;
	if (off == POWER_SLEEP_CONTROL && (value & SLEEP_ENABLE) &&
	    SLEEP_TYPE(value) == ACPI_SLEEP_TYPE_S5)
		p->event(p->arg, POWER_OFF);
	else if (off == POWER_RESET && value == POWER_RESET_VALUE)
		p->event(p->arg, POWER_CYCLE);
}

const struct bus_ops power_ops = { .name = "acpi-power", .read = power_read, .write = power_write };
