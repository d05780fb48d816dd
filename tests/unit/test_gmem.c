// SPDX-License-Identifier: Apache-2.0
/* Guest memory: bounds of every accessor, mappings of files, dirty pages. */
#include "tests/unit/check.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vmm/mem/gmem.h"

#define LOW  MIB(4)
#define HIGH GIB(4)

static const struct gmem_region two[] = {
	{ .base = { 0 }, .size = LOW },
	{ .base = { HIGH }, .size = MIB(2) },
};

static struct gmem *two_regions(enum gmem_backing backing)
{
	struct gmem *m = NULL;
	struct err e = ERR_INIT;

	if (gmem_new(&m, two, ARRAY_SIZE(two), backing, &e) < 0)
		fail_msg("%s", e.msg);
	return m;
}

static void bad_regions_are_refused(void **state)
{
	static const struct {
		const char *why;
		size_t n;
		struct gmem_region r[2];
		int rc;
	} tab[] = {
		{ "none", 0, { { { 0 }, MIB(2), false } }, -EINVAL },
		{ "too many", GMEM_MAX_REGIONS + 1, { { { 0 }, MIB(2), false } }, -EINVAL },
		{ "empty", 1, { { { 0 }, 0, false } }, -EINVAL },
		{ "size is not whole pages", 1, { { { 0 }, 4097, false } }, -EINVAL },
		{ "base is not whole pages", 1, { { { 1 }, 4096, false } }, -EINVAL },
		{ "wraps", 1, { { { 0xfffffffffffff000 }, 8192, false } }, -EINVAL },
		{ "overlap", 2, { { { 0 }, 8192, false }, { { 4096 }, 4096, false } }, -EINVAL },
		{ "descending", 2, { { { 8192 }, 4096, false }, { { 0 }, 4096, false } }, -EINVAL },
		{ "no such address space", 1, { { { 0 }, 1ull << 62, false } }, -ENOMEM },
		{ "sum too large", 2, { { { 0 }, 1ull << 61, false }, { { 1ull << 61 }, 1ull << 61, false } }, -ENOMEM },
		{ "adjacent is fine", 2, { { { 0 }, 4096, false }, { { 4096 }, 4096, false } }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		struct gmem *m = NULL;
		struct err e = ERR_INIT;
		int rc = gmem_new(&m, tab[i].r, tab[i].n, GMEM_ANON, &e);

		check_row(tab[i].why, rc == tab[i].rc);
		check_row(tab[i].why, rc == 0 ? m != NULL : m == NULL && e.msg[0]);
		gmem_free(m);
	}
}

static void regions_are_counted(void **state)
{
	struct gmem_region r[GMEM_MAX_REGIONS + 1];
	struct gmem *m = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = (struct gmem_region){ .base = gpa(i * 8192), .size = 4096 };
	assert_int_equal(gmem_new(&m, r, GMEM_MAX_REGIONS + 1, GMEM_ANON, NULL), -EINVAL);
	assert_int_equal(gmem_new(&m, r, GMEM_MAX_REGIONS, GMEM_ANON, NULL), 0);
	gmem_free(m);
}

static void pointers_only_within_one_region(void **state)
{
	static const struct {
		const char *why;
		uint64_t at, len;
		bool ok;
	} tab[] = {
		{ "first byte", 0, 1, true },
		{ "all of it", 0, LOW, true },
		{ "last byte", LOW - 1, 1, true },
		{ "no length", 0, 0, false },
		{ "one too long", 0, LOW + 1, false },
		{ "crosses the end", LOW - 1, 2, false },
		{ "behind the end", LOW, 1, false },
		{ "below the second", HIGH - 1, 1, false },
		{ "into the second from below", HIGH - 1, 2, false },
		{ "second region", HIGH, MIB(2), true },
		{ "second, one too long", HIGH, MIB(2) + 1, false },
		{ "length wraps", 1, UINT64_MAX, false },
		{ "address and length wrap", UINT64_MAX, 2, false },
		{ "whole address space", 0, UINT64_MAX, false },
	};
	struct gmem *m = two_regions(GMEM_ANON);
	uint8_t byte = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		check_row(tab[i].why, !!gmem_ptr(m, gpa(tab[i].at), tab[i].len) == tab[i].ok);
		if (tab[i].len == 1)
			check_row(tab[i].why,
				  gmem_read(m, gpa(tab[i].at), &byte, 1) == (tab[i].ok ? 0 : -EFAULT));
	}
	assert_int_equal(gmem_nregions(m), 2);
	assert_int_equal(gmem_total(m), LOW + MIB(2));
	gmem_free(m);
}

/* Memory like all other, but that the guest does not begin with it. */
static void what_comes_later(void **state)
{
	const struct gmem_region r[2] = { { .base = { 0 }, .size = LOW }, { .base = { HIGH }, .size = MIB(4), .later = true } };
	struct gmem_region at;
	struct gmem *m;
	uint64_t off;
	void *host;
	int fd;

	(void)state;
	assert_int_equal(gmem_new(&m, r, 2, GMEM_ANON, NULL), 0);
	assert_int_equal(gmem_total(m), LOW);
	assert_int_equal(gmem_nregions(m), 2);
	gmem_region_at(m, 0, &at, &host, &fd, &off);
	assert_false(at.later);
	gmem_region_at(m, 1, &at, &host, &fd, &off);
	assert_true(at.later && at.size == MIB(4));
	assert_ptr_equal(gmem_ptr(m, gpa(HIGH), MIB(4)), host);
	gmem_free(m);
}

static void accessors_agree(void **state)
{
	struct gmem *m = two_regions(GMEM_MEMFD);
	struct gmem_region r;
	uint8_t in[4] = { 1, 2, 3, 4 }, out[4] = { 0 };
	uint64_t off;
	uint16_t v = 0;
	void *host;
	int fd;

	(void)state;
	assert_int_equal(gmem_write(m, gpa(HIGH), in, 4), 0);
	assert_int_equal(gmem_read(m, gpa(HIGH), out, 4), 0);
	assert_memory_equal(in, out, 4);
	assert_int_equal(gmem_load16(m, gpa(HIGH + 2), &v), 0);
	assert_int_equal(v, 0x0403);
	assert_int_equal(gmem_store16(m, gpa(HIGH), 0xbeef), 0);
	assert_int_equal(gmem_load16(m, gpa(HIGH), &v), 0);
	assert_int_equal(v, 0xbeef);
	assert_int_equal(gmem_load16(m, gpa(HIGH + 1), &v), -EFAULT);
	assert_int_equal(gmem_store16(m, gpa(LOW - 1), 0), -EFAULT);
	assert_int_equal(gmem_store16(m, gpa(LOW), 0), -EFAULT);
	assert_int_equal(gmem_store16(m, gpa(HIGH + 1), 0), -EFAULT);
	assert_int_equal(gmem_load16(m, gpa(LOW), &v), -EFAULT);
	assert_int_equal(gmem_write(m, gpa(LOW - 2), in, 4), -EFAULT);

	/* The file shows the same bytes where gmem_region_at() says. */
	gmem_region_at(m, 1, &r, &host, &fd, &off);
	assert_int_equal(r.base.v, HIGH);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, out, 4, (off_t)off), 4);
	assert_memory_equal(out, ((uint8_t[]){ 0xef, 0xbe, 3, 4 }), 4);
	assert_true(ftruncate(fd, 0) < 0);
	/* Host and guest addresses agree modulo the huge page size. */
	assert_int_equal((uintptr_t)host % MIB(2), HIGH % MIB(2));
	gmem_free(m);
}

static int file_of(const char *text, size_t len)
{
	int fd = memfd_create("t", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	return fd;
}

static void file_pages_are_private(void **state)
{
	struct gmem *m = two_regions(GMEM_ANON), *shared = two_regions(GMEM_MEMFD);
	char text[6000];
	char c = 0;
	int fd;

	(void)state;
	memset(text, 'a', sizeof(text));
	fd = file_of(text, sizeof(text));
	/* Only 5,000 bytes are asked for: the rest of the second page must read as zero. */
	assert_int_equal(gmem_map_file(m, gpa(8192), 5000, fd, 0, NULL), 0);
	assert_int_equal(gmem_read(m, gpa(8192 + 4999), &c, 1), 0);
	assert_int_equal(c, 'a');
	assert_int_equal(gmem_read(m, gpa(8192 + 5000), &c, 1), 0);
	assert_int_equal(c, 0);
	assert_int_equal(gmem_write(m, gpa(8192), "b", 1), 0);
	assert_int_equal(pread(fd, &c, 1, 0), 1);
	assert_int_equal(c, 'a');

	assert_int_equal(gmem_map_file(m, gpa(1), 4096, fd, 0, NULL), -EINVAL);
	assert_int_equal(gmem_map_file(m, gpa(0), 4096, fd, 1, NULL), -EINVAL);
	assert_int_equal(gmem_map_file(m, gpa(0), 0, fd, 0, NULL), -EINVAL);
	assert_int_equal(gmem_map_file(m, gpa(LOW - 4096), 4097, fd, 0, NULL), -EINVAL);
	assert_int_equal(gmem_map_file(m, gpa(0), UINT64_MAX, fd, 0, NULL), -EINVAL);
	assert_int_equal(gmem_map_file(m, gpa(0), 4096, fd, UINT64_MAX - 4095, NULL), -EINVAL);
	assert_int_equal(gmem_map_file(shared, gpa(0), 4096, fd, 0, NULL), -EINVAL);
	close(fd);
	gmem_free(m);
	gmem_free(shared);
}

static void own_writes_are_tracked(void **state)
{
	struct gmem *m = two_regions(GMEM_ANON);
	uint64_t map[LOW / 4096 / 64] = { 0 };

	(void)state;
	assert_int_equal(gmem_dirty_take(m, 0, map, ARRAY_SIZE(map)), -EINVAL);
	assert_int_equal(gmem_dirty_track(m, true, NULL), 0);
	assert_int_equal(gmem_write(m, gpa(4095), "ab", 2), 0);
	assert_int_equal(gmem_store16(m, gpa(70 * 4096), 1), 0);
	gmem_mark_dirty(m, gpa(LOW), 1);        /* not RAM: nothing happens */
	gmem_mark_dirty(m, gpa(0), 0);
	assert_int_equal(gmem_dirty_take(m, 0, map, ARRAY_SIZE(map) - 1), -EINVAL);
	assert_int_equal(gmem_dirty_take(m, 0, map, ARRAY_SIZE(map)), 0);
	assert_int_equal(map[0], 3);
	assert_int_equal(map[1], 1ull << 6);
	memset(map, 0, sizeof(map));
	assert_int_equal(gmem_dirty_take(m, 0, map, ARRAY_SIZE(map)), 0);
	assert_int_equal(map[0] | map[1], 0);
	assert_int_equal(gmem_dirty_track(m, false, NULL), 0);
	gmem_free(m);
}

/* Whole pages of the range are given back, with either backing; what is no RAM is not. */
static void whole_pages_are_discarded(void **state)
{
	static const struct {
		const char *why;
		uint64_t at, len;
		int rc;
		unsigned first, count; /* pages that are zeros then */
	} rows[] = {
		{ "two pages", 4096, 8192, 0, 1, 2 },
		{ "parts at both ends", 4097, 3 * 4096 - 2, 0, 2, 1 },
		{ "less than a page", 4097, 4094, 0, 0, 0 },
		{ "parts of two pages", 4097, 8190, 0, 0, 0 },
		{ "past the region", LOW - 4096, 8192, -EFAULT, 0, 0 },
		{ "that wraps", UINT64_MAX - 4095, 8192, -EFAULT, 0, 0 },
		{ "of nothing", 4096, 0, -EFAULT, 0, 0 },
	};
	const enum gmem_backing backings[] = { GMEM_ANON, GMEM_MEMFD };

	(void)state;
	for (size_t b = 0; b < ARRAY_SIZE(backings); b++)
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			struct gmem *m = two_regions(backings[b]);
			uint64_t map[LOW / 4096 / 64] = { 0 };
			uint8_t *p = gmem_ptr(m, gpa(0), 8 * 4096);

			memset(p, 1, 8 * 4096);
			assert_int_equal(gmem_dirty_track(m, true, NULL), 0);
			check_row(rows[i].why, gmem_discard(m, gpa(rows[i].at), rows[i].len) == rows[i].rc);
			assert_int_equal(gmem_dirty_take(m, 0, map, ARRAY_SIZE(map)), 0);
			for (unsigned k = 0; k < 8 * 4096; k++) {
				bool gone = k / 4096 >= rows[i].first && k / 4096 < rows[i].first + rows[i].count;

				check_row(rows[i].why, p[k] == !gone);
				check_row(rows[i].why, !!(map[0] & 1ull << k / 4096) == gone);
			}
			gmem_free(m);
		}
}

static void addresses_add_without_wrapping(void **state)
{
	gpa_t r;

	(void)state;
	assert_true(gpa_add(gpa(5), 6, &r));
	assert_int_equal(r.v, 11);
	assert_false(gpa_add(gpa(UINT64_MAX), 1, &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_regions_are_refused),
		cmocka_unit_test(regions_are_counted),
		cmocka_unit_test(pointers_only_within_one_region),
		cmocka_unit_test(what_comes_later),
		cmocka_unit_test(accessors_agree),
		cmocka_unit_test(file_pages_are_private),
		cmocka_unit_test(own_writes_are_tracked),
		cmocka_unit_test(whole_pages_are_discarded),
		cmocka_unit_test(addresses_add_without_wrapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
