// SPDX-License-Identifier: Apache-2.0
/* The life of a device that all share, by way of the echo device; and the generic suite itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/echodev.h"
#include "tests/lib/vdev_suite.h"

static void work(struct fakedrv *f)
{
	char in[600], out[600];

	for (unsigned i = 0; i < 100; i++) {
		memset(out, (int)i, sizeof(out));
		memset(in, 0xcc, sizeof(in));
		assert_int_equal(fdv_request(f, 0, out, sizeof(out), in, sizeof(in)), sizeof(out));
		assert_memory_equal(in, out, sizeof(out));
	}
}

static void pend(struct fakedrv *f)
{
	struct fdv_seg seg = { fdv_alloc(f, 64, 8), 64, true };

	assert_true(fdv_add(f, 1, &seg, 1) >= 0);
	assert_true(fdv_add(f, 1, &seg, 1) >= 0);
	fdv_kick(f, 1);
	assert_int_equal(echo_held(f->d), 2);
}

static const struct vdev_suite echo_suite = {
	.cls = &echo_class,
	.work = work,
	.pend = pend,
	.pops = 3,
	.endless = { .q = 0, .out = 4096, .in = 4096 },
};

static void interrupts(void **state)
{
	struct fakedrv f;
	char c = 1;

	(void)state;
	fdv_init(&f, NULL);
	assert_int_equal(fdv_create(&f, &echo_class, NULL, NULL), 0);
	fdv_start(&f, ~VIRTIO_F_BIT(VIRTIO_F_EVENT_IDX));
	assert_int_equal(fdv_request(&f, 0, &c, 1, &c, 1), 1);
	assert_int_equal(f.irqs[0], 1);
	assert_int_equal(f.config_irqs, 1);
	fdv_poke_avail_flags(&f, 0, 1);
	assert_int_equal(fdv_request(&f, 0, &c, 1, &c, 1), 1);
	assert_int_equal(f.irqs[0], 1);
	fdv_poke_avail_flags(&f, 0, 0);
	assert_int_equal(fdv_request(&f, 0, &c, 1, &c, 1), 1);
	assert_int_equal(f.irqs[0], 2);
	fdv_done(&f);
}

static void in_flight_refuses_save(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct snap_w w = { .b = &b };
	struct err e = ERR_INIT;
	struct fakedrv f;

	(void)state;
	fdv_init(&f, NULL);
	assert_int_equal(fdv_create(&f, &echo_class, NULL, NULL), 0);
	fdv_start(&f, ~0ull);
	pend(&f);
	assert_int_equal(vdev_save(f.d, &w, &e), -EBUSY);
	assert_int_equal(vdev_quiesce(f.d, &e), 0);
	assert_int_equal(vdev_save(f.d, &w, &e), 0);
	/* Quiesced: kicks do nothing until it is resumed. */
	fdv_kick(&f, 0);
	assert_int_equal(fdv_used_idx(&f, 0), 0);
	buf_free(&b);
	fdv_done(&f);
}

struct foreign_state {
	const char *why;
	uint16_t tag;
	uint8_t at;   /* the four bytes of the field that are changed */
	uint32_t xor;
	int want;
};

static const struct foreign_state foreign_states[] = {
	{ "unchanged", 0x1000, 0, 0, 0 },
	{ "another type of device", 0x1000, 0, 1, -EINVAL },
	{ "another number of queues", 0x1001, 0, 1, -EINVAL },
	{ "a newer version", 0x1002, 0, 2, -ENOTSUP },
	{ "unknown flags", 0x1003, 0, 4, -EBADMSG },
	{ "ready queues of an inactive device", 0x1003, 0, 1, -EBADMSG },
	{ "a feature that is not offered", 0x1004, 0, 0x80, -EINVAL },
	{ "queues with EVENT_IDX, device without", 0x1004, 0, 1u << VIRTIO_F_EVENT_IDX, -EBADMSG },
	{ "queues with INDIRECT, device without", 0x1004, 0, 1u << VIRTIO_F_INDIRECT_DESC, -EBADMSG },
	{ "a queue larger than the class offers", 0x1005, 28, 128 ^ 256, -EBADMSG },
};

static void flip(uint8_t *at, uint32_t xor)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	v ^= xor;
	memcpy(at, &v, sizeof(v));
}

static void foreign(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct snap_w w = { .b = &b };
	struct fakedrv f;

	(void)state;
	fdv_init(&f, &(struct fdv_opts){ .queue_size = 128 });
	assert_int_equal(fdv_create(&f, &echo_class, NULL, NULL), 0);
	fdv_start(&f, ~0ull);
	assert_int_equal(vdev_quiesce(f.d, NULL), 0);
	assert_int_equal(vdev_save(f.d, &w, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(foreign_states); i++) {
		const struct foreign_state *t = &foreign_states[i];
		struct err e = ERR_INIT;
		struct snap_r r;
		const void *p;
		size_t len;
		uint8_t *at;

		fdv_reset(&f);
		assert_int_equal(snap_r_init(&r, b.data, b.len, &e), 0);
		assert_int_equal(snap_r_bytes(&r, t->tag, &p, &len, 64), 0);
		at = b.data + ((const uint8_t *)p - b.data) + t->at;
		flip(at, t->xor);
		if (vdev_load(f.d, &r, &e) != t->want)
			fail_msg("%s: wanted %d: %s", t->why, t->want, e.msg);
		flip(at, t->xor);
	}
	buf_free(&b);
	fdv_done(&f);
}

static void failed_activate(void **state)
{
	struct err e = ERR_INIT;
	struct fakedrv f;

	(void)state;
	fdv_init(&f, NULL);
	assert_int_equal(fdv_create(&f, &echo_class, NULL, NULL), 0);
	echo_fail_activate(f.d);
	assert_int_equal(vdev_activate(f.d, &e), -EIO);
	assert_non_null(strstr(e.msg, "echo: activate: told to fail"));
	fdv_reset(&f);
	fdv_start(&f, ~0ull);
	work(&f);
	fdv_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&echo_suite),
		cmocka_unit_test(interrupts),
		cmocka_unit_test(in_flight_refuses_save),
		cmocka_unit_test(foreign),
		cmocka_unit_test(failed_activate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
