// SPDX-License-Identifier: Apache-2.0
/* A vCPU: running it, kicking it, and what its exits mean. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vmm/hv/kvm/kvm.h"

static void on_kick(int sig)
{
	(void)sig; /* only there to interrupt KVM_RUN */
}

int kvm_kick_init(struct err *e)
{
	struct sigaction sa = { .sa_handler = on_kick };

	sigemptyset(&sa.sa_mask);
	if (sigaction(HV_KICK_SIGNAL, &sa, NULL) < 0)
		return err_errno(e, errno, "cannot handle signal %d", HV_KICK_SIGNAL);
	return 0;
}

int kvm_vcpu_new(struct hv_vm *vm, unsigned index, struct hv_vcpu **ret, struct err *e)
{
	struct kvm_vcpu *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	c->vcpu = (struct hv_vcpu){ .ops = vm->ops, .vm = vm, .index = index };
	c->run = MAP_FAILED;
	c->fd = ioctl(to_vm(vm)->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (c->fd < 0) {
		rc = err_errno(e, errno, "KVM cannot create vCPU %u", index);
		goto fail;
	}
	c->run = mmap(NULL, to_hv(vm->hv)->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->run == MAP_FAILED) {
		rc = err_errno(e, errno, "cannot map vCPU %u", index);
		goto fail;
	}
	*ret = &c->vcpu;
	return 0;
fail:
	kvm_vcpu_free(&c->vcpu);
	return rc;
}

void kvm_vcpu_free(struct hv_vcpu *vcpu)
{
	struct kvm_vcpu *c;

	if (!vcpu)
		return;
	c = to_vcpu(vcpu);
	if (c->run != MAP_FAILED)
		munmap(c->run, to_hv(vcpu->vm->hv)->run_size);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

/* The thread that runs a vcpu first is the one to be kicked. */
static void adopt_thread(struct kvm_vcpu *c)
{
	sigset_t set;

	c->thread = pthread_self();
	sigemptyset(&set);
	sigaddset(&set, HV_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	/* From here on a kick sends the signal; one before has set immediate_exit. */
	__atomic_store_n(&c->has_thread, true, __ATOMIC_SEQ_CST);
}

void kvm_vcpu_kick(struct hv_vcpu *vcpu)
{
	struct kvm_vcpu *c = to_vcpu(vcpu);

	__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&c->has_thread, __ATOMIC_SEQ_CST))
		pthread_kill(c->thread, HV_KICK_SIGNAL);
}

static void __attribute__((format(printf, 3, 4)))
exit_error(struct hv_exit *x, uint64_t code, const char *fmt, ...)
{
	va_list ap;

	x->kind = HV_EXIT_ERROR;
	x->error.code = code;
	va_start(ap, fmt);
	vsnprintf(x->error.text, sizeof(x->error.text), fmt, ap);
	va_end(ap);
}

static uint64_t guest_rip(struct kvm_vcpu *c)
{
	struct kvm_regs r;

	return ioctl(c->fd, KVM_GET_REGS, &r) < 0 ? 0 : r.rip;
}

static void internal_error(struct kvm_vcpu *c, struct hv_exit *x)
{
	const struct kvm_run *r = c->run;
	char insn[15 * 3 + 1] = "";

	if (r->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
		exit_error(x, r->internal.suberror, "KVM internal error %u at RIP %#jx",
			   r->internal.suberror, (uintmax_t)guest_rip(c));
		return;
	}
	if (r->emulation_failure.ndata >= 3 &&
	    (r->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		for (unsigned i = 0; i < r->emulation_failure.insn_size && i < 15; i++)
			snprintf(insn + 3 * i, 4, " %02x", r->emulation_failure.insn_bytes[i]);
	exit_error(x, r->internal.suberror, "KVM cannot emulate the instruction at RIP %#jx%s%s",
		   (uintmax_t)guest_rip(c), insn[0] ? ":" : "", insn);
}

static void system_event(const struct kvm_run *r, struct hv_exit *x)
{
	switch (r->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		x->kind = HV_EXIT_POWEROFF;
		break;
	case KVM_SYSTEM_EVENT_RESET:
		x->kind = HV_EXIT_RESET;
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		x->kind = HV_EXIT_CRASH;
		break;
	default:
		exit_error(x, r->system_event.type, "KVM system event %u", r->system_event.type);
	}
}

static void io_exit(struct kvm_vcpu *c, struct hv_exit *x)
{
	struct kvm_run *r = c->run;
	size_t room = to_hv(c->vcpu.vm->hv)->run_size;

	bug_on(!range_within(r->io.data_offset, (uint64_t)r->io.size * r->io.count, room));
	x->kind = HV_EXIT_PIO;
	x->pio.port = r->io.port;
	x->pio.size = r->io.size;
	x->pio.write = r->io.direction == KVM_EXIT_IO_OUT;
	x->pio.count = r->io.count;
	x->pio.data = (uint8_t *)r + r->io.data_offset;
}

static void mmio_exit(struct kvm_run *r, struct hv_exit *x)
{
	x->kind = HV_EXIT_MMIO;
	x->mmio.addr = gpa(r->mmio.phys_addr);
	x->mmio.size = (uint8_t)r->mmio.len;
	x->mmio.write = r->mmio.is_write;
	x->mmio.data = r->mmio.data;
}

static void translate(struct kvm_vcpu *c, struct hv_exit *x)
{
	struct kvm_run *r = c->run;

	switch (r->exit_reason) {
	case KVM_EXIT_IO:
		io_exit(c, x);
		break;
	case KVM_EXIT_MMIO:
		mmio_exit(r, x);
		break;
	case KVM_EXIT_IOAPIC_EOI:
		x->kind = HV_EXIT_EOI;
		x->eoi.vector = r->eoi.vector;
		break;
	case KVM_EXIT_HLT:
		x->kind = HV_EXIT_HLT;
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		x->kind = HV_EXIT_INTR;
		break;
	case KVM_EXIT_SHUTDOWN:
		x->kind = HV_EXIT_SHUTDOWN;
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(r, x);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		exit_error(x, r->fail_entry.hardware_entry_failure_reason,
			   "the CPU refused to enter the guest, reason %#jx, RIP %#jx",
			   (uintmax_t)r->fail_entry.hardware_entry_failure_reason,
			   (uintmax_t)guest_rip(c));
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(c, x);
		break;
	default:
		exit_error(x, r->exit_reason, "KVM exit %u is not known, RIP %#jx", r->exit_reason,
			   (uintmax_t)guest_rip(c));
	}
}

int kvm_vcpu_run(struct hv_vcpu *vcpu, struct hv_exit *x)
{
	struct kvm_vcpu *c = to_vcpu(vcpu);

	if (!c->has_thread)
		adopt_thread(c);
	if (ioctl(c->fd, KVM_RUN, 0) == 0) {
		translate(c, x);
		return 0;
	}
	switch (errno) {
	case EINTR:
		/* Cleared before the caller looks at what it was kicked for, so none is lost. What a
		 * read left to be completed has been by now: state may be saved. */
		__atomic_store_n(&c->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		x->kind = HV_EXIT_INTR;
		return 0;
	case EAGAIN: /* a waiting processor was woken, but not to run yet */
		x->kind = HV_EXIT_INTR;
		return 0;
	case EFAULT:
		exit_error(x, EFAULT, "guest memory was lost, RIP %#jx", (uintmax_t)guest_rip(c));
		return 0;
	default:
		exit_error(x, (uint64_t)errno, "KVM_RUN: %s", strerrordesc_np(errno));
		return 0;
	}
}

int kvm_vcpu_nmi(struct hv_vcpu *vcpu)
{
	return ioctl(to_vcpu(vcpu)->fd, KVM_NMI) < 0 ? -errno : 0;
}
