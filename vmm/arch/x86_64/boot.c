// SPDX-License-Identifier: Apache-2.0
/*
 * Entry state of the boot vCPU: 32-bit protected mode, flat segments, paging off, which PVH and the
 * Linux 32-bit boot protocol both ask for.
 */
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/layout.h"

#define CR0_PE 0x01u
#define CR0_ET 0x10u
#define RFLAGS_FIXED 0x2u

/* Selectors as the Linux protocol wants them. */
#define SEL_CODE 0x10
#define SEL_DATA 0x18
#define SEL_TSS  0x20

static uint64_t descriptor(const struct hv_x86_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;
	uint64_t flags = s->type | (uint64_t)s->s << 4 | (uint64_t)s->dpl << 5 |
		(uint64_t)s->present << 7 | (uint64_t)s->l << 13 | (uint64_t)s->db << 14 |
		(uint64_t)s->g << 15;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 | flags << 40 | (limit & 0xf0000) << 32 |
		(s->base >> 24 & 0xff) << 56;
}

int arch_vcpu_boot(struct hv_vcpu *c, const struct gmem *m, const struct arch_boot *boot,
		   struct err *e)
{
	struct hv_x86_boot_regs r = {
		.rip = boot->entry.v,
		.rsp = X86_BOOT_STACK,
		.rflags = RFLAGS_FIXED,
		.cr0 = CR0_PE | CR0_ET,
		.cs = { .limit = UINT32_MAX, .selector = SEL_CODE, .type = 11, .present = 1, .db = 1,
			.s = 1, .g = 1 },
		.ds = { .limit = UINT32_MAX, .selector = SEL_DATA, .type = 3, .present = 1, .db = 1,
			.s = 1, .g = 1 },
		.tr = { .limit = 0x67, .selector = SEL_TSS, .type = 11, .present = 1 },
		.gdt_base = X86_GDT,
		.gdt_limit = 5 * 8 - 1,
		.idt_base = X86_IDT,
		.idt_limit = 7,
	};
	uint64_t gdt[6] = { 0, 0, descriptor(&r.cs), descriptor(&r.ds), descriptor(&r.tr), 0 };

	if (gmem_write(m, gpa(X86_GDT), gdt, sizeof(gdt)) < 0)
		return err_set(e, EFAULT, "no memory for the boot descriptors");
	r.ss = r.ds;
	if (boot->kind == ARCH_BOOT_PVH)
		r.rbx = X86_PVH_INFO;
	else
		r.rsi = X86_ZERO_PAGE;
	return c->ops->vcpu_boot(c, &r, e);
}
