// SPDX-License-Identifier: Apache-2.0
/*
 * Register groups of a vCPU, in the order in which they are saved and loaded. Why this order:
 *  - tsc before anything that is measured by it (the deadline timer among the MSRs);
 *  - mp first of the rest: reading it makes KVM take pending INIT and SIPI, which change all others;
 *  - sregs before lapic (the APIC base says how the local APIC is to be read) and xsave;
 *  - lapic before msrs: the deadline timer is armed only in a local APIC that is in that mode;
 *  - events last, because reading or writing others may add to them.
 */
#include <string.h>
#include <x86intrin.h>
#include "vmm/hv/kvm/kvm.h"

struct tsc_state {
	uint64_t offset;    /* guest TSC - host TSC */
	uint64_t reference; /* host TSC at clock_get() */
	uint32_t khz, pad;
};

static int tsc_offset(struct kvm_vcpu *c, bool set, uint64_t *offset)
{
	struct kvm_device_attr a = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(c->fd, set ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &a) < 0 ? -errno : 0;
}

uint64_t kvm_guest_tsc(struct kvm_vcpu *c)
{
	uint64_t offset;

	return tsc_offset(c, false, &offset) < 0 ? 0 : __rdtsc() + offset;
}

static ssize_t tsc_get(struct kvm_vcpu *c, void *dst, size_t size, struct err *e)
{
	struct tsc_state t = { .reference = vcpu_vm(c)->tsc_saved };
	int khz = ioctl(c->fd, KVM_GET_TSC_KHZ, 0);

	if (size < sizeof(t))
		return err_set(e, ENOSPC, "no room for the TSC");
	if (khz <= 0 || tsc_offset(c, false, &t.offset) < 0)
		return err_set(e, ENOTSUP, "KVM of this host does not tell the TSC's offset (Linux 5.16)");
	t.khz = (uint32_t)khz;
	memcpy(dst, &t, sizeof(t));
	return sizeof(t);
}

static int tsc_set(struct kvm_vcpu *c, const void *src, size_t len, struct err *e)
{
	struct tsc_state t;
	int khz = ioctl(c->fd, KVM_GET_TSC_KHZ, 0);
	uint64_t offset;

	if (len != sizeof(t))
		return err_set(e, EBADMSG, "TSC state of %zu bytes", len);
	memcpy(&t, src, sizeof(t));
	/* KVM scales the counter where the CPU can; it refuses elsewhere, but for what NTP may do. */
	if (khz <= 0 || (t.khz != (uint32_t)khz && ioctl(c->fd, KVM_SET_TSC_KHZ, (unsigned long)t.khz) < 0))
		return err_set(e, ENOTSUP, "the saved TSC runs at %u kHz, this host's at %d", t.khz, khz);
	offset = t.offset + t.reference - vcpu_vm(c)->tsc_loaded;
	if (tsc_offset(c, true, &offset) < 0)
		return err_set(e, ENOTSUP, "KVM of this host does not set the TSC's offset (Linux 5.16)");
	return 0;
}

/* Groups that are one fixed struct of KVM's. */
struct plain {
	unsigned long get, set;
	size_t size;
};

static const struct plain mp = { KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state) };
static const struct plain regs = { KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs) };
static const struct plain sregs = { KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs) };
static const struct plain xcrs = { KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs) };
static const struct plain debug = { KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS,
				    sizeof(struct kvm_debugregs) };
static const struct plain lapic = { KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state) };
static const struct plain events = { KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
				     sizeof(struct kvm_vcpu_events) };

static size_t xsave_size(struct kvm_vcpu *c)
{
	struct kvm_hv *h = to_hv(c->vcpu.vm->hv);

	if (!h->xsave_size) {
		int n = ioctl(vcpu_vm(c)->fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

		h->xsave_size = n > (int)sizeof(struct kvm_xsave) ? (size_t)n : sizeof(struct kvm_xsave);
	}
	return h->xsave_size;
}

static ssize_t xsave_get(struct kvm_vcpu *c, void *dst, size_t size, struct err *e)
{
	size_t n = xsave_size(c);
	bool large = n > sizeof(struct kvm_xsave);

	if (size < n)
		return err_set(e, ENOSPC, "no room for the floating point state");
	if (ioctl(c->fd, large ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, dst) < 0)
		return err_errno(e, errno, "cannot read floating point state of vCPU %u",
				 c->vcpu.index);
	return (ssize_t)n;
}

static int xsave_set(struct kvm_vcpu *c, const void *src, size_t len, struct err *e)
{
	/* KVM reads as much as its own size whatever we pass. */
	if (len != xsave_size(c))
		return err_set(e, EBADMSG, "floating point state of %zu bytes, this host's has %zu", len,
			       xsave_size(c));
	if (ioctl(c->fd, KVM_SET_XSAVE, src) < 0)
		return err_errno(e, errno, "KVM refuses floating point state of vCPU %u",
				 c->vcpu.index);
	return 0;
}

/* Tells the guest's watchdog that it stood still; last, because it needs the clock's MSR. */
static int events_set(struct kvm_vcpu *c, const void *src, size_t len, struct err *e)
{
	if (len != events.size)
		return err_set(e, EBADMSG, "events of %zu bytes", len);
	if (ioctl(c->fd, events.set, src) < 0)
		return err_errno(e, errno, "KVM refuses events of vCPU %u", c->vcpu.index);
	if (ioctl(c->fd, KVM_KVMCLOCK_CTRL, 0) < 0 && errno != EINVAL) /* EINVAL: clock not in use */
		return err_errno(e, errno, "cannot tell vCPU %u of its pause", c->vcpu.index);
	return 0;
}

struct group {
	const struct plain *plain; /* or, and for set first: */
	ssize_t (*get)(struct kvm_vcpu *c, void *dst, size_t size, struct err *e);
	int (*set)(struct kvm_vcpu *c, const void *src, size_t len, struct err *e);
};

static const struct hv_reg_group names[] = {
	{ "tsc", 1 }, { "mp", 1 }, { "regs", 1 }, { "sregs", 1 }, { "xsave", 1 }, { "xcrs", 1 },
	{ "debug", 1 }, { "lapic", 1 }, { "msrs", 1 }, { "events", 1 },
};
static const struct group groups[] = {
	{ NULL, tsc_get, tsc_set }, { &mp, NULL, NULL }, { &regs, NULL, NULL },
	{ &sregs, NULL, NULL }, { NULL, xsave_get, xsave_set }, { &xcrs, NULL, NULL },
	{ &debug, NULL, NULL }, { &lapic, NULL, NULL }, { NULL, kvm_msrs_get, kvm_msrs_set },
	{ &events, NULL, events_set },
};
_Static_assert(ARRAY_SIZE(names) == ARRAY_SIZE(groups), "one row each");

const struct hv_reg_group *kvm_reg_groups(struct hv *hv, size_t *ret_n)
{
	(void)hv;
	*ret_n = ARRAY_SIZE(names);
	return names;
}

ssize_t kvm_vcpu_get(struct hv_vcpu *vcpu, unsigned i, void *dst, size_t size, struct err *e)
{
	struct kvm_vcpu *c = to_vcpu(vcpu);
	const struct group *g;

	bug_on(i >= ARRAY_SIZE(groups));
	g = &groups[i];
	if (g->get)
		return g->get(c, dst, size, e);
	if (size < g->plain->size)
		return err_set(e, ENOSPC, "no room for %s", names[i].name);
	if (ioctl(c->fd, g->plain->get, dst) < 0)
		return err_errno(e, errno, "cannot read %s of vCPU %u", names[i].name, vcpu->index);
	return (ssize_t)g->plain->size;
}

int kvm_vcpu_set(struct hv_vcpu *vcpu, unsigned i, const void *src, size_t len, struct err *e)
{
	struct kvm_vcpu *c = to_vcpu(vcpu);
	const struct group *g;

	bug_on(i >= ARRAY_SIZE(groups));
	g = &groups[i];
	if (g->set)
		return g->set(c, src, len, e);
	if (len != g->plain->size)
		return err_set(e, EBADMSG, "%s of %zu bytes, not %zu", names[i].name, len,
			       g->plain->size);
	if (ioctl(c->fd, g->plain->set, src) < 0)
		return err_errno(e, errno, "KVM refuses %s of vCPU %u", names[i].name, vcpu->index);
	return 0;
}
