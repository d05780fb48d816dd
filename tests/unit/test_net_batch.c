// SPDX-License-Identifier: Apache-2.0
/* When the network device waits for frames that come in company: what it makes of its thread's policy. */
#include "tests/unit/net_setup.h"
#include "tests/unit/sched_seen.h"
#include "vmm/virtio/batch.h"

static void begin(struct net_fix *x)
{
	policy = SCHED_OTHER;
	changes = 0;
	net_begin(x, NULL, ~0ull, 1);
}

/* @n frames of 100 bytes from the guest, by queue @q, without a kick. */
static void queue_up(struct net_fix *x, unsigned q, unsigned n)
{
	uint8_t frame[100];

	net_frame(frame, sizeof(frame), own_mac, 7);
	for (unsigned i = 0; i < n; i++) {
		struct fdv_seg s = { fdv_put(x->f, frame, sizeof(frame)), sizeof(frame), false };

		assert_true(fdv_add(x->f, q, &s, 1) >= 0);
	}
}

/* @n frames with one kick that are sent. */
static void send_together(struct net_fix *x, unsigned n)
{
	uint8_t got[101];
	uint16_t head;
	uint32_t len;

	queue_up(x, 1, n);
	fdv_kick(x->f, 1);
	for (unsigned i = 0; i < n; i++) {
		assert_true(fdv_wait_used(x->f, 1, &head, &len, 1000));
		assert_int_equal(net_host_get(x, 0, got, sizeof(got)), 100);
	}
	fdv_free_all(x->f);
}

/* Frames that come alone: the waiting goes on for some, and ends. */
static void send_alone_until_over(struct net_fix *x)
{
	for (unsigned i = 1; i <= BATCH_PATIENCE; i++) {
		assert_int_equal(policy, SCHED_BATCH);
		send_together(x, 1);
	}
}

/* @n frames to it that are there when it looks. */
static void get_together(struct net_fix *x, unsigned n)
{
	uint8_t frame[100], got[200];

	net_frame(frame, sizeof(frame), own_mac, 7);
	for (unsigned i = 0; i < n; i++)
		net_offer(x, 0, 2000);
	for (unsigned i = 0; i < n; i++)
		net_host_put(x, 0, frame, sizeof(frame));
	fdv_kick(x->f, 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(net_got(x, 0, got, sizeof(got), 1), sizeof(frame));
	fdv_free_all(x->f);
}

static void test_sent(void **state)
{
	struct net_fix x;

	(void)state;
	begin(&x);
	for (unsigned i = 1; i <= 2 * BATCH_TRIAL; i++) {
		send_together(&x, 1);
		if (policy != (i % BATCH_TRIAL ? SCHED_OTHER : SCHED_BATCH))
			fail_msg("policy %d after %u", policy, i);
	}
	send_together(&x, 5);
	changes = 0;
	for (unsigned i = 0; i < 10; i++)
		send_together(&x, 2 + i);
	assert_int_equal(policy, SCHED_BATCH);
	assert_int_equal(changes, 0);
	send_alone_until_over(&x);
	assert_int_equal(policy, SCHED_OTHER);
	net_end(&x);
}

/* A stream as TCP makes it: no more than two of its frames are with the device at a time. */
static void test_stream(void **state)
{
	struct net_fix x;

	(void)state;
	begin(&x);
	for (unsigned i = 0; i < 4 * BATCH_TRIAL; i++)
		send_together(&x, 1 + (i % BATCH_PATIENCE == 0));
	assert_int_equal(policy, SCHED_BATCH);
	assert_int_equal(changes, 1);
	net_end(&x);
}

static void test_received(void **state)
{
	struct net_fix x;

	(void)state;
	begin(&x);
	get_together(&x, 4);
	for (unsigned i = 1; i <= BATCH_PATIENCE; i++) {
		assert_int_equal(policy, SCHED_BATCH);
		get_together(&x, 1);
	}
	assert_int_equal(policy, SCHED_OTHER);
	net_end(&x);
}

/* As long as one of the two directions wants it, and not beyond the driver's life. */
static void test_both(void **state)
{
	struct net_fix x;

	(void)state;
	begin(&x);
	send_together(&x, 3);
	get_together(&x, 3);
	assert_int_equal(changes, 1);
	send_alone_until_over(&x);
	assert_int_equal(policy, SCHED_BATCH);
	for (unsigned i = 0; i < BATCH_PATIENCE; i++)
		get_together(&x, 1);
	assert_int_equal(policy, SCHED_OTHER);
	assert_int_equal(changes, 2);
	send_together(&x, 3);
	get_together(&x, 3);
	fdv_reset(x.f);
	assert_int_equal(policy, SCHED_OTHER);
	net_end(&x);
}

/* Frames that came in company say nothing of a tap that has gone: none come any more that could end it. */
static void test_detached(void **state)
{
	struct net_fix x;

	(void)state;
	begin(&x);
	get_together(&x, 3);
	assert_int_equal(policy, SCHED_BATCH);
	assert_int_equal(net_detach(x.f->d, NULL), 0);
	assert_int_equal(policy, SCHED_OTHER);
	net_end(&x);
}

/* Nor do those that the guest sends to nobody: whether they were queued when it went, or come later. */
static void test_sent_without_tap(void **state)
{
	struct net_fix x;
	uint16_t head;
	uint32_t len;

	(void)state;
	begin(&x);
	send_together(&x, 3);
	assert_int_equal(policy, SCHED_BATCH);
	queue_up(&x, 1, 5);
	assert_int_equal(net_detach(x.f->d, NULL), 0);
	assert_int_equal(policy, SCHED_OTHER);
	for (unsigned i = 0; i < 5; i++)
		assert_true(fdv_wait_used(x.f, 1, &head, &len, 1000));
	queue_up(&x, 1, 5);
	fdv_kick(x.f, 1);
	for (unsigned i = 0; i < 5; i++)
		assert_true(fdv_wait_used(x.f, 1, &head, &len, 1000));
	assert_int_equal(net_counted(&x).tx_dropped, 10);
	assert_int_equal(policy, SCHED_OTHER);
	assert_int_equal(changes, 2);
	net_end(&x);
}

/* The same of a pair that the driver gives up. */
static void test_pair_given_up(void **state)
{
	struct net_cfg cfg = net_plain;
	struct net_fix x;
	uint16_t head;
	uint32_t len;

	(void)state;
	cfg.pairs = 2;
	policy = SCHED_OTHER;
	net_begin(&x, &cfg, ~0ull, 2);
	assert_int_equal(net_ctrl(x.f, 4, 0, "\2\0", 2), 0);
	queue_up(&x, 3, 3);
	fdv_kick(x.f, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(fdv_wait_used(x.f, 3, &head, &len, 1000));
	assert_int_equal(policy, SCHED_BATCH);
	assert_int_equal(net_ctrl(x.f, 4, 0, "\1\0", 2), 0);
	assert_int_equal(policy, SCHED_OTHER);
	net_end(&x);
}

/* A pause is not the guest's: nothing comes in it. */
static void test_paused(void **state)
{
	struct net_fix x;

	(void)state;
	begin(&x);
	send_together(&x, 3);
	get_together(&x, 3);
	assert_int_equal(policy, SCHED_BATCH);
	assert_int_equal(vdev_quiesce(x.f->d, NULL), 0);
	assert_int_equal(policy, SCHED_OTHER);
	vdev_resume(x.f->d);
	net_end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sent),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_received),
		cmocka_unit_test(test_both),
		cmocka_unit_test(test_detached),
		cmocka_unit_test(test_sent_without_tap),
		cmocka_unit_test(test_pair_given_up),
		cmocka_unit_test(test_paused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
