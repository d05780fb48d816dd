// SPDX-License-Identifier: Apache-2.0
/*
 * What the guest's CPUs are: the host's features without those that no guest may have (monitoring,
 * power, nested virtualisation unless asked for), one package of single-threaded cores, and the rates of
 * the timers, so that the guest need not measure them. Leaves: Intel SDM 2A, "CPUID"; AMD APM 3,
 * appendix E.
 */
#include <string.h>
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/layout.h"

#define BIT(n) (1u << (n))

enum reg { EAX, EBX, ECX, EDX };

static uint32_t *reg_of(struct hv_cpuid_entry *c, enum reg r)
{
	return r == EAX ? &c->eax : r == EBX ? &c->ebx : r == ECX ? &c->ecx : &c->edx;
}

/* @index -1: all of the leaf. */
static const struct mask {
	uint32_t function;
	int index;
	enum reg reg;
	uint32_t keep, set;
	const char *why;
} masks[] = {
	{ 1, -1, ECX, ~(BIT(3) | BIT(15)), BIT(31) | BIT(24) | BIT(21),
	  "no MONITOR nor performance MSRs; a hypervisor, TSC deadline timer and x2APIC, which KVM emulates" },
	{ 6, -1, EAX, BIT(2), 0, "no power management but that the APIC timer never stops" },
	{ 6, -1, EBX, 0, 0, "the same" },
	{ 6, -1, ECX, 0, 0, "no APERF/MPERF, no energy bias" },
	{ 7, 0, EBX, ~(BIT(2) | BIT(25)), 0, "no SGX, no processor trace" },
	{ 7, 0, ECX, ~BIT(30), 0, "no SGX launch control" },
	{ 7, 0, EDX, ~BIT(19), 0, "no last branch records" },
	{ 0xa, -1, EAX, 0, 0, "no performance counters" },
	{ 0xa, -1, EBX, 0, 0, "the same" },
	{ 0xa, -1, ECX, 0, 0, "the same" },
	{ 0xa, -1, EDX, 0, 0, "the same" },
	{ 0x12, -1, EAX, 0, 0, "no SGX" },
	{ 0x14, -1, EAX, 0, 0, "no processor trace" },
	{ 0x14, -1, EBX, 0, 0, "the same" },
	{ 0x1c, -1, EAX, 0, 0, "no last branch records" },
	{ 0x80000001, -1, ECX, ~(BIT(10) | BIT(23) | BIT(24) | BIT(28)), 0,
	  "no instruction sampling, no extended performance counters" },
	{ 0x8000001b, -1, EAX, 0, 0, "no instruction sampling" },
	{ 0x80000022, -1, EAX, 0, 0, "no performance counters" },
	{ 0x80000022, -1, EBX, 0, 0, "the same" },
	{ 0x80000026, -1, EBX, 0, 0, "no second description of the topology" },
};

static const struct mask no_nesting[] = {
	{ 1, -1, ECX, ~BIT(5), 0, "no VMX" },
	{ 0x80000001, -1, ECX, ~BIT(2), 0, "no SVM" },
	{ 0x8000000a, -1, EAX, 0, 0, "the same" },
	{ 0x8000000a, -1, EBX, 0, 0, "the same" },
	{ 0x8000000a, -1, EDX, 0, 0, "the same" },
};

static void apply(struct arch_cpu_model *m, const struct mask *tab, size_t n)
{
	for (size_t i = 0; i < m->n; i++) {
		struct hv_cpuid_entry *c = &m->tab[i];

		for (size_t t = 0; t < n; t++) {
			uint32_t *r = reg_of(c, tab[t].reg);

			if (c->function != tab[t].function ||
			    (tab[t].index >= 0 && c->index != (uint32_t)tab[t].index))
				continue;
			*r = (*r & tab[t].keep) | tab[t].set;
		}
	}
}

static struct hv_cpuid_entry *find(struct arch_cpu_model *m, uint32_t function, uint32_t index)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tab[i].function == function && m->tab[i].index == index)
			return &m->tab[i];
	return NULL;
}

/* Replaces or adds a leaf. With the table full it is left out: none of ours is vital. */
static void put(struct arch_cpu_model *m, const struct hv_cpuid_entry *c)
{
	struct hv_cpuid_entry *at = find(m, c->function, c->index);

	if (!at && m->n < HV_CPUID_MAX)
		at = &m->tab[m->n++];
	if (at)
		*at = *c;
}

static unsigned id_bits(unsigned vcpus)
{
	unsigned bits = 0;

	while (1u << bits < vcpus)
		bits++;
	return bits;
}

/* ---- topology: what is the same on all ---- */

/* Caches below the last level are a core's own; the last one is everybody's. */
static void share_caches(struct hv_cpuid_entry *c, unsigned vcpus)
{
	unsigned ids = 1u << id_bits(vcpus), level = c->eax >> 5 & 7;

	if (!(c->eax & 0x1f))
		return;
	c->eax &= ~(0xfffu << 14);
	if (level >= 3)
		c->eax |= (ids - 1) << 14;
	if (c->function == 4)
		c->eax = (c->eax & ~(0x3fu << 26)) | min_t(uint32_t, ids - 1, 63) << 26;
}

static void put_levels(struct arch_cpu_model *m, uint32_t function)
{
	unsigned n = m->cfg.vcpus;
	const struct hv_cpuid_entry levels[] = {
		{ .index = 0, .eax = 0, .ebx = 1, .ecx = 1 << 8 | 0 },           /* threads */
		{ .index = 1, .eax = id_bits(n), .ebx = n, .ecx = 2 << 8 | 1 },  /* cores */
		{ .index = 2, .ecx = 2 },                                        /* no more */
	};

	for (size_t i = 0; i < m->n; i++)
		if (m->tab[i].function == function)
			m->tab[i] = (struct hv_cpuid_entry){ .function = function,
				.index = m->tab[i].index, .flags = HV_CPUID_SIGNIFICANT_INDEX,
				.ecx = m->tab[i].index & 0xff };
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		struct hv_cpuid_entry c = levels[i];

		c.function = function;
		c.flags = HV_CPUID_SIGNIFICANT_INDEX;
		put(m, &c);
	}
}

static void set_topology(struct arch_cpu_model *m)
{
	unsigned n = m->cfg.vcpus, bits = id_bits(n);
	struct hv_cpuid_entry *c;
	uint32_t max = 0;

	for (size_t i = 0; i < m->n; i++) {
		c = &m->tab[i];
		switch (c->function) {
		case 0:
			max = c->eax;
			break;
		case 1:
			c->ebx = (c->ebx & 0xff00) | min_t(uint32_t, 1u << bits, 255) << 16;
			c->edx = n > 1 ? c->edx | BIT(28) : c->edx & ~BIT(28);
			break;
		case 4:
		case 0x8000001d:
			share_caches(c, n);
			break;
		case 0x80000008:
			c->eax = (c->eax & 0xff00) | m->cfg.phys_bits;
			c->ecx = (c->ecx & ~0xf0ffu) | bits << 12 | (n - 1);
			break;
		case 0x8000001e:
			c->ebx = c->ecx = 0;
			break;
		}
	}
	if (max >= 0xb)
		put_levels(m, 0xb);
	if (max >= 0x1f)
		put_levels(m, 0x1f);
}

/* ---- timers ---- */

#define APIC_HZ 1000000000u /* of KVM's local APIC timer, undivided */

static bool is_intel(struct arch_cpu_model *m)
{
	const struct hv_cpuid_entry *c = find(m, 0, 0);

	return c && c->ebx == 0x756e6547; /* "Genu" */
}

/*
 * Intel's way: TSC rate = crystal * ebx / eax, and the crystal also drives the APIC's timer. Linux reckons that in kHz and 32
 * bits, so ebx has a limit, and the rate is the nearest that it leaves: mostly the very one, or off by about one in a million.
 * It matters to guests without KVM's clock, which have nothing to measure by.
 */
static void put_crystal(struct arch_cpu_model *m)
{
	struct hv_cpuid_entry c = { .function = 0x15, .ecx = APIC_HZ };
	uint64_t hz = m->tsc_khz * 1000ull, best = UINT64_MAX;

	for (uint32_t mul = 1; mul <= UINT32_MAX / (APIC_HZ / 1000); mul++) {
		uint32_t div = max_t(uint32_t, 1, (uint32_t)(((uint64_t)mul * APIC_HZ + hz / 2) / hz));
		uint64_t got = (uint64_t)mul * APIC_HZ / div, off = got > hz ? got - hz : hz - got;

		if (off >= best)
			continue;
		best = off;
		c.eax = div;
		c.ebx = mul;
	}
	put(m, &c);
}

static void set_timers(struct arch_cpu_model *m)
{
	struct hv_cpuid_entry *hyp = find(m, 0x40000000, 0), *zero = find(m, 0, 0);

	if (!m->tsc_khz)
		return;
	if (hyp) {
		hyp->eax = max_t(uint32_t, hyp->eax, 0x40000010);
		put(m, &(struct hv_cpuid_entry){ .function = 0x40000010, .eax = m->tsc_khz,
						 .ebx = APIC_HZ / 1000 });
	}
	if (zero && is_intel(m)) {
		zero->eax = max_t(uint32_t, zero->eax, 0x15);
		put_crystal(m);
	}
}

int arch_cpu_model(struct hv_vm *vm, const struct arch_cpu_cfg *cfg, struct arch_cpu_model *ret,
		   struct err *e)
{
	unsigned max = vm->ops->max_vcpus(vm->hv);
	int rc;

	if (!cfg->vcpus || cfg->vcpus > ARCH_MAX_VCPUS || cfg->vcpus > max)
		return err_set(e, EINVAL, "%u vCPUs, not 1 to %u", cfg->vcpus,
			       min_t(unsigned, max, ARCH_MAX_VCPUS));
	memset(ret, 0, sizeof(*ret));
	ret->cfg = *cfg;
	ret->cfg.phys_bits = min_t(unsigned, cfg->phys_bits, X86_PHYS_BITS);
	ret->tsc_khz = vm->ops->tsc_khz(vm);
	ret->n = HV_CPUID_MAX;
	rc = vm->ops->cpuid_supported(vm->hv, ret->tab, &ret->n, e);
	if (rc < 0)
		return rc;
	apply(ret, masks, ARRAY_SIZE(masks));
	if (!cfg->nested)
		apply(ret, no_nesting, ARRAY_SIZE(no_nesting));
	set_topology(ret);
	set_timers(ret);
	return 0;
}

/* ---- one vCPU ---- */

static void set_identity(struct arch_cpu_model *m, uint32_t id)
{
	for (size_t i = 0; i < m->n; i++) {
		struct hv_cpuid_entry *c = &m->tab[i];

		switch (c->function) {
		case 1:
			c->ebx = (c->ebx & 0xffffff) | id << 24;
			break;
		case 0xb:
		case 0x1f:
			c->edx = id;
			break;
		case 0x8000001e:
			c->eax = id;
			c->ebx = id & 0xff;
			break;
		}
	}
}

#define MSR_MISC_ENABLE       0x1a0
#define MISC_FAST_STRING      1u
#define MSR_MTRR_DEF_TYPE     0x2ff
#define MTRR_ON_WRITE_BACK    0x806u /* enabled; what no range names is write-back */

int arch_vcpu_setup(struct hv_vcpu *c, const struct arch_cpu_model *model, struct err *e)
{
	struct arch_cpu_model m = *model;
	struct hv_msr msrs[2] = { { MSR_MTRR_DEF_TYPE, MTRR_ON_WRITE_BACK } };
	size_t n = 1;
	int rc;

	bug_on(c->index >= model->cfg.vcpus);
	set_identity(&m, c->index);
	rc = c->ops->vcpu_set_cpuid(c, m.tab, m.n, e);
	if (rc < 0)
		return rc;
	/* Without it an Intel guest takes rep movs for slow. */
	if (is_intel(&m))
		msrs[n++] = (struct hv_msr){ MSR_MISC_ENABLE, MISC_FAST_STRING };
	return c->ops->vcpu_set_msrs(c, msrs, n, e);
}
