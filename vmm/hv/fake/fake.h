/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake hypervisor: keeps what the machine asked for, so that a test can look, and plays exits that
 * the test scripted. Reads of ports and memory come back to the test. Thread-safe.
 *
 * vcpu_run() takes the next scripted exit; with none left it waits for a further one or a kick.
 */
#ifndef VMM_HV_FAKE_FAKE_H
#define VMM_HV_FAKE_FAKE_H

#include "vmm/hv/hv.h"

#define FAKE_MAX_SLOTS      64
#define FAKE_MAX_GSIS       1024
#define FAKE_MAX_IOEVENTFDS 1024
#define FAKE_MAX_IRQFDS     1024
#define FAKE_MAX_MSIS       4096

struct fake_slot {
	bool used, readonly, dirty_log;
	gpa_t base;
	uint64_t size;
	void *host;
};

struct fake_route {
	bool allocated, routed;
	struct hv_msi msi;
};

struct fake_ioeventfd {
	bool used, pio, has_match;
	int fd;
	uint64_t addr, match;
	unsigned len;
};

struct fake_irqfd {
	bool used;
	int fd;
	unsigned gsi;
};

/* What the machine has set up; copied under the lock. */
void fake_slot_at(struct hv_vm *vm, unsigned slot, struct fake_slot *ret);
void fake_route_at(struct hv_vm *vm, unsigned gsi, struct fake_route *ret);
size_t fake_ioeventfds(struct hv_vm *vm, struct fake_ioeventfd *ret, size_t max);
size_t fake_irqfds(struct hv_vm *vm, struct fake_irqfd *ret, size_t max);
/* MSIs by signal_msi, oldest first; taken out. */
size_t fake_take_msis(struct hv_vm *vm, struct hv_msi *ret, size_t max);
/* As the hypervisor would: true when an ioeventfd matched and was signalled. */
bool fake_ioevent(struct hv_vm *vm, bool pio, uint64_t addr, unsigned len, uint64_t value);
/* The next call of the named operation ("slot_set", "irqfd", …) fails with -@code, once; NULL: none. */
void fake_fail_next(struct hv *hv, const char *op, int code);
unsigned fake_phys_bits(struct hv *hv); /* what it reports: 40 */

/* Appends an exit. For written data and for reads, @data of at most 8 bytes is copied; what a read got
 * is asked for with fake_read_value() once the next exit was taken. -ENOSPC when 4096 wait. */
int fake_exit(struct hv_vcpu *c, const struct hv_exit *x);
/* Blocks until all scripted exits were taken and the vcpu asks for one more; -ETIMEDOUT. */
int fake_wait_idle(struct hv_vcpu *c, unsigned timeout_ms);
/* Value of the last finished PIO or MMIO read, little-endian in 8 bytes. */
uint64_t fake_read_value(struct hv_vcpu *c);
bool fake_booted(struct hv_vcpu *c, struct hv_x86_boot_regs *ret);
size_t fake_cpuid(struct hv_vcpu *c, struct hv_cpuid_entry *ret, size_t max);
unsigned fake_nmis(struct hv_vcpu *c);

#endif
