// SPDX-License-Identifier: Apache-2.0
/* /dev/kvm: what it must have, and the table of operations. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmm/hv/kvm/kvm.h"

#define KVM_API_VERSION_WANTED 12

static void kvm_close(struct hv *hv)
{
	struct kvm_hv *h = to_hv(hv);

	close(h->fd);
	free(h);
}

static unsigned kvm_max_vcpus(struct hv *hv)
{
	int n = ioctl(to_hv(hv)->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	return n > 0 ? (unsigned)n : 4; /* the API's own default */
}

static unsigned kvm_phys_bits(struct hv *hv)
{
	const struct kvm_hv *h = to_hv(hv);

	for (size_t i = 0; i < h->ncpuid; i++)
		if (h->cpuid[i].function == 0x80000008)
			return h->cpuid[i].eax & 0xff;
	return 36;
}

static int kvm_cpuid_supported(struct hv *hv, struct hv_cpuid_entry *tab, size_t *n, struct err *e)
{
	const struct kvm_hv *h = to_hv(hv);

	if (*n < h->ncpuid)
		return err_set(e, E2BIG, "%zu CPUID leaves, room for %zu", h->ncpuid, *n);
	memcpy(tab, h->cpuid, h->ncpuid * sizeof(*tab));
	*n = h->ncpuid;
	return 0;
}

static const struct hv_ops kvm_ops = {
	.name = "kvm",
	.close = kvm_close,
	.vm_new = kvm_vm_new,
	.vm_free = kvm_vm_free,
	.vm_defer_teardown = kvm_vm_defer_teardown,
	.max_vcpus = kvm_max_vcpus,
	.phys_bits = kvm_phys_bits,
	.slot_set = kvm_slot_set,
	.cpuid_supported = kvm_cpuid_supported,
	.gsi_alloc = kvm_gsi_alloc,
	.gsi_free = kvm_gsi_free,
	.gsi_route_msi = kvm_gsi_route_msi,
	.irqfd = kvm_irqfd,
	.signal_msi = kvm_signal_msi,
	.ioeventfd = kvm_ioeventfd,
	.tsc_khz = kvm_tsc_khz,
	.clock_get = kvm_clock_get,
	.clock_set = kvm_clock_set,
	.dirty_log = kvm_dirty_log,
	.dirty_get = kvm_dirty_get,
	.vcpu_new = kvm_vcpu_new,
	.vcpu_free = kvm_vcpu_free,
	.vcpu_set_cpuid = kvm_vcpu_set_cpuid,
	.vcpu_set_msrs = kvm_vcpu_set_msrs,
	.vcpu_boot = kvm_vcpu_boot,
	.vcpu_run = kvm_vcpu_run,
	.vcpu_kick = kvm_vcpu_kick,
	.vcpu_nmi = kvm_vcpu_nmi,
	.reg_groups = kvm_reg_groups,
	.vcpu_get = kvm_vcpu_get,
	.vcpu_set = kvm_vcpu_set,
};

/* The newest and the optional ones; all else that we use is older than one of these. */
static const struct {
	int cap;
	const char *what;
} needed[] = {
	{ KVM_CAP_SPLIT_IRQCHIP, "a local APIC without I/O APIC (split irqchip, Linux 4.4)" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit (Linux 4.12)" },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd of any length (Linux 4.4)" },
	{ KVM_CAP_SIGNAL_MSI, "injection of MSIs" },
	{ KVM_CAP_TSC_DEADLINE_TIMER, "the TSC deadline timer" },
};

static int check_kvm(int fd, struct err *e)
{
	int v = ioctl(fd, KVM_GET_API_VERSION, 0);

	if (v < 0)
		return err_set(e, ENOTSUP, "the descriptor given as /dev/kvm is not KVM");
	if (v != KVM_API_VERSION_WANTED)
		return err_set(e, ENOTSUP, "KVM has API version %d, not %d", v,
			       KVM_API_VERSION_WANTED);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return err_set(e, ENOTSUP, "KVM of this host lacks %s", needed[i].what);
	return 0;
}

int hv_kvm_open(struct hv **ret, int kvm_fd, struct err *e)
{
	struct kvm_hv *h;
	int rc, size;

	rc = check_kvm(kvm_fd, e);
	if (rc < 0)
		return rc;
	size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return err_set(e, ENOTSUP, "KVM's vCPU page has %d bytes", size);
	rc = kvm_kick_init(e);
	if (rc < 0)
		return rc;
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(e, ENOMEM, "out of memory");
	h->hv.ops = &kvm_ops;
	h->fd = kvm_fd;
	h->run_size = (size_t)size;
	rc = kvm_read_cpuid(h, e);
	if (rc < 0) {
		free(h);
		return rc;
	}
	*ret = &h->hv;
	return 0;
}
