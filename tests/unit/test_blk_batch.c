// SPDX-License-Identifier: Apache-2.0
/* When the block device waits for requests that come in company: what it makes of its thread's policy. */
#include "tests/unit/check.h"

#include <sys/mman.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/fakedrv.h"
#include "tests/unit/sched_seen.h"
#include "vmm/virtio/batch.h"
#include "vmm/virtio/blk.h"

/* @n requests with one kick, all of which come back. */
static void together(struct fakedrv *f, unsigned n)
{
	static const uint8_t header[16]; /* read sector 0 */
	uint16_t head;
	uint32_t len;

	for (unsigned i = 0; i < n; i++) {
		struct fdv_seg s[2] = { { fdv_put(f, header, 16), 16, false }, { fdv_alloc(f, 513, 8), 513, true } };

		assert_true(fdv_add(f, 0, s, 2) >= 0);
	}
	fdv_kick(f, 0);
	for (unsigned i = 0; i < n; i++) {
		assert_true(fdv_wait_used(f, 0, &head, &len, 1000));
		assert_int_equal(len, 513);
	}
	fdv_free_all(f);
}

/* @n times one alone; @then: the policy after each. */
static void alone(struct fakedrv *f, unsigned n, int then)
{
	for (unsigned i = 1; i <= n; i++) {
		together(f, 1);
		if (policy != then)
			fail_msg("policy %d after %u of %u alone", policy, i, n);
	}
}

static void begin(struct fakedrv *f, int with)
{
	struct blk_cfg c = { .fd = memfd_create("disk", MFD_CLOEXEC), .size = 4096, .block_size = 512, .queues = 1,
			     .queue_size = 64 };

	assert_int_equal(ftruncate(c.fd, 4096), 0);
	policy = with;
	changes = 0;
	fdv_init(f, NULL);
	assert_int_equal(fdv_create(f, &blk_class, &c, NULL), 0);
	fdv_start(f, ~0ull);
}

/* One alone is served at once; now and then it is seen whether others come. */
static void test_alone(void **state)
{
	struct fakedrv f;

	(void)state;
	begin(&f, SCHED_OTHER);
	for (unsigned i = 1; i <= 3 * BATCH_TRIAL; i++) {
		together(&f, 1);
		if (policy != (i % BATCH_TRIAL ? SCHED_OTHER : SCHED_BATCH))
			fail_msg("policy %d after %u", policy, i);
	}
	fdv_done(&f);
}

static void test_together(void **state)
{
	struct fakedrv f;

	(void)state;
	begin(&f, SCHED_OTHER);
	for (unsigned i = 0; i < 3 * BATCH_TRIAL; i++)
		together(&f, 2 + i % 20);
	assert_int_equal(policy, SCHED_BATCH);
	assert_int_equal(changes, 1);
	alone(&f, BATCH_PATIENCE - 1, SCHED_BATCH);
	alone(&f, 1, SCHED_OTHER);
	assert_int_equal(changes, 2);
	/* A driver that goes leaves the thread as it was. */
	together(&f, 2);
	assert_int_equal(policy, SCHED_BATCH);
	fdv_reset(&f);
	assert_int_equal(policy, SCHED_OTHER);
	fdv_done(&f);
}

/* One alone in between does not end it, whichever it is; only as many in a row. */
static void test_patience(void **state)
{
	struct fakedrv f;

	(void)state;
	begin(&f, SCHED_OTHER);
	for (unsigned i = 0; i < 30; i++) {
		together(&f, 2);
		alone(&f, i % BATCH_PATIENCE, SCHED_BATCH);
	}
	assert_int_equal(changes, 1);
	fdv_done(&f);
}

/* Where there was company, it is soon looked for again; less and less when there is none, as before at last. */
static void test_trials(void **state)
{
	struct fakedrv f;

	(void)state;
	begin(&f, SCHED_OTHER);
	for (unsigned again = 0; again < 2; again++) {
		together(&f, 2);
		alone(&f, BATCH_PATIENCE - 1, SCHED_BATCH);
		for (unsigned n = BATCH_TRIAL_SOON; n < BATCH_TRIAL; n *= 2) {
			alone(&f, n - 1, SCHED_OTHER);
			alone(&f, 1, SCHED_BATCH);
		}
		for (unsigned i = 0; i < 3; i++) {
			alone(&f, BATCH_TRIAL - 1, SCHED_OTHER);
			alone(&f, 1, SCHED_BATCH);
		}
	}
	/* A trial that finds it. */
	together(&f, 2);
	alone(&f, BATCH_PATIENCE - 1, SCHED_BATCH);
	alone(&f, BATCH_TRIAL_SOON - 1, SCHED_OTHER);
	alone(&f, 1, SCHED_BATCH);
	together(&f, 2);
	alone(&f, BATCH_PATIENCE - 1, SCHED_BATCH);
	alone(&f, BATCH_TRIAL_SOON / 2, SCHED_OTHER);
	/* Company that came by itself: the count begins again. */
	together(&f, 2);
	alone(&f, BATCH_PATIENCE - 1, SCHED_BATCH);
	alone(&f, BATCH_TRIAL_SOON - 1, SCHED_OTHER);
	alone(&f, 1, SCHED_BATCH);
	/* The next driver begins as the first did. */
	together(&f, 2);
	fdv_reset(&f);
	fdv_start(&f, ~0ull);
	alone(&f, BATCH_TRIAL - 1, SCHED_OTHER);
	alone(&f, 1, SCHED_BATCH);
	fdv_done(&f);
}

/* Nothing comes, but what is left of what came. A time, not a number of turns: the kernel ends one for each ring of the tests
 * before, when it gets round to taking that apart. */
static void silence(struct fakedrv *f)
{
	uint64_t end = io_now_ns() + 750 * UINT64_C(1000000);

	while (io_now_ns() < end)
		evloop_turn(f->loop, 150);
	assert_int_equal(policy, SCHED_OTHER);
}

/* Requests that end without a last one alone. What comes after is served at once, and waited for as soon as there is company. */
static void test_silence(void **state)
{
	struct fakedrv f;

	(void)state;
	begin(&f, SCHED_OTHER);
	together(&f, 2);
	assert_int_equal(policy, SCHED_BATCH);
	silence(&f);
	alone(&f, BATCH_TRIAL_SOON - 1, SCHED_OTHER);
	alone(&f, 1, SCHED_BATCH);
	silence(&f);
	together(&f, 2);
	alone(&f, BATCH_PATIENCE - 1, SCHED_BATCH);
	alone(&f, 1, SCHED_OTHER);
	fdv_done(&f);
}

/* What somebody has set for this thread is not ours to change. */
static void test_set_by_others(void **state)
{
	static const int policies[] = { SCHED_FIFO, SCHED_RR, SCHED_IDLE };
	struct fakedrv f;

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		begin(&f, policies[i]);
		together(&f, 5);
		together(&f, 1);
		assert_int_equal(policy, policies[i]);
		assert_int_equal(changes, 0);
		fdv_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_trials),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_set_by_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
