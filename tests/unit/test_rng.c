// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/check.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/vdev_suite.h"
#include "vmm/virtio/rng.h"

static const struct rng_cfg plain = { .src_fd = -1 };

static const void *suite_cfg(void)
{
	return &plain;
}

static void suite_work(struct fakedrv *f)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	assert_int_equal(fdv_request(f, 0, NULL, 0, a, sizeof(a)), sizeof(a));
	assert_int_equal(fdv_request(f, 0, NULL, 0, b, sizeof(b)), sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

static const struct vdev_suite suite = {
	.cls = &rng_class,
	.cfg = suite_cfg,
	.work = suite_work,
	.pops = 1,
	.endless = { .q = 0, .in = 64 },
};

static void begin(struct fakedrv *f, const struct rng_cfg *cfg, uint64_t ram)
{
	const struct fdv_opts o = { .ram_low = ram };

	fdv_init(f, &o);
	assert_int_equal(fdv_create(f, &rng_class, cfg, NULL), 0);
	fdv_start(f, ~0ull);
}

static void test_create(void **state)
{
	static const struct {
		const char *why;
		struct rng_cfg cfg;
		int rc;
	} rows[] = {
		{ "defaults", { -1, 0, 0 }, 0 },
		{ "a bucket smaller than a request would wait for ever", { -1, 0, 65535 }, -EINVAL },
		{ "a bucket of one request", { -1, 0, 65536 }, 0 },
		{ "the slowest", { -1, 1, 0 }, 0 },
		{ "beyond all rates", { -1, GIB(1) + 1, 0 }, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fakedrv f;

		fdv_init(&f, NULL);
		check_row(rows[i].why, fdv_create(&f, &rng_class, &rows[i].cfg, NULL) == rows[i].rc);
		fdv_done(&f);
	}
}

/* What one request gets: no more than it has room for, no more than the cap, whatever it claims. */
static void test_sizes(void **state)
{
	static const struct {
		const char *why;
		uint32_t seg, count;
		uint32_t want;
	} rows[] = {
		{ "one byte", 1, 1, 1 },
		{ "in pieces", 100, 7, 700 },
		{ "the cap", 65536, 1, 65536 },
		{ "one more than the cap", 65537, 1, 65536 },
		{ "many pieces of the same memory, 64 MiB in all", 1u << 20, 64, 65536 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fdv_seg seg[64];
		struct fakedrv f;
		uint16_t head;
		uint32_t len;
		gpa_t at;

		begin(&f, &plain, 0);
		at = fdv_alloc(&f, rows[i].seg, 8);
		for (unsigned k = 0; k < rows[i].count; k++)
			seg[k] = (struct fdv_seg){ at, rows[i].seg, true };
		check_row(rows[i].why, fdv_add(&f, 0, seg, rows[i].count) >= 0);
		fdv_kick(&f, 0);
		check_row(rows[i].why, fdv_wait_used(&f, 0, &head, &len, 1000));
		check_row(rows[i].why, len == rows[i].want);
		fdv_done(&f);
	}
}

/* A device-readable request gets nothing and does no harm. */
static void test_readable(void **state)
{
	uint8_t b[64];
	struct fakedrv f;

	(void)state;
	begin(&f, &plain, 0);
	assert_int_equal(fdv_request(&f, 0, b, sizeof(b), NULL, 0), 0);
	assert_false(fdv_needs_reset(&f));
	fdv_done(&f);
}

static void test_source(void **state)
{
	uint8_t b[64] = { 0 };
	struct fakedrv f;
	struct rng_cfg cfg = { 0 };
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(write(p[1], "0123456789", 10), 10);
	cfg.src_fd = p[0];
	begin(&f, &cfg, 0);
	assert_int_equal(fdv_request(&f, 0, NULL, 0, b, 4), 4);
	assert_memory_equal(b, "0123", 4);
	assert_int_equal(fdv_request(&f, 0, NULL, 0, b, sizeof(b)), 6);
	assert_int_equal(fdv_request(&f, 0, NULL, 0, b, sizeof(b)), 0); /* dry */
	close(p[1]);
	assert_int_equal(fdv_request(&f, 0, NULL, 0, b, sizeof(b)), 0); /* gone */
	fdv_done(&f);
}

static void add_eight(struct fakedrv *f)
{
	for (unsigned i = 0; i < 8; i++) {
		struct fdv_seg seg = { fdv_alloc(f, 65536, 8), 65536, true };

		assert_true(fdv_add(f, 0, &seg, 1) >= 0);
	}
}

/* A flood is slowed to the rate; nothing is lost, and a boot's worth comes at once. False: this test was so slow that the bucket
 * may have been full by itself when it was reset. */
static bool keeps_rate(void)
{
	const struct rng_cfg cfg = { .src_fd = -1, .bytes_per_sec = MIB(2), .burst = KIB(256) };
	uint64_t created = io_now_ns(), start, burst, took, given;
	struct fakedrv f;
	unsigned n = 0;
	uint16_t head;
	uint32_t len;

	begin(&f, &cfg, 0);
	add_eight(&f);
	start = io_now_ns();
	fdv_kick(&f, 0);
	while (fdv_used(&f, 0, &head, &len))
		n++;
	burst = n;
	assert_in_range(burst, 4, 5); /* 5: when the test itself is slow */
	fdv_kick(&f, 0); /* kicks bring no more */
	while (n < 8) {
		assert_true(fdv_wait_used(&f, 0, &head, &len, 2000));
		assert_int_equal(len, 65536);
		n++;
	}
	took = io_now_ns() - start;
	assert_true(took >= 100000000u); /* 256 KiB beyond the burst at 2 MiB/s: 125 ms */
	/* A reset does not fill the bucket. */
	fdv_reset(&f);
	fdv_start(&f, ~0ull);
	add_eight(&f);
	fdv_kick(&f, 0);
	for (n = 0; fdv_used(&f, 0, &head, &len); n++)
		;
	/* What there was at the beginning, and what came since. */
	given = cfg.burst + (io_now_ns() - created) * cfg.bytes_per_sec / 1000000000u;
	assert_true((8 + n) * 65536 <= given);
	/* Paused while requests wait: they are served afterwards. */
	assert_int_equal(vdev_quiesce(f.d, NULL), 0);
	fdv_run(&f, 100);
	evloop_turn(f.loop, 60);
	assert_false(fdv_used(&f, 0, &head, &len));
	vdev_resume(f.d);
	fdv_kick(&f, 0);
	while (n < 8) {
		assert_true(fdv_wait_used(&f, 0, &head, &len, 2000));
		n++;
	}
	fdv_done(&f);
	return given < 12 * 65536;
}

static void test_rate(void **state)
{
	(void)state;
	for (unsigned tries = 0; tries < 10 && !keeps_rate(); tries++)
		;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_readable),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
