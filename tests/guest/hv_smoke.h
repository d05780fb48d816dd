/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by hv_smoke.c and hv_boot.c. */
#ifndef TESTS_GUEST_HV_SMOKE_H
#define TESTS_GUEST_HV_SMOKE_H

#include "vmm/arch/arch.h"

/* Boots @kernel with an optional @initramfs ("" for none); serial output goes to standard output.
 * Returns when the guest ends. Exit status of the program. */
int hv_boot(struct hv *hv, const char *kernel, const char *initramfs, const char *cmdline,
	    unsigned vcpus, uint64_t memory, bool map_files);

#endif
