// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/vdev_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/fakedrv_pci.h"

#define STATE_CAP MIB(64)

static void create(const struct vdev_suite *s, struct fakedrv *f)
{
	struct err e = ERR_INIT;

	if (fdv_create(f, s->cls, s->cfg ? s->cfg() : NULL, &e) < 0)
		fail_msg("create: %s", e.msg);
	if (s->created)
		s->created(f);
}

static void destroy(const struct vdev_suite *s, struct fakedrv *f)
{
	fdv_destroy(f);
	if (s->cfg_done)
		s->cfg_done();
}

/* Each test has one; its driver reaches the device directly, or through the PCI transport. */
struct bench {
	struct fdv_pci p; /* p.f is all that is used in raw mode */
};

static bool by_pci;

static struct fakedrv *begin(const struct vdev_suite *s, struct bench *x)
{
	const struct fdv_opts o = { .later = s->later };

	if (by_pci)
		fdv_pci_init(&x->p, &o);
	else
		fdv_init(&x->p.f, &o);
	create(s, &x->p.f);
	return &x->p.f;
}

static void end(const struct vdev_suite *s, struct bench *x)
{
	destroy(s, &x->p.f);
	if (by_pci)
		fdv_pci_done(&x->p);
	else
		fdv_done(&x->p.f);
}

static void quiesce(struct fakedrv *f)
{
	struct err e = ERR_INIT;

	if (fdv_quiesce(f, &e) < 0)
		fail_msg("quiesce: %s", e.msg);
}

static void save(struct fakedrv *f, struct buf *b)
{
	struct snap_w w = { .b = b };
	struct err e = ERR_INIT;

	if (fdv_save(f, &w, &e) < 0)
		fail_msg("save: %s", e.msg);
	assert_false(w.failed);
}

static int load(struct fakedrv *f, const void *data, size_t len, struct err *e)
{
	struct snap_r r;
	int rc = snap_r_init(&r, data, len, e);

	return rc < 0 ? rc : fdv_load(f, &r, e);
}

void vdev_suite_quiesce_twice(void **state)
{
	const struct vdev_suite *s = *state;
	struct bench x;
	struct fakedrv *f;

	f = begin(s, &x);
	quiesce(f); /* before activate */
	fdv_resume(f);
	fdv_start(f, ~0ull);
	s->work(f);
	quiesce(f);
	quiesce(f);
	for (unsigned i = 0; i < f->d->nqueues; i++)
		assert_int_equal(f->d->vq[i].in_flight, 0);
	fdv_resume(f);
	s->work(f);
	end(s, &x);
}

void vdev_suite_save_created(void **state)
{
	const struct vdev_suite *s = *state;
	struct buf a = BUF_INIT(STATE_CAP), b = BUF_INIT(STATE_CAP);
	struct err e = ERR_INIT;
	struct bench x;
	struct fakedrv *f;

	f = begin(s, &x);
	save(f, &a);
	destroy(s, f);
	create(s, f);
	if (load(f, a.data, a.len, &e) < 0)
		fail_msg("load: %s", e.msg);
	assert_false(f->d->active);
	save(f, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	fdv_resume(f);
	fdv_start(f, ~0ull);
	s->work(f);
	end(s, &x);
	buf_free(&a);
	buf_free(&b);
}

void vdev_suite_save_load_save(void **state)
{
	const struct vdev_suite *s = *state;
	struct buf a = BUF_INIT(STATE_CAP), b = BUF_INIT(STATE_CAP);
	struct err e = ERR_INIT;
	struct bench x;
	struct fakedrv *f;

	f = begin(s, &x);
	fdv_start(f, ~0ull);
	s->work(f);
	quiesce(f);
	save(f, &a);
	destroy(s, f);
	create(s, f);
	if (load(f, a.data, a.len, &e) < 0)
		fail_msg("load: %s", e.msg);
	assert_true(f->d->active);
	save(f, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	fdv_resume(f);
	s->work(f);
	end(s, &x);
	buf_free(&a);
	buf_free(&b);
}

/* Loads changed state; whatever comes of it, a reset makes the device usable. */
static void try_state(struct fakedrv *f, const void *data, size_t len)
{
	if (load(f, data, len, NULL) == 0) {
		fdv_resume(f);
		fdv_run(f, 0);
	} else {
		assert_false(f->d->active);
	}
	fdv_reset(f);
}

void vdev_suite_bad_state(void **state)
{
	const struct vdev_suite *s = *state;
	struct buf a = BUF_INIT(STATE_CAP);
	struct bench x;
	struct fakedrv *f;
	size_t step;

	f = begin(s, &x);
	fdv_start(f, ~0ull);
	s->work(f);
	quiesce(f);
	save(f, &a);
	destroy(s, f);
	create(s, f);
	step = a.len / 512 + 1;
	for (size_t n = 0; n < a.len; n += step) {
		/* A copy of its own, so that the sanitizer sees a read past the end. */
		uint8_t *cut = malloc(n ? n : 1);

		assert_non_null(cut);
		memcpy(cut, a.data, n);
		assert_true(load(f, cut, n, NULL) < 0);
		assert_false(f->d->active);
		free(cut);
	}
	for (size_t i = 0; !s->no_flips && i < a.len * 8; i += step) {
		a.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		try_state(f, a.data, a.len);
		a.data[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	destroy(s, f);
	create(s, f);
	fdv_start(f, ~0ull);
	s->work(f);
	end(s, &x);
	buf_free(&a);
}

void vdev_suite_early_kick(void **state)
{
	const struct vdev_suite *s = *state;
	struct bench x;
	struct fakedrv *f;

	f = begin(s, &x);
	fdv_layout(f);
	for (unsigned i = 0; i < f->d->nqueues; i++) {
		struct fdv_seg seg = { fdv_alloc(f, 64, 8), 64, true };

		fdv_add(f, i, &seg, 1);
		fdv_kick(f, i);
	}
	fdv_kick(f, f->d->nqueues);
	fdv_kick(f, 0xffff);
	fdv_run(f, 5);
	for (unsigned i = 0; i < f->d->nqueues; i++)
		assert_int_equal(fdv_used_idx(f, i), 0);
	assert_false(fdv_needs_reset(f));
	fdv_start(f, ~0ull);
	fdv_kick(f, f->d->nqueues);
	fdv_kick(f, 0xffff);
	s->work(f);
	end(s, &x);
}

void vdev_suite_reset_in_flight(void **state)
{
	const struct vdev_suite *s = *state;
	uint16_t used[VDEV_MAX_QUEUES];
	struct bench x;
	struct fakedrv *f;

	f = begin(s, &x);
	fdv_reset(f); /* before activate */
	for (unsigned round = 0; round < 3; round++) {
		fdv_start(f, ~0ull);
		s->work(f);
		if (s->pend)
			s->pend(f);
		fdv_reset(f);
		assert_false(f->d->active);
		for (unsigned i = 0; i < f->d->nqueues; i++)
			used[i] = fdv_used_idx(f, i);
		fdv_run(f, 20);
		/* The driver may give the memory to others now: nothing comes late. */
		for (unsigned i = 0; i < f->d->nqueues; i++)
			assert_int_equal(fdv_used_idx(f, i), used[i]);
	}
	fdv_start(f, ~0ull);
	if (s->pend)
		s->pend(f);
	end(s, &x); /* destroyed while active */
}

void vdev_suite_config_bounds(void **state)
{
	const struct vdev_suite *s = *state;
	uint32_t len = s->cls->config_len;
	uint8_t whole[256], part[256], *big;
	struct bench x;
	struct fakedrv *f;

	f = begin(s, &x);
	assert_true(len <= sizeof(whole));
	vdev_config_read(f->d, 0, whole, len);
	for (uint32_t off = 0; off < len; off++) {
		vdev_config_read(f->d, off, part, 1);
		assert_int_equal(part[0], whole[off]);
	}
	for (uint32_t off = len > 8 ? len - 8 : 0; off < len + 8; off++) {
		memset(part, 0xa5, sizeof(part));
		vdev_config_read(f->d, off, part, 8);
		for (uint32_t i = 0; i < 8; i++)
			assert_int_equal(part[i], off + i < len ? whole[off + i] : 0);
		assert_int_equal(part[8], 0xa5);
	}
	vdev_config_read(f->d, UINT64_MAX - 3, part, 8);
	assert_int_equal(part[7], 0);
	big = calloc(1, len + 64);
	assert_non_null(big);
	vdev_config_write(f->d, 0, big, len + 64);
	vdev_config_write(f->d, len, big, 64);
	vdev_config_write(f->d, UINT64_MAX - 3, big, 8);
	free(big);
	fdv_start(f, ~0ull);
	s->work(f);
	end(s, &x);
}

/* One malformed chain in queue @q, published at once. */
struct bad_ring {
	const char *why;
	void (*make)(struct fakedrv *f, unsigned q);
};

static void bad_head(struct fakedrv *f, unsigned q)
{
	struct fdv_queue *dq = &f->q[q];

	fdv_poke_avail(f, q, dq->avail_idx, dq->size);
	fdv_publish(f, q, (uint16_t)(dq->avail_idx + 1));
}

static void bad_index(struct fakedrv *f, unsigned q)
{
	fdv_publish(f, q, (uint16_t)(f->q[q].avail_idx + f->q[q].size + 1));
}

static void bad_address(struct fakedrv *f, unsigned q)
{
	struct fdv_seg seg = { gpa(FDV_HOLE), 64, true };

	bug_on(fdv_add(f, q, &seg, 1) < 0);
}

static void bad_loop(struct fakedrv *f, unsigned q)
{
	struct fdv_queue *dq = &f->q[q];
	gpa_t at = fdv_alloc(f, 64, 8);

	fdv_poke_desc(f, q, 0, at.v, 64, FDV_NEXT | FDV_WRITE, 0);
	fdv_poke_avail(f, q, dq->avail_idx, 0);
	fdv_publish(f, q, (uint16_t)(dq->avail_idx + 1));
}

static const struct bad_ring bad_rings[] = {
	{ "head beyond the table", bad_head },
	{ "index jumps by more than the ring", bad_index },
	{ "buffer outside RAM", bad_address },
	{ "descriptor that follows itself", bad_loop },
};

void vdev_suite_bad_ring(void **state)
{
	const struct vdev_suite *s = *state;
	struct bench x;
	struct fakedrv *f;

	f = begin(s, &x);
	for (unsigned q = 0; q < f->d->nqueues; q++) {
		if (!(s->pops & (1ull << q)))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(bad_rings); i++) {
			unsigned before = atomic_load(&f->needs_resets);

			fdv_start(f, ~0ull);
			bad_rings[i].make(f, q);
			fdv_kick(f, q);
			/* Threads of the device's may be the ones that see it. */
			for (unsigned n = 0; n < 1000 && !fdv_needs_reset(f); n++)
				fdv_run(f, 5);
			if (!fdv_needs_reset(f))
				fail_msg("queue %u: %s: accepted", q, bad_rings[i].why);
			fdv_kick(f, q); /* ignored from now on */
			fdv_run(f, 0);
			if (!by_pci && atomic_load(&f->needs_resets) != before + 1)
				fail_msg("queue %u: %s: told %u times", q, bad_rings[i].why,
					 atomic_load(&f->needs_resets) - before);
			fdv_reset(f);
			assert_false(fdv_needs_reset(f));
			fdv_start(f, ~0ull);
			s->work(f);
			fdv_reset(f);
		}
	}
	end(s, &x);
}

/* A chain that makes no sense for its queue, or is too short: whatever comes of it, nothing stays in flight for good. */
void vdev_suite_wrong_chain(void **state)
{
	const struct vdev_suite *s = *state;
	struct bench x;
	struct fakedrv *f = begin(s, &x);
	struct buf b = BUF_INIT(STATE_CAP);

	for (unsigned q = 0; q < f->d->nqueues; q++)
		for (unsigned shape = 0; shape < 4; shape++) {
			uint32_t len = shape & 2 ? 100 : 1;
			struct fdv_seg seg = { gpa(0), len, shape & 1 };

			fdv_free_all(f);
			fdv_start(f, ~0ull);
			seg.at = fdv_alloc(f, len, 8);
			memset(fdv_ptr(f, seg.at, len), 0, len);
			assert_true(fdv_add(f, q, &seg, 1) >= 0);
			fdv_kick(f, q);
			fdv_run(f, 5);
			quiesce(f);
			for (unsigned i = 0; i < f->d->nqueues; i++)
				if (f->d->vq[i].in_flight)
					fail_msg("queue %u: %u in flight after %u bytes, %s", i, f->d->vq[i].in_flight, len,
						 seg.write ? "writable" : "readable");
			save(f, &b);
			buf_free(&b);
			fdv_reset(f);
		}
	end(s, &x);
}

void vdev_suite_kicks_armed(void **state)
{
	const struct vdev_suite *s = *state;
	const uint64_t no_event = ~VIRTIO_F_BIT(VIRTIO_F_EVENT_IDX);
	struct bench x;
	struct fakedrv *f;

	f = begin(s, &x);
	for (unsigned round = 0; round < 2; round++) {
		bool event = round == 0;

		fdv_start(f, event ? ~0ull : no_event);
		s->work(f);
		fdv_run(f, 5);
		for (unsigned q = 0; q < f->d->nqueues; q++) {
			const struct vq *vq = &f->d->vq[q];

			if (!(s->pops & (1ull << q)) || vq->next_avail != f->q[q].avail_idx)
				continue;
			/* All was taken: the next buffer must bring a kick. */
			if (event)
				assert_int_equal(fdv_avail_event(f, q), f->q[q].avail_idx);
			else
				assert_int_equal(fdv_used_flags(f, q) & 1, 0);
		}
		fdv_reset(f);
	}
	end(s, &x);
}

static void (*const by_registers[])(void **state) = {
	vdev_suite_quiesce_twice, vdev_suite_save_created, vdev_suite_save_load_save,
	vdev_suite_bad_state,	  vdev_suite_early_kick,   vdev_suite_reset_in_flight,
	vdev_suite_bad_ring,	  vdev_suite_kicks_armed,  vdev_suite_wrong_chain,
};

void vdev_suite_transport(void **state)
{
	by_pci = true;
	for (size_t i = 0; i < ARRAY_SIZE(by_registers); i++)
		by_registers[i](state);
	by_pci = false;
}

void vdev_suite_features(void **state)
{
	const struct vdev_suite *s = *state;
	struct bench x;
	struct fakedrv *f;

	by_pci = true;
	f = begin(s, &x);
	/* Each bit that is not offered, alone beside VERSION_1. */
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t features = VIRTIO_F_BIT(bit) | VIRTIO_F_BIT(VIRTIO_F_VERSION_1);
		bool offered = f->d->offered & VIRTIO_F_BIT(bit);

		if (fdv_pci_negotiate(&x.p, features) != offered)
			fail_msg("feature bit %u: %s", bit, offered ? "refused" : "accepted");
		fdv_reset(f);
	}
	assert_false(fdv_pci_negotiate(&x.p, f->d->offered & ~VIRTIO_F_BIT(VIRTIO_F_VERSION_1)));
	fdv_reset(f);
	fdv_start(f, ~0ull);
	s->work(f);
	end(s, &x);
	by_pci = false;
}
