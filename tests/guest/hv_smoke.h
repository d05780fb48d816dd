/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by hv_smoke.c and hv_boot.c. */
#ifndef TESTS_GUEST_HV_SMOKE_H
#define TESTS_GUEST_HV_SMOKE_H

#include "vmm/arch/arch.h"

struct hv_boot_opt {
	const char *kernel, *initramfs, *cmdline; /* initramfs "": none */
	unsigned vcpus;
	uint64_t memory;
	bool map_files;
	unsigned advice; /* enum gmem_advice */
	unsigned generation_after; /* seconds until the guest gets a new generation id; 0: never */
};

/* Boots a kernel; serial output goes to standard output. Returns when the guest ends: exit status of
 * the program. */
int hv_boot(struct hv *hv, const struct hv_boot_opt *o);

#endif
