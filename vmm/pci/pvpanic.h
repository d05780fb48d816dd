/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic: one register by which a guest kernel tells that it panicked (QEMU's
 * docs/specs/pvpanic.rst; Linux has had the driver for the PCI variant since 5.13).
 */
#ifndef VMM_PCI_PVPANIC_H
#define VMM_PCI_PVPANIC_H

#include "vmm/pci/pci.h"

enum pvpanic_event {
	PVPANIC_PANICKED = 1u << 0,    /* and the guest halts or reboots next */
	PVPANIC_CRASHLOADED = 1u << 1, /* and a crash kernel takes over */
};

struct pvpanic;

/* @fn is called on the vCPU's thread, once for each write, with the bits written that are known. It must
 * not take the machine apart itself. */
int pvpanic_new(struct pvpanic **ret, struct pci_seg *seg, int slot,
		void (*fn)(void *arg, unsigned events), void *arg, struct err *e);
void pvpanic_free(struct pvpanic *p);

#endif
