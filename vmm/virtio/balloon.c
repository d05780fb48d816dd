// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/balloon.h"

#include <string.h>

#include "lib/log.h"

#define QUEUE_MAX   128
#define PAGE_SHIFT  12	     /* the balloon's unit, whatever the pages of host and guest */
#define PFNS_MAX    (1u << 16) /* of one request: 256 MiB. Drivers send 256 */
#define STATS_BYTES (BALLOON_STATS * sizeof(struct stat_entry))

enum { F_STATS_VQ = 1, F_DEFLATE_ON_OOM = 2, F_REPORTING = 5 };
enum { TAG_TARGET = 1, TAG_ACTUAL };
enum role { INFLATE, DEFLATE, STATS, REPORT };

struct config {
	uint32_t num_pages, actual;
	uint32_t free_page_hint_cmd_id, poison_val; /* of features that are not offered */
};

struct stat_entry {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

struct balloon {
	struct vdev d;
	uint64_t pages_max;
	atomic_uint target, actual; /* units */
	_Atomic uint64_t inflated, reported;
	_Atomic uint64_t stat[BALLOON_STATS];
	atomic_uint stat_set;
	/* The driver's buffer for statistics: returned when new ones are wanted. Loop thread. */
	bool stats_held;
	unsigned stats_q;
	uint16_t stats_head;
	atomic_bool stats_asked;
	struct vq_chain chain;
};

static struct balloon *to_balloon(struct vdev *d)
{
	return container_of(d, struct balloon, d);
}

/* Queues of features that were not taken do not exist, and drivers number on: reporting is queue 4 by the
 * specification, 3 for Linux, which counts only those that it has. */
static enum role role_of(const struct balloon *b, unsigned q)
{
	if (q < 2)
		return q == 0 ? INFLATE : DEFLATE;
	return q == 2 && vdev_has(&b->d, F_STATS_VQ) ? STATS : REPORT;
}

/* ---- what the guest gives back ---------------------------------------------------------------------- */

static void discard_pages(struct balloon *b, uint64_t first, uint64_t count)
{
	/* What is no memory is passed over: the driver's mistake, and no harm done. */
	if (count && gmem_discard(b->d.mem, gpa(first << PAGE_SHIFT), count << PAGE_SHIFT) == 0)
		atomic_fetch_add(&b->inflated, count << PAGE_SHIFT);
}

/* Neighbours in the list are discarded together. */
static void inflate(struct balloon *b)
{
	uint64_t n = min_t(uint64_t, b->chain.read_len / 4, PFNS_MAX), first = 0, count = 0;
	uint32_t pfn[256];

	for (uint64_t i = 0; i < n; i++) {
		unsigned k = i % ARRAY_SIZE(pfn);

		if (k == 0)
			vq_chain_read(&b->chain, i * 4, pfn, min_t(size_t, n - i, ARRAY_SIZE(pfn)) * 4);
		if (count && pfn[k] == first + count) {
			count++;
		} else if (count && pfn[k] + 1ull == first) { /* Linux takes them from the top */
			first--;
			count++;
		} else {
			discard_pages(b, first, count);
			first = pfn[k];
			count = 1;
		}
	}
	discard_pages(b, first, count);
}

/* Buffers are the free pages themselves. */
static void report(struct balloon *b)
{
	const struct vq_chain *c = &b->chain;

	if (!vdev_has(&b->d, F_REPORTING))
		return;
	for (unsigned i = c->nread; i < (unsigned)c->nread + c->nwrite; i++)
		if (gmem_discard(b->d.mem, c->seg[i].at, c->seg[i].len) == 0)
			atomic_fetch_add(&b->reported, c->seg[i].len);
}

/* ---- statistics ----------------------------------------------------------------------------------------- */

static void return_stats(struct balloon *b)
{
	if (!b->stats_held)
		return;
	b->stats_held = false;
	vq_push(&b->d.vq[b->stats_q], b->stats_head, 0);
	vdev_signal(&b->d, b->stats_q);
}

static void take_stats(struct balloon *b, unsigned q)
{
	struct stat_entry s[BALLOON_STATS];
	size_t len = vq_chain_read(&b->chain, 0, s, sizeof(s));

	return_stats(b); /* there should be one at a time */
	for (size_t i = 0; i < len / sizeof(s[0]); i++) {
		if (s[i].tag >= BALLOON_STATS)
			continue;
		atomic_store(&b->stat[s[i].tag], s[i].value);
		atomic_fetch_or(&b->stat_set, 1u << s[i].tag);
	}
	b->stats_held = true;
	b->stats_q = q;
	b->stats_head = b->chain.head;
}

/* Returning the buffer is how new ones are asked for. */
static void ask_stats(void *arg)
{
	struct balloon *b = arg;

	atomic_store(&b->stats_asked, false);
	if (b->d.active && !b->d.quiesced && !atomic_load(&b->d.broken))
		return_stats(b);
}

/* ---- the device ------------------------------------------------------------------------------------------ */

static void serve_one(struct vdev *d, unsigned q)
{
	struct balloon *b = to_balloon(d);

	switch (role_of(b, q)) {
	case INFLATE:
		inflate(b);
		break;
	case STATS:
		take_stats(b, q);
		return;
	case REPORT:
		report(b);
		break;
	case DEFLATE: /* touching a page brings it back */
		break;
	}
	vq_push(&b->d.vq[q], b->chain.head, 0);
}

static int balloon_kick(struct vdev *d, unsigned qi)
{
	return vdev_serve(d, qi, &to_balloon(d)->chain, serve_one);
}

static int balloon_create(struct vdev *d, const void *cfg_arg, struct err *e)
{
	const struct balloon_cfg *cfg = cfg_arg;
	struct balloon *b = to_balloon(d);

	b->pages_max = gmem_total(d->mem) >> PAGE_SHIFT;
	if (cfg->size >> PAGE_SHIFT >= b->pages_max)
		return err_set(e, EINVAL, "balloon: %llu bytes are all of the guest's memory or more",
			       (unsigned long long)cfg->size);
	atomic_store(&b->target, (unsigned)(cfg->size >> PAGE_SHIFT));
	if (!cfg->deflate_on_oom)
		d->offered &= ~VIRTIO_F_BIT(F_DEFLATE_ON_OOM);
	if (!cfg->reporting)
		d->offered &= ~VIRTIO_F_BIT(F_REPORTING);
	if (!cfg->stats)
		d->offered &= ~VIRTIO_F_BIT(F_STATS_VQ);
	d->nqueues = 5;
	return 0;
}

static void balloon_destroy(struct vdev *d)
{
	evloop_cancel(d->loop, to_balloon(d));
}

static void balloon_reset(struct vdev *d)
{
	struct balloon *b = to_balloon(d);

	b->stats_held = false;
	atomic_store(&b->actual, 0);
	atomic_store(&b->stat_set, 0);
}

static void balloon_config_read(const struct vdev *d, uint32_t off, void *dst, size_t len)
{
	const struct balloon *b = (const struct balloon *)(const void *)d;
	struct config c = { .num_pages = atomic_load(&b->target), .actual = atomic_load(&b->actual) };

	memcpy(dst, (const uint8_t *)&c + off, len);
}

static void balloon_config_write(struct vdev *d, uint32_t off, const void *src, size_t len)
{
	const size_t at = offsetof(struct config, actual);
	struct balloon *b = to_balloon(d);
	uint32_t v;

	if (off != at || len < sizeof(v))
		return;
	memcpy(&v, src, sizeof(v));
	atomic_store(&b->actual, v);
}

/* The buffer for statistics goes back: nothing may be held. */
static int balloon_quiesce(struct vdev *d, struct err *e)
{
	(void)e;
	return_stats(to_balloon(d));
	return 0;
}

static int balloon_save(const struct vdev *d, struct snap_w *w, struct err *e)
{
	const struct balloon *b = (const struct balloon *)(const void *)d;

	(void)e;
	snap_w_u32(w, TAG_TARGET, atomic_load(&b->target));
	snap_w_u32(w, TAG_ACTUAL, atomic_load(&b->actual));
	return 0;
}

static int balloon_load(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e)
{
	struct balloon *b = to_balloon(d);
	uint32_t target, actual;

	(void)ver;
	if (snap_r_u32(r, TAG_TARGET, &target) < 0 || snap_r_u32(r, TAG_ACTUAL, &actual) < 0 ||
	    target >= b->pages_max)
		return err_set(e, EBADMSG, "balloon: state is incomplete");
	atomic_store(&b->target, target);
	atomic_store(&b->actual, actual);
	return 0;
}

int balloon_resize(struct vdev *d, uint64_t size, struct err *e)
{
	struct balloon *b = to_balloon(d);

	if (size >> PAGE_SHIFT >= b->pages_max)
		return err_set(e, EINVAL, "balloon: %llu bytes are all of the guest's memory or more",
			       (unsigned long long)size);
	atomic_store(&b->target, (unsigned)(size >> PAGE_SHIFT));
	vdev_config_changed(d);
	return 0;
}

void balloon_info(struct vdev *d, struct balloon_info *ret)
{
	struct balloon *b = to_balloon(d);

	*ret = (struct balloon_info){
		.target = (uint64_t)atomic_load(&b->target) << PAGE_SHIFT,
		.actual = (uint64_t)atomic_load(&b->actual) << PAGE_SHIFT,
		.inflated = atomic_load(&b->inflated),
		.reported = atomic_load(&b->reported),
		.stat_set = atomic_load(&b->stat_set),
	};
	for (unsigned i = 0; i < BALLOON_STATS; i++)
		ret->stat[i] = atomic_load(&b->stat[i]);
	/* Not twice: whoever asks often must not make the queue of posted work grow. */
	if (!atomic_exchange(&b->stats_asked, true) && evloop_post(d->loop, ask_stats, b) < 0)
		atomic_store(&b->stats_asked, false);
}

const struct vdev_class balloon_class = {
	.name = "balloon",
	.device_id = VDEV_BALLOON,
	.queue_max = QUEUE_MAX,
	.config_len = sizeof(struct config),
	.features = VIRTIO_F_BIT(F_STATS_VQ) | VIRTIO_F_BIT(F_DEFLATE_ON_OOM) | VIRTIO_F_BIT(F_REPORTING),
	.snap_ver = 1,
	.loop = VDEV_LOOP_IO,
	.size = sizeof(struct balloon),
	.create = balloon_create,
	.destroy = balloon_destroy,
	.reset = balloon_reset,
	.kick = balloon_kick,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.quiesce = balloon_quiesce,
	.save = balloon_save,
	.load = balloon_load,
};
