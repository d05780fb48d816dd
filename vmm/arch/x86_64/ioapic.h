/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O APIC (Intel 82093AA, with fewer pins) in user space, for the split interrupt chip: a redirection
 * entry for each pin. An edge becomes an MSI at once. A level pin also gets a route (its GSI is the pin's
 * number), by which the hypervisor knows whose EOI to report (HV_EXIT_EOI); a line still high then
 * interrupts again. Masked edges are remembered and delivered when unmasked, as KVM's does.
 */
#ifndef VMM_ARCH_X86_64_IOAPIC_H
#define VMM_ARCH_X86_64_IOAPIC_H

#include "vmm/bus/bus.h"
#include "vmm/hv/hv.h"
#include "vmm/snapshot/snap.h"

/* A kernel reads and writes each entry several times at its start, 8 exits a pin; two are used. */
#define IOAPIC_PINS 8
#define IOAPIC_LEN  0x100

struct ioapic;

int ioapic_new(struct ioapic **ret, struct hv_vm *vm, struct err *e);
void ioapic_free(struct ioapic *a);
extern const struct bus_ops ioapic_ops; /* IOAPIC_LEN bytes, dev: struct ioapic */

/* Lives as long as the I/O APIC. Any thread may set it. */
struct irq_line *ioapic_line(struct ioapic *a, unsigned pin);
void ioapic_eoi(struct ioapic *a, uint8_t vector); /* any thread */

/* Tags @tag … @tag + 4, of which the last one is optional. After a load all routes are set again, of what is in service as it
 * was delivered. */
void ioapic_save(struct ioapic *a, struct snap_w *w, uint16_t tag);
int ioapic_load(struct ioapic *a, struct snap_r *r, uint16_t tag, struct err *e);

#endif
