// SPDX-License-Identifier: Apache-2.0
/* I/O APIC: registers, edges, levels and their EOIs, routes, state. */
#include "tests/unit/check.h"

#include "vmm/arch/x86_64/ioapic.h"
#include "vmm/hv/fake/fake.h"

struct fix {
	struct hv *hv;
	struct hv_vm *vm;
	struct ioapic *a;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_int_equal(hv_fake_open(&f->hv, NULL), 0);
	assert_int_equal(f->hv->ops->vm_new(f->hv, &f->vm, NULL), 0);
	assert_int_equal(ioapic_new(&f->a, f->vm, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	ioapic_free(f->a);
	f->hv->ops->vm_free(f->vm);
	f->hv->ops->close(f->hv);
	free(f);
	return 0;
}

static uint32_t reg_read(struct fix *f, unsigned index)
{
	ioapic_ops.write(f->a, 0, 4, index);
	return (uint32_t)ioapic_ops.read(f->a, 0x10, 4);
}

static void reg_write(struct fix *f, unsigned index, uint32_t v)
{
	ioapic_ops.write(f->a, 0, 4, index);
	ioapic_ops.write(f->a, 0x10, 4, v);
}

static void redir(struct fix *f, unsigned pin, uint64_t v)
{
	reg_write(f, 0x11 + 2 * pin, (uint32_t)(v >> 32));
	reg_write(f, 0x10 + 2 * pin, (uint32_t)v);
}

static size_t msis(struct fix *f, struct hv_msi *last)
{
	struct hv_msi m[64];
	size_t n = fake_take_msis(f->vm, m, 64);

	if (n && last)
		*last = m[n - 1];
	return n;
}

static void registers(void **state)
{
	static const struct {
		const char *why;
		unsigned index;
		uint32_t write, want;
	} tab[] = {
		{ "id has four bits", 0, 0xffffffff, 0x0f000000 },
		{ "version and pins are fixed", 1, 0xffffffff, 0x00070011 },
		{ "arbitration follows the id", 2, 0, 0x0f000000 },
		{ "status bits of an entry are read-only", 0x10, 0xffffffff & ~0x8000u, 0x00012fff },
		{ "destination", 0x11, 0xffffffff, 0xff000000 },
		{ "last entry", 0x1e, 0x00010030, 0x00010030 },
		{ "behind the last entry", 0x20, 0xffffffff, 0 },
		{ "between version and entries", 0x0f, 0xffffffff, 0 },
		{ "highest index", 0xff, 0xffffffff, 0 },
	};
	struct fix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		reg_write(f, tab[i].index, tab[i].write);
		check_row(tab[i].why, reg_read(f, tab[i].index) == tab[i].want);
	}
	/* Other offsets and narrow writes do nothing. */
	ioapic_ops.write(f->a, 0x20, 4, 1);
	ioapic_ops.write(f->a, 0, 4, 0);
	ioapic_ops.write(f->a, 0x10, 1, 0);
	assert_int_equal(reg_read(f, 0), 0x0f000000);
	assert_int_equal(ioapic_ops.read(f->a, 0x20, 4), 0);
}

static void edges(void **state)
{
	struct fix *f = *state;
	struct irq_line *l = ioapic_line(f->a, 5);
	struct hv_msi m;
	struct fake_route r;

	redir(f, 5, 3ull << 56 | 0x41);
	irq_line_set(l, true);
	assert_int_equal(msis(f, &m), 1);
	assert_int_equal(m.addr, 0xfee03000);
	assert_int_equal(m.data, 0x41);
	irq_line_set(l, true); /* no new edge */
	assert_int_equal(msis(f, NULL), 0);
	irq_line_set(l, false);
	assert_int_equal(msis(f, NULL), 0);
	fake_route_at(f->vm, 5, &r);
	assert_false(r.routed); /* an edge needs no report of its EOI */

	redir(f, 5, 1 << 16 | 0x41);
	irq_line_set(l, true);
	irq_line_set(l, false);
	assert_int_equal(msis(f, NULL), 0);
	redir(f, 5, 0x41 | 1 << 11 | 1 << 8); /* remembered; logical, lowest priority */
	assert_int_equal(msis(f, &m), 1);
	assert_int_equal(m.addr, 0xfee00004);
	assert_int_equal(m.data, 0x141);
	redir(f, 5, 1 << 16);
	redir(f, 5, 0x41);
	assert_int_equal(msis(f, NULL), 0);
}

static void levels(void **state)
{
	struct fix *f = *state;
	struct irq_line *l = ioapic_line(f->a, 6);
	struct fake_route r;
	struct hv_msi m;

	redir(f, 6, 1 << 15 | 0x52);
	fake_route_at(f->vm, 6, &r);
	assert_true(r.routed);
	assert_int_equal(r.msi.data, 0xc052);
	irq_line_set(l, true);
	assert_int_equal(msis(f, &m), 1);
	assert_int_equal(m.data, 0xc052);
	irq_line_set(l, false);
	irq_line_set(l, true); /* not acknowledged yet */
	assert_int_equal(msis(f, NULL), 0);
	assert_true(reg_read(f, 0x10 + 12) & 1 << 14);
	ioapic_eoi(f->a, 0x51); /* somebody else's */
	assert_int_equal(msis(f, NULL), 0);
	ioapic_eoi(f->a, 0x52); /* still high */
	assert_int_equal(msis(f, NULL), 1);
	irq_line_set(l, false);
	ioapic_eoi(f->a, 0x52);
	assert_int_equal(msis(f, NULL), 0);
	assert_false(reg_read(f, 0x10 + 12) & 1 << 14);
	/* Masked while high: nothing; unmasked: at once. */
	redir(f, 6, 1 << 16 | 1 << 15 | 0x52);
	fake_route_at(f->vm, 6, &r);
	assert_false(r.routed);
	irq_line_set(l, true);
	assert_int_equal(msis(f, NULL), 0);
	redir(f, 6, 1 << 15 | 0x52);
	assert_int_equal(msis(f, NULL), 1);
	/* Turned to edge, the acknowledgement is not waited for any more. */
	redir(f, 6, 0x52);
	assert_false(reg_read(f, 0x10 + 12) & 1 << 14);
}

/* The entry changes between an interrupt and its acknowledgement, which is reported all the same, and once. */
static void changed_in_service(void **state)
{
	enum { OTHER_VECTOR = 1 << 15 | 0x61 };
	static const struct {
		const char *why;
		uint64_t meanwhile, then;
	} rows[] = {
		{ "masked, and unmasked after it", 1 << 16 | 1 << 15 | 0x52, 1 << 15 | 0x52 },
		{ "another vector", OTHER_VECTOR, OTHER_VECTOR },
		{ "masked with another vector", 1 << 16 | OTHER_VECTOR, OTHER_VECTOR },
		{ "another destination", 5ull << 56 | 1 << 15 | 0x52, 5ull << 56 | 1 << 15 | 0x52 },
	};
	struct fix *f = *state;
	struct irq_line *l = ioapic_line(f->a, 6);
	struct fake_route r;
	struct hv_msi m;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		redir(f, 6, 1 << 15 | 0x52);
		irq_line_set(l, true);
		check_row(rows[i].why, msis(f, &m) == 1 && m.data == 0xc052);
		redir(f, 6, rows[i].meanwhile);
		fake_route_at(f->vm, 6, &r);
		check_row(rows[i].why, r.routed && r.msi.data == 0xc052 && r.msi.addr == 0xfee00000);
		ioapic_eoi(f->a, 0x61); /* somebody else's */
		check_row(rows[i].why, msis(f, NULL) == 0 && reg_read(f, 0x10 + 12) & 1 << 14);
		ioapic_eoi(f->a, 0x52);
		fake_route_at(f->vm, 6, &r);
		check_row(rows[i].why, r.routed == !(rows[i].meanwhile & 1 << 16));
		redir(f, 6, rows[i].then);
		check_row(rows[i].why, msis(f, &m) == 1 && (m.data & 0xff) == (rows[i].then & 0xff));
		fake_route_at(f->vm, 6, &r);
		check_row(rows[i].why, r.routed && r.msi.data == m.data && r.msi.addr == m.addr);
		irq_line_set(l, false);
		ioapic_eoi(f->a, rows[i].then & 0xff);
		check_row(rows[i].why, msis(f, NULL) == 0 && !(reg_read(f, 0x10 + 12) & 1 << 14));
	}
}

static void state_moves(void **state)
{
	struct fix *f = *state;
	struct buf one = BUF_INIT(4096), two = BUF_INIT(4096);
	struct snap_w w1 = { .b = &one }, w2 = { .b = &two };
	struct ioapic *other;
	struct fake_route r;
	struct snap_r rd;

	redir(f, 6, 1 << 15 | 0x52);
	redir(f, 4, 1 << 16 | 0x30);
	irq_line_set(ioapic_line(f->a, 6), true);
	irq_line_set(ioapic_line(f->a, 4), true);
	ioapic_save(f->a, &w1, 16);
	redir(f, 6, 1 << 16);
	assert_int_equal(ioapic_new(&other, f->vm, NULL), 0);
	assert_int_equal(snap_r_init(&rd, one.data, one.len, NULL), 0);
	assert_int_equal(ioapic_load(other, &rd, 16, NULL), 0);
	fake_route_at(f->vm, 6, &r);
	assert_true(r.routed);
	ioapic_save(other, &w2, 16);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	/* A bit that does not exist, each byte once: refused or taken, never a crash. */
	for (size_t i = 0; i < one.len; i++) {
		one.data[i] ^= 0x80;
		if (snap_r_init(&rd, one.data, one.len, NULL) == 0)
			ioapic_load(other, &rd, 16, NULL);
		one.data[i] ^= 0x80;
	}
	buf_free(&one);
	buf_free(&two);
	ioapic_free(other);
}

/* Saved between an interrupt and its acknowledgement, when the entry says something else already. */
static void in_service_moves(void **state)
{
	struct fix *f = *state;
	struct buf b = BUF_INIT(4096);
	struct snap_w w = { .b = &b };
	struct ioapic *saved = f->a;
	struct fake_route r;
	struct snap_r rd;
	struct hv_msi m;

	redir(f, 6, 1 << 15 | 0x52);
	irq_line_set(ioapic_line(saved, 6), true);
	redir(f, 6, 5ull << 56 | 1 << 15 | 0x61);
	assert_int_equal(msis(f, NULL), 1);
	ioapic_save(saved, &w, 16);
	ioapic_eoi(saved, 0x52); /* routed as the entry says, in this machine */

	assert_int_equal(ioapic_new(&f->a, f->vm, NULL), 0);
	assert_int_equal(snap_r_init(&rd, b.data, b.len, NULL), 0);
	assert_int_equal(ioapic_load(f->a, &rd, 16, NULL), 0);
	fake_route_at(f->vm, 6, &r);
	assert_int_equal(r.msi.data, 0xc052);
	assert_int_equal(r.msi.addr, 0xfee00000);
	msis(f, NULL);
	ioapic_eoi(f->a, 0x61);
	assert_int_equal(msis(f, NULL), 0);
	ioapic_eoi(f->a, 0x52);
	assert_int_equal(msis(f, &m), 1);
	assert_int_equal(m.data, 0xc061);
	fake_route_at(f->vm, 6, &r);
	assert_int_equal(r.msi.data, 0xc061);
	assert_int_equal(r.msi.addr, 0xfee05000);

	/* State of before it was saved: the last field is not there. */
	assert_int_equal(snap_r_init(&rd, b.data, b.len - 8 - IOAPIC_PINS * 8, NULL), 0);
	assert_int_equal(ioapic_load(f->a, &rd, 16, NULL), 0);
	fake_route_at(f->vm, 6, &r);
	assert_int_equal(r.msi.data, 0xc061);
	ioapic_eoi(f->a, 0x61);
	assert_int_equal(msis(f, NULL), 1);
	/* What cannot have been delivered: bits that do not exist; an edge. */
	b.data[b.len - 2 * 8 + 1] ^= 0x40;
	assert_int_equal(snap_r_init(&rd, b.data, b.len, NULL), 0);
	assert_int_equal(ioapic_load(f->a, &rd, 16, NULL), -EBADMSG);
	b.data[b.len - 2 * 8 + 1] ^= 0x40 | 0x80;
	assert_int_equal(snap_r_init(&rd, b.data, b.len, NULL), 0);
	assert_int_equal(ioapic_load(f->a, &rd, 16, NULL), -EBADMSG);
	buf_free(&b);
	ioapic_free(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(registers, setup, teardown),
		cmocka_unit_test_setup_teardown(edges, setup, teardown),
		cmocka_unit_test_setup_teardown(levels, setup, teardown),
		cmocka_unit_test_setup_teardown(changed_in_service, setup, teardown),
		cmocka_unit_test_setup_teardown(state_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(in_service_moves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
