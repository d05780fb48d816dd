// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/hv/fake/fake.h"
#include "vmm/pci/pci.h"

#define ECAM  0xe0000000ull
#define WIN32 0xc0000000ull
#define SLOT  1u
#define N     70u /* more than one word of pending bits */
#define TABLE 0x1000u
#define PBA   0x2000u

static struct {
	struct hv *hv;
	struct hv_vm *vm;
	struct bus *mmio;
	struct pci_seg *s;
	struct pci_dev *d;
	unsigned cap;
	unsigned bar_reads;
} m;

static uint64_t bar_read(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size)
{
	(void)d;
	(void)bar;
	(void)off;
	(void)size;
	m.bar_reads++;
	return 0x77;
}

static const struct pci_ops ops = { .name = "msix", .bar_read = bar_read };

static void cfg_wr(unsigned off, unsigned size, uint32_t v)
{
	bus_write(m.mmio, ECAM + SLOT * 0x8000 + off, &v, size);
}

static uint32_t cfg_rd(unsigned off, unsigned size)
{
	uint32_t v = 0;

	bus_read(m.mmio, ECAM + SLOT * 0x8000 + off, &v, size);
	return v;
}

static void add_device(void)
{
	static const struct pci_ids ids = { .vendor = 1, .device = 2 };

	assert_int_equal(pci_dev_add(m.s, SLOT, &ids, &ops, NULL, &m.d, NULL), 0);
	assert_int_equal(pci_add_bar(m.d, 0, 0x4000, false, false, NULL), 0);
	assert_int_equal(pci_add_msix(m.d, N, 0, TABLE, PBA, NULL), 0);
	m.cap = cfg_rd(0x34, 1);
	cfg_wr(4, 2, 2);
}

static int setup(void **state)
{
	const struct pci_seg_cfg cfg = { .ecam_base = ECAM, .mmio32_base = WIN32,
					 .mmio32_len = MIB(1) };

	(void)state;
	memset(&m, 0, sizeof(m));
	assert_int_equal(hv_fake_open(&m.hv, NULL), 0);
	assert_int_equal(m.hv->ops->vm_new(m.hv, &m.vm, NULL), 0);
	assert_int_equal(bus_new(&m.mmio, NULL), 0);
	assert_int_equal(pci_seg_new(&m.s, &cfg, m.vm, m.mmio, NULL, NULL), 0);
	add_device();
	return 0;
}

static int teardown(void **state)
{
	struct fake_irqfd left[4];

	(void)state;
	pci_dev_remove(m.d);
	assert_int_equal(fake_irqfds(m.vm, left, 4), 0);
	pci_seg_free(m.s);
	bus_free(m.mmio);
	m.hv->ops->vm_free(m.vm);
	m.hv->ops->close(m.hv);
	return 0;
}

static void wr(uint64_t off, unsigned size, uint64_t v)
{
	bus_write(m.mmio, WIN32 + off, &v, size);
}

static uint64_t rd(uint64_t off, unsigned size)
{
	uint64_t v = 0;

	bus_read(m.mmio, WIN32 + off, &v, size);
	return v;
}

static void entry(unsigned n, uint32_t addr, uint32_t data, uint32_t control)
{
	wr(TABLE + 16 * n, 4, addr);
	wr(TABLE + 16 * n + 4, 4, 0x12);
	wr(TABLE + 16 * n + 8, 4, data);
	wr(TABLE + 16 * n + 12, 4, control);
}

static void control(uint32_t v)
{
	cfg_wr(m.cap + 2, 2, v);
}

/* MSIs since the last call; *last is the last one. */
static size_t msis(struct hv_msi *last)
{
	struct hv_msi got[128];
	size_t n = fake_take_msis(m.vm, got, ARRAY_SIZE(got));

	if (n)
		*last = got[n - 1];
	return n;
}

static bool pending(unsigned n)
{
	return rd(PBA + n / 32 * 4, 4) & (1u << (n % 32));
}

static void capability(void **state)
{
	(void)state;
	assert_int_equal(cfg_rd(m.cap, 1), 0x11);
	assert_int_equal(cfg_rd(m.cap + 2, 2), N - 1);
	assert_int_equal(cfg_rd(m.cap + 4, 4), TABLE);
	assert_int_equal(cfg_rd(m.cap + 8, 4), PBA);
	control(0xffff);
	assert_int_equal(cfg_rd(m.cap + 2, 2), 0xc000 | (N - 1));
	assert_int_equal(rd(TABLE + 12, 4), 1); /* masked at first */
	assert_int_equal(rd(TABLE + 16 * (N - 1) + 12, 4), 1);
	assert_int_equal(rd(TABLE + 16 * N, 4), 0x77); /* behind the table it is the device's */
	assert_int_equal(rd(TABLE - 4, 4), 0x77);
	assert_int_equal(rd(PBA + 16, 4), 0x77);
	assert_int_equal(m.bar_reads, 3);
}

struct access_case {
	const char *why;
	uint64_t off;
	unsigned size;
	uint64_t write, then;
};

static const struct access_case accesses[] = {
	{ "address", TABLE, 4, 0xfee01000, 0xfee01000 },
	{ "address in one", TABLE, 8, 0x12fee01000, 0x12fee01000 },
	{ "data and control in one", TABLE + 8, 8, 0x100004321, 0x100004321 },
	{ "control has one bit", TABLE + 12, 4, 0xffffffff, 1 },
	{ "the same in one with data", TABLE + 8, 8, 0xffffffff00000055, 0x100000055 },
	{ "one byte", TABLE, 1, 0x55, 0 },
	{ "two bytes", TABLE, 2, 0x5555, 0 },
	{ "unaligned", TABLE + 2, 4, 0x5555, 0 },
	{ "eight across two fields", TABLE + 4, 8, 0x5555, 0 },
	{ "pending bits are read-only", PBA, 4, 0xffffffff, 0 },
	{ "eight of them", PBA + 8, 8, UINT64_MAX, 0 },
};

static void table_accesses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		const struct access_case *t = &accesses[i];
		uint64_t v;

		wr(t->off, t->size, t->write);
		v = rd(t->off, t->size);
		if (v != t->then)
			fail_msg("%s: %#llx", t->why, (unsigned long long)v);
	}
}

struct mask_case {
	const char *why;
	uint32_t control; /* of the function */
	uint32_t mask;    /* of the entry */
	bool delivered;
	uint32_t then_control, then_mask; /* afterwards */
	bool delivered_then;
};

#define ON  0x8000u
#define FM  0x4000u

static const struct mask_case masks[] = {
	{ "on", ON, 0, true, ON, 0, false },
	{ "masked, then not", ON, 1, false, ON, 0, true },
	{ "function masked, then not", ON | FM, 0, false, ON, 0, true },
	{ "both masked, one opened", ON | FM, 1, false, ON, 1, false },
	{ "off, then on", 0, 0, false, ON, 0, true },
	{ "off, then on but masked", 0, 0, false, ON | FM, 0, false },
	{ "off with function mask", FM, 0, false, FM, 0, false },
};

static void masking(void **state)
{
	struct hv_msi last;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		const struct mask_case *t = &masks[i];
		size_t n;

		control(ON);
		entry(66, 0xfee00000, 0x40 + (uint32_t)i, 0);
		msis(&last);
		entry(66, 0xfee00000, 0x40 + (uint32_t)i, t->mask);
		control(t->control);
		pci_msix_notify(m.d, 66);
		pci_msix_notify(m.d, 66);
		n = msis(&last);
		if (n != (t->delivered ? 2 : 0) || pending(66) == t->delivered)
			fail_msg("%s: %zu messages", t->why, n);
		if (n && (last.addr != 0x12fee00000 || last.data != 0x40 + i))
			fail_msg("%s: wrong message", t->why);
		control(t->then_control);
		wr(TABLE + 16 * 66 + 12, 4, t->then_mask);
		n = msis(&last);
		if (n != t->delivered_then)
			fail_msg("%s: %zu messages then", t->why, n);
		if (pending(66) != (!t->delivered && !t->delivered_then))
			fail_msg("%s: pending", t->why);
		assert_false(pending(65) || pending(67));
	}
	pci_msix_notify(m.d, N); /* out of range */
	pci_msix_notify(m.d, UINT32_MAX);
	assert_int_equal(msis(&last), 0);
}

static unsigned irqfd_count(struct fake_irqfd *ret)
{
	return (unsigned)fake_irqfds(m.vm, ret, 8);
}

/* ---- eventfds of others ------------------------------------------------------------------------------------- */

static unsigned fallbacks;

static void fell_back(void *arg)
{
	(void)arg;
	fallbacks++;
}

/* The GSI that the irqfd of @fd raises; -1: there is none. */
static int raises(int fd)
{
	struct fake_irqfd f[8];
	unsigned n = irqfd_count(f);

	for (unsigned i = 0; i < n; i++)
		if (f[i].fd == fd)
			return (int)f[i].gsi;
	return -1;
}

static uint32_t data_at(int gsi)
{
	struct fake_route route;

	fake_route_at(m.vm, (unsigned)gsi, &route);
	return route.routed ? route.msi.data : 0;
}

static uint64_t address_at(int gsi)
{
	struct fake_route route;

	fake_route_at(m.vm, (unsigned)gsi, &route);
	return route.routed ? route.msi.addr : 0;
}

static void lent(void **state)
{
	static atomic_uint vector; /* both are there for as long as the device */
	static struct pci_msix_lent l;
	const struct pci_msix_lender by = { .fd = eventfd(0, EFD_NONBLOCK), .vector = &vector, .fallback = fell_back };
	const uint64_t one = 1;
	struct hv_msi last;
	uint64_t n;

	(void)state;
	fallbacks = 0;
	atomic_store(&vector, 5);
	control(ON);
	wr(TABLE + 16 * 5, 4, 0xfee00000);
	wr(TABLE + 16 * 5 + 8, 4, 0x55);
	entry(6, 0xfee00000, 0x66, 0);
	assert_int_equal(pci_msix_lend(m.d, &l, &by), 0);
	/* Masked: kept, and seen. */
	assert_int_equal(raises(by.fd), -1);
	assert_false(pending(5));
	assert_int_equal(write(by.fd, &one, sizeof(one)), sizeof(one));
	assert_true(pending(5));
	wr(TABLE + 16 * 5 + 12, 4, 0);
	assert_int_equal(data_at(raises(by.fd)), 0x55);
	assert_int_equal(msis(&last), 1); /* it was looked at, and so has become the vector's own */
	assert_int_equal(last.data, 0x55);
	assert_int_equal(read(by.fd, &n, sizeof(n)), -1);
	assert_false(pending(5));
	/* Its route follows the entry, also through the function's mask. */
	wr(TABLE + 16 * 5 + 8, 4, 0x56);
	assert_int_equal(data_at(raises(by.fd)), 0x56);
	wr(TABLE + 16 * 5, 4, 0xfee02000);
	assert_int_equal(address_at(raises(by.fd)), 0xfee02000);
	control(ON | FM);
	assert_int_equal(raises(by.fd), -1);
	/* What nobody looked at is still there for the hypervisor. */
	assert_int_equal(write(by.fd, &one, sizeof(one)), sizeof(one));
	control(0);
	assert_int_equal(raises(by.fd), -1);
	control(ON);
	assert_int_equal(data_at(raises(by.fd)), 0x56);
	assert_int_equal(msis(&last), 0);
	assert_int_equal(read(by.fd, &n, sizeof(n)), sizeof(n)); /* as the hypervisor does */
	/* Moved to another CPU, as drivers do it: masked, changed, unmasked. */
	wr(TABLE + 16 * 5 + 12, 4, 1);
	wr(TABLE + 16 * 5, 4, 0xfee01000);
	wr(TABLE + 16 * 5 + 12, 4, 0);
	assert_int_equal(address_at(raises(by.fd)), 0xfee01000);
	/* Another vector, none, one that is masked. */
	atomic_store(&vector, 6);
	pci_msix_lent_moved(m.d, &l);
	assert_int_equal(data_at(raises(by.fd)), 0x66);
	atomic_store(&vector, 0xffff);
	pci_msix_lent_moved(m.d, &l);
	assert_int_equal(raises(by.fd), -1);
	wr(TABLE + 16 * 6 + 12, 4, 1);
	atomic_store(&vector, 6);
	pci_msix_lent_moved(m.d, &l);
	assert_int_equal(raises(by.fd), -1);
	assert_int_equal(fallbacks, 0);
	/* The hypervisor takes no more: whoever owns it is told, once. */
	fake_fail_next(m.hv, "irqfd", ENOMEM);
	wr(TABLE + 16 * 6 + 12, 4, 0);
	assert_int_equal(fallbacks, 1);
	assert_false(l.is_lent);
	pci_msix_lent_moved(m.d, &l);
	pci_msix_reclaim(m.d, &l);
	wr(TABLE + 16 * 6 + 12, 4, 1);
	wr(TABLE + 16 * 6 + 12, 4, 0);
	assert_int_equal(raises(by.fd), -1);
	assert_int_equal(pci_msix_lend(m.d, &l, &by), 0);
	assert_int_equal(data_at(raises(by.fd)), 0x66);
	/* The same when it refuses the route. */
	atomic_store(&vector, 7);
	pci_msix_lent_moved(m.d, &l);
	fake_fail_next(m.hv, "gsi_route_msi", ENOMEM);
	entry(7, 0xfee00000, 0x77, 0);
	assert_int_equal(fallbacks, 2);
	assert_false(l.is_lent);
	assert_int_equal(raises(by.fd), -1);
	/* Given back, and again; the device goes with one lent. */
	assert_int_equal(pci_msix_lend(m.d, &l, &by), 0);
	pci_msix_reclaim(m.d, &l);
	assert_int_equal(raises(by.fd), -1);
	assert_int_equal(pci_msix_lend(m.d, &l, &by), 0);
	close(by.fd);
}

static void lent_without_a_route(void **state)
{
	atomic_uint vector = 5;
	const struct pci_msix_lender by = { .fd = 0, .vector = &vector, .fallback = fell_back };
	struct pci_msix_lent l = { .is_lent = false };

	(void)state;
	fake_fail_next(m.hv, "gsi_alloc", ENOSPC);
	assert_int_equal(pci_msix_lend(m.d, &l, &by), -ENOSPC);
	pci_msix_reclaim(m.d, &l);
	pci_msix_lent_moved(m.d, &l);
}

static void save_load(void **state)
{
	struct buf b = BUF_INIT(65536);
	struct snap_w w = { .b = &b };
	struct hv_msi last;
	struct snap_r r;

	(void)state;
	control(ON);
	entry(3, 0xfee00000, 0x33, 0);
	entry(69, 0xfee00000, 0x69, 1);
	pci_msix_notify(m.d, 69);
	pci_msix_notify(m.d, 4);
	msis(&last);
	assert_int_equal(pci_seg_save(m.s, &w, NULL), 0);
	pci_dev_remove(m.d);
	add_device();
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(pci_seg_load(m.s, &r, NULL), 0);
	assert_int_equal(msis(&last), 0);
	assert_true(pending(69) && pending(4) && !pending(3));
	assert_int_equal(rd(TABLE + 16 * 3 + 8, 8), 0x33);
	pci_msix_notify(m.d, 3);
	assert_int_equal(msis(&last), 1);
	assert_int_equal(last.data, 0x33);
	wr(TABLE + 16 * 69 + 12, 4, 0);
	assert_int_equal(msis(&last), 1);
	assert_int_equal(last.data, 0x69);
	/* Without its table. */
	b.len = 0;
	assert_int_equal(pci_seg_save(m.s, &w, NULL), 0);
	b.len -= 8 + 16;          /* the pending bits */
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(pci_seg_load(m.s, &r, NULL), -EBADMSG);
	buf_free(&b);
}

#define T(fn)  cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(capability), T(table_accesses), T(masking), T(save_load),
		T(lent), T(lent_without_a_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
