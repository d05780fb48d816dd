// SPDX-License-Identifier: Apache-2.0
/* What this architecture does not have yet. A machine is refused before any of it is needed. */
#include "vmm/arch/arch.h"

static int absent(struct err *e)
{
	return err_set(e, ENOTSUP, "husk does not run machines on aarch64 yet");
}

int arch_platform_new(struct arch_platform **ret, const struct arch_platform_cfg *cfg,
		      struct err *e)
{
	(void)ret;
	(void)cfg;
	return absent(e);
}

void arch_platform_free(struct arch_platform *p)
{
	(void)p;
}

void arch_platform_power_button(struct arch_platform *p)
{
	(void)p;
}

void arch_platform_eoi(struct arch_platform *p, uint8_t vector)
{
	(void)p;
	(void)vector;
}

int arch_platform_new_generation(struct arch_platform *p, const uint8_t guid[16], struct err *e)
{
	(void)p;
	(void)guid;
	return absent(e);
}

int arch_platform_save(struct arch_platform *p, struct snap_w *w, struct err *e)
{
	(void)p;
	(void)w;
	return absent(e);
}

int arch_platform_load(struct arch_platform *p, struct snap_r *r, struct err *e)
{
	(void)p;
	(void)r;
	return absent(e);
}

int arch_load_payload(const struct gmem *m, const struct arch_payload *p, struct arch_boot *ret,
		      struct err *e)
{
	(void)m;
	(void)p;
	(void)ret;
	return absent(e);
}

int arch_write_tables(struct arch_platform *p, const struct arch_boot *boot,
		      const struct pci_seg_cfg *pci, size_t npci, struct err *e)
{
	(void)p;
	(void)boot;
	(void)pci;
	(void)npci;
	return absent(e);
}

int arch_cpu_model(struct hv_vm *vm, const struct arch_cpu_cfg *cfg, struct arch_cpu_model *ret,
		   struct err *e)
{
	(void)vm;
	(void)cfg;
	(void)ret;
	return absent(e);
}

int arch_vcpu_setup(struct hv_vcpu *c, const struct arch_cpu_model *model, struct err *e)
{
	(void)c;
	(void)model;
	return absent(e);
}

int arch_vcpu_boot(struct hv_vcpu *c, const struct gmem *m, const struct arch_boot *boot,
		   struct err *e)
{
	(void)c;
	(void)m;
	(void)boot;
	return absent(e);
}
