/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bootprobe: how long a guest kernel takes from its entry to the first program, and what it does on the way.
 *
 *   bootprobe [-m MIB] [-h] [-p MAP] [-v] VMLINUX INITRAMFS [COMMAND LINE]
 *
 * The smallest machine that boots the kernel: one vCPU, memory, local APIC, ACPI tables with
 * nothing in them, no device at all. So the figures are the kernel's own, not a VMM's. INITRAMFS
 * is init.c, packed. Prints one line of figures and the exits that reached user space. -h allows
 * huge pages behind the guest's memory; -p samples where the guest is every 100 µs and prints it
 * by function, MAP being the kernel's System.map; -v adds the guest's log and memory figures.  A
 * tool for trimming the kernel's configuration, on trusted kernels only: it checks nothing.
 */
#include <cpuid.h>
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

enum {
	START_INFO_AT = 0x6000,
	MODLIST_AT = 0x6100,
	MEMMAP_AT = 0x6200,
	CMDLINE_AT = 0x7000,
	ACPI_AT = 0xe0000,
	NOTE_PVH_ENTRY = 18, /* XEN_ELFNOTE_PHYS32_ENTRY */
	START_MAGIC = 0x336ec578,
};

struct start_info { /* Xen's hvm_start_info, version 1 */
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};
struct module {
	uint64_t addr, size, cmdline, reserved;
};
struct range {
	uint64_t addr, size;
	uint32_t type, reserved;
};

static uint8_t *mem;
static size_t mem_size = 256UL << 20;

static void *xmap(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", path);
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	*size = (size_t)st.st_size;
	return p;
}

/* Loads the kernel, returns its PVH entry. */
static uint32_t load_kernel(const char *path)
{
	size_t size;
	const uint8_t *file = xmap(path, &size);
	const Elf64_Ehdr *eh = (const void *)file;
	const Elf64_Phdr *ph = (const void *)(file + eh->e_phoff);
	uint32_t entry = 0;

	for (int i = 0; i < eh->e_phnum; i++, ph++) {
		if (ph->p_type == PT_LOAD)
			memcpy(mem + ph->p_paddr, file + ph->p_offset, ph->p_filesz);
		if (ph->p_type != PT_NOTE)
			continue;
		for (size_t at = 0; at < ph->p_filesz;) {
			const Elf64_Nhdr *n = (const void *)(file + ph->p_offset + at);
			const uint8_t *name = (const uint8_t *)(n + 1);
			const uint8_t *desc = name + ((n->n_namesz + 3) & ~3U);

			if (n->n_type == NOTE_PVH_ENTRY && n->n_namesz == 4 &&
			    !memcmp(name, "Xen", 4))
				memcpy(&entry, desc, 4);
			at += sizeof(*n) + ((n->n_namesz + 3) & ~3U) + ((n->n_descsz + 3) & ~3U);
		}
	}
	munmap((void *)(uintptr_t)file, size);
	if (!entry)
		errx(1, "%s: no PVH entry", path);
	return entry;
}

/* --- ACPI: reduced hardware, one processor, nothing else -------------------------------------- */
static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return (uint8_t)-s;
}

static uint32_t acpi_next = ACPI_AT + 0x40;

static uint32_t acpi_table(const char *sig, uint8_t rev, const void *body, uint32_t len)
{
	uint8_t *t = mem + acpi_next;
	uint32_t at = acpi_next, total = 36 + len, one = 1;

	memcpy(t, sig, 4);
	memcpy(t + 4, &total, 4);
	t[8] = rev;
	memcpy(t + 10, "PROBE PROBE   ", 14);
	memcpy(t + 24, &one, 4);
	memcpy(t + 28, "PROB", 4);
	memcpy(t + 32, &one, 4);
	memcpy(t + 36, body, len);
	t[9] = 0;
	t[9] = sum(t, total);
	acpi_next += (total + 63) & ~63U;
	return at;
}

static void make_acpi(void)
{
	uint8_t fadt[276 - 36] = { 0 }, madt[8 + 16] = { 0 };
	uint32_t lapic = 0xfee00000, flags = 1U << 20 /* reduced hardware */ | 1U << 0 | 1U << 2;
	uint64_t dsdt = acpi_table("DSDT", 2, "", 0), tables[2];
	uint8_t *rsdp = mem + ACPI_AT;

	fadt[109 - 36] = 1 << 2 | 1 << 5; /* no VGA, no CMOS clock */
	memcpy(fadt + 112 - 36, &flags, 4);
	memcpy(fadt + 140 - 36, &dsdt, 8);
	memcpy(madt, &lapic, 4);
	madt[9] = 8; /* entry 0, local APIC: length; processor and id 0; */
	madt[12] = 1; /* enabled */
	/* a second entry, of a type that is skipped */
	madt[16] = 0x80;
	madt[17] = 8;
	tables[0] = acpi_table("FACP", 6, fadt, sizeof(fadt));
	tables[1] = acpi_table("APIC", 4, madt, sizeof(madt));
	uint64_t xsdt = acpi_table("XSDT", 1, tables, sizeof(tables));

	memcpy(rsdp, "RSD PTR \0PROBE \2", 16);
	rsdp[20] = 36;
	memcpy(rsdp + 24, &xsdt, 8);
	rsdp[8] = 0;
	rsdp[8] = sum(rsdp, 20);
	rsdp[32] = sum(rsdp, 36);
}

/* --- the vCPU --------------------------------------------------------------------------------- */
static void set_cpuid(int kvm, int vcpu)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 256 * sizeof(c->entries[0]));

	c->nent = 256;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c) < 0)
		err(1, "KVM_GET_SUPPORTED_CPUID");
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 1) {
			e->ecx |= 1U << 31 | 1U << 24; /* a hypervisor; TSC deadline timer */
			e->ebx = (e->ebx & 0xff00ffff) | 1U << 16;
			e->edx &= ~(1U << 28);
		}
	}
	if (ioctl(vcpu, KVM_SET_CPUID2, c) < 0)
		err(1, "KVM_SET_CPUID2");
	free(c);
}

static void set_registers(int vcpu, uint32_t entry)
{
	struct kvm_sregs s;
	struct kvm_regs r = { .rip = entry, .rbx = START_INFO_AT, .rflags = 2 };
	struct kvm_segment seg = { .limit = 0xffffffff,
				   .selector = 0x10,
				   .type = 3,
				   .present = 1,
				   .db = 1,
				   .s = 1,
				   .g = 1 };

	if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		err(1, "KVM_GET_SREGS");
	s.ds = s.es = s.ss = s.fs = s.gs = seg;
	seg.selector = 8;
	seg.type = 11;
	s.cs = seg;
	s.tr = (struct kvm_segment){ .limit = 0x67, .selector = 0x18, .type = 11, .present = 1 };
	s.cr0 = 1;
	if (ioctl(vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu, KVM_SET_REGS, &r) < 0)
		err(1, "KVM_SET_REGS");
}

static uint64_t guest_tsc(int vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e.index = 0x10 };

	return ioctl(vcpu, KVM_GET_MSRS, &m) == 1 ? m.e.data : 0;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t resident(void)
{
	size_t pages = mem_size / 4096, n = 0;
	unsigned char *vec = malloc(pages);

	if (!vec || mincore(mem, mem_size, vec) < 0)
		err(1, "mincore");
	for (size_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

/* --- exits that reach here: read as all ones, counted ----------------------------------------- */
enum { PLACES = 64 };
static struct place {
	char kind;
	uint64_t addr;
	unsigned count;
} places[PLACES];

static void count(char kind, uint64_t addr)
{
	for (int i = 0; i < PLACES; i++) {
		if (places[i].count == 0)
			places[i] = (struct place){ kind, addr, 0 };
		if (places[i].kind == kind && places[i].addr == addr) {
			places[i].count++;
			return;
		}
	}
}

/* --- where the guest is, at each tick of a timer ---------------------------------------------- */
enum { SAMPLE_US = 100, SAMPLES = 1 << 16 };
static uint64_t samples[SAMPLES], sample_tsc[SAMPLES];
static unsigned sample_count;

static void sample(int vcpu)
{
	struct kvm_regs r;

	if (sample_count < SAMPLES && ioctl(vcpu, KVM_GET_REGS, &r) == 0) {
		sample_tsc[sample_count] = guest_tsc(vcpu);
		samples[sample_count++] = r.rip;
	}
}

static void on_tick(int sig)
{
	(void)sig;
}

/* Runs of samples in the same function, in order of time: "from ms, samples, function". */
static void print_samples(const char *path, uint64_t tsc0, long khz)
{
	static struct symbol {
		uint64_t addr;
		char name[64];
	} syms[1 << 17];
	size_t n = 0;
	FILE *f = fopen(path, "re");
	unsigned run = 0;
	const char *last = NULL;
	double from = 0;

	if (!f)
		err(1, "%s", path);
	while (n < 1 << 17 && fscanf(f, "%lx %*c %63s%*[^\n]", &syms[n].addr, syms[n].name) == 2)
		n++;
	fclose(f);
	for (unsigned i = 0; i <= sample_count; i++) {
		const char *name = "user space or early";
		uint64_t at = i < sample_count ? samples[i] : 0;
		size_t lo = 0, hi = n;

		if (at < 0x100000000) /* the first instructions run at physical addresses */
			at += 0xffffffff80000000;
		while (hi - lo > 1) {
			size_t mid = (lo + hi) / 2;
			if (syms[mid].addr <= at)
				lo = mid;
			else
				hi = mid;
		}
		if (lo)
			name = syms[lo].name;
		if (i == sample_count || !last || strcmp(name, last) != 0) {
			if (last)
				printf("%9.2f %5u %s\n", from, run, last);
			if (i < sample_count)
				from = (double)(sample_tsc[i] - tsc0) / (double)khz;
			last = name;
			run = 0;
		}
		run++;
	}
}

/* Until the guest stops; returns how many exits there were. */
static unsigned run_guest(int vcpu, struct kvm_run *run)
{
	for (unsigned exits = 0;; exits++) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0) {
			if (errno != EINTR)
				err(1, "KVM_RUN");
			sample(vcpu);
			continue;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			count(run->io.direction == KVM_EXIT_IO_IN ? 'i' : 'o', run->io.port);
			if (run->io.direction == KVM_EXIT_IO_IN)
				memset((uint8_t *)run + run->io.data_offset, 0xff,
				       (size_t)run->io.size * run->io.count);
			break;
		case KVM_EXIT_MMIO:
			count(run->mmio.is_write ? 'w' : 'r', run->mmio.phys_addr);
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
			break;
		case KVM_EXIT_IOAPIC_EOI:
			break;
		case KVM_EXIT_SHUTDOWN:
			return exits;
		default:
			errx(1, "exit %u", run->exit_reason);
		}
	}
}

static const struct report_page *report_page(unsigned seq)
{
	for (size_t at = 0; at < mem_size; at += 4096) {
		const struct report_page *p = (const void *)(mem + at);

		if (p->mark_a == REPORT_MARK_A && p->mark_b == REPORT_MARK_B && p->seq == seq)
			return p;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int verbose = 0, huge = 0, opt;
	const char *map_file = NULL;

	while ((opt = getopt(argc, argv, "m:hp:v")) != -1) {
		if (opt == 'm')
			mem_size = (size_t)strtoul(optarg, NULL, 10) << 20;
		else if (opt == 'h')
			huge = 1;
		else if (opt == 'p')
			map_file = optarg;
		else if (opt == 'v')
			verbose = 1;
		else
			errx(2, "usage: bootprobe [-m MIB] [-h] [-p MAP] [-v] VMLINUX INITRAMFS "
				"[COMMAND LINE]");
	}
	if (argc - optind < 2)
		errx(2, "usage: bootprobe [-m MIB] [-h] [-p MAP] [-v] VMLINUX INITRAMFS [COMMAND "
			"LINE]");
	double start = now_ms();

	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		err(1, "/dev/kvm");
	enum { HUGE = 2 << 20 };
	mem = mmap(NULL, mem_size + HUGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	mem += -(uintptr_t)mem % HUGE;
	madvise(mem, mem_size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	struct kvm_userspace_memory_region region = { .memory_size = mem_size,
						      .userspace_addr = (uintptr_t)mem };
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ||
	    ioctl(vm, KVM_ENABLE_CAP, &split) < 0)
		err(1, "setting the machine up");
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	struct kvm_run *run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
				   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "vCPU");
	set_cpuid(kvm, vcpu);

	uint32_t entry = load_kernel(argv[optind]);
	size_t initrd_size;
	const void *initrd = xmap(argv[optind + 1], &initrd_size);
	uint64_t initrd_at = (mem_size - initrd_size) & ~0xfffUL;
	memcpy(mem + initrd_at, initrd, initrd_size);
	make_acpi();
	snprintf((char *)mem + CMDLINE_AT, 2048, "reboot=t panic=-1 %s",
		 argc - optind > 2 ? argv[optind + 2] : "");
	struct range map[] = { { 0, 0xa0000, 1, 0 },
			       { 0xa0000, 0x60000, 2, 0 },
			       { 0x100000, mem_size - 0x100000, 1, 0 } };
	struct module module = { initrd_at, initrd_size, 0, 0 };
	struct start_info info = { START_MAGIC, 1,       0,         1, MODLIST_AT,
				   CMDLINE_AT,  ACPI_AT, MEMMAP_AT, 3, 0 };
	memcpy(mem + START_INFO_AT, &info, sizeof(info));
	memcpy(mem + MODLIST_AT, &module, sizeof(module));
	memcpy(mem + MEMMAP_AT, map, sizeof(map));
	set_registers(vcpu, entry);

	size_t before = resident();
	uint64_t tsc0 = guest_tsc(vcpu);
	long khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
	if (map_file) {
		struct sigaction sa = { .sa_handler = on_tick };
		struct itimerval every = { { 0, SAMPLE_US }, { 0, SAMPLE_US } };

		sigaction(SIGALRM, &sa, NULL);
		setitimer(ITIMER_REAL, &every, NULL);
	}
	double entered = now_ms();
	unsigned exits = run_guest(vcpu, run);
	double ended = now_ms();
	size_t after = resident();

	if (map_file) {
		setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
		print_samples(map_file, tsc0, khz);
	}
	const struct report_page *p = report_page(0);
	if (!p)
		errx(1, "the guest stopped before its first program ran");
	printf("entry to init %.2f ms; set-up %.2f, entry to stop %.2f ms; exits %u; memory at "
	       "entry %.1f, at the end %.1f MiB\n",
	       (double)(p->tsc - tsc0) / (double)khz, entered - start, ended - entered, exits,
	       (double)before / 256, (double)after / 256);
	for (int i = 0; i < PLACES && places[i].count; i++)
		if (places[i].count > 3 || verbose)
			printf("exits: %c %#lx %u\n", places[i].kind, (unsigned long)places[i].addr,
			       places[i].count);
	for (unsigned i = 0; verbose && p; p = report_page(++i))
		fwrite(p->text, 1, p->len, stdout);
	return 0;
}
