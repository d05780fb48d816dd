// SPDX-License-Identifier: Apache-2.0
/* The transport by its registers: what a driver may do, in which order, and what it may not. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/echodev.h"
#include "tests/lib/fakedrv_pci.h"

enum { ACK = 1, DRIVER = 2, OK = 4, FOK = 8, NEEDS_RESET = 64, FAILED = 128 };
#define UP (ACK | DRIVER | FOK | OK)

static struct fdv_pci p;

static int setup(void **state)
{
	(void)state;
	fdv_pci_init(&p, NULL);
	assert_int_equal(fdv_create(&p.f, &echo_class, NULL, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fdv_pci_done(&p);
	return 0;
}

static void echo_once(void)
{
	char out[8] = "abcdefg", in[8] = "";

	assert_int_equal(fdv_request(&p.f, 0, out, 8, in, 8), 8);
	assert_memory_equal(in, out, 8);
}

static void identity(void **state)
{
	(void)state;
	assert_int_equal(fdv_pci_cfg_read(&p, FDV_SLOT, 0, 4), 0x10441af4);
	assert_true(fdv_pci_cfg_read(&p, FDV_SLOT, 8, 1) >= 1);
	assert_true(fdv_pci_cfg_read(&p, FDV_SLOT, 0x2e, 2) >= 0x40);
	assert_int_equal(p.notify_multiplier, 4);
	assert_int_equal(p.device_len, ECHO_CONFIG_LEN);
	assert_int_equal(fdv_reg_read(&p, FDV_R_NUM_QUEUES), ECHO_QUEUES);
	assert_int_equal(fdv_pci_cfg_read(&p, FDV_SLOT, p.cap_msix + 2, 2) & 0x7ff, ECHO_QUEUES);
}

/* Status bytes written one after another, the last 0 ends; what is read back after each. */
struct status_case {
	const char *why;
	uint64_t features;
	uint8_t write[6], read[6];
};

#define V1 VIRTIO_F_BIT(VIRTIO_F_VERSION_1)

static const struct status_case statuses[] = {
	{ "in order", V1, { 1, 3, 11, 15 }, { 1, 3, 11, 15 } },
	{ "several at once", V1, { 3, 15 }, { 3, 15 } },
	{ "all at once", V1, { 15 }, { 15 } },
	{ "the same again", V1, { 1, 1, 3, 3 }, { 1, 1, 3, 3 } },
	{ "DRIVER without ACKNOWLEDGE", V1, { 2, 1 }, { 0, 1 } },
	{ "FEATURES_OK without DRIVER", V1, { 1, 9, 3 }, { 1, 1, 3 } },
	{ "DRIVER_OK without FEATURES_OK", V1, { 3, 7, 11 }, { 3, 3, 11 } },
	{ "a bit is taken back", V1, { 3, 1, 11 }, { 3, 3, 11 } },
	{ "DRIVER_OK is taken back", V1, { 15, 11, 15 }, { 15, 15, 15 } },
	{ "FAILED at any time", V1, { 1, 0x81, 0x83 }, { 1, 0x81, 0x83 } },
	{ "FAILED at first", V1, { 0x80, 0x81 }, { 0x80, 0x81 } },
	{ "reserved bits", V1, { 1, 0x11, 0x21, 3 }, { 1, 1, 1, 3 } },
	{ "NEEDS_RESET is not the driver's", V1, { 0x41, 0x43 }, { 1, 3 } },
	{ "without VERSION_1", 0, { 3, 11, 15 }, { 3, 3, 3 } },
	{ "with a feature that is not offered", V1 | 2, { 3, 11, 15 }, { 3, 3, 3 } },
	{ "F_RING_PACKED", V1 | 1ull << 34, { 3, 11 }, { 3, 3 } },
	{ "F_IN_ORDER", V1 | 1ull << 35, { 3, 15 }, { 3, 3 } },
	{ "F_RING_RESET", V1 | 1ull << 40, { 3, 11 }, { 3, 3 } },
};

static void set_features(uint64_t f)
{
	for (unsigned i = 0; i < 2; i++) {
		fdv_reg_write(&p, FDV_R_DRIVER_FEATURE_SELECT, i);
		fdv_reg_write(&p, FDV_R_DRIVER_FEATURE, (uint32_t)(f >> (32 * i)));
	}
}

static void status_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		const struct status_case *t = &statuses[i];

		set_features(t->features);
		for (unsigned k = 0; t->write[k]; k++) {
			uint32_t v;

			fdv_reg_write(&p, FDV_R_STATUS, t->write[k]);
			v = fdv_reg_read(&p, FDV_R_STATUS);
			if (v != t->read[k])
				fail_msg("%s: %#x after %#x", t->why, v, t->write[k]);
			if (p.f.d->active != !!(v & OK))
				fail_msg("%s: active", t->why);
		}
		fdv_reg_write(&p, FDV_R_STATUS, 0);
		if (fdv_reg_read(&p, FDV_R_STATUS) != 0 || p.f.d->active)
			fail_msg("%s: not reset", t->why);
	}
}

static void features(void **state)
{
	uint64_t offered = 0;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fdv_reg_write(&p, FDV_R_DEVICE_FEATURE_SELECT, i);
		offered |= (uint64_t)fdv_reg_read(&p, FDV_R_DEVICE_FEATURE) << (32 * i);
	}
	assert_int_equal(offered, p.f.d->offered);
	assert_int_equal(offered, 1ull << 32 | 1u << 29 | 1u << 28 | 1u << 5 | 1u);
	for (unsigned i = 2; i < 40; i += 30) {
		fdv_reg_write(&p, FDV_R_DEVICE_FEATURE_SELECT, i);
		assert_int_equal(fdv_reg_read(&p, FDV_R_DEVICE_FEATURE), 0);
		fdv_reg_write(&p, FDV_R_DRIVER_FEATURE_SELECT, i);
		fdv_reg_write(&p, FDV_R_DRIVER_FEATURE, 0xffffffff);
		assert_int_equal(fdv_reg_read(&p, FDV_R_DRIVER_FEATURE), 0);
	}
	assert_true(fdv_pci_negotiate(&p, V1 | 1));
	set_features(V1 | 1 | 1u << 28); /* too late */
	assert_int_equal(p.f.d->acked, V1 | 1);
	fdv_reg_write(&p, FDV_R_DRIVER_FEATURE_SELECT, 0);
	assert_int_equal(fdv_reg_read(&p, FDV_R_DRIVER_FEATURE), 1);
}

struct reg_case {
	const char *why;
	enum fdv_reg reg;
	uint32_t fresh, write, then;
};

/* On queue 1, before DRIVER_OK. */
static const struct reg_case regs[] = {
	{ "largest size at first", FDV_R_QUEUE_SIZE, ECHO_QUEUE_MAX, 64, 64 },
	{ "size 1", FDV_R_QUEUE_SIZE, ECHO_QUEUE_MAX, 1, 1 },
	{ "size 0", FDV_R_QUEUE_SIZE, ECHO_QUEUE_MAX, 0, ECHO_QUEUE_MAX },
	{ "size no power of two", FDV_R_QUEUE_SIZE, ECHO_QUEUE_MAX, 3, ECHO_QUEUE_MAX },
	{ "size larger than offered", FDV_R_QUEUE_SIZE, ECHO_QUEUE_MAX, 256, ECHO_QUEUE_MAX },
	{ "enable", FDV_R_QUEUE_ENABLE, 0, 1, 1 },
	{ "enable by another value", FDV_R_QUEUE_ENABLE, 0, 2, 0 },
	{ "vector", FDV_R_QUEUE_VECTOR, 0xffff, ECHO_QUEUES, ECHO_QUEUES },
	{ "vector that there is not", FDV_R_QUEUE_VECTOR, 0xffff, ECHO_QUEUES + 1, 0xffff },
	{ "vector 0xfffe", FDV_R_QUEUE_VECTOR, 0xffff, 0xfffe, 0xffff },
	{ "config vector", FDV_R_CONFIG_VECTOR, 0xffff, 2, 2 },
	{ "config vector that there is not", FDV_R_CONFIG_VECTOR, 0xffff, 100, 0xffff },
	{ "number of queues", FDV_R_NUM_QUEUES, ECHO_QUEUES, 1, ECHO_QUEUES },
	{ "notify offset", FDV_R_QUEUE_NOTIFY_OFF, 1, 7, 1 },
	{ "descriptors, low", FDV_R_QUEUE_DESC, 0, 0x12345678, 0x12345678 },
	{ "descriptors, high", FDV_R_QUEUE_DESC + 4, 0, 0x12345678, 0x12345678 },
	{ "available", FDV_R_QUEUE_AVAIL + 4, 0, 0xffffffff, 0xffffffff },
	{ "used", FDV_R_QUEUE_USED, 0, 0xffffffff, 0xffffffff },
	{ "offered features", FDV_R_DEVICE_FEATURE, 0x30000021, 0, 0x30000021 },
	{ "generation", FDV_R_GENERATION, 0, 9, 0 },
};

static void reg_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		const struct reg_case *t = &regs[i];

		fdv_reg_write(&p, FDV_R_QUEUE_SELECT, 1);
		if (fdv_reg_read(&p, t->reg) != t->fresh)
			fail_msg("%s: fresh %#x", t->why, fdv_reg_read(&p, t->reg));
		fdv_reg_write(&p, t->reg, t->write);
		if (fdv_reg_read(&p, t->reg) != t->then)
			fail_msg("%s: then %#x", t->why, fdv_reg_read(&p, t->reg));
		fdv_reset(&p.f);
	}
}

/* A queue that does not exist: nothing there, nothing written. */
static void absent_queue(void **state)
{
	static const uint16_t select[] = { ECHO_QUEUES, 0x7fff, 0xffff };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(select); i++) {
		for (unsigned r = FDV_R_QUEUE_SIZE; r < FDV_R_QUEUE_USED + 8;
		     r += r < FDV_R_QUEUE_DESC ? 2 : 4) {
			fdv_reg_write(&p, FDV_R_QUEUE_SELECT, select[i]);
			fdv_reg_write(&p, (enum fdv_reg)r, 1);
			assert_int_equal(fdv_reg_read(&p, (enum fdv_reg)r),
					 r == FDV_R_QUEUE_VECTOR ? 0xffff : 0);
		}
		assert_int_equal(fdv_reg_read(&p, FDV_R_QUEUE_SELECT), select[i]);
	}
	fdv_start(&p.f, ~0ull);
	echo_once();
}

/* Wrong widths and offsets, over the whole BAR: zeros, and nothing changes. */
static void odd_accesses(void **state)
{
	static const unsigned size[] = { 1, 2, 4, 8 };

	(void)state;
	fdv_start(&p.f, ~0ull);
	for (uint64_t off = 1; off < 0x38; off++) {
		for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
			bool plain = size[i] <= 4 && off % size[i] == 0;

			if (plain)
				continue; /* may be a register */
			assert_int_equal(fdv_pci_read(&p, p.common + off, size[i]), 0);
			fdv_pci_write(&p, p.common + off, size[i], 0);
		}
	}
	assert_int_equal(fdv_pci_read(&p, p.common + FDV_R_STATUS, 2), 0);
	assert_int_equal(fdv_pci_read(&p, p.common + FDV_R_STATUS, 4), 0);
	fdv_pci_write(&p, p.common + FDV_R_STATUS, 4, 0);
	for (uint64_t off = 0x38; off < 0x1000; off += 8) {
		assert_int_equal(fdv_pci_read(&p, p.common + off, 8), 0);
		fdv_pci_write(&p, p.common + off, 8, UINT64_MAX);
	}
	for (uint64_t off = 1; off < 0x1000; off++)
		assert_int_equal(fdv_pci_read(&p, p.isr + off, 1), 0);
	for (uint64_t off = ECHO_CONFIG_LEN; off < 0x1000; off++) {
		fdv_pci_write(&p, p.device + off, 1, 0xff);
		assert_int_equal(fdv_pci_read(&p, p.device + off, 1), 0);
	}
	for (uint64_t off = 0; off < 0x1000; off += 4)
		assert_int_equal(fdv_pci_read(&p, p.notify + off, 4), 0);
	for (uint64_t off = 4 * ECHO_QUEUES; off < 0x1000; off++)
		fdv_pci_write(&p, p.notify + off, 2, 0);
	for (uint64_t off = 0x6000; off < 0x8000; off += 8) {
		assert_int_equal(fdv_pci_read(&p, p.bar + off, 8), 0);
		fdv_pci_write(&p, p.bar + off, 8, UINT64_MAX);
	}
	assert_int_equal(fdv_reg_read(&p, FDV_R_STATUS), UP);
	echo_once();
}

/* After DRIVER_OK the rings are what they were. */
static void frozen(void **state)
{
	struct vq_layout before;

	(void)state;
	fdv_start(&p.f, ~0ull);
	before = p.f.d->vq[0].at;
	fdv_reg_write(&p, FDV_R_QUEUE_SELECT, 0);
	fdv_reg_write(&p, FDV_R_QUEUE_SIZE, 2);
	fdv_reg_write(&p, FDV_R_QUEUE_ENABLE, 0);
	for (unsigned r = FDV_R_QUEUE_DESC; r < FDV_R_QUEUE_USED + 8; r += 4)
		fdv_reg_write(&p, (enum fdv_reg)r, 0x10);
	assert_int_equal(fdv_reg_read(&p, FDV_R_QUEUE_SIZE), p.f.q[0].size);
	assert_int_equal(fdv_reg_read(&p, FDV_R_QUEUE_ENABLE), 1);
	assert_int_equal(fdv_reg_read(&p, FDV_R_QUEUE_DESC), p.f.q[0].desc.v);
	assert_memory_equal(&before, &p.f.d->vq[0].at, sizeof(before));
	echo_once();
	/* But not for ever. */
	fdv_reset(&p.f);
	fdv_reg_write(&p, FDV_R_QUEUE_SELECT, 0);
	assert_int_equal(fdv_reg_read(&p, FDV_R_QUEUE_SIZE), ECHO_QUEUE_MAX);
	assert_int_equal(fdv_reg_read(&p, FDV_R_QUEUE_DESC), 0);
}

struct bad_queue {
	const char *why;
	enum fdv_reg reg;
	uint64_t v;
};

static const struct bad_queue bad_queues[] = {
	{ "descriptors unaligned", FDV_R_QUEUE_DESC, 0x10008 },
	{ "descriptors in the hole", FDV_R_QUEUE_DESC, FDV_HOLE },
	{ "available ring across the end of RAM", FDV_R_QUEUE_AVAIL, FDV_RAM_LOW - 4 },
	{ "used ring across the start of RAM", FDV_R_QUEUE_USED, FDV_RAM_HIGH - 4 },
	{ "used ring wraps", FDV_R_QUEUE_USED, ~3ull },
	{ "on the device's own registers", FDV_R_QUEUE_DESC, FDV_MMIO64 },
};

static void bad_geometry(void **state)
{
	uint32_t last;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_queues); i++) {
		const struct bad_queue *t = &bad_queues[i];

		fdv_layout(&p.f);
		assert_true(fdv_pci_negotiate(&p, V1));
		fdv_pci_queues(&p);
		fdv_reg_write(&p, FDV_R_QUEUE_SELECT, 1);
		fdv_reg_write(&p, t->reg, (uint32_t)t->v);
		fdv_reg_write(&p, t->reg + 4, (uint32_t)(t->v >> 32));
		fdv_pci_msis(&p, &last);
		fdv_reg_write(&p, FDV_R_STATUS, UP);
		if (fdv_reg_read(&p, FDV_R_STATUS) != (UP | NEEDS_RESET) || p.f.d->active)
			fail_msg("%s: status %#x", t->why, fdv_reg_read(&p, FDV_R_STATUS));
		if (fdv_pci_msis(&p, &last) != 1 || last != 0)
			fail_msg("%s: no configuration interrupt", t->why);
		fdv_kick(&p.f, 0);
		fdv_reset(&p.f);
	}
	echo_fail_activate(p.f.d);
	fdv_layout(&p.f);
	assert_true(fdv_pci_negotiate(&p, V1));
	fdv_reg_write(&p, FDV_R_STATUS, UP);
	assert_int_equal(fdv_reg_read(&p, FDV_R_STATUS), UP | NEEDS_RESET);
	fdv_reset(&p.f);
	fdv_start(&p.f, ~0ull);
	echo_once();
}

static size_t doorbells(struct fake_ioeventfd *ret)
{
	return fake_ioeventfds(p.vm, ret, 8);
}

static void doorbell(void **state)
{
	struct fdv_seg seg = { .write = true, .len = 8 };
	struct fake_ioeventfd at[8];
	uint64_t n = 1;

	(void)state;
	assert_int_equal(doorbells(at), 0); /* none until the driver is there */
	fdv_start(&p.f, ~0ull);
	assert_int_equal(doorbells(at), ECHO_QUEUES);
	assert_int_equal(at[0].addr, p.notify);
	assert_int_equal(at[1].addr, p.notify + 4);
	assert_int_equal(at[0].len, 0);
	/* The slow way does the same. */
	seg.at = fdv_alloc(&p.f, 8, 8);
	assert_true(fdv_add(&p.f, 0, &seg, 1) >= 0);
	fdv_pci_write(&p, p.notify, 2, 0);
	fdv_run(&p.f, 10);
	assert_int_equal(fdv_used_idx(&p.f, 0), 1);
	/* They follow the BAR. */
	fdv_pci_cfg_write(&p, FDV_SLOT, 0x10, 4, (uint32_t)FDV_MMIO64 + 0x100000);
	assert_int_equal(doorbells(at), ECHO_QUEUES);
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		assert_in_range(at[i].addr, FDV_MMIO64 + 0x100000, FDV_MMIO64 + 0x108000);
	fdv_pci_cfg_write(&p, FDV_SLOT, 4, 2, 0);
	assert_int_equal(doorbells(at), 0);
	fdv_pci_cfg_write(&p, FDV_SLOT, 4, 2, 2);
	assert_int_equal(doorbells(at), ECHO_QUEUES);
	fdv_pci_probe(&p);
	fdv_reset(&p.f);
	assert_int_equal(doorbells(at), 0);
	/* A bell that was rung when nobody was there does no harm. */
	fdv_pci_write(&p, p.notify + 4, 2, 1);
	fdv_start(&p.f, ~0ull);
	assert_int_equal(doorbells(at), ECHO_QUEUES);
	echo_once();
	/* Each ring is heard, though nobody reads the count; none is heard twice. */
	for (unsigned i = 2; i < 5; i++) {
		assert_true(fdv_add(&p.f, 0, &seg, 1) >= 0);
		fdv_run(&p.f, 3);
		assert_int_equal(fdv_used_idx(&p.f, 0), i - 1);
		assert_int_equal(write(at[0].fd, &n, sizeof(n)), sizeof(n));
		fdv_run(&p.f, 3);
		assert_int_equal(fdv_used_idx(&p.f, 0), i);
	}
}

static void interrupts(void **state)
{
	const uint64_t plain = ~VIRTIO_F_BIT(VIRTIO_F_EVENT_IDX);
	uint32_t last = 99;

	(void)state;
	fdv_start(&p.f, plain & ~VIRTIO_F_BIT(ECHO_F_LOUD));
	fdv_pci_msis(&p, &last);
	fdv_pci_read(&p, p.isr, 1);
	echo_once();
	assert_int_equal(fdv_pci_msis(&p, &last), 1);
	assert_int_equal(last, 1);
	assert_int_equal(fdv_pci_read(&p, p.isr, 1), 1);
	assert_int_equal(fdv_pci_read(&p, p.isr, 1), 0); /* reading clears */
	fdv_reg_write(&p, FDV_R_QUEUE_SELECT, 0);
	fdv_reg_write(&p, FDV_R_QUEUE_VECTOR, 3); /* vectors may change at any time */
	echo_once();
	assert_int_equal(fdv_pci_msis(&p, &last), 1);
	assert_int_equal(last, 3);
	fdv_reg_write(&p, FDV_R_QUEUE_VECTOR, 0xffff);
	echo_once();
	assert_int_equal(fdv_pci_msis(&p, &last), 0);
	assert_int_equal(fdv_pci_read(&p, p.isr, 1), 1);
}

static void config_change(void **state)
{
	uint32_t last = 99, generation;

	(void)state;
	fdv_start(&p.f, V1 | VIRTIO_F_BIT(ECHO_F_LOUD));
	generation = fdv_reg_read(&p, FDV_R_GENERATION);
	fdv_reg_write(&p, FDV_R_QUEUE_SELECT, 0);
	fdv_reg_write(&p, FDV_R_QUEUE_VECTOR, 0xffff);
	fdv_pci_msis(&p, &last);
	assert_int_equal(fdv_pci_read(&p, p.device, 4), 0);
	echo_once();
	assert_int_equal(fdv_pci_read(&p, p.device, 4), 1);
	assert_int_equal(fdv_pci_msis(&p, &last), 1);
	assert_int_equal(last, 0);
	assert_int_equal(fdv_pci_read(&p, p.isr, 1), 3);
	assert_int_equal(fdv_reg_read(&p, FDV_R_GENERATION), (generation + 1) & 0xff);
	fdv_pci_write(&p, p.device + 4, 4, 0x11223344);
	fdv_pci_write(&p, p.device + 5, 1, 0x99);
	fdv_pci_write(&p, p.device + 6, 4, 0x5566); /* its upper half is past the end */
	assert_int_equal(fdv_pci_read(&p, p.device + 4, 4), 0x55669944);
}

static void wcap(unsigned off, unsigned size, uint32_t v)
{
	fdv_pci_cfg_write(&p, FDV_SLOT, p.cap_cfg + off, size, v);
}

struct window_case {
	const char *why;
	uint32_t bar, offset, length;
	unsigned size;
	uint32_t want;
};

/* Status is ACKNOWLEDGE then. */
static const struct window_case windows[] = {
	{ "status", 0, FDV_R_STATUS, 1, 1, ACK },
	{ "number of queues", 0, FDV_R_NUM_QUEUES, 2, 2, ECHO_QUEUES },
	{ "features", 0, FDV_R_DEVICE_FEATURE, 4, 4, 0x30000021 },
	{ "MSI-X table", 0, 0x4000 + 16 + 8, 4, 4, 1 },
	{ "another BAR", 1, FDV_R_STATUS, 1, 1, 0 },
	{ "length 3", 0, FDV_R_STATUS, 3, 4, 0 },
	{ "length 0", 0, FDV_R_STATUS, 0, 1, 0 },
	{ "other width than length", 0, FDV_R_STATUS, 1, 2, 0 },
	{ "unaligned", 0, FDV_R_STATUS - 1, 2, 2, 0 },
	{ "end of the BAR", 0, 0x8000, 1, 1, 0 },
	{ "far away", 0, 0xfffffffc, 4, 4, 0 },
};

static void cfg_window(void **state)
{
	(void)state;
	fdv_reg_write(&p, FDV_R_STATUS, ACK);
	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		const struct window_case *t = &windows[i];
		uint32_t v;

		wcap(4, 1, t->bar);
		wcap(8, 4, t->offset);
		wcap(12, 4, t->length);
		v = fdv_pci_cfg_read(&p, FDV_SLOT, p.cap_cfg + 16, t->size);
		if (v != t->want)
			fail_msg("%s: %#x", t->why, v);
	}
	wcap(4, 1, 0);
	wcap(8, 4, FDV_R_STATUS);
	wcap(12, 4, 1);
	wcap(16, 1, ACK | DRIVER);
	assert_int_equal(fdv_reg_read(&p, FDV_R_STATUS), ACK | DRIVER);
	wcap(17, 1, 0); /* not at the window's start */
	wcap(16, 4, 0);
	assert_int_equal(fdv_reg_read(&p, FDV_R_STATUS), ACK | DRIVER);
	wcap(2, 2, 0xffff); /* the rest of the capability is read-only */
	assert_int_equal(fdv_pci_cfg_read(&p, FDV_SLOT, p.cap_cfg + 2, 2), 0x0514);
	/* Works with memory decoding off, which it is for. */
	fdv_pci_cfg_write(&p, FDV_SLOT, 4, 2, 0);
	assert_int_equal(fdv_pci_cfg_read(&p, FDV_SLOT, p.cap_cfg + 16, 1), ACK | DRIVER);
}

/* Each saved register that could contradict the device's part. */
struct load_case {
	const char *why;
	uint16_t tag;
	unsigned at;
	uint32_t xor;
	int want;
};

static const struct load_case loads[] = {
	{ "unchanged", 0x2000, 0, 0, 0 },
	{ "status without DRIVER", 0x2000, 0, DRIVER, -EBADMSG },
	{ "status with a reserved bit", 0x2000, 0, 0x10, -EBADMSG },
	{ "status without DRIVER_OK", 0x2000, 0, OK, -EBADMSG },
	{ "other features than the device has", 0x2001, 0, 1, -EBADMSG },
	{ "selectors may be any", 0x2002, 0, 0xffff, 0 },
	{ "a queue selector of 17 bits", 0x2002, 8, 0x10000, -EBADMSG },
	{ "config vector out of range", 0x2003, 0, 0x100, -EBADMSG },
	{ "ISR", 0x2004, 0, 4, -EBADMSG },
	{ "generation may be any", 0x2005, 0, 0x55, 0 },
	{ "descriptors elsewhere", 0x2006, 0, 0x10, -EBADMSG },
	{ "another size", 0x2006, 24, 64 ^ 32, -EBADMSG },
	{ "size no power of two", 0x2006, 24, 1, -EBADMSG },
	{ "enabled is 2", 0x2006, 26, 3, -EBADMSG },
	{ "running but not enabled", 0x2006, 26, 1, -EBADMSG },
	{ "queue vector out of range", 0x2006, 28, 0x100, -EBADMSG },
	{ "reserved", 0x2006, 30, 1, -EBADMSG },
};

static void load_table(void **state)
{
	struct buf b = BUF_INIT(65536);
	struct snap_w w = { .b = &b };

	(void)state;
	fdv_start(&p.f, ~0ull);
	echo_once();
	assert_int_equal(fdv_save(&p.f, &w, NULL), -EBUSY); /* still running */
	b.len = 0;
	assert_int_equal(fdv_quiesce(&p.f, NULL), 0);
	assert_int_equal(fdv_save(&p.f, &w, NULL), 0);
	fdv_destroy(&p.f);
	assert_int_equal(fdv_create(&p.f, &echo_class, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		const struct load_case *t = &loads[i];
		struct err e = ERR_INIT;
		struct fake_ioeventfd at[8];
		struct snap_r r;
		const void *f;
		size_t len;
		uint32_t v;
		uint8_t *byte;

		assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
		assert_int_equal(snap_r_bytes(&r, t->tag, &f, &len, 64), 0);
		byte = b.data + ((const uint8_t *)f - b.data) + t->at;
		memcpy(&v, byte, min_t(size_t, 4, len - t->at));
		v ^= t->xor;
		memcpy(byte, &v, min_t(size_t, 4, len - t->at));
		if (fdv_load(&p.f, &r, &e) != t->want)
			fail_msg("%s: %s", t->why, e.msg);
		if (doorbells(at) != (t->want ? 0 : ECHO_QUEUES))
			fail_msg("%s: doorbells", t->why);
		v ^= t->xor;
		memcpy(byte, &v, min_t(size_t, 4, len - t->at));
		fdv_reset(&p.f);
	}
	buf_free(&b);
}

/* State at any step of the way up is state: a load of it goes on from there. */
static void save_midway(void **state)
{
	static const uint8_t steps[] = { 0, ACK, ACK | DRIVER, ACK | DRIVER | FOK, ACK | FAILED };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct buf b = BUF_INIT(65536);
		struct snap_w w = { .b = &b };
		struct snap_r r;
		struct err e = ERR_INIT;

		set_features(V1 | 1);
		if (steps[i])
			fdv_reg_write(&p, FDV_R_STATUS, steps[i]);
		assert_int_equal(fdv_quiesce(&p.f, NULL), 0);
		assert_int_equal(fdv_save(&p.f, &w, NULL), 0);
		fdv_destroy(&p.f);
		assert_int_equal(fdv_create(&p.f, &echo_class, NULL, NULL), 0);
		assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
		if (fdv_load(&p.f, &r, &e) < 0)
			fail_msg("status %#x: %s", steps[i], e.msg);
		fdv_resume(&p.f);
		assert_int_equal(fdv_reg_read(&p, FDV_R_STATUS), steps[i]);
		fdv_reg_write(&p, FDV_R_DRIVER_FEATURE_SELECT, 0);
		assert_int_equal(fdv_reg_read(&p, FDV_R_DRIVER_FEATURE), 1);
		if (!(steps[i] & FAILED)) {
			fdv_layout(&p.f);
			fdv_pci_queues(&p);
			fdv_reg_write(&p, FDV_R_STATUS, UP);
			assert_int_equal(fdv_reg_read(&p, FDV_R_STATUS), UP);
			echo_once();
		}
		fdv_reset(&p.f);
		buf_free(&b);
	}
}

/* --- the device's loop on a thread of its own ---------------------------------------------------- */
static void *run_loop(void *arg)
{
	evloop_run(arg);
	return NULL;
}

struct guest {
	atomic_bool stop;
	unsigned rounds;
};

/* A vCPU that looks about while another drives the device. */
static void *meddle(void *arg)
{
	struct guest *g = arg;

	while (!atomic_load(&g->stop)) {
		fdv_pci_read(&p, p.device, 4);
		fdv_reg_read(&p, FDV_R_STATUS);
		fdv_pci_read(&p, p.isr, 1);
		fdv_pci_cfg_write(&p, FDV_SLOT, 0x30, 4, 0);
		g->rounds++;
	}
	return NULL;
}

static bool request_on_thread(void)
{
	struct fdv_seg seg[2] = { { fdv_put(&p.f, "abcdefgh", 8), 8, false },
				  { fdv_alloc(&p.f, 8, 8), 8, true } };
	uint64_t at = p.notify;
	uint16_t head;
	uint32_t len;

	if (fdv_add(&p.f, 0, seg, 2) < 0)
		return false;
	if (!fake_ioevent(p.vm, false, at, 2, 0))
		fdv_pci_write(&p, at, 2, 0);
	for (unsigned i = 0; i < 20000; i++) {
		if (fdv_used(&p.f, 0, &head, &len))
			return len == 8;
		usleep(50);
	}
	return false;
}

static void threads(void **state)
{
	struct guest g = { .rounds = 0 };
	pthread_t loop, vcpu;

	(void)state;
	assert_int_equal(pthread_create(&loop, NULL, run_loop, p.f.loop), 0);
	assert_int_equal(pthread_create(&vcpu, NULL, meddle, &g), 0);
	for (unsigned round = 0; round < 40; round++) {
		fdv_layout(&p.f);
		assert_true(fdv_pci_negotiate(&p, p.f.d->offered));
		fdv_pci_queues(&p);
		fdv_reg_write(&p, FDV_R_STATUS, UP);
		assert_int_equal(fdv_reg_read(&p, FDV_R_STATUS), UP);
		for (unsigned i = 0; i < 5; i++)
			assert_true(request_on_thread());
		if (round % 4 == 0) {
			assert_int_equal(fdv_quiesce(&p.f, NULL), 0);
			fdv_resume(&p.f);
			assert_true(request_on_thread());
		}
		fdv_reset(&p.f);
	}
	atomic_store(&g.stop, true);
	pthread_join(vcpu, NULL);
	fdv_destroy(&p.f); /* while its loop runs */
	evloop_stop(p.f.loop);
	pthread_join(loop, NULL);
	assert_true(g.rounds > 0);
}

/* A vCPU that gives a queue now this vector, now that one, and masks them. */
static void *move_vectors(void *arg)
{
	struct guest *g = arg;

	fdv_reg_write(&p, FDV_R_QUEUE_SELECT, 0);
	while (!atomic_load(&g->stop)) {
		fdv_reg_write(&p, FDV_R_QUEUE_VECTOR, g->rounds % 3);
		fdv_pci_write(&p, p.msix_table + 16 * (g->rounds % 2) + 12, 4, g->rounds / 2 % 2);
		g->rounds++;
	}
	return NULL;
}

static void not_here(void *arg)
{
	(void)arg;
	fail();
}

/* Meanwhile the device's loop lends the queue's interrupt and takes it back. For TSan. */
static void lent_while_vectors_move(void **state)
{
	const struct vdev_transport *t = p.f.d->transport;
	struct guest g = { .rounds = 0 };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct fake_irqfd left;
	pthread_t vcpu;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pthread_create(&vcpu, NULL, move_vectors, &g), 0);
	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(t->lend_irq(p.f.d, 0, fd, not_here, NULL), 0);
		if (i % 16 == 0)
			sched_yield();
		t->reclaim_irq(p.f.d, 0);
		assert_int_equal(fake_irqfds(p.vm, &left, 1), 0);
	}
	atomic_store(&g.stop, true);
	pthread_join(vcpu, NULL);
	close(fd);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(identity),	 T(status_table), T(features),	 T(reg_table),	T(absent_queue),
		T(odd_accesses), T(frozen),	  T(bad_geometry), T(doorbell), T(interrupts),
		T(config_change), T(cfg_window),  T(load_table), T(save_midway), T(threads),
		T(lent_while_vectors_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
