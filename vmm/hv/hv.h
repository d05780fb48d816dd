/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor interface: all that the machine asks of KVM (hv/kvm), of a fake one in tests
 * (hv/fake), and of another hypervisor later. No KVM type, ioctl number or page size shows here.
 *
 * Threads: struct hv_vm from the thread that builds the machine, except where a function says any
 * thread. A vcpu belongs to the thread that runs it; hv_vcpu_kick() is for every thread.
 */
#ifndef VMM_HV_HV_H
#define VMM_HV_HV_H

#include <signal.h>
#include <sys/types.h>
#include "lib/err.h"
#include "vmm/mem/gmem.h"

enum hv_exit_kind {
	HV_EXIT_INTR,      /* kicked or a signal: look at the run state and go on */
	HV_EXIT_PIO,       /* x86 port access */
	HV_EXIT_MMIO,
	HV_EXIT_HLT,       /* only where the hypervisor leaves HLT to us */
	HV_EXIT_EOI,       /* level interrupt acknowledged (split irqchip): .eoi.vector */
	HV_EXIT_SHUTDOWN,  /* triple fault on x86 */
	HV_EXIT_RESET,     /* system event */
	HV_EXIT_POWEROFF,  /* system event */
	HV_EXIT_CRASH,     /* system event */
	HV_EXIT_ERROR,     /* entry failed or emulation error; .error.text says what */
};

struct hv_exit {
	enum hv_exit_kind kind;
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2, 4 */
			bool write;
			uint32_t count; /* string I/O: elements in data */
			uint8_t *data;  /* written: what the guest wrote; read: fill in before the next run */
		} pio;
		struct {
			gpa_t addr;
			uint8_t size; /* 1 … 8 */
			bool write;
			uint8_t *data; /* as above */
		} mmio;
		struct {
			uint8_t vector;
		} eoi;
		struct {
			uint64_t code;
			char text[160];
		} error;
	};
};

/* One MSI, as a PCI device writes it. */
struct hv_msi {
	uint64_t addr;
	uint32_t data;
};

struct hv_cpuid_entry {
	uint32_t function, index, flags;
	uint32_t eax, ebx, ecx, edx;
};
#define HV_CPUID_SIGNIFICANT_INDEX 1u
#define HV_CPUID_MAX 256
#define HV_REG_GROUP_MAX 65536 /* bytes of one register group, at most */

/* Start state of an x86 vcpu: everything not named is as after INIT. The arch code fills it in. */
struct hv_x86_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint8_t type, present, dpl, db, s, l, g;
};
struct hv_x86_boot_regs {
	uint64_t rip, rsp, rbx, rsi, rflags;
	uint64_t cr0, cr3, cr4, efer;
	struct hv_x86_segment cs, ds, ss, tr;
	uint64_t gdt_base, idt_base;
	uint16_t gdt_limit, idt_limit;
};

struct hv_msr {
	uint32_t index;
	uint64_t value;
};

/* Register groups, for save and load: opaque bytes with a name and a version, in the order in which
 * they must be saved and loaded. clock_get() comes before the first save and clock_set() before the
 * first load: counters of the vcpus are kept relative to that moment. */
struct hv_reg_group {
	const char *name; /* "regs", "sregs", "xsave", "msrs", "lapic", "events", "mp" … */
	uint16_t version;
};

struct hv_clock {
	uint64_t guest_ns;    /* kvmclock value */
	uint64_t realtime_ns; /* valid when has_realtime */
	bool has_realtime;
};

struct hv;
struct hv_vm;
struct hv_vcpu;

struct hv_ops {
	const char *name;
	void (*close)(struct hv *hv);
	int (*vm_new)(struct hv *hv, struct hv_vm **ret, struct err *e);
	void (*vm_free)(struct hv_vm *vm);
	/* May be NULL. From now on the process can end without waiting for the VM to be taken down; for
	 * whoever ends by _exit() and never calls vm_free(). */
	int (*vm_defer_teardown)(struct hv_vm *vm, struct err *e);
	unsigned (*max_vcpus)(struct hv *hv);
	unsigned (*phys_bits)(struct hv *hv);

	int (*slot_set)(struct hv_vm *vm, unsigned slot, gpa_t base, uint64_t size, void *host,
			bool readonly, struct err *e);
	int (*cpuid_supported)(struct hv *hv, struct hv_cpuid_entry *tab, size_t *n, struct err *e);

	/* Interrupts. GSIs below 24 are lines of the user-space IOAPIC; MSI GSIs are allocated above.
	 * A route costs the hypervisor a grace period only where an irqfd can use it: with none on the
	 * GSI, gsi_route_msi() is remembered until irqfd(). What this process raises itself needs no
	 * route at all: signal_msi(). */
	int (*gsi_alloc)(struct hv_vm *vm, unsigned *ret, struct err *e);
	void (*gsi_free)(struct hv_vm *vm, unsigned gsi);
	int (*gsi_route_msi)(struct hv_vm *vm, unsigned gsi, const struct hv_msi *msi,
			     struct err *e);                      /* any thread; NULL msi: no route */
	int (*irqfd)(struct hv_vm *vm, int fd, unsigned gsi, bool assign, struct err *e); /* any thread */
	int (*signal_msi)(struct hv_vm *vm, const struct hv_msi *msi); /* any thread */
	/* Writes of @len bytes (0: any length, any value) at @addr signal @fd without an exit. */
	int (*ioeventfd)(struct hv_vm *vm, int fd, bool pio, uint64_t addr, unsigned len,
			 const uint64_t *match, bool assign, struct err *e); /* any thread */

	uint32_t (*tsc_khz)(struct hv_vm *vm); /* x86: of the guest's counter; 0: unknown */
	int (*clock_get)(struct hv_vm *vm, struct hv_clock *ret, struct err *e);
	int (*clock_set)(struct hv_vm *vm, const struct hv_clock *c, struct err *e);
	int (*dirty_log)(struct hv_vm *vm, unsigned slot, bool enable, struct err *e);
	int (*dirty_get)(struct hv_vm *vm, unsigned slot, uint64_t *bitmap, size_t words,
			 struct err *e);

	int (*vcpu_new)(struct hv_vm *vm, unsigned index, struct hv_vcpu **ret, struct err *e);
	void (*vcpu_free)(struct hv_vcpu *c);
	int (*vcpu_set_cpuid)(struct hv_vcpu *c, const struct hv_cpuid_entry *tab, size_t n,
			      struct err *e);
	int (*vcpu_set_msrs)(struct hv_vcpu *c, const struct hv_msr *tab, size_t n, struct err *e);
	int (*vcpu_boot)(struct hv_vcpu *c, const struct hv_x86_boot_regs *r, struct err *e);
	int (*vcpu_run)(struct hv_vcpu *c, struct hv_exit *ret); /* 0; errors come as HV_EXIT_ERROR */
	void (*vcpu_kick)(struct hv_vcpu *c); /* any thread: makes vcpu_run return HV_EXIT_INTR soon */
	int (*vcpu_nmi)(struct hv_vcpu *c);
	const struct hv_reg_group *(*reg_groups)(struct hv *hv, size_t *ret_n);
	ssize_t (*vcpu_get)(struct hv_vcpu *c, unsigned group, void *dst, size_t size, struct err *e);
	int (*vcpu_set)(struct hv_vcpu *c, unsigned group, const void *src, size_t len,
			struct err *e);
};

/* First member of each implementation's structs. */
struct hv {
	const struct hv_ops *ops;
};
struct hv_vm {
	const struct hv_ops *ops;
	struct hv *hv;
};
struct hv_vcpu {
	const struct hv_ops *ops;
	struct hv_vm *vm;
	unsigned index;
};

/* vcpu_kick() of KVM interrupts a running vcpu by this signal, sent to its thread alone. vcpu_run() unblocks it on its first
 * call; its handler does nothing. No real-time signal: those are lost when the user's queue of signals (RLIMIT_SIGPENDING) is
 * full. */
#define HV_KICK_SIGNAL SIGUSR1

/* KVM on an open /dev/kvm, which becomes the hv's on success. -ENOTSUP names what is missing. */
int hv_kvm_open(struct hv **ret, int kvm_fd, struct err *e);
/* In memory, for tests; see hv/fake/fake.h for how a test drives it. */
int hv_fake_open(struct hv **ret, struct err *e);

#endif
