/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a /dev/kvm really runs guests. That it opens is no proof: some hosts offer a KVM that emulates every instruction
 * which a guest's kernel executes, hundreds of times slower than the processor. For diagnosis, in a process with one thread.
 */
#ifndef VMM_HV_KVM_PROBE_H
#define VMM_HV_KVM_PROBE_H

#include "lib/err.h"

/* Runs a short loop in ring 0 of a small guest, and the same loop in this process. 0 and how many times longer the guest
 * took (near 1 on hardware; 0: not measured on this architecture); -ETIME when that is the sign of an emulating KVM, or another
 * negative errno when no guest ran; @e says why. */
int kvm_probe(int kvm, double *ret_ratio, struct err *e);

#endif
