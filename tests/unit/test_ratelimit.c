// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/check.h"

#include "vmm/backend/ratelimit.h"

#define MS 1000000ull
#define S  (1000 * MS)

static void test_check(void **state)
{
	static const struct {
		const char *why;
		struct rate_cfg cfg;
		int rc;
	} rows[] = {
		{ "none", { { 0, 0, 0 }, { 0, 0, 0 } }, 0 },
		{ "bytes alone", { { 1, 0, 1 }, { 0, 0, 0 } }, 0 },
		{ "operations alone", { { 0, 0, 0 }, { 1, 0, 1 } }, 0 },
		{ "no refill time", { { 1, 0, 0 }, { 0, 0, 0 } }, -EINVAL },
		{ "no refill time of operations", { { 0, 0, 0 }, { 1, 0, 0 } }, -EINVAL },
		{ "a burst of nothing", { { 0, 1, 0 }, { 0, 0, 0 } }, -EINVAL },
		{ "a refill time of nothing", { { 0, 0, 1 }, { 0, 0, 0 } }, -EINVAL },
		{ "the largest", { { 1ull << 44, 1ull << 44, 86400000 }, { 0, 0, 0 } }, 0 },
		{ "a larger bucket", { { (1ull << 44) + 1, 0, 1 }, { 0, 0, 0 } }, -EINVAL },
		{ "a larger burst", { { 1, (1ull << 44) + 1, 1 }, { 0, 0, 0 } }, -EINVAL },
		{ "more than a day", { { 1, 0, 86400001 }, { 0, 0, 0 } }, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(rows[i].why, rate_check(&rows[i].cfg, NULL) == rows[i].rc);
}

/* What happens to one limiter, in order: at @at, @bytes are asked for; they have to wait @wait. */
struct step {
	uint64_t at, bytes, wait;
};

struct course {
	const char *why;
	struct rate_cfg cfg;
	struct step step[8];
};

static const struct course courses[] = {
	{ "no limit", { { 0, 0, 0 }, { 0, 0, 0 } }, { { 1, 1ull << 40, 0 }, { 1, 1, 0 }, { 1, 1, 0 } } },
	{ "a full bucket, then nothing until a token is there",
	  { { 1000, 0, 1000 }, { 0, 0, 0 } },
	  { { 1, 1000, 0 }, { 1, 1, 1 }, { 2, 1, 0 }, { 2, 1, MS } } },
	{ "a debt is paid before the next",
	  { { 1000, 0, 1000 }, { 0, 0, 0 } },
	  { { 1, 1500, 0 }, { 1, 1, 500 * MS + 1 }, { 500 * MS + 1, 1, 1 }, { 500 * MS + 2, 1, 0 } } },
	{ "a bucket never holds more than its size",
	  { { 1000, 0, 1000 }, { 0, 0, 0 } },
	  { { 3600 * S, 1000, 0 }, { 3600 * S, 1, 1 } } },
	{ "the burst comes once, and first",
	  { { 1000, 2000, 1000 }, { 0, 0, 0 } },
	  { { 1, 2000, 0 }, { 1, 1000, 0 }, { 1, 1, 1 }, { 10 * S, 1000, 0 }, { 10 * S, 1, 1 } } },
	{ "operations count, whatever their size",
	  { { 0, 0, 0 }, { 2, 0, 1000 } },
	  { { 1, 1ull << 30, 0 }, { 1, 0, 0 }, { 1, 0, 1 }, { 500 * MS, 0, 0 }, { 500 * MS, 0, 1 + 1 } } },
	{ "the longer wait of the two",
	  { { 1000, 0, 1000 }, { 1, 0, 4000 } },
	  { { 1, 1500, 0 }, { 1, 0, 500 * MS + 1 }, { S, 0, 0 }, { S, 0, 3 * S + 2 } } },
	{ "a clock that stands still or goes back gives nothing",
	  { { 1000, 0, 1000 }, { 0, 0, 0 } },
	  { { S, 1000, 0 }, { S, 0, 1 }, { 5, 0, 1 } } },
};

static void test_courses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(courses); i++) {
		const struct course *c = &courses[i];
		struct rate_limit r;

		rate_init(&r, &c->cfg, 1);
		for (size_t k = 0; k < ARRAY_SIZE(c->step) && c->step[k].at; k++) {
			uint64_t wait = rate_wait(&r, c->step[k].at);

			if (wait != c->step[k].wait)
				fail_msg("%s: step %zu waits %llu, not %llu", c->why, k,
					 (unsigned long long)wait,
					 (unsigned long long)c->step[k].wait);
			if (!wait)
				rate_charge(&r, c->step[k].bytes);
		}
	}
}

/* Over a minute of polling at odd times exactly the rate comes out, at any rate. */
static void test_mean(void **state)
{
	static const struct rate_bucket_cfg rates[] = {
		{ 1000000, 0, 1000 }, { 7, 0, 1000 }, { 999983, 0, 37 }, { 1ull << 30, 0, 100 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		const struct rate_cfg cfg = { .bytes = rates[i] };
		uint64_t now = 1, got = 0, want;
		struct rate_limit r;

		rate_init(&r, &cfg, now);
		rate_charge(&r, rates[i].size); /* empty */
		while (now < 60 * S) {
			if (rate_wait(&r, now) == 0) {
				rate_charge(&r, 1500);
				got += 1500;
			}
			now += 999u + now % 331;
		}
		want = (uint64_t)((__int128)rates[i].size * 60 * S / (rates[i].refill_ms * MS));
		if (got > want + 1500 || got + 1500 < min_t(uint64_t, want, 1500ull * (60 * S / 1330)))
			fail_msg("rate %zu: %llu bytes, not %llu", i, (unsigned long long)got,
				 (unsigned long long)want);
	}
}

/* The numbers at their ends do not overflow. */
static void test_extremes(void **state)
{
	const struct rate_cfg cfg = { { RATE_MAX_TOKENS, RATE_MAX_TOKENS, RATE_MAX_REFILL_MS },
				      { 1, 0, RATE_MAX_REFILL_MS } };
	struct rate_limit r;

	(void)state;
	rate_init(&r, &cfg, 0);
	assert_int_equal(rate_wait(&r, UINT64_MAX), 0);
	rate_charge(&r, UINT64_MAX);
	assert_int_equal(rate_wait(&r, UINT64_MAX), 1); /* of operations, by a hair */
	rate_charge(&r, UINT64_MAX);
	assert_true(rate_wait(&r, UINT64_MAX) > 86399 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_courses),
		cmocka_unit_test(test_mean),
		cmocka_unit_test(test_extremes),
	};

	return cmocka_run_group_tests_name("ratelimit", tests, NULL, NULL);
}
