// SPDX-License-Identifier: Apache-2.0
/* The part of the suite in which another CPU of the guest works against the device while it looks. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/io.h"
#include "tests/lib/until.h"
#include "tests/lib/vdev_suite.h"

#define ROUNDS      200
#define FLIP_NS     200000000u
#define ENDLESS_NS  200000000u
#define GIVE_UP_NS  20000000000ull /* the test fails instead of hanging */
#define SLOWEST_NS  1000000000u /* of the thread's processor time */
#define LONGEST_NS  (GIVE_UP_NS / 2) /* of all: it may be off its processor meanwhile */
#define LONGEST_TURN 512 /* chains; a ring of the test's is 64 */
#define NO_EVENT    (~VIRTIO_F_BIT(VIRTIO_F_EVENT_IDX))

static struct fakedrv *begin(const struct vdev_suite *s, struct fakedrv *f)
{
	const struct fdv_opts o = { .later = s->later };
	struct err e = ERR_INIT;

	fdv_init(f, &o);
	if (fdv_create(f, s->cls, s->cfg ? s->cfg() : NULL, &e) < 0)
		fail_msg("create: %s", e.msg);
	if (s->created)
		s->created(f);
	return f;
}

static void end(const struct vdev_suite *s, struct fakedrv *f)
{
	fdv_destroy(f);
	if (s->cfg_done)
		s->cfg_done();
	fdv_done(f);
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Something on every queue: a readable part and a writable one. */
static void something(struct fakedrv *f)
{
	static const uint8_t zeros[256];

	for (unsigned q = 0; q < f->d->nqueues; q++)
		for (unsigned i = 0; i < 3; i++) {
			struct fdv_seg seg[2] = { { fdv_put(f, zeros, sizeof(zeros)), sizeof(zeros), false },
						  { fdv_alloc(f, 2048, 8), 2048, true } };

			/* The first, the second, both. */
			fdv_add(f, q, seg + i % 2, i < 2 ? 1 : 2);
		}
}

static void kick_all(struct fakedrv *f)
{
	for (unsigned q = 0; q < f->d->nqueues; q++)
		fdv_kick(f, q);
}

void vdev_suite_reset_storm(void **state)
{
	const struct vdev_suite *s = *state;
	struct fakedrv own, *f = begin(s, &own);
	unsigned fds = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		fdv_start(f, ~0ull);
		if (i % 8 == 0 && s->pend)
			s->pend(f);
		something(f);
		kick_all(f);
		if (i % 16 == 1)
			fdv_run(f, 1);
		fdv_reset(f);
		assert_false(f->d->active);
		if (i == ROUNDS / 4)
			fds = count_fds();
	}
	assert_true(count_fds() <= fds);
	fdv_start(f, ~0ull);
	s->work(f);
	end(s, f);
}

/* --- fields that change between two looks ------------------------------------------------------------------ */

struct flipper {
	pthread_t thread;
	atomic_bool stop;
	struct fakedrv *f;
	uint8_t *at; /* rings, then buffers */
	size_t rings, all;
};

static void *flip(void *arg)
{
	struct flipper *fl = arg;
	uint64_t x = 88172645463325252ull;

	while (!atomic_load(&fl->stop)) {
		volatile uint8_t *p;
		uint8_t bit;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p = fl->at + x % (x >> 60 ? fl->rings : fl->all);
		bit = (uint8_t)(1u << (x >> 32) % 8);
		*p ^= bit;
		/* Shorter and longer than what the device does between two looks. */
		for (volatile unsigned hold = (x >> 40) % 256; hold; hold--)
			;
		*p ^= bit;
	}
	return NULL;
}

void vdev_suite_flips(void **state)
{
	const struct vdev_suite *s = *state;
	struct fakedrv own, *f = begin(s, &own);
	const uint64_t first = KIB(8);
	uint64_t stop_at = io_now_ns() + FLIP_NS;
	struct flipper fl = { .f = f };
	unsigned rounds = 0;

	fdv_start(f, ~0ull);
	something(f);
	fl.at = fdv_ptr(f, gpa(first), f->brk - first);
	fl.rings = f->brk_rings - first;
	fl.all = f->brk - first;
	assert_int_equal(pthread_create(&fl.thread, NULL, flip, &fl), 0);
	for (; rounds < 3 || io_now_ns() < stop_at; rounds++) {
		fdv_reset(f);
		fdv_start(f, rounds % 2 ? ~0ull : NO_EVENT);
		something(f);
		kick_all(f);
		fdv_run(f, 1);
		kick_all(f);
	}
	atomic_store(&fl.stop, true);
	pthread_join(fl.thread, NULL);
	fdv_reset(f);
	fdv_start(f, ~0ull);
	s->work(f);
	end(s, f);
}

/* --- a ring that never runs dry ----------------------------------------------------------------------------- */

struct feeder {
	pthread_t thread;
	atomic_bool stop;
	uint16_t size;
	volatile uint16_t *avail, *used; /* flags, index, ring */
	uint64_t give_up;
	atomic_uint fed;
};

/* Makes every chain that comes back available again at once, as a CPU may that does nothing else. */
static void *feed(void *arg)
{
	struct feeder *fd = arg;
	uint16_t seen = 0, idx = fd->avail[1];

	while (!atomic_load(&fd->stop) && io_now_ns() < fd->give_up) {
		if (__atomic_load_n(&fd->used[1], __ATOMIC_ACQUIRE) == seen)
			continue;
		fd->avail[2 + idx % fd->size] = fd->used[2 + 4 * (seen % fd->size)];
		seen++;
		__atomic_store_n(&fd->avail[1], ++idx, __ATOMIC_RELEASE);
		atomic_fetch_add(&fd->fed, 1);
	}
	return NULL;
}

struct other {
	struct evtimer timer;
	unsigned ticks;
};

static void ticked(struct evtimer *t)
{
	container_of(t, struct other, timer)->ticks++;
	evtimer_set_ns(t, 5000000);
}

void vdev_suite_endless(void **state)
{
	const struct vdev_suite *s = *state;
	struct fakedrv own, *f = begin(s, &own);
	unsigned q = s->endless.q;
	struct feeder fd = { .give_up = io_now_ns() + GIVE_UP_NS };
	uint64_t stop_at, slowest = 0, longest = 0;
	unsigned most = 0;
	struct other other = { .ticks = 0 };

	assert_true(s->endless.out || s->endless.in);
	fdv_start(f, NO_EVENT);
	for (unsigned i = 0; i < f->q[q].size / 2; i++) {
		struct fdv_seg seg[2] = { { fdv_alloc(f, s->endless.out + 1, 8), s->endless.out, false },
					  { fdv_alloc(f, s->endless.in + 1, 8), s->endless.in, true } };
		const struct fdv_seg *first = s->endless.out ? seg : seg + 1;

		assert_true(fdv_add(f, q, first, !!s->endless.out + !!s->endless.in) >= 0);
	}
	fd.size = f->q[q].size;
	fd.avail = fdv_ptr(f, f->q[q].avail, 4);
	fd.used = fdv_ptr(f, f->q[q].used, 4);
	assert_int_equal(evtimer_init(f->loop, &other.timer, "other", ticked), 0);
	evtimer_set_ns(&other.timer, 1);
	assert_int_equal(pthread_create(&fd.thread, NULL, feed, &fd), 0);
	stop_at = io_now_ns() + ENDLESS_NS;
	/* Longer where this thread or the feeder had no processor yet. */
	while (io_now_ns() < stop_at || ((other.ticks < 3 || !atomic_load(&fd.fed)) && io_now_ns() < fd.give_up)) {
		uint64_t begun = io_now_ns(), worked = cpu_now_ns();
		uint16_t from = fd.used[1];

		vdev_kick(f->d, q); /* one turn of it */
		most = max_t(unsigned, most, (uint16_t)(fd.used[1] - from));
		evloop_turn(f->loop, 1);
		slowest = max_t(uint64_t, slowest, cpu_now_ns() - worked);
		longest = max_t(uint64_t, longest, io_now_ns() - begun);
	}
	atomic_store(&fd.stop, true);
	pthread_join(fd.thread, NULL);
	evtimer_done(&other.timer);
	assert_false(fdv_needs_reset(f));
	assert_true(atomic_load(&fd.fed) > 0);
	/* Each turn ended, and others of the loop had theirs. */
	assert_true(slowest < SLOWEST_NS);
	assert_true(longest < LONGEST_NS);
	if (!s->endless.threads)
		assert_in_range(most, 0, LONGEST_TURN);
	assert_true(other.ticks >= 3);
	fdv_reset(f);
	fdv_start(f, ~0ull);
	s->work(f);
	end(s, f);
}

/* A ring of one: with what a turn serves it is full, and empty at the next. That is no reason to look again for ever. */
void vdev_suite_ring_of_one(void **state)
{
	const struct vdev_suite *s = *state;
	struct fakedrv own, *f = begin(s, &own);
	unsigned q = s->endless.q;

	f->opts.queue_size = 1;
	for (unsigned event = 0; event < 2; event++) {
		fdv_start(f, event ? ~0ull : NO_EVENT);
		for (unsigned i = 0; i < 4; i++) {
			struct fdv_seg seg[2] = { { fdv_alloc(f, s->endless.out + 1, 8), s->endless.out, false },
						  { fdv_alloc(f, s->endless.in + 1, 8), s->endless.in, true } };
			const struct fdv_seg *first = s->endless.out ? seg : seg + 1;
			unsigned turns = 0;
			uint16_t head;
			uint32_t len;

			memset(fdv_ptr(f, seg[0].at, s->endless.out + 1), 0, s->endless.out + 1);
			assert_int_equal(fdv_add_indirect(f, q, first, !!s->endless.out + !!s->endless.in), 0);
			while (vdev_kick(f->d, q) > 0 && turns++ < 100)
				evloop_turn(f->loop, 0);
			assert_in_range(turns, 0, 2);
			assert_false(fdv_needs_reset(f));
			assert_true(fdv_wait_used(f, q, &head, &len, 5000));
			assert_true(loop_sleeps(f->loop));
			/* The next one brings a kick. */
			if (event)
				assert_int_equal(fdv_avail_event(f, q), f->q[q].avail_idx);
			else
				assert_int_equal(fdv_used_flags(f, q) & 1, 0);
		}
		fdv_reset(f);
	}
	end(s, f);
}
