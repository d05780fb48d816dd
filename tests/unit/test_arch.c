// SPDX-License-Identifier: Apache-2.0
/* x86_64: memory map, CPU model, entry state, tables and platform, against the fake hypervisor. */
#include "tests/unit/check.h"

#include <asm/bootparam.h>
#include <stdio.h>
#include <unistd.h>
#include "vmm/acpi/power.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/hv/fake/fake.h"

static void ram_around_the_hole(void **state)
{
	static const struct {
		const char *why;
		uint64_t size;
		unsigned bits;
		int rc;
		size_t n;
		uint64_t low, high;
	} tab[] = {
		{ "least", MIB(16), 40, 0, 1, MIB(16), 0 },
		{ "too little", MIB(14), 40, -EINVAL, 0, 0, 0 },
		{ "nothing", 0, 40, -EINVAL, 0, 0, 0 },
		{ "odd", MIB(16) + 4096, 40, -EINVAL, 0, 0, 0 },
		{ "all below the hole", GIB(3), 40, 0, 1, GIB(3), 0 },
		{ "a little above it", GIB(3) + MIB(2), 40, 0, 2, GIB(3), MIB(2) },
		{ "most for 36 bits, with room for devices", GIB(64 - 1 - 4), 36, 0, 2, GIB(3), GIB(56) },
		{ "more than that", GIB(64 - 1 - 4) + MIB(2), 36, -EINVAL, 0, 0, 0 },
		{ "more than any CPU", 1ull << 60, 52, -EINVAL, 0, 0, 0 },
		{ "size wraps", 0xffffffffffe00000, 52, -EINVAL, 0, 0, 0 },
		{ "32 bits", GIB(1), 32, 0, 1, GIB(1), 0 },
		{ "32 bits, too much", GIB(4), 32, -EINVAL, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		struct gmem_region r[ARCH_MAX_RAM_REGIONS];
		struct err e = ERR_INIT;
		size_t n = 0;

		check_row(tab[i].why, arch_ram_regions(tab[i].size, tab[i].bits, r, &n, &e) == tab[i].rc);
		if (tab[i].rc < 0)
			continue;
		check_row(tab[i].why, n == tab[i].n && r[0].base.v == 0 && r[0].size == tab[i].low);
		check_row(tab[i].why, n == 1 || (r[1].base.v == GIB(4) && r[1].size == tab[i].high));
	}
}

static void windows_lie_beside_ram(void **state)
{
	struct pci_seg_cfg w;

	(void)state;
	assert_int_equal(arch_pci_window(0, MIB(256), 40, &w, NULL), 0);
	assert_int_equal(w.ecam_base, 0xe8000000);
	assert_int_equal(w.mmio32_base, 0xc0000000);
	assert_true(w.mmio32_base + w.mmio32_len <= w.ecam_base);
	assert_int_equal(w.mmio64_base, GIB(4));
	assert_int_equal(w.mmio64_len, GIB(512));
	assert_int_equal(arch_pci_window(0, GIB(5) + 1, 36, &w, NULL), 0);
	assert_int_equal(w.mmio64_base, GIB(8));
	assert_int_equal(w.mmio64_base + w.mmio64_len, GIB(64));
	assert_int_equal(arch_pci_window(0, GIB(64), 36, &w, NULL), -EINVAL);
	assert_int_equal(arch_pci_window(1, GIB(1), 40, &w, NULL), -EINVAL);
}

/* Behind all RAM, aligned for the guest's kernel, and with room left for the devices above it. */
static void what_comes_later_lies_behind_ram(void **state)
{
	static const struct {
		const char *why;
		uint64_t size, ram_end;
		unsigned bits;
		uint64_t base, want;
	} tab[] = {
		{ "beside little RAM", GIB(8), MIB(256), 40, GIB(4), GIB(8) },
		{ "behind RAM above the hole", GIB(8), GIB(5) + MIB(2), 40, GIB(6), GIB(8) },
		{ "none", 0, MIB(256), 40, GIB(4), 0 },
		{ "not whole granules", GIB(1) + MIB(130), MIB(256), 40, GIB(4), GIB(1) + MIB(128) },
		{ "less than one", MIB(126), MIB(256), 40, GIB(4), 0 },
		{ "all that 36 bits leave", GIB(56), MIB(256), 36, GIB(4), GIB(56) },
		{ "more than that", GIB(57), MIB(256), 36, GIB(4), GIB(56) },
		{ "beside as much RAM as there can be", GIB(1), GIB(60), 36, GIB(60), 0 },
		{ "of a CPU with 32 bits", GIB(1), MIB(256), 32, GIB(4), 0 },
		{ "more than any CPU", 1ull << 62, MIB(256), 52, GIB(4), (1ull << 46) - GIB(8) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		struct gmem_region r;
		struct pci_seg_cfg w;

		arch_later_region(tab[i].size, tab[i].ram_end, tab[i].bits, &r);
		check_row(tab[i].why, r.base.v == tab[i].base && r.size == tab[i].want && r.later);
		if (!r.size)
			continue;
		check_row(tab[i].why, arch_pci_window(0, r.base.v + r.size, tab[i].bits, &w, NULL) == 0);
		check_row(tab[i].why, w.mmio64_len >= GIB(4) && w.mmio64_base >= r.base.v + r.size);
	}
}

/* ---- a machine on the fake ---- */

struct fix {
	struct hv *hv;
	struct hv_vm *vm;
	struct bus *mmio, *pio;
	struct gmem *mem;
	struct evloop *loop;
	struct arch_platform *p;
	struct pci_seg_cfg pci;
	int event;
};

static void on_event(void *arg, enum arch_event ev)
{
	((struct fix *)arg)->event = (int)ev + 1;
}

static void start(struct fix *f, unsigned vcpus, int serial_out)
{
	struct arch_platform_cfg cfg = {
		.vcpus = vcpus, .serial_in = -1, .serial_out = serial_out, .debug_out = -1,
		.event = on_event, .event_arg = f,
	};
	struct gmem_region r[ARCH_MAX_RAM_REGIONS];
	struct err e = ERR_INIT;
	size_t n;

	assert_int_equal(hv_fake_open(&f->hv, NULL), 0);
	assert_int_equal(f->hv->ops->vm_new(f->hv, &f->vm, NULL), 0);
	assert_int_equal(bus_new(&f->mmio, NULL) | bus_new(&f->pio, NULL), 0);
	assert_int_equal(evloop_new(&f->loop, NULL), 0);
	assert_int_equal(arch_ram_regions(GIB(4), 40, r, &n, NULL), 0);
	assert_int_equal(gmem_new(&f->mem, r, n, GMEM_ANON, NULL), 0);
	assert_int_equal(arch_pci_window(0, GIB(5), 40, &f->pci, NULL), 0);
	cfg.vm = f->vm;
	cfg.mmio = f->mmio;
	cfg.pio = f->pio;
	cfg.mem = f->mem;
	cfg.loop = f->loop;
	if (arch_platform_new(&f->p, &cfg, &e) < 0)
		fail_msg("%s", e.msg);
}

static void stop(struct fix *f)
{
	arch_platform_free(f->p);
	gmem_free(f->mem);
	evloop_free(f->loop);
	bus_free(f->mmio);
	bus_free(f->pio);
	f->hv->ops->vm_free(f->vm);
	f->hv->ops->close(f->hv);
}

static void pio_write(struct fix *f, uint16_t port, uint32_t v, unsigned size)
{
	bus_write(f->pio, port, &v, size);
}

static uint32_t pio_read(struct fix *f, uint16_t port, unsigned size)
{
	uint32_t v = 0;

	bus_read(f->pio, port, &v, size);
	return v;
}

static void platform_answers(void **state)
{
	struct hv_msi msi[4];
	struct fix f = { 0 };
	uint32_t v;
	int p[2];
	char c = 0;

	(void)state;
	assert_int_equal(pipe(p), 0);
	start(&f, 2, p[1]);
	pio_write(&f, X86_PORT_SERIAL, 'x', 1);
	assert_int_equal(read(p[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	pio_write(&f, X86_PORT_POWER, 5 << 2 | 1 << 5, 1);
	assert_int_equal(f.event, ARCH_EVENT_POWEROFF + 1);
	pio_write(&f, X86_PORT_POWER + POWER_RESET, POWER_RESET_VALUE, 1);
	assert_int_equal(f.event, ARCH_EVENT_RESET + 1);
	/* The guest unmasks the event device's pin; the button interrupts and says what it was. */
	v = 0x10 + 2 * X86_IRQ_GED;
	bus_write(f.mmio, X86_IOAPIC, &v, 4);
	v = 0x33;
	bus_write(f.mmio, X86_IOAPIC + 0x10, &v, 4);
	arch_platform_power_button(f.p);
	assert_int_equal(fake_take_msis(f.vm, msi, 4), 1);
	assert_int_equal(msi[0].data, 0x33);
	assert_int_equal(pio_read(&f, X86_PORT_GED, 4), 1);
	assert_int_equal(arch_platform_new_generation(f.p, (const uint8_t *)"0123456789abcdef", NULL), 0);
	assert_int_equal(fake_take_msis(f.vm, msi, 4), 1);
	assert_int_equal(pio_read(&f, X86_PORT_GED, 4), 2);
	assert_memory_equal(gmem_ptr(f.mem, gpa(X86_VMGENID), 16), "0123456789abcdef", 16);
	stop(&f);
	close(p[0]);
}

static void platform_state(void **state)
{
	struct buf one = BUF_INIT(8192), two = BUF_INIT(8192);
	struct snap_w w1 = { .b = &one }, w2 = { .b = &two };
	struct fix a = { 0 }, b = { 0 }, with_serial = { 0 };
	struct err e = ERR_INIT;
	struct snap_r r;

	(void)state;
	start(&a, 1, -1);
	start(&b, 1, -1);
	start(&with_serial, 1, dup(2));
	arch_platform_power_button(a.p);
	assert_int_equal(arch_platform_save(a.p, &w1, NULL), 0);
	assert_int_equal(snap_r_init(&r, one.data, one.len, NULL), 0);
	assert_int_equal(arch_platform_load(b.p, &r, NULL), 0);
	assert_int_equal(arch_platform_save(b.p, &w2, NULL), 0);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	assert_int_equal(arch_platform_load(with_serial.p, &r, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "no serial port"));
	stop(&a);
	stop(&b);
	stop(&with_serial);
	buf_free(&one);
	buf_free(&two);
}

static void descriptors_stay_with_a_failed_caller(void **state)
{
	struct fix f = { 0 };
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	start(&f, 1, -1);
	const struct arch_platform_cfg again = {
		.vm = f.vm, .mmio = f.mmio, .pio = f.pio, .mem = f.mem, .loop = f.loop, .vcpus = 1,
		.serial_in = p[0], .serial_out = p[1], .debug_out = -1, .event = on_event,
	};
	struct arch_platform *second;

	/* The addresses are taken. */
	assert_int_equal(arch_platform_new(&second, &again, NULL), -EEXIST);
	assert_int_equal(close(p[0]) | close(p[1]), 0);
	/* And what took them still answers. */
	pio_write(&f, X86_PORT_POWER, 5 << 2 | 1 << 5, 1);
	assert_int_equal(f.event, ARCH_EVENT_POWEROFF + 1);
	stop(&f);
}

/* ---- tables ---- */

struct entry {
	uint64_t at, len;
	uint32_t type;
};

static void check_map(const struct entry *e, size_t n)
{
	uint64_t end = 0, ram = 0;

	for (size_t i = 0; i < n; i++) {
		assert_true(e[i].at >= end && e[i].len);
		end = e[i].at + e[i].len;
		if (e[i].type == 1)
			ram += e[i].len;
	}
	/* All but the stretch from 640 KiB to 1 MiB. */
	assert_int_equal(ram, GIB(4) - 0x60000);
	assert_int_equal(end, GIB(5));
}

static void tables_for_pvh_and_linux(void **state)
{
	struct arch_boot boot = { .kind = ARCH_BOOT_PVH, .initramfs = gpa(0x2000000),
				  .initramfs_len = 1234 };
	struct fix f = { 0 };
	struct boot_params bp = { .hdr = { .version = 0x20f } };
	struct entry map[16];
	uint32_t info[14];
	uint64_t mod[4];

	(void)state;
	start(&f, 2, -1);
	assert_int_equal(arch_write_tables(f.p, &boot, &f.pci, 1, NULL), 0);
	assert_int_equal(gmem_read(f.mem, gpa(X86_PVH_INFO), info, sizeof(info)), 0);
	assert_int_equal(info[0], 0x336ec578);
	assert_int_equal(info[1], 1);
	assert_int_equal(info[3], 1);
	assert_int_equal(info[6], X86_CMDLINE);
	assert_int_equal(info[8], X86_RSDP);
	assert_memory_equal(gmem_ptr(f.mem, gpa(X86_RSDP), 8), "RSD PTR ", 8);
	assert_int_equal(gmem_read(f.mem, gpa(X86_PVH_MODLIST), mod, sizeof(mod)), 0);
	assert_int_equal(mod[0], 0x2000000);
	assert_int_equal(mod[1], 1234);
	assert_true(info[12] <= 16);
	for (uint32_t i = 0; i < info[12]; i++) {
		uint64_t e[3];

		assert_int_equal(gmem_read(f.mem, gpa(info[10] + 24 * i), e, 24), 0);
		map[i] = (struct entry){ e[0], e[1], (uint32_t)e[2] };
	}
	check_map(map, info[12]);

	assert_int_equal(gmem_write(f.mem, gpa(X86_ZERO_PAGE), &bp, sizeof(bp)), 0);
	boot.kind = ARCH_BOOT_LINUX;
	assert_int_equal(arch_write_tables(f.p, &boot, &f.pci, 1, NULL), 0);
	assert_int_equal(gmem_read(f.mem, gpa(X86_ZERO_PAGE), &bp, sizeof(bp)), 0);
	assert_int_equal(bp.hdr.version, 0x20f);
	assert_int_equal(bp.hdr.ramdisk_image, 0x2000000);
	assert_int_equal(bp.hdr.ramdisk_size, 1234);
	assert_int_equal(bp.acpi_rsdp_addr, X86_RSDP);
	for (unsigned i = 0; i < bp.e820_entries; i++)
		map[i] = (struct entry){ bp.e820_table[i].addr, bp.e820_table[i].size,
					 bp.e820_table[i].type };
	check_map(map, bp.e820_entries);
	stop(&f);
}

/* ---- CPUs ---- */

static const struct hv_cpuid_entry *leaf(const struct hv_cpuid_entry *t, size_t n, uint32_t fn,
					 uint32_t index)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].function == fn && t[i].index == index)
			return &t[i];
	fail_msg("no leaf %#x.%u", fn, index);
	return NULL;
}

static void cpus_know_who_they_are(void **state)
{
	static const struct {
		const char *why;
		unsigned vcpus, bits;
	} tab[] = { { "one", 1, 0 }, { "two", 2, 1 }, { "three", 3, 2 }, { "64", 64, 6 },
		    { "128", 128, 7 }, { "129", 129, 8 }, { "most", ARCH_MAX_VCPUS, 8 } };
	static struct arch_cpu_model m;
	struct fix f = { 0 };

	(void)state;
	start(&f, 1, -1);
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		const struct arch_cpu_cfg cfg = { .vcpus = tab[i].vcpus, .phys_bits = 40 };
		struct hv_cpuid_entry t[HV_CPUID_MAX];
		unsigned id = tab[i].vcpus - 1;
		struct hv_vcpu *c;
		size_t n;

		assert_int_equal(arch_cpu_model(f.vm, &cfg, &m, NULL), 0);
		assert_int_equal(f.hv->ops->vcpu_new(f.vm, id, &c, NULL), 0);
		assert_int_equal(arch_vcpu_setup(c, &m, NULL), 0);
		n = fake_cpuid(c, t, HV_CPUID_MAX);
		check_row(tab[i].why, leaf(t, n, 1, 0)->ebx >> 24 == id);
		check_row(tab[i].why, (leaf(t, n, 1, 0)->ebx >> 16 & 0xff) ==
				       min_t(unsigned, 1u << tab[i].bits, 255));
		check_row(tab[i].why, !(leaf(t, n, 1, 0)->edx & 1u << 28) == (tab[i].vcpus == 1));
		check_row(tab[i].why, leaf(t, n, 0xb, 0)->edx == id);
		check_row(tab[i].why, leaf(t, n, 0xb, 0)->ebx == 1);
		check_row(tab[i].why, leaf(t, n, 0xb, 1)->eax == tab[i].bits);
		check_row(tab[i].why, leaf(t, n, 0xb, 1)->ebx == tab[i].vcpus);
		check_row(tab[i].why, (leaf(t, n, 4, 0)->eax >> 14 & 0xfff) == 0);
		check_row(tab[i].why, (leaf(t, n, 4, 3)->eax >> 14 & 0xfff) == (1u << tab[i].bits) - 1);
		check_row(tab[i].why, (leaf(t, n, 0x80000008, 0)->ecx & 0xff) == id);
		check_row(tab[i].why, (leaf(t, n, 0x80000008, 0)->eax & 0xff) == 40);
		f.hv->ops->vcpu_free(c);
	}
	stop(&f);
}

static void features_are_filtered(void **state)
{
	struct arch_cpu_cfg cfg = { .vcpus = 1, .phys_bits = 52 };
	static struct arch_cpu_model m;
	struct fix f = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	start(&f, 1, -1);
	assert_int_equal(arch_cpu_model(f.vm, &cfg, &m, NULL), 0);
	assert_int_equal(leaf(m.tab, m.n, 1, 0)->ecx & (1u << 5 | 1u << 3 | 1u << 15), 0);
	assert_int_equal(leaf(m.tab, m.n, 1, 0)->ecx >> 31, 1);
	assert_int_equal(leaf(m.tab, m.n, 0x80000001, 0)->ecx & 4, 0);
	assert_int_equal(leaf(m.tab, m.n, 6, 0)->eax, 4);
	assert_int_equal(leaf(m.tab, m.n, 6, 0)->ecx, 0);
	assert_int_equal(leaf(m.tab, m.n, 0xa, 0)->eax, 0);
	assert_int_equal(leaf(m.tab, m.n, 7, 0)->ebx & (1u << 2 | 1u << 25), 0);
	assert_int_equal(leaf(m.tab, m.n, 0x80000008, 0)->eax & 0xff, X86_PHYS_BITS);
	/* Two GHz, told in both ways. */
	assert_int_equal(leaf(m.tab, m.n, 0x40000000, 0)->eax, 0x40000010);
	assert_int_equal(leaf(m.tab, m.n, 0x40000010, 0)->eax, 2000000);
	assert_int_equal((uint64_t)leaf(m.tab, m.n, 0x15, 0)->ecx * leaf(m.tab, m.n, 0x15, 0)->ebx /
			 leaf(m.tab, m.n, 0x15, 0)->eax, 2000000000);
	cfg.nested = true;
	assert_int_equal(arch_cpu_model(f.vm, &cfg, &m, NULL), 0);
	assert_true(leaf(m.tab, m.n, 1, 0)->ecx & 1u << 5);
	cfg.vcpus = 0;
	assert_int_equal(arch_cpu_model(f.vm, &cfg, &m, &e), -EINVAL);
	cfg.vcpus = ARCH_MAX_VCPUS + 1;
	assert_int_equal(arch_cpu_model(f.vm, &cfg, &m, &e), -EINVAL);
	stop(&f);
}

static uint32_t some_khz;

static uint32_t some_rate(struct hv_vm *vm)
{
	(void)vm;
	return some_khz;
}

/* What Linux makes of leaf 0x15, in 32 bits. */
static uint32_t rate_by_crystal(const struct hv_cpuid_entry *c)
{
	assert_true(c->eax && c->ebx);
	return c->ecx / 1000 * c->ebx / c->eax;
}

static void rates_that_do_not_overflow(void **state)
{
	static const struct {
		const char *why;
		uint32_t khz, off; /* as the guest reckons it, at most */
	} rows[] = {
		{ "1 GHz", 1000000, 0 },
		{ "2.5 GHz", 2500000, 0 },
		{ "3.7 GHz", 3700000, 0 },
		{ "5.25 GHz", 5250000, 0 },
		{ "the largest factor", 4294000, 0 },
		{ "the nearest is another", 2494140, 1 },
		{ "a bit less", 2499997, 3 },
		{ "a bit more", 3000001, 1 },
		{ "between two far from each other", 1000050, 50 },
		{ "fast", 5400001, 100 },
		{ "slow", 600001, 10 },
	};
	const struct arch_cpu_cfg cfg = { .vcpus = 1, .phys_bits = 40 };
	static struct arch_cpu_model m;
	struct fix f = { 0 };
	struct hv_ops ops;

	(void)state;
	start(&f, 1, -1);
	ops = *f.vm->ops;
	ops.tsc_khz = some_rate;
	f.vm->ops = &ops;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t got;

		some_khz = rows[i].khz;
		assert_int_equal(arch_cpu_model(f.vm, &cfg, &m, NULL), 0);
		got = rate_by_crystal(leaf(m.tab, m.n, 0x15, 0));
		check_row(rows[i].why, got + rows[i].off >= rows[i].khz && got <= rows[i].khz + rows[i].off);
		assert_int_equal(leaf(m.tab, m.n, 0x15, 0)->ecx, 1000000000);
		check_row(rows[i].why, leaf(m.tab, m.n, 0x40000010, 0)->eax == rows[i].khz);
	}
	f.vm->ops = f.hv->ops;
	stop(&f);
}

static void entry_state(void **state)
{
	struct arch_boot boot = { .kind = ARCH_BOOT_PVH, .entry = gpa(0x1000020) };
	struct hv_x86_boot_regs r;
	struct fix f = { 0 };
	struct hv_vcpu *c;
	uint64_t gdt[5];

	(void)state;
	start(&f, 1, -1);
	assert_int_equal(f.hv->ops->vcpu_new(f.vm, 0, &c, NULL), 0);
	assert_int_equal(arch_vcpu_boot(c, f.mem, &boot, NULL), 0);
	assert_true(fake_booted(c, &r));
	assert_int_equal(r.rip, 0x1000020);
	assert_int_equal(r.rbx, X86_PVH_INFO);
	assert_int_equal(r.cr0 & ~0x10ull, 1);
	assert_int_equal(r.cr4 | r.efer | r.cr3, 0);
	assert_int_equal(gmem_read(f.mem, gpa(r.gdt_base), gdt, sizeof(gdt)), 0);
	assert_int_equal(gdt[r.cs.selector / 8], 0x00cf9b000000ffff);
	assert_int_equal(gdt[r.ds.selector / 8], 0x00cf93000000ffff);
	assert_int_equal(gdt[r.tr.selector / 8], 0x00008b0000000067);
	boot.kind = ARCH_BOOT_LINUX;
	assert_int_equal(arch_vcpu_boot(c, f.mem, &boot, NULL), 0);
	assert_true(fake_booted(c, &r));
	assert_int_equal(r.rsi, X86_ZERO_PAGE);
	f.hv->ops->vcpu_free(c);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_around_the_hole),
		cmocka_unit_test(windows_lie_beside_ram),
		cmocka_unit_test(what_comes_later_lies_behind_ram),
		cmocka_unit_test(platform_answers),
		cmocka_unit_test(platform_state),
		cmocka_unit_test(descriptors_stay_with_a_failed_caller),
		cmocka_unit_test(tables_for_pvh_and_linux),
		cmocka_unit_test(cpus_know_who_they_are),
		cmocka_unit_test(features_are_filtered),
		cmocka_unit_test(rates_that_do_not_overflow),
		cmocka_unit_test(entry_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
