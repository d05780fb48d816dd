// SPDX-License-Identifier: Apache-2.0
/*
 * The hypervisor layer against a real KVM, with guests of a few instructions. Needs /dev/kvm.
 *
 *   hv-smoke                                   the checks, as TAP
 *   hv-smoke boot KERNEL [INITRAMFS [CMDLINE [VCPUS [MIB [map|copy|small|huge [SECONDS]]]]]]
 *                                              SECONDS: until a new VM generation is told
 */
#include "tests/guest/hv_smoke.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MEMORY MIB(16)
#define ENTRY  0x100000u
#define PORT   0xe9

static unsigned tests, failures;

static void check(bool ok, const char *what)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++tests, what);
	failures += !ok;
}

static void must(int rc, const struct err *e, const char *what)
{
	if (rc >= 0)
		return;
	printf("Bail out! %s: %s\n", what, e->msg);
	exit(1);
}

struct small {
	struct hv_vm *vm;
	struct gmem *mem;
	struct hv_vcpu *cpu;
};

/* A machine of one vCPU that starts in 32-bit protected mode at @code. */
static void small_new(struct small *s, struct hv *hv, const void *code, size_t len)
{
	const struct arch_cpu_cfg cfg = { .vcpus = 1, .phys_bits = hv->ops->phys_bits(hv) };
	const struct arch_boot boot = { .kind = ARCH_BOOT_PVH, .entry = gpa(ENTRY) };
	struct gmem_region r[ARCH_MAX_RAM_REGIONS];
	static struct arch_cpu_model model;
	struct err e = ERR_INIT;
	uint64_t off;
	void *host;
	size_t n;
	int fd;

	must(hv->ops->vm_new(hv, &s->vm, &e), &e, "vm_new");
	must(arch_ram_regions(MEMORY, cfg.phys_bits, r, &n, &e), &e, "ram_regions");
	must(gmem_new(&s->mem, r, n, GMEM_ANON, &e), &e, "gmem_new");
	gmem_region_at(s->mem, 0, &r[0], &host, &fd, &off);
	must(hv->ops->slot_set(s->vm, 0, r[0].base, r[0].size, host, false, &e), &e, "slot_set");
	must(hv->ops->vcpu_new(s->vm, 0, &s->cpu, &e), &e, "vcpu_new");
	must(arch_cpu_model(s->vm, &cfg, &model, &e), &e, "cpu_model");
	must(arch_vcpu_setup(s->cpu, &model, &e), &e, "vcpu_setup");
	must(gmem_write(s->mem, gpa(ENTRY), code, len), &e, "code");
	must(arch_vcpu_boot(s->cpu, s->mem, &boot, &e), &e, "vcpu_boot");
}

static void small_free(struct small *s)
{
	const struct hv_ops *ops = s->vm->ops;

	ops->vcpu_free(s->cpu);
	ops->vm_free(s->vm);
	gmem_free(s->mem);
}

static enum hv_exit_kind next(struct small *s, struct hv_exit *x)
{
	do
		s->cpu->ops->vcpu_run(s->cpu, x);
	while (x->kind == HV_EXIT_INTR);
	return x->kind;
}

static bool is_out(const struct hv_exit *x, uint8_t value)
{
	return x->kind == HV_EXIT_PIO && x->pio.write && x->pio.port == PORT && x->pio.size == 1 &&
	       x->pio.count == 1 && x->pio.data[0] == value;
}

static void ports_and_memory(struct hv *hv)
{
	static const uint8_t code[] = {
		0xb0, 0x41, 0xe6, PORT,                   /* mov al, 'A'; out PORT, al */
		0xe4, PORT, 0x40, 0xe6, PORT,             /* in al, PORT; inc eax; out PORT, al */
		0xa1, 0x00, 0x00, 0x00, 0xd0,             /* mov eax, [0xd0000000] */
		0x40, 0xa3, 0x04, 0x00, 0x00, 0xd0,       /* inc eax; mov [0xd0000004], eax */
		0x0f, 0x0b,                               /* ud2: no IDT, so a triple fault */
	};
	struct hv_exit x;
	struct small s;

	small_new(&s, hv, code, sizeof(code));
	next(&s, &x);
	check(is_out(&x, 'A'), "a port is written");
	next(&s, &x);
	check(x.kind == HV_EXIT_PIO && !x.pio.write && x.pio.port == PORT, "a port is read");
	x.pio.data[0] = 'B';
	next(&s, &x);
	check(is_out(&x, 'C'), "the guest got what the port read");
	next(&s, &x);
	check(x.kind == HV_EXIT_MMIO && !x.mmio.write && x.mmio.addr.v == 0xd0000000 &&
	      x.mmio.size == 4, "memory without a slot is read");
	memcpy(x.mmio.data, &(uint32_t){ 0x01020304 }, 4);
	next(&s, &x);
	check(x.kind == HV_EXIT_MMIO && x.mmio.write && x.mmio.addr.v == 0xd0000004 &&
	      !memcmp(x.mmio.data, &(uint32_t){ 0x01020305 }, 4), "and written");
	check(next(&s, &x) == HV_EXIT_SHUTDOWN, "a triple fault is a shutdown");
	small_free(&s);
}

static void *kick_soon(void *arg)
{
	struct small *s = arg;

	usleep(50000);
	s->cpu->ops->vcpu_kick(s->cpu);
	return NULL;
}

static void kicks(struct hv *hv)
{
	static const uint8_t code[] = { 0xeb, 0xfe }; /* jmp $ */
	struct hv_exit x = { .kind = HV_EXIT_ERROR };
	struct small s;
	pthread_t t;

	small_new(&s, hv, code, sizeof(code));
	s.cpu->ops->vcpu_kick(s.cpu);
	s.cpu->ops->vcpu_run(s.cpu, &x);
	check(x.kind == HV_EXIT_INTR, "a kick before the first run is not lost");
	x.kind = HV_EXIT_ERROR;
	pthread_create(&t, NULL, kick_soon, &s);
	s.cpu->ops->vcpu_run(s.cpu, &x);
	check(x.kind == HV_EXIT_INTR, "a kick interrupts a spinning guest");
	pthread_join(t, NULL);
	small_free(&s);
}

static void broken_guests(struct hv *hv)
{
	static const uint8_t code[] = {
		0x0f, 0x58, 0x05, 0x00, 0x00, 0x00, 0xd0, /* addps xmm0, [0xd0000000]: not emulated */
	};
	static const uint8_t away[] = { 0xe9, 0xfb, 0xff, 0xef, 0xcf }; /* jmp 0xd0000000 */
	struct hv_exit x;
	struct small s;

	small_new(&s, hv, code, sizeof(code));
	next(&s, &x);
	check(x.kind == HV_EXIT_ERROR || x.kind == HV_EXIT_SHUTDOWN, "what cannot be emulated ends it");
	if (x.kind == HV_EXIT_ERROR)
		printf("# %s\n", x.error.text);
	small_free(&s);
	small_new(&s, hv, away, sizeof(away));
	next(&s, &x);
	check(x.kind == HV_EXIT_ERROR || x.kind == HV_EXIT_SHUTDOWN || x.kind == HV_EXIT_MMIO,
	      "so does code outside memory");
	if (x.kind == HV_EXIT_ERROR)
		printf("# %s\n", x.error.text);
	small_free(&s);
}

static void doorbells(struct hv *hv)
{
	static const uint8_t code[] = {
		0xb8, 0x07, 0x00, 0x00, 0x00,       /* mov eax, 7 */
		0xa3, 0x00, 0x10, 0x00, 0xd0,       /* mov [0xd0001000], eax */
		0xb0, 0x5a, 0xe6, PORT,             /* mov al, 'Z'; out PORT, al */
	};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const struct hv_msi msi = { .addr = 0xfee00000, .data = 0x4030 };
	struct err e = ERR_INIT;
	uint64_t n = 0;
	struct hv_exit x;
	struct small s;
	unsigned gsi;

	small_new(&s, hv, code, sizeof(code));
	must(hv->ops->ioeventfd(s.vm, fd, false, 0xd0001000, 0, NULL, true, &e), &e, "ioeventfd");
	next(&s, &x);
	check(is_out(&x, 'Z') && read(fd, &n, sizeof(n)) == sizeof(n) && n == 1,
	      "a doorbell rings without an exit");
	check(hv->ops->ioeventfd(s.vm, fd, false, 0xd0001000, 0, NULL, false, &e) == 0,
	      "and is taken away");
	must(hv->ops->gsi_alloc(s.vm, &gsi, &e), &e, "gsi_alloc");
	check(gsi >= 24, "MSI routes lie above the pins");
	check(hv->ops->gsi_route_msi(s.vm, gsi, &msi, &e) == 0 &&
	      hv->ops->irqfd(s.vm, irq, gsi, true, &e) == 0, "a route and its descriptor");
	check(hv->ops->gsi_route_msi(s.vm, gsi, NULL, &e) == 0 &&
	      hv->ops->irqfd(s.vm, irq, gsi, false, &e) == 0, "and back");
	hv->ops->gsi_free(s.vm, gsi);
	check(hv->ops->signal_msi(s.vm, &msi) >= 0, "an MSI is injected");
	small_free(&s);
	close(fd);
	close(irq);
}

/* Everything of one vCPU into another of a new machine, which goes on where the first stood. */
static void moves(struct hv *hv)
{
	static const uint8_t code[] = {
		0xbb, 0x78, 0x56, 0x34, 0x12,       /* mov ebx, 0x12345678 */
		0x0f, 0x31, 0x89, 0xc6, 0x89, 0xd7, /* rdtsc; mov esi, eax; mov edi, edx */
		0xe4, PORT,                         /* in al, PORT */
		0x88, 0xd8, 0xe6, PORT,             /* mov al, bl; out PORT, al */
		0x0f, 0x31, 0x29, 0xf0, 0x19, 0xfa, /* rdtsc; sub eax, esi; sbb edx, edi */
		0x88, 0xd0, 0xe6, PORT,             /* mov al, dl; out PORT, al */
	};
	static uint8_t state[32][HV_REG_GROUP_MAX];
	const struct hv_reg_group *g;
	struct err e = ERR_INIT;
	struct hv_clock clock;
	ssize_t len[32];
	struct small a, b;
	struct hv_exit x;
	bool ok = true;
	size_t n;

	g = hv->ops->reg_groups(hv, &n);
	small_new(&a, hv, code, sizeof(code));
	next(&a, &x);
	x.pio.data[0] = 1;
	a.cpu->ops->vcpu_kick(a.cpu); /* finishes the read */
	a.cpu->ops->vcpu_run(a.cpu, &x);
	check(x.kind == HV_EXIT_INTR, "a kick finishes a pending read");
	must(hv->ops->clock_get(a.vm, &clock, &e), &e, "clock_get");
	for (size_t i = 0; i < n; i++) {
		len[i] = hv->ops->vcpu_get(a.cpu, (unsigned)i, state[i], sizeof(state[i]), &e);
		must((int)len[i], &e, g[i].name);
	}
	small_new(&b, hv, code, sizeof(code));
	must(hv->ops->clock_set(b.vm, &clock, &e), &e, "clock_set");
	for (size_t i = 0; i < n; i++)
		must(hv->ops->vcpu_set(b.cpu, (unsigned)i, state[i], (size_t)len[i], &e), &e, g[i].name);
	next(&b, &x);
	check(is_out(&x, 0x78), "another machine goes on where the first stood");
	next(&b, &x);
	check(is_out(&x, 0), "and its TSC went on, too");
	for (size_t i = 0; i < n; i++) {
		/* The parts that do not move by themselves must come back as they were put in. */
		uint8_t again[HV_REG_GROUP_MAX];

		if (!strcmp(g[i].name, "tsc") || !strcmp(g[i].name, "regs") || !strcmp(g[i].name, "msrs"))
			continue;
		must(hv->ops->vcpu_set(b.cpu, (unsigned)i, state[i], (size_t)len[i], &e), &e, g[i].name);
		if (hv->ops->vcpu_get(b.cpu, (unsigned)i, again, sizeof(again), &e) != len[i] ||
		    (strcmp(g[i].name, "events") && strcmp(g[i].name, "lapic") &&
		     memcmp(again, state[i], (size_t)len[i]))) {
			printf("# %s differs\n", g[i].name);
			ok = false;
		}
	}
	check(ok, "register groups read back as written");
	for (size_t i = 0; i < n; i++)
		if (hv->ops->vcpu_set(b.cpu, (unsigned)i, state[i], (size_t)len[i] - 1, &e) == 0)
			ok = false;
	check(ok, "a short group is refused");
	small_free(&a);
	small_free(&b);
}

static struct hv *open_kvm(void)
{
	struct err e = ERR_INIT;
	struct hv *hv = NULL;
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("1..0 # SKIP no /dev/kvm\n");
		exit(0);
	}
	must(hv_kvm_open(&hv, fd, &e), &e, "hv_kvm_open");
	return hv;
}

int main(int argc, char **argv)
{
	struct hv *hv = open_kvm();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct hv *other = NULL;
	struct err e = ERR_INIT;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 3 && !strcmp(argv[1], "boot"))
		return hv_boot(hv, &(struct hv_boot_opt){
			.kernel = argv[2],
			.initramfs = argc > 3 ? argv[3] : "",
			.cmdline = argc > 4 ? argv[4] : "console=ttyS0 panic=-1",
			.vcpus = argc > 5 ? (unsigned)atoi(argv[5]) : 1,
			.memory = argc > 6 ? MIB(strtoull(argv[6], NULL, 10)) : MIB(256),
			.map_files = argc > 7 && !strcmp(argv[7], "map"),
			.advice = argc > 7 && !strcmp(argv[7], "small") ? GMEM_NO_HUGE :
				  argc > 7 && !strcmp(argv[7], "huge") ? GMEM_HUGE : 0,
			.generation_after = argc > 8 ? (unsigned)atoi(argv[8]) : 0,
		});
	check(hv_kvm_open(&other, null, &e) == -ENOTSUP && e.msg[0], "what is not KVM is refused");
	ports_and_memory(hv);
	kicks(hv);
	broken_guests(hv);
	doorbells(hv);
	moves(hv);
	hv->ops->close(hv);
	close(null);
	printf("1..%u\n", tests);
	return failures ? 1 : 0;
}
