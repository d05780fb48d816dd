// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/check.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/vdev_suite.h"
#include "vmm/virtio/balloon.h"

enum { INFLATE, DEFLATE, STATS, REPORT3, REPORT4 };
#define F_STATS	 VIRTIO_F_BIT(1)
#define F_OOM	 VIRTIO_F_BIT(2)
#define F_REPORT VIRTIO_F_BIT(5)
#define PAGE	 4096u

static const struct balloon_cfg plain = { .size = MIB(1), .deflate_on_oom = true, .reporting = true, .stats = true };

static const void *suite_cfg(void)
{
	return &plain;
}

/* Fills @n pages, and says at which. Page-aligned, behind everything else. */
static gpa_t full_pages(struct fakedrv *f, unsigned n)
{
	gpa_t at = fdv_alloc(f, (size_t)n * PAGE, PAGE);

	memset(fdv_ptr(f, at, (size_t)n * PAGE), 0x5a, (size_t)n * PAGE);
	return at;
}

/* How many of the @n pages at @at are zeros now; the others must be as they were filled. */
static unsigned gone(struct fakedrv *f, gpa_t at, unsigned n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = fdv_ptr(f, gpa(at.v + i * PAGE), PAGE);

		for (unsigned k = 0; k < PAGE; k++)
			assert_int_equal(p[k], p[0]);
		assert_true(p[0] == 0 || p[0] == 0x5a);
		count += p[0] == 0;
	}
	return count;
}

static void give_pfns(struct fakedrv *f, const uint32_t *pfn, unsigned n)
{
	assert_int_equal(fdv_request(f, INFLATE, pfn, n * 4, NULL, 0), 0);
}

static void suite_work(struct fakedrv *f)
{
	gpa_t at = full_pages(f, 4);
	uint32_t pfn[2] = { (uint32_t)(at.v / PAGE), (uint32_t)(at.v / PAGE) + 2 };

	give_pfns(f, pfn, 2);
	assert_int_equal(gone(f, at, 4), 2);
	assert_int_equal(fdv_request(f, DEFLATE, pfn, sizeof(pfn), NULL, 0), 0);
}

static const struct vdev_suite suite = {
	.cls = &balloon_class,
	.cfg = suite_cfg,
	.work = suite_work,
	.pops = 0x1f,
	.endless = { .q = 0, .out = 4 },
};

static void begin(struct fakedrv *f, uint64_t features)
{
	fdv_init(f, NULL);
	assert_int_equal(fdv_create(f, &balloon_class, &plain, NULL), 0);
	fdv_start(f, features);
}

static void test_create(void **state)
{
	const uint64_t ram = FDV_RAM_LOW + FDV_RAM_HIGH_LEN;
	const struct {
		const char *why;
		struct balloon_cfg cfg;
		int rc;
		uint64_t features;
	} rows[] = {
		{ "empty", { 0, false, false, true }, 0, F_STATS },
		{ "with all", { 0, true, true, true }, 0, F_STATS | F_OOM | F_REPORT },
		{ "reporting alone", { 0, false, true, false }, 0, F_REPORT },
		{ "all but one page", { ram - PAGE, false, true, true }, 0, F_STATS | F_REPORT },
		{ "all of the memory", { ram, false, false, false }, -EINVAL, 0 },
		{ "more than any", { UINT64_MAX, false, false, false }, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fakedrv f;

		fdv_init(&f, NULL);
		check_row(rows[i].why, fdv_create(&f, &balloon_class, &rows[i].cfg, NULL) == rows[i].rc);
		if (rows[i].rc == 0)
			check_row(rows[i].why, (f.d->offered & 0xffffff) == rows[i].features);
		fdv_done(&f);
	}
}

/* Lists of page numbers: in any order, with what is no memory in between. */
static void test_inflate(void **state)
{
	static const struct {
		const char *why;
		int64_t pfn[6]; /* from the first page on; beyond 1000: as they are */
		unsigned n, gone;
	} rows[] = {
		{ "upwards", { 0, 1, 2 }, 3, 3 },
		{ "downwards", { 7, 6, 5, 4 }, 4, 4 },
		{ "up and down", { 3, 4, 2, 5, 1 }, 5, 5 },
		{ "twice the same", { 3, 3, 3 }, 3, 1 },
		{ "none", { 0 }, 0, 0 },
		{ "a hole between", { 0, (int64_t)(FDV_HOLE / PAGE), 2 }, 3, 2 },
		{ "the last number there is", { 0, UINT32_MAX, 1 }, 3, 2 },
		{ "up to the last number and round", { UINT32_MAX - 1, UINT32_MAX, 0 }, 3, 1 },
		{ "behind the last page of memory", { (int64_t)((FDV_RAM_HIGH + FDV_RAM_HIGH_LEN) / PAGE), 5 }, 2, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t pfn[6];
		struct fakedrv f;
		gpa_t at;

		begin(&f, ~0ull);
		at = full_pages(&f, 8);
		for (unsigned k = 0; k < 6; k++)
			pfn[k] = (uint32_t)(rows[i].pfn[k] + (rows[i].pfn[k] < 1000 ? (int64_t)(at.v / PAGE) : 0));
		/* An empty list cannot be sent: a byte of one. */
		if (rows[i].n)
			give_pfns(&f, pfn, rows[i].n);
		else
			assert_int_equal(fdv_request(&f, INFLATE, pfn, 3, NULL, 0), 0);
		check_row(rows[i].why, gone(&f, at, 8) == rows[i].gone);
		assert_false(fdv_needs_reset(&f));
		fdv_done(&f);
	}
}

/* 4 GiB of page numbers, all of them the same kilobytes: bounded work, and the driver's own loss. */
static void test_huge_list(void **state)
{
	struct fdv_seg s[64];
	struct balloon_info info;
	struct fakedrv f;
	uint16_t head;
	uint32_t len;

	(void)state;
	begin(&f, ~0ull);
	for (unsigned i = 0; i < 64; i++)
		s[i] = (struct fdv_seg){ gpa(MIB(3)), MIB(1), false };
	assert_int_equal(fdv_add(&f, INFLATE, s, 64) < 0, 0);
	fdv_kick(&f, INFLATE);
	assert_true(fdv_wait_used(&f, INFLATE, &head, &len, 1000));
	balloon_info(f.d, &info);
	assert_true(info.inflated <= (uint64_t)65536 * PAGE);
	fdv_done(&f);
}

static void test_report(void **state)
{
	static const struct {
		const char *why;
		uint64_t features;
		unsigned q;
		unsigned off, len; /* in the pages */
		bool write;
		unsigned gone;
	} rows[] = {
		{ "whole pages", ~0ull, REPORT4, 0, 4 * PAGE, true, 4 },
		{ "numbered as Linux does", ~0ull, REPORT3, PAGE, 2 * PAGE, true, 2 },
		{ "numbered without statistics", F_REPORT, 2, 0, PAGE, true, 1 },
		{ "parts of pages stay", ~0ull, REPORT4, 1, 3 * PAGE, true, 2 },
		{ "less than a page", ~0ull, REPORT4, 1, PAGE - 1, true, 0 },
		{ "less than two", ~0ull, REPORT4, 1, 2 * PAGE - 2, true, 0 },
		{ "what the device may not write", ~0ull, REPORT4, 0, 4 * PAGE, false, 0 },
		{ "without the feature", F_STATS, REPORT4, 0, 4 * PAGE, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct balloon_info info;
		struct fakedrv f;
		struct fdv_seg s;
		uint16_t head;
		uint32_t len;
		gpa_t at;

		begin(&f, rows[i].features);
		at = full_pages(&f, 8);
		s = (struct fdv_seg){ gpa(at.v + rows[i].off), rows[i].len, rows[i].write };
		assert_true(fdv_add(&f, rows[i].q, &s, 1) >= 0);
		fdv_kick(&f, rows[i].q);
		assert_true(fdv_wait_used(&f, rows[i].q, &head, &len, 1000));
		assert_int_equal(len, 0);
		check_row(rows[i].why, gone(&f, at, 8) == rows[i].gone);
		balloon_info(f.d, &info);
		check_row(rows[i].why, (info.reported != 0) == (rows[i].write && rows[i].features != F_STATS));
		fdv_done(&f);
	}
}

/* Pages in use, the rings among them: the guest's own loss. The device lives, and so does this process. */
static void test_report_rings(void **state)
{
	struct fakedrv f;
	struct fdv_seg s = { gpa(0), FDV_RAM_LOW, true };

	(void)state;
	begin(&f, ~0ull);
	assert_true(fdv_add(&f, REPORT4, &s, 1) >= 0);
	fdv_kick(&f, REPORT4);
	fdv_run(&f, 20);
	fdv_reset(&f);
	fdv_start(&f, ~0ull);
	suite_work(&f);
	fdv_done(&f);
}

static bool resident(struct fakedrv *f, gpa_t at, unsigned n)
{
	unsigned char vec[64];

	assert_int_equal(mincore(fdv_ptr(f, at, (size_t)n * PAGE), (size_t)n * PAGE, vec), 0);
	for (unsigned i = 0; i < n; i++)
		if (vec[i] & 1)
			return true;
	return false;
}

/* It is the host's again, not merely zeroed. */
static void test_given_back(void **state)
{
	struct fakedrv f;
	struct fdv_seg s;
	gpa_t at;

	(void)state;
	begin(&f, ~0ull);
	at = full_pages(&f, 64);
	assert_true(resident(&f, at, 64));
	s = (struct fdv_seg){ at, 64 * PAGE, true };
	assert_true(fdv_add(&f, REPORT4, &s, 1) >= 0);
	fdv_kick(&f, REPORT4);
	fdv_run(&f, 20);
	assert_false(resident(&f, at, 64));
	fdv_done(&f);
}

struct stat_entry {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

static void test_stats(void **state)
{
	const struct stat_entry good[3] = { { 4, 111 }, { 5, 222 }, { 0, 1 } };
	const struct stat_entry bad[3] = { { 16, 5 }, { UINT16_MAX, 6 }, { 4, 112 } };
	struct balloon_info info;
	struct fakedrv f;
	struct fdv_seg s;
	uint16_t head;
	uint32_t len;

	(void)state;
	begin(&f, ~0ull);
	balloon_info(f.d, &info);
	assert_int_equal(info.stat_set, 0);
	fdv_run(&f, 5);
	s = (struct fdv_seg){ fdv_put(&f, good, sizeof(good)), sizeof(good), false };
	assert_true(fdv_add(&f, STATS, &s, 1) >= 0);
	fdv_kick(&f, STATS);
	fdv_run(&f, 5);
	assert_false(fdv_used(&f, STATS, &head, &len)); /* kept until new ones are wanted */
	balloon_info(f.d, &info);
	assert_int_equal(info.stat_set, 1u << 4 | 1u << 5 | 1u << 0);
	assert_int_equal(info.stat[4], 111);
	assert_int_equal(info.stat[5], 222);
	assert_true(fdv_wait_used(&f, STATS, &head, &len, 1000)); /* asked for */
	/* Tags that are none, half an entry, and a megabyte of the same memory. */
	s = (struct fdv_seg){ fdv_put(&f, bad, sizeof(bad)), sizeof(bad) - 3, false };
	assert_true(fdv_add(&f, STATS, &s, 1) >= 0);
	fdv_kick(&f, STATS);
	fdv_run(&f, 5);
	balloon_info(f.d, &info);
	assert_int_equal(info.stat[4], 111);
	assert_int_equal(info.stat_set, 1u << 4 | 1u << 5 | 1u << 0);
	assert_true(fdv_wait_used(&f, STATS, &head, &len, 1000));
	s = (struct fdv_seg){ gpa(MIB(2)), MIB(1), false };
	assert_true(fdv_add(&f, STATS, &s, 1) >= 0);
	/* Two at a time: the older one comes back. */
	assert_true(fdv_add(&f, STATS, &s, 1) >= 0);
	fdv_kick(&f, STATS);
	assert_true(fdv_wait_used(&f, STATS, &head, &len, 1000));
	assert_false(fdv_used(&f, STATS, &head, &len));
	/* And the other when it has to be quiet. */
	assert_int_equal(fdv_quiesce(&f, NULL), 0);
	assert_true(fdv_used(&f, STATS, &head, &len));
	fdv_done(&f);
}

static void test_resize(void **state)
{
	struct fakedrv f;
	struct balloon_info info;
	uint32_t v, irqs;

	(void)state;
	begin(&f, ~0ull);
	irqs = atomic_load(&f.config_irqs);
	assert_int_equal(balloon_resize(f.d, MIB(2), NULL), 0);
	assert_int_equal(atomic_load(&f.config_irqs), irqs + 1);
	vdev_config_read(f.d, 0, &v, 4);
	assert_int_equal(v, MIB(2) / PAGE);
	assert_int_equal(balloon_resize(f.d, FDV_RAM_LOW + FDV_RAM_HIGH_LEN, NULL), -EINVAL);
	/* What the guest says of itself, believed by nobody. */
	v = UINT32_MAX;
	vdev_config_write(f.d, 4, &v, 4);
	vdev_config_write(f.d, 0, &v, 4);
	balloon_info(f.d, &info);
	assert_int_equal(info.actual, (uint64_t)UINT32_MAX * PAGE);
	assert_int_equal(info.target, MIB(2));
	fdv_reset(&f);
	balloon_info(f.d, &info);
	assert_int_equal(info.actual, 0);
	assert_int_equal(info.target, MIB(2));
	fdv_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_inflate),
		cmocka_unit_test(test_huge_list),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_report_rings),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_resize),
	};

	return cmocka_run_group_tests_name("balloon", tests, NULL, NULL);
}
