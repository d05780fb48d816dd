// SPDX-License-Identifier: Apache-2.0
/* Boots a kernel with the parts below the machine alone: hypervisor, memory, arch, buses. */
#include "tests/guest/hv_smoke.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "lib/io.h"

#define MAX_CPUS 64

struct boot {
	struct hv_vm *vm;
	struct bus *mmio, *pio;
	struct arch_platform *platform;
	struct evloop *loop;
	unsigned n;
	struct hv_vcpu *cpu[MAX_CPUS];
	atomic_bool stop;
	atomic_ullong exits;
	const char *end;
	struct evtimer generation;
};

static void die(const struct err *e)
{
	fprintf(stderr, "hv-smoke: %s\n", e->msg);
	exit(1);
}

static void finish(struct boot *b, const char *why)
{
	if (atomic_exchange(&b->stop, true))
		return;
	b->end = why;
	for (unsigned i = 0; i < b->n; i++)
		b->vm->ops->vcpu_kick(b->cpu[i]);
	evloop_stop(b->loop);
}

static void on_event(void *arg, enum arch_event ev)
{
	finish(arg, ev == ARCH_EVENT_POWEROFF ? "power-off" : "reset");
}

struct vcpu_arg {
	struct boot *b;
	struct hv_vcpu *cpu;
};

static void pio(struct boot *b, const struct hv_exit *x, uint8_t *data)
{
	if (x->pio.write)
		bus_write(b->pio, x->pio.port, data, x->pio.size);
	else
		bus_read(b->pio, x->pio.port, data, x->pio.size);
}

static void handle(struct boot *b, struct hv_exit *x)
{
	atomic_fetch_add(&b->exits, 1);
	switch (x->kind) {
	case HV_EXIT_PIO:
		for (uint32_t i = 0; i < x->pio.count; i++)
			pio(b, x, x->pio.data + (size_t)i * x->pio.size);
		break;
	case HV_EXIT_MMIO:
		if (x->mmio.write)
			bus_write(b->mmio, x->mmio.addr.v, x->mmio.data, x->mmio.size);
		else
			bus_read(b->mmio, x->mmio.addr.v, x->mmio.data, x->mmio.size);
		break;
	case HV_EXIT_EOI:
		arch_platform_eoi(b->platform, x->eoi.vector);
		break;
	case HV_EXIT_SHUTDOWN:
		finish(b, "triple fault");
		break;
	case HV_EXIT_ERROR:
		fprintf(stderr, "hv-smoke: %s\n", x->error.text);
		finish(b, "error");
		break;
	default:
		break;
	}
}

static void *run(void *arg)
{
	struct vcpu_arg *v = arg;
	struct hv_exit x;

	while (!atomic_load(&v->b->stop)) {
		v->cpu->ops->vcpu_run(v->cpu, &x);
		handle(v->b, &x);
	}
	return NULL;
}

static void make_memory(struct boot *b, struct hv *hv, struct gmem **mem,
			const struct hv_boot_opt *o, struct pci_seg_cfg *pci)
{
	struct gmem_region r[ARCH_MAX_RAM_REGIONS];
	unsigned bits = hv->ops->phys_bits(hv);
	struct err e = ERR_INIT;
	uint64_t off;
	void *host;
	size_t n;
	int fd;

	if (arch_ram_regions(o->memory, bits, r, &n, &e) < 0 ||
	    gmem_new(mem, r, n, GMEM_ANON, &e) < 0 || gmem_advise(*mem, o->advice, &e) < 0)
		die(&e);
	for (unsigned i = 0; i < n; i++) {
		gmem_region_at(*mem, i, &r[i], &host, &fd, &off);
		if (hv->ops->slot_set(b->vm, i, r[i].base, r[i].size, host, false, &e) < 0)
			die(&e);
	}
	if (arch_pci_window(0, r[n - 1].base.v + r[n - 1].size, bits, pci, &e) < 0)
		die(&e);
}

static void make_cpus(struct boot *b, struct hv *hv)
{
	const struct arch_cpu_cfg cfg = { .vcpus = b->n, .phys_bits = hv->ops->phys_bits(hv) };
	static struct arch_cpu_model model;
	struct err e = ERR_INIT;

	if (arch_cpu_model(b->vm, &cfg, &model, &e) < 0)
		die(&e);
	for (unsigned i = 0; i < b->n; i++)
		if (hv->ops->vcpu_new(b->vm, i, &b->cpu[i], &e) < 0 ||
		    arch_vcpu_setup(b->cpu[i], &model, &e) < 0)
			die(&e);
}

static void load(struct boot *b, struct gmem *mem, const struct hv_boot_opt *o,
		 const struct pci_seg_cfg *pci)
{
	struct arch_payload p = {
		.kernel_fd = open(o->kernel, O_RDONLY | O_CLOEXEC),
		.initramfs_fd = o->initramfs[0] ? open(o->initramfs, O_RDONLY | O_CLOEXEC) : -1,
		.cmdline = o->cmdline,
		.map_files = o->map_files,
	};
	struct err e = ERR_INIT;
	struct arch_boot boot;
	uint64_t t = io_now_ns();

	if (p.kernel_fd < 0 || (o->initramfs[0] && p.initramfs_fd < 0)) {
		err_errno(&e, errno, "kernel or initramfs");
		die(&e);
	}
	if (arch_load_payload(mem, &p, &boot, &e) < 0)
		die(&e);
	fprintf(stderr, "hv-smoke: loaded in %ju us\n", (uintmax_t)(io_now_ns() - t) / 1000);
	if (arch_write_tables(b->platform, &boot, pci, 1, &e) < 0 ||
	    arch_vcpu_boot(b->cpu[0], mem, &boot, &e) < 0)
		die(&e);
	close(p.kernel_fd);
	if (p.initramfs_fd >= 0)
		close(p.initramfs_fd);
}

static void go(struct boot *b)
{
	struct vcpu_arg arg[MAX_CPUS];
	pthread_t t[MAX_CPUS];
	uint64_t start = io_now_ns();
	struct rusage used;

	for (unsigned i = 0; i < b->n; i++) {
		arg[i] = (struct vcpu_arg){ b, b->cpu[i] };
		pthread_create(&t[i], NULL, run, &arg[i]);
	}
	evloop_run(b->loop);
	for (unsigned i = 0; i < b->n; i++)
		pthread_join(t[i], NULL);
	getrusage(RUSAGE_SELF, &used);
	fprintf(stderr, "hv-smoke: ended by %s after %ju ms, %llu exits; %ld MiB, %ld faults\n", b->end,
		(uintmax_t)(io_now_ns() - start) / 1000000,
		(unsigned long long)atomic_load(&b->exits), used.ru_maxrss >> 10, used.ru_minflt);
}

static void new_generation(struct evtimer *t)
{
	struct boot *b = container_of(t, struct boot, generation);
	static const uint8_t guid[16] = "another machine";
	struct err e = ERR_INIT;

	if (arch_platform_new_generation(b->platform, guid, &e) < 0)
		die(&e);
}

int hv_boot(struct hv *hv, const struct hv_boot_opt *o)
{
	struct boot b = { .n = o->vcpus };
	struct pci_seg *seg = NULL;
	struct err e = ERR_INIT;
	struct pci_seg_cfg pci;
	struct gmem *mem;

	if (!b.n || b.n > MAX_CPUS || hv->ops->vm_new(hv, &b.vm, &e) < 0 ||
	    bus_new(&b.mmio, &e) < 0 || bus_new(&b.pio, &e) < 0 || evloop_new(&b.loop, &e) < 0)
		die(&e);
	make_memory(&b, hv, &mem, o, &pci);
	const struct arch_platform_cfg cfg = {
		.vm = b.vm, .mmio = b.mmio, .pio = b.pio, .mem = mem, .loop = b.loop, .vcpus = b.n,
		.serial_in = -1, .serial_out = dup(1), .debug_out = -1,
		.event = on_event, .event_arg = &b,
	};
	if (arch_platform_new(&b.platform, &cfg, &e) < 0 ||
	    pci_seg_new(&seg, &pci, b.vm, b.mmio, b.pio, &e) < 0)
		die(&e);
	make_cpus(&b, hv);
	load(&b, mem, o, &pci);
	if (evtimer_init(b.loop, &b.generation, "generation", new_generation) < 0)
		return 1;
	evtimer_set_ns(&b.generation, o->generation_after * 1000000000ull);
	go(&b);
	evtimer_done(&b.generation);
	for (unsigned i = 0; i < b.n; i++)
		hv->ops->vcpu_free(b.cpu[i]);
	pci_seg_free(seg);
	arch_platform_free(b.platform);
	hv->ops->vm_free(b.vm);
	bus_free(b.mmio);
	bus_free(b.pio);
	evloop_free(b.loop);
	gmem_free(mem);
	return 0;
}
