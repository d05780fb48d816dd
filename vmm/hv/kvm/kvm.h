/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of this folder alone. Every KVM ioctl of the project is issued here.
 */
#ifndef VMM_HV_KVM_KVM_H
#define VMM_HV_KVM_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include "vmm/hv/hv.h"

#define KVM_SLOTS     256
#define KVM_GSIS      2048
#define KVM_IRQ_LINES 24   /* pins of the user-space I/O APIC: GSIs 0 … 23 */
#define KVM_MSRS_MAX  1024

struct kvm_hv {
	struct hv hv;
	int fd;
	size_t run_size;           /* of a vcpu's shared page(s) */
	size_t ncpuid;
	struct hv_cpuid_entry cpuid[HV_CPUID_MAX]; /* what KVM supports */
	/* Filled in by the first save or load. */
	size_t nmsrs;
	uint32_t msrs[KVM_MSRS_MAX];
	size_t xsave_size;
};

struct kvm_slot {
	gpa_t base;
	uint64_t size; /* 0: free */
	void *host;
	uint32_t flags;
};

struct kvm_gsi {
	bool allocated;
	bool routed, in_kernel;      /* wanted; and what KVM has */
	unsigned irqfds;
	struct hv_msi msi, kernel_msi;
};

struct kvm_vm {
	struct hv_vm vm;
	int fd;
	struct kvm_slot slots[KVM_SLOTS];
	pthread_mutex_t irq_lock;    /* gsi[], table */
	struct kvm_gsi gsi[KVM_GSIS];
	struct kvm_irq_routing *table; /* room for KVM_GSIS entries */
	uint64_t tsc_saved, tsc_loaded; /* host TSC at the moment of clock_get(), clock_set() */
};

struct kvm_vcpu {
	struct hv_vcpu vcpu;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool has_thread;             /* by atomics: thread is valid */
};

static inline struct kvm_hv *to_hv(struct hv *h)
{
	return container_of(h, struct kvm_hv, hv);
}
static inline struct kvm_vm *to_vm(struct hv_vm *v)
{
	return container_of(v, struct kvm_vm, vm);
}
static inline struct kvm_vcpu *to_vcpu(struct hv_vcpu *c)
{
	return container_of(c, struct kvm_vcpu, vcpu);
}
static inline struct kvm_vm *vcpu_vm(struct kvm_vcpu *c)
{
	return to_vm(c->vcpu.vm);
}

/* vm.c */
int kvm_vm_new(struct hv *hv, struct hv_vm **ret, struct err *e);
void kvm_vm_free(struct hv_vm *vm);
int kvm_vm_defer_teardown(struct hv_vm *vm, struct err *e); /* defer.c */
int kvm_slot_set(struct hv_vm *vm, unsigned slot, gpa_t base, uint64_t size, void *host,
		 bool readonly, struct err *e);
int kvm_dirty_log(struct hv_vm *vm, unsigned slot, bool enable, struct err *e);
int kvm_dirty_get(struct hv_vm *vm, unsigned slot, uint64_t *bitmap, size_t words, struct err *e);
uint32_t kvm_tsc_khz(struct hv_vm *vm);
int kvm_clock_get(struct hv_vm *vm, struct hv_clock *ret, struct err *e);
int kvm_clock_set(struct hv_vm *vm, const struct hv_clock *c, struct err *e);
int kvm_ioeventfd(struct hv_vm *vm, int fd, bool pio, uint64_t addr, unsigned len,
		  const uint64_t *match, bool assign, struct err *e);

/* irq.c */
int kvm_irq_init(struct kvm_vm *vm);
void kvm_irq_done(struct kvm_vm *vm);
int kvm_gsi_alloc(struct hv_vm *vm, unsigned *ret, struct err *e);
void kvm_gsi_free(struct hv_vm *vm, unsigned gsi);
int kvm_gsi_route_msi(struct hv_vm *vm, unsigned gsi, const struct hv_msi *msi, struct err *e);
int kvm_irqfd(struct hv_vm *vm, int fd, unsigned gsi, bool assign, struct err *e);
int kvm_signal_msi(struct hv_vm *vm, const struct hv_msi *msi);

/* vcpu.c */
int kvm_kick_init(struct err *e);
int kvm_vcpu_new(struct hv_vm *vm, unsigned index, struct hv_vcpu **ret, struct err *e);
void kvm_vcpu_free(struct hv_vcpu *c);
int kvm_vcpu_run(struct hv_vcpu *c, struct hv_exit *ret);
void kvm_vcpu_kick(struct hv_vcpu *c);
int kvm_vcpu_nmi(struct hv_vcpu *c);

/* x86.c */
int kvm_read_cpuid(struct kvm_hv *h, struct err *e);
int kvm_vcpu_set_cpuid(struct hv_vcpu *c, const struct hv_cpuid_entry *tab, size_t n,
		       struct err *e);
int kvm_vcpu_set_msrs(struct hv_vcpu *c, const struct hv_msr *tab, size_t n, struct err *e);
int kvm_vcpu_boot(struct hv_vcpu *c, const struct hv_x86_boot_regs *r, struct err *e);

/* regs.c */
const struct hv_reg_group *kvm_reg_groups(struct hv *hv, size_t *ret_n);
ssize_t kvm_vcpu_get(struct hv_vcpu *c, unsigned group, void *dst, size_t size, struct err *e);
int kvm_vcpu_set(struct hv_vcpu *c, unsigned group, const void *src, size_t len, struct err *e);

/* msrs.c */
ssize_t kvm_msrs_get(struct kvm_vcpu *c, void *dst, size_t size, struct err *e);
int kvm_msrs_set(struct kvm_vcpu *c, const void *src, size_t len, struct err *e);
/* Host TSC + offset; 0 when the offset is unknown. */
uint64_t kvm_guest_tsc(struct kvm_vcpu *c);

#endif
