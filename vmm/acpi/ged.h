/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generic event device (ACPI 6.5, section 5.6.9): a 32-bit register of pending events, cleared by
 * reading, and an edge interrupt. The DSDT's _EVT method reads it and notifies the devices.
 */
#ifndef VMM_ACPI_GED_H
#define VMM_ACPI_GED_H

#include "vmm/bus/bus.h"
#include "vmm/snapshot/snap.h"

#define GED_LEN 4

enum ged_event {
	GED_POWER_BUTTON = 1u << 0,
	GED_VMGENID = 1u << 1,
};

struct ged;

/* @irq must outlive it. */
int ged_new(struct ged **ret, struct irq_line *irq, struct err *e);
void ged_free(struct ged *g);
extern const struct bus_ops ged_ops; /* GED_LEN bytes, dev: struct ged */

void ged_raise(struct ged *g, enum ged_event ev); /* any thread */

void ged_save(struct ged *g, struct snap_w *w, uint16_t tag);
int ged_load(struct ged *g, struct snap_r *r, uint16_t tag, struct err *e);

#endif
