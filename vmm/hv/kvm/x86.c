// SPDX-License-Identifier: Apache-2.0
/* CPUID, model-specific registers and the entry state of an x86 vCPU. */
#include <stdlib.h>
#include <string.h>
#include "lib/cleanup.h"
#include "vmm/hv/kvm/kvm.h"

static struct kvm_cpuid2 *cpuid_new(size_t n)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + n * sizeof(c->entries[0]));

	if (c)
		c->nent = (uint32_t)n;
	return c;
}

int kvm_read_cpuid(struct kvm_hv *h, struct err *e)
{
	_cleanup_free_ struct kvm_cpuid2 *c = cpuid_new(HV_CPUID_MAX);

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	if (ioctl(h->fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return err_errno(e, errno, "KVM does not tell the CPU's features");
	bug_on(c->nent > HV_CPUID_MAX);
	for (size_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *k = &c->entries[i];

		h->cpuid[i] = (struct hv_cpuid_entry){
			.function = k->function,
			.index = k->index,
			.flags = k->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX ?
				HV_CPUID_SIGNIFICANT_INDEX : 0,
			.eax = k->eax, .ebx = k->ebx, .ecx = k->ecx, .edx = k->edx,
		};
	}
	h->ncpuid = c->nent;
	return 0;
}

int kvm_vcpu_set_cpuid(struct hv_vcpu *vcpu, const struct hv_cpuid_entry *tab, size_t n,
		       struct err *e)
{
	_cleanup_free_ struct kvm_cpuid2 *c = NULL;

	if (n > HV_CPUID_MAX)
		return err_set(e, EINVAL, "%zu CPUID leaves, at most %d", n, HV_CPUID_MAX);
	c = cpuid_new(n);
	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		c->entries[i] = (struct kvm_cpuid_entry2){
			.function = tab[i].function,
			.index = tab[i].index,
			.flags = tab[i].flags & HV_CPUID_SIGNIFICANT_INDEX ?
				KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = tab[i].eax, .ebx = tab[i].ebx, .ecx = tab[i].ecx, .edx = tab[i].edx,
		};
	if (ioctl(to_vcpu(vcpu)->fd, KVM_SET_CPUID2, c) < 0)
		return err_errno(e, errno, "KVM refuses the CPU features of vCPU %u", vcpu->index);
	return 0;
}

#define SET_MSRS_MAX 32

int kvm_vcpu_set_msrs(struct hv_vcpu *vcpu, const struct hv_msr *tab, size_t n, struct err *e)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[SET_MSRS_MAX];
	} m = { .head.nmsrs = (uint32_t)n };
	int done;

	bug_on(n > SET_MSRS_MAX);
	for (size_t i = 0; i < n; i++)
		m.entry[i] = (struct kvm_msr_entry){ .index = tab[i].index, .data = tab[i].value };
	done = ioctl(to_vcpu(vcpu)->fd, KVM_SET_MSRS, &m);
	if (done < 0)
		return err_errno(e, errno, "KVM refuses registers of vCPU %u", vcpu->index);
	if ((size_t)done < n)
		return err_set(e, EINVAL, "KVM refuses MSR %#x = %#jx of vCPU %u", tab[done].index,
			       (uintmax_t)tab[done].value, vcpu->index);
	return 0;
}

static void to_segment(struct kvm_segment *k, const struct hv_x86_segment *s)
{
	*k = (struct kvm_segment){
		.base = s->base, .limit = s->limit, .selector = s->selector, .type = s->type,
		.present = s->present, .dpl = s->dpl, .db = s->db, .s = s->s, .l = s->l, .g = s->g,
	};
}

int kvm_vcpu_boot(struct hv_vcpu *vcpu, const struct hv_x86_boot_regs *r, struct err *e)
{
	struct kvm_vcpu *c = to_vcpu(vcpu);
	struct kvm_regs regs = {
		.rip = r->rip, .rsp = r->rsp, .rbx = r->rbx, .rsi = r->rsi, .rflags = r->rflags,
	};
	struct kvm_sregs s;

	if (ioctl(c->fd, KVM_GET_SREGS, &s) < 0)
		return err_errno(e, errno, "cannot read registers of vCPU %u", vcpu->index);
	to_segment(&s.cs, &r->cs);
	to_segment(&s.ds, &r->ds);
	s.es = s.fs = s.gs = s.ds;
	to_segment(&s.ss, &r->ss);
	to_segment(&s.tr, &r->tr);
	s.gdt.base = r->gdt_base;
	s.gdt.limit = r->gdt_limit;
	s.idt.base = r->idt_base;
	s.idt.limit = r->idt_limit;
	s.cr0 = r->cr0;
	s.cr3 = r->cr3;
	s.cr4 = r->cr4;
	s.efer = r->efer;
	if (ioctl(c->fd, KVM_SET_SREGS, &s) < 0 || ioctl(c->fd, KVM_SET_REGS, &regs) < 0)
		return err_errno(e, errno, "KVM refuses the entry state of vCPU %u", vcpu->index);
	return 0;
}
