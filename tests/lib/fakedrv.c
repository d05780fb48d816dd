// SPDX-License-Identifier: Apache-2.0
/*
 * Memory, life cycle, and the raw mode of the fake driver.
 */
#include "tests/lib/fakedrv.h"

#include <string.h>

#include "lib/io.h"

static void fill_decoys(struct fakedrv *f, gpa_t base, uint64_t len)
{
	const uint64_t decoy[2] = { FDV_DECOY, 16 }; /* addr; len 16, flags 0, next 0 */
	uint8_t *p = gmem_ptr(f->mem, base, len);

	bug_on(!p);
	for (uint64_t off = 0; off < len; off += sizeof(decoy))
		memcpy(p + off, decoy, sizeof(decoy));
}

static struct fakedrv *owner(struct vdev *d)
{
	return d->transport_priv;
}

static void count_queue_irq(struct vdev *d, unsigned q)
{
	atomic_fetch_add(&owner(d)->irqs[q], 1);
}

static void count_config_irq(struct vdev *d)
{
	atomic_fetch_add(&owner(d)->config_irqs, 1);
}

static void count_needs_reset(struct vdev *d, const char *why)
{
	(void)why;
	atomic_fetch_add(&owner(d)->needs_resets, 1);
}

static const struct vdev_transport raw_transport = {
	.irq_queue = count_queue_irq,
	.irq_config = count_config_irq,
	.needs_reset = count_needs_reset,
};

static void raw_start(struct fakedrv *f, uint64_t features)
{
	struct vdev *d = f->d;

	d->acked = features;
	for (unsigned i = 0; i < d->nqueues; i++) {
		struct fdv_queue *q = &f->q[i];
		struct vq_layout at = {
			.size = q->size, .desc = q->desc, .avail = q->avail, .used = q->used,
			.event_idx = vdev_has(d, VIRTIO_F_EVENT_IDX),
			.indirect = vdev_has(d, VIRTIO_F_INDIRECT_DESC),
		};

		bug_on(vq_init(&d->vq[i], f->mem, &at, NULL) < 0);
	}
	bug_on(vdev_activate(d, NULL) < 0);
}

static void raw_reset(struct fakedrv *f)
{
	vdev_reset(f->d);
}

static void raw_kick(struct fakedrv *f, unsigned q)
{
	/* A device that always has more to do would keep us here: it has not, our rings are finite. */
	for (unsigned i = 0; i < 10000 && vdev_kick(f->d, q) > 0; i++)
		;
}

static bool raw_needs_reset(struct fakedrv *f)
{
	return atomic_load(&f->d->broken);
}

static int raw_create(struct fakedrv *f, const struct vdev_class *cls, const void *cfg,
		      struct err *e)
{
	int rc = vdev_new(&f->d, cls, cls->name, cfg, f->mem, f->loop, e);

	if (rc < 0)
		return rc;
	f->d->transport = &raw_transport;
	f->d->transport_priv = f;
	return 0;
}

static void raw_destroy(struct fakedrv *f)
{
	vdev_free(f->d);
}

static int raw_quiesce(struct fakedrv *f, struct err *e)
{
	return vdev_quiesce(f->d, e);
}

static void raw_resume(struct fakedrv *f)
{
	vdev_resume(f->d);
	for (unsigned i = 0; i < f->d->nqueues; i++)
		if (f->d->vq[i].ready)
			raw_kick(f, i);
}

static int raw_save(struct fakedrv *f, struct snap_w *w, struct err *e)
{
	return vdev_save(f->d, w, e);
}

static int raw_load(struct fakedrv *f, struct snap_r *r, struct err *e)
{
	return vdev_load(f->d, r, e);
}

static const struct fdv_mode raw_mode = {
	.create = raw_create,
	.destroy = raw_destroy,
	.quiesce = raw_quiesce,
	.resume = raw_resume,
	.save = raw_save,
	.load = raw_load,
	.start = raw_start,
	.reset = raw_reset,
	.kick = raw_kick,
	.needs_reset = raw_needs_reset,
};

void fdv_init(struct fakedrv *f, const struct fdv_opts *o)
{
	struct gmem_region r[3];

	memset(f, 0, sizeof(*f));
	f->mode = &raw_mode;
	if (o)
		f->opts = *o;
	if (!f->opts.ram_low)
		f->opts.ram_low = FDV_RAM_LOW;
	r[0] = (struct gmem_region){ .base = gpa(0), .size = f->opts.ram_low };
	r[1] = (struct gmem_region){ .base = gpa(FDV_RAM_HIGH), .size = FDV_RAM_HIGH_LEN };
	r[2] = (struct gmem_region){ .base = gpa(FDV_LATER), .size = f->opts.later, .later = true };
	bug_on(gmem_new(&f->mem, r, f->opts.later ? 3 : 2, GMEM_ANON, NULL) < 0);
	bug_on(evloop_new(&f->loop, NULL) < 0);
	if (!f->opts.no_decoy) {
		fill_decoys(f, r[0].base, r[0].size);
		fill_decoys(f, r[1].base, r[1].size);
	}
	f->brk = f->brk_rings = KIB(64);
}

void fdv_done(struct fakedrv *f)
{
	fdv_destroy(f);
	evloop_free(f->loop);
	gmem_free(f->mem);
	f->loop = NULL;
	f->mem = NULL;
}

int fdv_create(struct fakedrv *f, const struct vdev_class *cls, const void *cfg, struct err *e)
{
	return f->mode->create(f, cls, cfg, e);
}

void fdv_destroy(struct fakedrv *f)
{
	if (f->d)
		f->mode->destroy(f);
	f->d = NULL;
}

int fdv_quiesce(struct fakedrv *f, struct err *e)
{
	return f->mode->quiesce(f, e);
}

void fdv_resume(struct fakedrv *f)
{
	f->mode->resume(f);
}

int fdv_save(struct fakedrv *f, struct snap_w *w, struct err *e)
{
	return f->mode->save(f, w, e);
}

int fdv_load(struct fakedrv *f, struct snap_r *r, struct err *e)
{
	return f->mode->load(f, r, e);
}

static void layout_queue(struct fakedrv *f, struct fdv_queue *q)
{
	unsigned size = f->opts.queue_size;
	uint16_t *avail, *used;

	if (!size)
		size = min_t(unsigned, 64, f->d->queue_max);
	memset(q, 0, sizeof(*q));
	q->size = (uint16_t)size;
	/* Descriptors stay decoys; what follows each ring does, too. */
	q->desc = fdv_alloc(f, 16 * size, 16);
	q->avail = fdv_alloc(f, 6 + 2 * size, 2);
	q->used = fdv_alloc(f, 6 + 8 * size, 4);
	avail = fdv_ptr(f, q->avail, 6 + 2 * size);
	used = fdv_ptr(f, q->used, 6 + 8 * size);
	memset(avail, 0, 6 + 2 * size);
	memset(used, 0, 6 + 8 * size);
	for (unsigned i = 0; i < size; i++)
		q->next[i] = (uint16_t)(i + 1);
	q->nfree = (uint16_t)size;
}

void fdv_layout(struct fakedrv *f)
{
	f->brk = KIB(64);
	for (unsigned i = 0; i < f->d->nqueues; i++)
		layout_queue(f, &f->q[i]);
	f->brk_rings = f->brk;
}

void fdv_start(struct fakedrv *f, uint64_t features)
{
	fdv_layout(f);
	f->acked = (features & f->d->offered) | VIRTIO_F_BIT(VIRTIO_F_VERSION_1);
	f->mode->start(f, f->acked);
}

void fdv_reset(struct fakedrv *f)
{
	f->mode->reset(f);
}

gpa_t fdv_alloc(struct fakedrv *f, size_t len, size_t align)
{
	uint64_t at = align_up64(f->brk, align);

	bug_on(!range_within(at, len, f->opts.ram_low));
	f->brk = at + len;
	return gpa(at);
}

gpa_t fdv_put(struct fakedrv *f, const void *src, size_t len)
{
	gpa_t at = fdv_alloc(f, len, 8);

	memcpy(fdv_ptr(f, at, len), src, len);
	return at;
}

void fdv_free_all(struct fakedrv *f)
{
	f->brk = f->brk_rings;
}

void *fdv_ptr(struct fakedrv *f, gpa_t at, size_t len)
{
	void *p = gmem_ptr(f->mem, at, len);

	bug_on(!p);
	return p;
}

void fdv_kick(struct fakedrv *f, unsigned q)
{
	f->mode->kick(f, q);
}

bool fdv_needs_reset(struct fakedrv *f)
{
	return f->mode->needs_reset(f);
}

void fdv_run(struct fakedrv *f, unsigned ms)
{
	uint64_t end = io_now_ns() + ms * 1000000ull;
	unsigned idle = 0;

	for (unsigned turns = 1;; turns++) {
		uint64_t before = io_now_ns();

		evloop_turn(f->loop, 2);
		/* A turn that took its whole wait had nothing to do, or this thread had no processor: two in a row tell. */
		idle = io_now_ns() - before >= 2000000u ? idle + 1 : 0;
		/* Time that passes without turns is none that the device had. */
		if (!ms || idle == 2 || (turns >= 20 && io_now_ns() >= end))
			return;
	}
}

bool fdv_wait_used(struct fakedrv *f, unsigned q, uint16_t *head, uint32_t *len, unsigned ms)
{
	uint64_t end = io_now_ns() + ms * 1000000ull;

	/* The time, and as many turns as it has room for: this thread may have had no processor. */
	for (unsigned turns = 0; !fdv_used(f, q, head, len); turns++) {
		if (turns >= ms && io_now_ns() >= end)
			return false;
		evloop_turn(f->loop, 1);
	}
	return true;
}

int fdv_request(struct fakedrv *f, unsigned q, const void *out, size_t out_len, void *in,
		size_t in_len)
{
	struct fdv_seg seg[2];
	uint64_t brk = f->brk;
	unsigned n = 0;
	uint32_t len;
	uint16_t head;
	int rc;

	if (out_len)
		seg[n++] = (struct fdv_seg){ fdv_put(f, out, out_len), (uint32_t)out_len, false };
	if (in_len)
		seg[n++] = (struct fdv_seg){ fdv_alloc(f, in_len, 8), (uint32_t)in_len, true };
	rc = fdv_add(f, q, seg, n);
	bug_on(rc < 0);
	fdv_kick(f, q);
	if (!fdv_wait_used(f, q, &head, &len, 20000))
		return -ETIMEDOUT;
	bug_on(head != rc);
	if (in_len)
		memcpy(in, fdv_ptr(f, seg[n - 1].at, in_len), in_len);
	f->brk = brk;
	return (int)len;
}
