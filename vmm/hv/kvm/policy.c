// SPDX-License-Identifier: Apache-2.0
/* The ioctls that this folder issues once a guest may run: part of the policies of vmm/jail. */
#include <linux/kvm.h>
#include <stddef.h>

#include "vmm/jail/policy.h"

#define KVM(request) { ARG32(1, request) }

/* Interrupts and doorbells change while a guest runs: it enables devices and moves their BARs. */
const struct jail_rule jail_rules_hv_irq[] = {
	{ "ioctl", "interrupt routes of MSI-X vectors", KVM(KVM_SET_GSI_ROUTING), 0 },
	{ "ioctl", "a vector's eventfd", KVM(KVM_IRQFD), 0 },
	{ "ioctl", "a queue's doorbell", KVM(KVM_IOEVENTFD), 0 },
	{ "ioctl", "an interrupt by message", KVM(KVM_SIGNAL_MSI), 0 },
	{ "eventfd2", "queues and vectors", {}, 0 },
	{ "ppoll", "whether a masked vector of somebody else's is pending", {}, 0 },
	{ NULL, NULL, {}, 0 },
};

const struct jail_rule jail_rules_hv_run[] = {
	{ "ioctl", "run the guest", KVM(KVM_RUN), 0 },
	{ "ioctl", "where it was when it could not go on", KVM(KVM_GET_REGS), 0 },
	{ NULL, NULL, {}, 0 },
};
