/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the two files of the fake hypervisor. */
#ifndef VMM_HV_FAKE_FAKE_INTERNAL_H
#define VMM_HV_FAKE_FAKE_INTERNAL_H

#include "vmm/hv/fake/fake.h"

/* -code when fake_fail_next() asked for it, once. */
int fake_fails(struct hv *hv, const char *op, struct err *e);

int fake_vcpu_new(struct hv_vm *vm, unsigned index, struct hv_vcpu **ret, struct err *e);
void fake_vcpu_free(struct hv_vcpu *vcpu);
int fake_vcpu_set_cpuid(struct hv_vcpu *vcpu, const struct hv_cpuid_entry *tab, size_t n,
			struct err *e);
int fake_vcpu_set_msrs(struct hv_vcpu *vcpu, const struct hv_msr *tab, size_t n, struct err *e);
int fake_vcpu_boot(struct hv_vcpu *vcpu, const struct hv_x86_boot_regs *r, struct err *e);
int fake_vcpu_run(struct hv_vcpu *vcpu, struct hv_exit *ret);
void fake_vcpu_kick(struct hv_vcpu *vcpu);
int fake_vcpu_nmi(struct hv_vcpu *vcpu);
const struct hv_reg_group *fake_reg_groups(struct hv *hv, size_t *ret_n);
ssize_t fake_vcpu_get(struct hv_vcpu *vcpu, unsigned group, void *dst, size_t size, struct err *e);
int fake_vcpu_set(struct hv_vcpu *vcpu, unsigned group, const void *src, size_t len,
		  struct err *e);

#endif
