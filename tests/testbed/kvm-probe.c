/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm-probe: does this machine's /dev/kvm really run a guest?
 *
 * That it opens is no proof: some hosts offer a KVM that emulates every instruction which a guest's kernel executes,
 * hundreds of times slower than the CPU. So: run a loop in ring 0 of a small guest, time it, and compare with the same
 * loop in this process on the same CPU. Hardware gives a ratio near 1, nested virtualisation under an emulator a few,
 * an emulating KVM hundreds or thousands.
 *
 *   kvm-probe [-q]     prints "yes" or "no" and why; exit status 0 or 1
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	MEM_SIZE = 0x4000,
	CODE_AT = 0x1000,
	LOOPS = 1000000,       /* about a third of a millisecond on hardware */
	ROUNDS = 5,            /* the best of them counts: others use this machine too */
	GIVE_UP_MS = 400,      /* for one round; hardware under an emulator needs some 10 */
	RATIO_MAX = 20,
};

static int quiet;

static int answer(int yes, const char *why, double number)
{
	if (!quiet) {
		printf("%s: ", yes ? "yes" : "no");
		printf(why, number); /* NOLINT: the callers' literals */
		putchar('\n');
	}
	return yes ? 0 : 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The guest's loop, "1: dec ecx; jnz 1b", in this process. */
static double time_here(void)
{
	double best = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		double start = now();
		uint32_t n = LOOPS;

		__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc");
		double t = now() - start;
		best = t < best ? t : best;
	}
	return best;
}

static void on_alarm(int sig)
{
	(void)sig; /* only there to make KVM_RUN return EINTR */
}

/* One turn in the guest: from the loop's start to its hlt. Seconds; -1: not in time; -2: the guest did something else. */
static double time_guest(int vcpu, struct kvm_run *run)
{
	struct kvm_regs regs = { .rip = CODE_AT, .rcx = LOOPS, .rflags = 2 };
	struct itimerspec limit = { .it_value = { .tv_nsec = GIVE_UP_MS * 1000000L } };
	static const struct itimerspec off;
	timer_t timer;

	if (ioctl(vcpu, KVM_SET_REGS, &regs) < 0 || timer_create(CLOCK_MONOTONIC, NULL, &timer) < 0)
		return -2;
	double start = now();
	timer_settime(timer, 0, &limit, NULL);
	int rc = ioctl(vcpu, KVM_RUN, 0);
	int error = errno;
	timer_settime(timer, 0, &off, NULL);
	double t = now() - start;
	timer_delete(timer);
	if (rc < 0)
		return error == EINTR ? -1 : -2;
	return run->exit_reason == KVM_EXIT_HLT ? t : -2;
}

int main(int argc, char **argv)
{
	/* 32-bit: dec ecx; jnz back; hlt */
	static const uint8_t code[] = { 0x49, 0x75, 0xfd, 0xf4 };

	quiet = argc > 1 && strcmp(argv[1], "-q") == 0;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return answer(0, errno == EACCES ? "/dev/kvm may not be opened" : "/dev/kvm does not open", 0);
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return answer(0, "/dev/kvm has another interface version", 0);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return answer(0, "no virtual machine can be made", 0);

	uint8_t *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return answer(0, "no memory", 0);
	memcpy(mem + CODE_AT, code, sizeof(code));
	struct kvm_userspace_memory_region region = { .memory_size = MEM_SIZE, .userspace_addr = (uintptr_t)mem };
	/* where the CPU needs them (without "unrestricted guest"), these must be set before the first
	 * vCPU; elsewhere they fail */
	uint64_t identity = 0xfffbc000;
	ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000UL);
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return answer(0, "guest memory was refused", 0);

	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < (int)sizeof(struct kvm_run))
		return answer(0, "no vCPU can be made", 0);
	struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	struct kvm_sregs sregs;
	if (run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return answer(0, "no vCPU can be made", 0);

	/* flat 32-bit protected mode, ring 0, no paging */
	struct kvm_segment seg = { .limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = seg;
	seg.selector = 0x08;
	seg.type = 11;
	sregs.cs = seg;
	sregs.cr0 |= 1;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		return answer(0, "the vCPU's registers were refused", 0);

	struct sigaction sa = { .sa_handler = on_alarm };
	sigaction(SIGALRM, &sa, NULL);

	double here = time_here(), guest = 1e9;
	for (int i = 0; i < ROUNDS; i++) {
		double t = time_guest(vcpu, run);

		if (t == -1)
			return answer(0, "a loop in the guest's ring 0 that takes %.2f ms here did not end in time: "
				"this KVM emulates", here * 1e3);
		if (t < 0)
			return answer(0, "the guest did not run as it should", 0);
		guest = t < guest ? t : guest;
	}
	double ratio = guest / here;
	return ratio < RATIO_MAX ? answer(1, "ring 0 of a guest runs at %.1f times the time of user space", ratio)
				 : answer(0,
					 "ring 0 of a guest takes %.0f times as long as user space: this KVM emulates",
					 ratio);
}
