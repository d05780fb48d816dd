// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/hv/fake/fake.h"
#include "vmm/pci/pci.h"
#include "vmm/pci/pvpanic.h"

#define ECAM  0xe0000000ull
#define WIN32 0xc0000000ull
#define WIN64 (1ull << 38)

struct probe {
	struct pci_dev *d;
	unsigned reads, writes, moves;
	unsigned bar;
	uint64_t off, v, base[PCI_BARS];
};

static struct {
	struct hv *hv;
	struct hv_vm *vm;
	struct bus *mmio, *pio;
	struct pci_seg *s;
} m;

static uint64_t probe_read(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size)
{
	struct probe *p = pci_dev_priv(d);

	(void)size;
	p->reads++;
	p->bar = bar;
	p->off = off;
	return 0x1122334455667788;
}

static void probe_write(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t v)
{
	struct probe *p = pci_dev_priv(d);

	(void)size;
	p->writes++;
	p->bar = bar;
	p->off = off;
	p->v = v;
}

static void probe_moved(struct pci_dev *d, unsigned bar, uint64_t base)
{
	struct probe *p = pci_dev_priv(d);

	p->moves++;
	p->base[bar] = base;
}

static const struct pci_ops probe_ops = {
	.name = "probe",
	.bar_read = probe_read,
	.bar_write = probe_write,
	.bar_moved = probe_moved,
};

static const struct pci_ids probe_ids = {
	.vendor = 0x1234, .device = 0x5678, .sub_vendor = 0x9abc, .sub_device = 0xdef0,
	.class_code = 0x020304, .revision = 5,
};

static const struct pci_seg_cfg seg_cfg = {
	.ecam_base = ECAM, .mmio32_base = WIN32, .mmio32_len = MIB(1),
	.mmio64_base = WIN64, .mmio64_len = MIB(1),
};

static int setup(void **state)
{
	(void)state;
	assert_int_equal(hv_fake_open(&m.hv, NULL), 0);
	assert_int_equal(m.hv->ops->vm_new(m.hv, &m.vm, NULL), 0);
	assert_int_equal(bus_new(&m.mmio, NULL), 0);
	assert_int_equal(bus_new(&m.pio, NULL), 0);
	assert_int_equal(pci_seg_new(&m.s, &seg_cfg, m.vm, m.mmio, m.pio, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pci_seg_free(m.s);
	bus_free(m.mmio);
	bus_free(m.pio);
	m.hv->ops->vm_free(m.vm);
	m.hv->ops->close(m.hv);
	return 0;
}

static void add(struct probe *p, int slot)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(pci_dev_add(m.s, slot, &probe_ids, &probe_ops, p, &p->d, NULL), 0);
}

static uint64_t rd(uint64_t addr, unsigned size)
{
	uint64_t v = 0;

	bus_read(m.mmio, addr, &v, size);
	return v;
}

static void wr(uint64_t addr, unsigned size, uint64_t v)
{
	bus_write(m.mmio, addr, &v, size);
}

static uint64_t cfg(unsigned slot, unsigned off)
{
	return ECAM + slot * 0x8000 + off;
}

struct cfg_case {
	const char *why;
	unsigned off, size;
	uint64_t first; /* reads as */
	uint64_t write, then;
};

static const struct cfg_case cfgs[] = {
	{ "ids", 0x00, 4, 0x56781234, 0, 0x56781234 },
	{ "vendor by bytes", 0x01, 1, 0x12, 0xff, 0x12 },
	{ "command: memory, master, INTx off", 0x04, 2, 0, 0xffff, 0x0406 },
	{ "status has no bit to clear", 0x06, 2, 0, 0xffff, 0 },
	{ "class and revision", 0x08, 4, 0x02030405, 0xffffffff, 0x02030405 },
	{ "cache line size is scratch", 0x0c, 1, 0, 0x10, 0x10 },
	{ "latency timer, header type", 0x0d, 2, 0, 0xffff, 0 },
	{ "an absent BAR", 0x18, 4, 0, 0xffffffff, 0 },
	{ "no expansion ROM", 0x30, 4, 0, 0xffffffff, 0 },
	{ "subsystem", 0x2c, 4, 0xdef09abc, 0, 0xdef09abc },
	{ "interrupt line is scratch, there is no pin", 0x3c, 2, 0, 0xffff, 0x00ff },
	{ "eight bytes at once", 0x00, 8, 0x56781234, 0xffff00000000, 0x040656781234 },
	{ "three bytes", 0x08, 3, 0x030405, 0, 0x030405 },
	{ "unaligned", 0x07, 2, 0x0500, 0xffff, 0x0500 },
	{ "behind the 256 bytes", 0x100, 4, 0, 0xffffffff, 0 },
	{ "across their end", 0xfe, 4, 0, 0xffffffff, 0 },
	{ "last of the 4 KiB", 0xffc, 4, 0, 0xffffffff, 0 },
	{ "across the function's end", 0xffe, 4, 0xffffffff, 0, 0xffffffff },
	{ "another function", 0x1000, 4, 0xffffffff, 0, 0xffffffff },
	{ "an empty slot", 0x8000, 4, 0xffffffff, 0, 0xffffffff },
};

static void config(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cfgs); i++) {
		const struct cfg_case *t = &cfgs[i];
		struct probe p;
		uint64_t v;

		add(&p, 5);
		v = rd(cfg(5, t->off), t->size);
		if (v != t->first)
			fail_msg("%s: read %#llx", t->why, (unsigned long long)v);
		wr(cfg(5, t->off), t->size, t->write);
		v = rd(cfg(5, t->off), t->size);
		if (v != t->then)
			fail_msg("%s: then %#llx", t->why, (unsigned long long)v);
		pci_dev_remove(p.d);
	}
	assert_int_equal(rd(cfg(0, 0), 4), 0x00081b36);
	assert_int_equal(rd(cfg(0, 8), 4), 0x06000000);
}

static void conf1(void **state)
{
	uint32_t v;
	struct probe p;

	(void)state;
	add(&p, 5);
	v = 0x80000000;
	bus_write(m.pio, 0xcf8, &v, 4);
	v = 1;
	bus_write(m.pio, 0xcfb, &v, 1); /* not the address register */
	bus_read(m.pio, 0xcf8, &v, 4);
	assert_int_equal(v, 0x80000000);
	bus_read(m.pio, 0xcfc, &v, 4);
	assert_int_equal(v, 0x00081b36);
	v = 0x80000000 | 5 << 11 | 0x3c | 3;
	bus_write(m.pio, 0xcf8, &v, 4);
	v = 0x77;
	bus_write(m.pio, 0xcfc, &v, 1);
	assert_int_equal(rd(cfg(5, 0x3c), 1), 0x77);
	v = 0x80000000 | 5 << 11;
	bus_write(m.pio, 0xcf8, &v, 4);
	v = 0;
	bus_read(m.pio, 0xcfe, &v, 2);
	assert_int_equal(v, 0x5678);
	bus_read(m.pio, 0xcfe, &v, 4); /* past the last port */
	assert_int_equal(v, 0xffffffff);
	v = 0x80010000 | 5 << 11; /* bus 1 */
	bus_write(m.pio, 0xcf8, &v, 4);
	bus_read(m.pio, 0xcfc, &v, 4);
	assert_int_equal(v, 0xffffffff);
	v = 5 << 11; /* not enabled */
	bus_write(m.pio, 0xcf8, &v, 4);
	bus_read(m.pio, 0xcfc, &v, 4);
	assert_int_equal(v, 0xffffffff);
	pci_dev_remove(p.d);
}

static uint64_t bar_value(unsigned slot, unsigned bar, bool is64)
{
	uint64_t v = rd(cfg(slot, 0x10 + 4 * bar), 4) & ~0xfull;

	return is64 ? v | rd(cfg(slot, 0x14 + 4 * bar), 4) << 32 : v;
}

static void sizing(void **state)
{
	struct probe p;

	(void)state;
	add(&p, 5);
	assert_int_equal(pci_add_bar(p.d, 0, 0x1000, false, false, NULL), 0);
	assert_int_equal(pci_add_bar(p.d, 1, 16, false, true, NULL), 0);
	assert_int_equal(pci_add_bar(p.d, 2, 0x8000, true, true, NULL), 0);
	assert_int_equal(bar_value(5, 0, false), WIN32);
	assert_int_equal(bar_value(5, 1, false), WIN32 + 0x1000);
	assert_int_equal(bar_value(5, 2, true), WIN64);
	for (unsigned i = 0; i < 4; i++)
		wr(cfg(5, 0x10 + 4 * i), 4, 0xffffffff);
	assert_int_equal(rd(cfg(5, 0x10), 4), 0xfffff000);
	assert_int_equal(rd(cfg(5, 0x14), 4), 0xfffffff8);
	assert_int_equal(rd(cfg(5, 0x18), 4), 0xffff800c);
	assert_int_equal(rd(cfg(5, 0x1c), 4), 0xffffffff);
	assert_int_equal(p.moves, 0); /* decoding is off */
	/* While it is on: the BARs are nowhere, and back when they are restored. */
	wr(cfg(5, 4), 2, 2);
	assert_int_equal(p.moves, 0);
	wr(cfg(5, 0x10), 4, WIN32);
	assert_int_equal(p.base[0], WIN32);
	wr(cfg(5, 0x10), 4, 0xffffffff);
	assert_int_equal(p.base[0], 0);
	assert_int_equal(rd(WIN32, 1), 0xff);
	wr(cfg(5, 0x10), 4, WIN32);
	assert_int_equal(rd(WIN32, 1), 0x88);
	pci_dev_remove(p.d);
}

static void decode(void **state)
{
	struct probe p;

	(void)state;
	add(&p, -1);
	assert_int_equal(pci_dev_slot(p.d), 1);
	assert_int_equal(pci_add_bar(p.d, 0, 0x1000, true, false, NULL), 0);
	assert_int_equal(rd(WIN64, 4), 0xffffffff);
	wr(cfg(1, 4), 2, 2);
	assert_int_equal(rd(WIN64 + 4, 4), 0x55667788);
	assert_int_equal(p.off, 4);
	wr(WIN64 + 0xff8, 8, 0xabcdef);
	assert_int_equal(p.off, 0xff8);
	assert_int_equal(p.v, 0xabcdef);
	assert_int_equal(rd(WIN64 + 0xffc, 8), UINT64_MAX); /* across its end */
	assert_int_equal(p.reads, 1);
	wr(cfg(1, 4), 2, 0);
	assert_int_equal(p.base[0], 0);
	assert_int_equal(rd(WIN64, 4), 0xffffffff);
	assert_int_equal(p.reads, 1);
	wr(cfg(1, 4), 2, 2);
	pci_dev_remove(p.d); /* while it is mapped */
	assert_int_equal(rd(WIN64, 4), 0xffffffff);
	assert_int_equal(rd(cfg(1, 0), 4), 0xffffffff);
}

struct move_case {
	const char *why;
	uint64_t to;
	bool mapped;
};

static const struct move_case moves[] = {
	{ "stays", WIN64, true },
	{ "elsewhere in its window", WIN64 + 0x10000, true },
	{ "into the other window", WIN32 + 0x8000, true },
	{ "last place of the window", WIN64 + MIB(1) - 0x1000, true },
	{ "past the window", WIN64 + MIB(1), false },
	{ "below the window", WIN32 - 0x1000, false },
	{ "onto RAM", 0, false },
	{ "onto ECAM", ECAM, false },
	{ "onto another device", WIN64 + 0x1000, false },
	{ "end of the address space", ~0xfffull, false },
};

static void moving(void **state)
{
	struct probe p, other;

	(void)state;
	add(&p, 1);
	add(&other, 2);
	assert_int_equal(pci_add_bar(p.d, 0, 0x1000, true, false, NULL), 0);
	assert_int_equal(pci_add_bar(other.d, 0, 0x1000, true, false, NULL), 0);
	wr(cfg(1, 4), 2, 2);
	wr(cfg(2, 4), 2, 2);
	for (size_t i = 0; i < ARRAY_SIZE(moves); i++) {
		const struct move_case *t = &moves[i];
		unsigned reads = p.reads;

		wr(cfg(1, 4), 2, 0);
		wr(cfg(1, 0x10), 8, WIN64);
		wr(cfg(1, 4), 2, 2);
		wr(cfg(1, 0x10), 8, t->to);
		if ((p.base[0] == t->to && t->to) != t->mapped)
			fail_msg("%s: told %#llx", t->why, (unsigned long long)p.base[0]);
		if (t->to != WIN64)
			assert_int_equal(rd(WIN64, 4), 0xffffffff); /* gone from there */
		if (t->mapped)
			rd(t->to + 8, 1);
		if ((p.reads != reads) != t->mapped || (t->mapped && p.off != 8))
			fail_msg("%s: %u reads", t->why, p.reads - reads);
		assert_int_equal(bar_value(1, 0, true), t->to); /* it reads back all the same */
	}
	pci_dev_remove(p.d);
	pci_dev_remove(other.d);
}

/* Two BARs change places: each step leaves one in the other's way. */
static void swap(void **state)
{
	struct probe a, b;

	(void)state;
	add(&a, 1);
	add(&b, 2);
	assert_int_equal(pci_add_bar(a.d, 0, 0x1000, false, false, NULL), 0);
	assert_int_equal(pci_add_bar(b.d, 0, 0x1000, false, false, NULL), 0);
	wr(cfg(1, 4), 2, 2);
	wr(cfg(2, 4), 2, 2);
	wr(cfg(1, 0x10), 4, WIN32 + 0x1000);
	assert_int_equal(a.base[0], 0);
	assert_int_equal(b.base[0], WIN32 + 0x1000);
	wr(cfg(2, 0x10), 4, WIN32);
	assert_int_equal(a.base[0], WIN32 + 0x1000);
	assert_int_equal(b.base[0], WIN32);
	rd(WIN32, 1);
	assert_int_equal(b.reads, 1);
	rd(WIN32 + 0x1000, 1);
	assert_int_equal(a.reads, 1);
	pci_dev_remove(a.d);
	rd(WIN32, 1);
	assert_int_equal(b.reads, 2);
	pci_dev_remove(b.d);
}

static void placement(void **state)
{
	struct probe p[4];
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		add(&p[i], -1);
	assert_int_equal(pci_add_bar(p[0].d, 0, 0x1000, false, false, NULL), 0);
	assert_int_equal(pci_add_bar(p[1].d, 0, 0x40000, false, false, NULL), 0);
	assert_int_equal(pci_add_bar(p[2].d, 0, 0x1000, false, false, NULL), 0);
	assert_int_equal(bar_value(2, 0, false), WIN32 + 0x40000); /* on its own size */
	assert_int_equal(bar_value(3, 0, false), WIN32 + 0x1000);  /* in the gap */
	/* The 64-bit window is full: the other one is as good. */
	assert_int_equal(pci_add_bar(p[0].d, 2, MIB(1), true, false, NULL), 0);
	assert_int_equal(pci_add_bar(p[1].d, 2, 0x1000, true, false, NULL), 0);
	assert_int_equal(bar_value(2, 2, true), WIN32 + 0x2000);
	assert_int_equal(pci_add_bar(p[3].d, 0, MIB(1), false, false, &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "probe"));
	pci_dev_remove(p[1].d);
	assert_int_equal(pci_add_bar(p[3].d, 0, 0x40000, false, false, NULL), 0);
	assert_int_equal(bar_value(4, 0, false), WIN32 + 0x40000);
	pci_dev_remove(p[0].d);
	pci_dev_remove(p[2].d);
	pci_dev_remove(p[3].d);
}

static void slots(void **state)
{
	struct pci_dev *d[PCI_SLOTS], *x = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(pci_dev_add(m.s, 0, &probe_ids, &probe_ops, NULL, &x, &e), -EEXIST);
	assert_non_null(strstr(e.msg, "host bridge"));
	assert_int_equal(pci_dev_add(m.s, 32, &probe_ids, &probe_ops, NULL, &x, &e), -EINVAL);
	for (unsigned i = 1; i < PCI_SLOTS; i++)
		assert_int_equal(pci_dev_add(m.s, -1, &probe_ids, &probe_ops, NULL, &d[i], &e), 0);
	assert_int_equal(pci_dev_add(m.s, -1, &probe_ids, &probe_ops, NULL, &x, &e), -ENOSPC);
	assert_null(x);
	assert_int_equal(rd(cfg(31, 0), 4), 0x56781234);
	pci_dev_detach(d[7]); /* gone for the guest, not yet for us */
	assert_int_equal(rd(cfg(7, 0), 4), 0xffffffff);
	for (unsigned i = 1; i < PCI_SLOTS; i++)
		pci_dev_remove(d[i]);
}

static void caps(void **state)
{
	uint8_t body[64] = { 0, 0, 0xaa, 0xbb };
	struct probe p;
	int at[2];

	(void)state;
	add(&p, 1);
	assert_int_equal(rd(cfg(1, 6), 2), 0);
	at[0] = pci_add_cap(p.d, 9, body, 7, NULL);
	at[1] = pci_add_cap(p.d, 5, body, 4, NULL);
	assert_int_equal(rd(cfg(1, 6), 2), 0x10);
	assert_int_equal(rd(cfg(1, 0x34), 1), at[0]);
	assert_int_equal(at[1] % 4, 0);
	assert_true(at[1] >= at[0] + 7);
	assert_int_equal(rd(cfg(1, (unsigned)at[0]), 4), 0xbbaa0009u | (unsigned)at[1] << 8);
	assert_int_equal(rd(cfg(1, (unsigned)at[1]), 4), 0xbbaa0005);
	wr(cfg(1, (unsigned)at[0] + 2), 1, 0);
	assert_int_equal(rd(cfg(1, (unsigned)at[0] + 2), 1), 0xaa); /* read-only */
	pci_cfg_allow(p.d, (unsigned)at[0] + 2, 1);
	wr(cfg(1, (unsigned)at[0] + 2), 2, 0);
	assert_int_equal(rd(cfg(1, (unsigned)at[0] + 2), 2), 0xbb00);
	assert_int_equal(pci_cfg_peek(p.d, (unsigned)at[0], 4), rd(cfg(1, (unsigned)at[0]), 4));
	assert_true(pci_add_cap(p.d, 1, body, 64, NULL) > 0);
	assert_true(pci_add_cap(p.d, 1, body, 64, NULL) > 0);
	assert_int_equal(pci_add_cap(p.d, 1, body, 64, NULL), -ENOSPC);
	pci_dev_remove(p.d);
}

struct load_case {
	const char *why;
	size_t at; /* byte of the saved configuration space of slot 1, or */
	uint8_t xor;
	int want;
};

static const struct load_case loads[] = {
	{ "unchanged", 0, 0, 0 },
	{ "scratch differs", 0x3c, 0x55, 0 },
	{ "another device", 2, 1, -EINVAL },
	{ "another BAR size", 0x10, 0x80, -EINVAL },
	{ "an absent BAR has a value", 0x24, 1, -EINVAL },
	{ "another capability list", 0x34, 4, -EINVAL },
};

static void save_load(void **state)
{
	struct buf b = BUF_INIT(65536);
	struct snap_w w = { .b = &b };
	struct snap_r r;
	struct probe p, q;
	const void *at;
	size_t len;

	(void)state;
	add(&p, 1);
	assert_int_equal(pci_add_bar(p.d, 0, 0x1000, true, false, NULL), 0);
	wr(cfg(1, 0x10), 8, WIN64 + 0x5000);
	wr(cfg(1, 4), 2, 2);
	assert_int_equal(pci_seg_save(m.s, &w, NULL), 0);
	pci_dev_remove(p.d);
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		const struct load_case *t = &loads[i];
		struct err e = ERR_INIT;
		uint8_t *byte;

		add(&p, 1);
		assert_int_equal(pci_add_bar(p.d, 0, 0x1000, true, false, NULL), 0);
		assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
		assert_int_equal(snap_r_bytes(&r, 0x103, &at, &len, 256), 0);
		byte = b.data + ((const uint8_t *)at - b.data) + t->at;
		*byte ^= t->xor;
		if (pci_seg_load(m.s, &r, &e) != t->want)
			fail_msg("%s: %s", t->why, e.msg);
		*byte ^= t->xor;
		if (p.base[0] != (t->want ? 0 : WIN64 + 0x5000))
			fail_msg("%s: BAR at %#llx", t->why, (unsigned long long)p.base[0]);
		pci_dev_remove(p.d);
	}
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(pci_seg_load(m.s, &r, NULL), -EINVAL); /* no device there */
	add(&p, 1);
	add(&q, 2);
	assert_int_equal(pci_add_bar(p.d, 0, 0x1000, true, false, NULL), 0);
	assert_int_equal(pci_seg_load(m.s, &r, NULL), -EINVAL); /* one more */
	assert_int_equal(p.moves, 0);
	pci_dev_remove(p.d);
	pci_dev_remove(q.d);
	buf_free(&b);
}

static unsigned panics;

static void panicked(void *arg, unsigned events)
{
	*(unsigned *)arg += events;
}

static void pvpanic(void **state)
{
	struct pvpanic *p;
	uint64_t at;

	(void)state;
	panics = 0;
	assert_int_equal(pvpanic_new(&p, m.s, 4, panicked, &panics, NULL), 0);
	assert_int_equal(rd(cfg(4, 0), 4), 0x00111b36);
	wr(cfg(4, 4), 2, 2);
	at = bar_value(4, 0, false);
	assert_int_equal(rd(at, 1), 3); /* what it understands */
	assert_int_equal(rd(at + 1, 1), 0);
	wr(at + 1, 1, 1);
	wr(at, 1, 0xfc);
	assert_int_equal(panics, 0);
	wr(at, 1, PVPANIC_PANICKED | 0x80);
	assert_int_equal(panics, PVPANIC_PANICKED);
	wr(at, 1, PVPANIC_CRASHLOADED);
	assert_int_equal(panics, 3);
	pvpanic_free(p);
	assert_int_equal(rd(at, 1), 0xff);
	assert_int_equal(pvpanic_new(&p, m.s, 0, panicked, &panics, NULL), -EEXIST);
}

/* --- configuration space as memory ------------------------------------------------------------------- */

static int setup_memory(void **state)
{
	struct pci_seg_cfg c = seg_cfg;

	c.cfg_is_memory = true;
	setup(state);
	pci_seg_free(m.s);
	assert_int_equal(pci_seg_new(&m.s, &c, m.vm, m.mmio, NULL, NULL), 0);
	return 0;
}

#define SLOT_OF(slot) (GMEM_MAX_REGIONS + (slot))

/* What the guest loads is what an exit would have read, before and after writes of all kinds. */
static void memory_is_what_is_read(void **state)
{
	static const struct {
		unsigned off, size;
		uint64_t v;
	} writes[] = {
		{ 0x04, 2, 0xffff }, { 0x10, 4, 0xffffffff }, { 0x10, 4, 0xc0008000 }, { 0x3c, 1, 9 },
		{ 0x00, 4, 0 },      { 0xfc, 4, 0xffffffff }, { 0x100, 4, 0xffffffff },
	};
	struct fake_slot at;
	struct probe p;

	(void)state;
	add(&p, 3);
	assert_int_equal(pci_add_bar(p.d, 0, 0x1000, false, false, NULL), 0);
	assert_int_equal(pci_add_msix(p.d, 2, 0, 0, 0x800, NULL), 0);
	fake_slot_at(m.vm, SLOT_OF(3), &at);
	assert_true(at.used);
	assert_true(at.readonly);
	assert_int_equal(at.base.v, cfg(3, 0));
	assert_int_equal(at.size, 4096);
	for (size_t w = 0; w <= ARRAY_SIZE(writes); w++) {
		for (unsigned off = 0; off < 4096; off += 4) {
			uint32_t seen;

			memcpy(&seen, (uint8_t *)at.host + off, sizeof(seen));
			assert_int_equal(seen, rd(cfg(3, off), 4));
		}
		if (w < ARRAY_SIZE(writes))
			wr(cfg(3, writes[w].off), writes[w].size, writes[w].v);
	}
	assert_int_equal(rd(cfg(3, 0), 4), 0x56781234);
	assert_int_equal(rd(cfg(3, 0x10), 4), 0xc0008000);
	pci_dev_remove(p.d);
	fake_slot_at(m.vm, SLOT_OF(3), &at);
	assert_false(at.used);
	assert_int_equal(rd(cfg(3, 0), 4), 0xffffffff);
}

static void memory_refused(void **state)
{
	struct fake_slot at;
	struct probe p;

	(void)state;
	fake_fail_next(m.hv, "slot_set", EINVAL);
	add(&p, 3);
	fake_slot_at(m.vm, SLOT_OF(3), &at);
	assert_false(at.used);
	assert_int_equal(rd(cfg(3, 0), 4), 0x56781234);
	pci_dev_remove(p.d);
}

static void memory_not_asked_for(void **state)
{
	struct fake_slot at;
	struct probe p;

	(void)state;
	add(&p, 3);
	fake_slot_at(m.vm, SLOT_OF(3), &at);
	assert_false(at.used);
	pci_dev_remove(p.d);
}

/* What the guest sees of slot 3, by its memory and by exits. */
static bool sees(const struct fake_slot *at, uint32_t id)
{
	uint32_t seen;

	memcpy(&seen, at->host, sizeof(seen));
	return seen == id && rd(cfg(3, 0), 4) == id;
}

/* Devices come and go while the guest runs: the hypervisor's slots stay as they are, and nothing is seen
 * half made. */
static void memory_of_a_sealed_bus(void **state)
{
	struct fake_slot at, other;
	struct probe p = { .reads = 0 };
	struct probe q;

	(void)state;
	add(&q, 3);
	fake_slot_at(m.vm, SLOT_OF(3), &at);
	pci_seg_seal(m.s);
	assert_true(sees(&at, 0x56781234));
	pci_dev_remove(q.d);
	fake_slot_at(m.vm, SLOT_OF(3), &other);
	assert_true(other.used && other.host == at.host);
	for (unsigned off = 0; off < 4096; off++)
		assert_int_equal(((uint8_t *)at.host)[off], 0xff);
	assert_true(sees(&at, 0xffffffff));
	wr(cfg(3, 4), 2, 7); /* nobody's */
	assert_int_equal(pci_dev_add_hidden(m.s, 3, &probe_ids, &probe_ops, &p, &p.d, NULL), 0);
	assert_true(sees(&at, 0xffffffff));
	assert_int_equal(pci_add_bar(p.d, 0, 0x1000, false, false, NULL), 0);
	assert_int_equal(pci_add_msix(p.d, 2, 0, 0, 0x800, NULL), 0);
	assert_true(sees(&at, 0xffffffff));
	pci_dev_show(p.d);
	assert_true(sees(&at, 0x56781234));
	wr(cfg(3, 4), 2, 2);
	for (unsigned off = 0; off < 4096; off += 4) {
		uint32_t seen;

		memcpy(&seen, (uint8_t *)at.host + off, sizeof(seen));
		assert_int_equal(seen, rd(cfg(3, off), 4));
	}
	assert_int_equal(p.base[0], rd(cfg(3, 0x10), 4));
	/* A slot that never held one is read by exits. */
	add(&q, 4);
	fake_slot_at(m.vm, SLOT_OF(4), &other);
	assert_false(other.used);
	assert_int_equal(rd(cfg(4, 0), 4), 0x56781234);
	pci_dev_remove(q.d);
	pci_dev_remove(p.d);
	assert_true(sees(&at, 0xffffffff));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define TM(fn) cmocka_unit_test_setup_teardown(fn, setup_memory, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config), T(conf1), T(sizing), T(decode),    T(moving),  T(swap),
		T(slots),  T(caps),  T(placement), T(save_load), T(pvpanic),
		TM(memory_is_what_is_read), TM(memory_refused), TM(memory_of_a_sealed_bus), T(memory_not_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
