// SPDX-License-Identifier: Apache-2.0
/* A virtual machine: memory slots, dirty log, clock, ioeventfds. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>
#include "vmm/hv/kvm/kvm.h"

/* Three pages that Intel CPUs without unrestricted guest mode need; nothing of ours lies there, nor at
 * KVM's default for the identity map one page below. */
#define TSS_ADDR 0xfffbd000u

static int create_vm(int kvm_fd, struct err *e)
{
	int fd;

	/* Waits for RCU inside, where any signal ends it. */
	do
		fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_errno(e, errno, "KVM cannot create a machine");
	return fd;
}

static int split_irqchip(int fd, struct err *e)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { KVM_IRQ_LINES } };

	if (ioctl(fd, KVM_SET_TSS_ADDR, TSS_ADDR) < 0)
		return err_errno(e, errno, "KVM cannot place the TSS");
	if (ioctl(fd, KVM_ENABLE_CAP, &cap) < 0)
		return err_errno(e, errno, "KVM cannot make the interrupt controller");
	return 0;
}

int kvm_vm_new(struct hv *hv, struct hv_vm **ret, struct err *e)
{
	struct kvm_vm *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return err_set(e, ENOMEM, "out of memory");
	v->vm.ops = hv->ops;
	v->vm.hv = hv;
	v->fd = -1;
	rc = kvm_irq_init(v);
	if (rc < 0) {
		free(v);
		return err_set(e, ENOMEM, "out of memory");
	}
	rc = create_vm(to_hv(hv)->fd, e);
	if (rc < 0)
		goto fail;
	v->fd = rc;
	rc = split_irqchip(v->fd, e);
	if (rc < 0)
		goto fail;
	*ret = &v->vm;
	return 0;
fail:
	kvm_vm_free(&v->vm);
	return rc;
}

void kvm_vm_free(struct hv_vm *vm)
{
	struct kvm_vm *v;

	if (!vm)
		return;
	v = to_vm(vm);
	if (v->fd >= 0)
		close(v->fd);
	kvm_irq_done(v);
	free(v);
}

static int set_region(struct kvm_vm *v, unsigned slot, const struct kvm_slot *s)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = s->flags,
		.guest_phys_addr = s->base.v,
		.memory_size = s->size,
		.userspace_addr = (uintptr_t)s->host,
	};

	return ioctl(v->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

int kvm_slot_set(struct hv_vm *vm, unsigned slot, gpa_t base, uint64_t size, void *host,
		 bool readonly, struct err *e)
{
	struct kvm_vm *v = to_vm(vm);
	struct kvm_slot s = {
		.base = base, .size = size, .host = host, .flags = readonly ? KVM_MEM_READONLY : 0,
	};
	int rc;

	if (slot >= KVM_SLOTS)
		return err_set(e, EINVAL, "memory slot %u of %d", slot, KVM_SLOTS);
	rc = set_region(v, slot, &s);
	if (rc < 0)
		return err_errno(e, -rc, "KVM refuses memory slot %u (%ju MiB at %#jx)", slot,
				 (uintmax_t)(size >> 20), (uintmax_t)base.v);
	v->slots[slot] = s;
	return 0;
}

int kvm_dirty_log(struct hv_vm *vm, unsigned slot, bool enable, struct err *e)
{
	struct kvm_vm *v = to_vm(vm);
	struct kvm_slot s;
	int rc;

	if (slot >= KVM_SLOTS || !v->slots[slot].size)
		return err_set(e, EINVAL, "no memory slot %u", slot);
	s = v->slots[slot];
	s.flags &= ~(uint32_t)KVM_MEM_LOG_DIRTY_PAGES;
	if (enable)
		s.flags |= KVM_MEM_LOG_DIRTY_PAGES;
	rc = set_region(v, slot, &s);
	if (rc < 0)
		return err_errno(e, -rc, "KVM cannot log writes to memory slot %u", slot);
	v->slots[slot] = s;
	return 0;
}

int kvm_dirty_get(struct hv_vm *vm, unsigned slot, uint64_t *bitmap, size_t words, struct err *e)
{
	struct kvm_vm *v = to_vm(vm);
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	if (slot >= KVM_SLOTS || !v->slots[slot].size)
		return err_set(e, EINVAL, "no memory slot %u", slot);
	if (words < (v->slots[slot].size / 4096 + 63) / 64)
		return err_set(e, EINVAL, "bitmap of %zu words is short", words);
	if (ioctl(v->fd, KVM_GET_DIRTY_LOG, &log) < 0)
		return err_errno(e, errno, "KVM cannot tell what was written in slot %u", slot);
	return 0;
}

uint32_t kvm_tsc_khz(struct hv_vm *vm)
{
	int khz = ioctl(to_vm(vm)->fd, KVM_GET_TSC_KHZ, 0); /* Linux 5.18 */

	return khz > 0 ? (uint32_t)khz : 0;
}

static int read_clock(struct kvm_vm *v, struct kvm_clock_data *c, struct err *e)
{
	*c = (struct kvm_clock_data){ .clock = 0 };
	if (ioctl(v->fd, KVM_GET_CLOCK, c) < 0)
		return err_errno(e, errno, "cannot read the guest's clock");
	if (!(c->flags & KVM_CLOCK_HOST_TSC))
		c->host_tsc = __rdtsc();
	return 0;
}

int kvm_clock_get(struct hv_vm *vm, struct hv_clock *ret, struct err *e)
{
	struct kvm_vm *v = to_vm(vm);
	struct kvm_clock_data c;
	int rc = read_clock(v, &c, e);

	if (rc < 0)
		return rc;
	v->tsc_saved = c.host_tsc;
	*ret = (struct hv_clock){ .guest_ns = c.clock };
	if (c.flags & KVM_CLOCK_REALTIME) {
		ret->realtime_ns = c.realtime;
		ret->has_realtime = true;
	}
	return 0;
}

int kvm_clock_set(struct hv_vm *vm, const struct hv_clock *c, struct err *e)
{
	struct kvm_vm *v = to_vm(vm);
	struct kvm_clock_data d = { .clock = c->guest_ns }, now;
	uint64_t elapsed;
	int rc;

	if (c->has_realtime) {
		d.flags = KVM_CLOCK_REALTIME;
		d.realtime = c->realtime_ns;
	}
	if (ioctl(v->fd, KVM_SET_CLOCK, &d) < 0)
		return err_errno(e, errno, "cannot set the guest's clock");
	/* The TSCs go on by the same time as the clock: find the host TSC that stands for guest_ns. */
	rc = read_clock(v, &now, e);
	if (rc < 0)
		return rc;
	elapsed = now.clock > c->guest_ns ? now.clock - c->guest_ns : 0;
	v->tsc_loaded = now.host_tsc -
		(uint64_t)((unsigned __int128)elapsed * kvm_tsc_khz(vm) / 1000000);
	return 0;
}

int kvm_ioeventfd(struct hv_vm *vm, int fd, bool pio, uint64_t addr, unsigned len,
		  const uint64_t *match, bool assign, struct err *e)
{
	struct kvm_ioeventfd io = { .addr = addr, .len = len, .fd = fd };

	if (match) {
		io.datamatch = *match;
		io.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	}
	if (pio)
		io.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (!assign)
		io.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	if (ioctl(to_vm(vm)->fd, KVM_IOEVENTFD, &io) < 0)
		return err_errno(e, errno, "KVM cannot %s a doorbell at %#jx",
				 assign ? "set" : "remove", (uintmax_t)addr);
	return 0;
}
