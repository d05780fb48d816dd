/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleep control, sleep status and reset registers of hardware-reduced ACPI (ACPI 6.5, sections 4.8.3.7
 * and 4.8.3.6), four bytes in a row. Sleeping to S5 and writing the reset value call back on the
 * vCPU's thread. It has no state.
 */
#ifndef VMM_ACPI_POWER_H
#define VMM_ACPI_POWER_H

#include "vmm/bus/bus.h"

#define POWER_SLEEP_CONTROL 0
#define POWER_SLEEP_STATUS  1
#define POWER_RESET         2
#define POWER_LEN           4

#define POWER_RESET_VALUE 1

enum power_event { POWER_OFF, POWER_CYCLE };

struct power {
	void (*event)(void *arg, enum power_event ev);
	void *arg;
};

extern const struct bus_ops power_ops; /* POWER_LEN bytes, dev: struct power */

#endif
