// SPDX-License-Identifier: Apache-2.0
#include "vmm/hv/kvm/probe.h"

#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define MEM_SIZE   0x4000
#define CODE_AT    0x1000
#define LOOPS      1000000 /* a third of a millisecond on hardware */
#define ROUNDS     5 /* the best counts: others use this machine too */
#define GIVE_UP_NS 400000000 /* for one round; hardware under an emulator needs a fortieth */
#define RATIO_MAX  20

struct guest {
	int vm, vcpu;
	void *mem;
	struct kvm_run *run;
	size_t run_size;
};

#if defined(__x86_64__)
/* The guest's loop, in this process; the best of some. */
static uint64_t time_here(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = io_now_ns();
		uint32_t n = LOOPS;

		__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc");
		best = min_t(uint64_t, best, io_now_ns() - start);
	}
	return best;
}

static void on_alarm(int sig)
{
	(void)sig; /* KVM_RUN returns EINTR, that is all */
}

/* One turn, from the loop's start to its hlt. -EINTR: not in time. */
static int time_guest(const struct guest *g, uint64_t *ret)
{
	struct kvm_regs regs = { .rip = CODE_AT, .rcx = LOOPS, .rflags = 2 };
	struct itimerspec limit = { .it_value = { .tv_nsec = GIVE_UP_NS } };
	uint64_t start;
	timer_t timer;
	int rc;

	if (ioctl(g->vcpu, KVM_SET_REGS, &regs) < 0 || timer_create(CLOCK_MONOTONIC, NULL, &timer) < 0)
		return -errno;
	start = io_now_ns();
	timer_settime(timer, 0, &limit, NULL);
	rc = ioctl(g->vcpu, KVM_RUN, 0) < 0 ? -errno : 0;
	*ret = io_now_ns() - start;
	timer_delete(timer);
	return rc == 0 && g->run->exit_reason != KVM_EXIT_HLT ? -EIO : rc;
}

/* Flat 32-bit protected mode in ring 0, no paging. */
static int set_mode(const struct guest *g)
{
	struct kvm_segment seg = { .limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
	struct kvm_sregs s;

	if (ioctl(g->vcpu, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.ds = s.es = s.ss = s.fs = s.gs = seg;
	seg.selector = 0x08;
	seg.type = 11;
	s.cs = seg;
	s.cr0 |= 1;
	return ioctl(g->vcpu, KVM_SET_SREGS, &s) < 0 ? -errno : 0;
}

static int measure(struct guest *g, double *ret_ratio, struct err *e)
{
	/* dec ecx; jnz back; hlt */
	static const uint8_t code[] = { 0x49, 0x75, 0xfd, 0xf4 };
	struct sigaction sa = { .sa_handler = on_alarm }, old;
	uint64_t here, guest = UINT64_MAX, one = UINT64_MAX;
	int rc = set_mode(g);

	if (rc < 0)
		return err_errno(e, -rc, "the registers of a vCPU");
	memcpy((char *)g->mem + CODE_AT, code, sizeof(code));
	sigaction(SIGALRM, &sa, &old);
	here = time_here();
	for (int i = 0; rc == 0 && i < ROUNDS; i++) {
		rc = time_guest(g, &one);
		guest = min_t(uint64_t, guest, one);
	}
	sigaction(SIGALRM, &old, NULL);
	if (rc < 0 && rc != -EINTR)
		return err_errno(e, -rc, "a guest does not run as it should");
	*ret_ratio = (double)guest / (double)max_t(uint64_t, here, 1);
	if (rc == -EINTR || *ret_ratio > RATIO_MAX)
		return err_set(e, ETIME, "a loop in a guest's ring 0 takes %s%.0f times as long as here: this KVM emulates",
			       rc == -EINTR ? "more than " : "", *ret_ratio);
	return 0;
}
#else
static int measure(struct guest *g, double *ret_ratio, struct err *e)
{
	(void)g;
	(void)e;
	*ret_ratio = 0;
	return 0;
}
#endif

static int make(struct guest *g, int kvm, struct err *e)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEM_SIZE };
	int size;

	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return err_set(e, EPROTO, "another version of the interface");
	g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (g->vm < 0)
		return err_errno(e, errno, "a virtual machine");
	region.userspace_addr = (uintptr_t)g->mem;
	if (ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return err_errno(e, errno, "guest memory");
#if defined(__x86_64__)
	/* Where the processor needs them they must be set before the first vCPU; elsewhere they fail. */
	uint64_t identity = 0xfffbc000;

	ioctl(g->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	ioctl(g->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
#endif
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (g->vcpu < 0 || size < (int)sizeof(*g->run))
		return err_errno(e, errno, "a vCPU");
	g->run_size = (size_t)size;
	g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (g->run == MAP_FAILED) {
		g->run = NULL;
		return err_errno(e, errno, "a vCPU");
	}
	return 0;
}

int kvm_probe(int kvm, double *ret_ratio, struct err *e)
{
	struct guest g = { .vm = -1, .vcpu = -1 };
	int rc;

	g.mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g.mem == MAP_FAILED)
		return err_errno(e, errno, "memory");
	rc = make(&g, kvm, e);
	if (rc == 0)
		rc = measure(&g, ret_ratio, e);
	if (g.run)
		munmap(g.run, g.run_size);
	close_and_reset(&g.vcpu);
	close_and_reset(&g.vm);
	munmap(g.mem, MEM_SIZE);
	return rc;
}
