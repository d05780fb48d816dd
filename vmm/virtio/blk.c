// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/blk_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/io.h"

#define DRAIN_MS   10000
#define SIZE_MAX_B MIB(4) /* of one piece of memory */

enum { TAG_SECTORS = 1, TAG_BLOCK_SIZE, TAG_WRITEBACK, TAG_SERIAL };

/* VIRTIO 1.2, 5.2.4, up to what secure erase would add. */
struct config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t physical_block_exp, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));
_Static_assert(sizeof(struct config) == 60, "config");

struct blk_job *blk_job_get(struct blk *x)
{
	struct blk_job *j = x->free;

	if (j)
		x->free = j->next;
	else if (x->jobs_used < x->njobs)
		j = &x->jobs[x->jobs_used++];
	return j;
}

void blk_job_put(struct blk *x, struct blk_job *j)
{
	j->next = x->free;
	x->free = j;
}

static void tell_driver(struct blk *x)
{
	uint64_t set = x->signal;

	x->signal = 0;
	for (unsigned q = 0; q < x->queues; q++)
		if (set & (1ull << q))
			vdev_signal(&x->d, q);
}

/* Whether the next request has to wait; the timer is set then. */
static bool out_of_tokens(struct blk *x)
{
	uint64_t ns = rate_limited(&x->rate) ? rate_wait(&x->rate, io_now_ns()) : 0;

	if (ns)
		evtimer_set_ns(&x->tokens, ns);
	return ns;
}

/* Begins what queue @qi has, @got more. 0 all of it; 1 as far as @budget, jobs and tokens went; -EBADMSG. */
static int begin_all(struct blk *x, unsigned qi, unsigned *budget, unsigned *got)
{
	struct vq *q = &x->d.vq[qi];
	int rc;

	for (rc = 1; rc > 0 && *budget;) {
		struct blk_job *j = out_of_tokens(x) ? NULL : blk_job_get(x);

		if (!j) {
			x->starved |= 1ull << qi; /* kicks stay off until there is one */
			return 1;
		}
		rc = vq_pop(q, &x->chain);
		if (rc > 0 && blk_begin(x, j, qi) < 0) {
			vq_unpop(q, &x->chain); /* in flight, it would keep the device from ever being saved */
			rc = -EBADMSG;
		}
		if (rc <= 0) {
			blk_job_put(x, j);
			break; /* nothing found costs nothing of the budget, as in vdev_serve() */
		}
		++*got;
		--*budget;
	}
	return rc;
}

/* At most one ring's worth. 0 done; 1 more; -EBADMSG. */
static int serve(struct blk *x, unsigned qi)
{
	struct vq *q = &x->d.vq[qi];
	unsigned budget = q->at.size, got = 0;
	int rc;

	do {
		vq_disable_kicks(q);
		rc = begin_all(x, qi, &budget, &got);
		/* Before the driver has to kick again: what it adds while the host works needs none. */
		disk_push(x->disk);
	} while (rc == 0 && vq_enable_kicks(q));
	batch_turn(&x->batch, x->d.loop, got);
	tell_driver(x);
	if (rc < 0)
		return rc;
	return budget ? 0 : 1;
}

static bool at_work(const struct blk *x)
{
	return !x->draining && !x->d.quiesced && !atomic_load(&x->d.broken);
}

void blk_batch_over(struct blk *x)
{
	bool more = false;

	if (!x->d.active)
		return;
	tell_driver(x);
	for (unsigned q = 0; x->starved && q < x->queues && at_work(x); q++) {
		int rc;

		if (!(x->starved & (1ull << q)) || (!x->free && x->jobs_used == x->njobs))
			continue;
		x->starved &= ~(1ull << q);
		rc = x->d.vq[q].ready ? serve(x, q) : 0;
		if (rc < 0) {
			vdev_needs_reset(&x->d, "blk: malformed ring");
		} else if (rc > 0) {
			x->starved |= 1ull << q;
			more = true;
		}
	}
	/* What was served may all be over, or have been nothing for the disk: then nothing comes back and brings us here. */
	if (more)
		evtimer_set_ns(&x->tokens, 1);
}

static void tokens_came(struct evtimer *t)
{
	blk_batch_over(container_of(t, struct blk, tokens));
}

static int blk_kick(struct vdev *d, unsigned q)
{
	struct blk *x = to_blk(d);

	return x->starved & (1ull << q) ? 0 : serve(x, q);
}

static int check_cfg(const struct blk_cfg *c, struct err *e)
{
	uint32_t phys = c->phys_size ? c->phys_size : c->block_size;

	if (!is_pow2_64(c->block_size) || c->block_size < BLK_SECTOR || c->block_size > 4096)
		return err_set(e, EINVAL, "disk: blocks of %u bytes", c->block_size);
	if (!is_pow2_64(phys) || phys < c->block_size || phys > MIB(1))
		return err_set(e, EINVAL, "disk: physical blocks of %u bytes", phys);
	if (c->size / c->block_size == 0 || c->size > INT64_MAX)
		return err_set(e, EINVAL, "disk: %llu bytes", (unsigned long long)c->size);
	if (!c->queues || c->queues > BLK_QUEUES_MAX)
		return err_set(e, EINVAL, "disk: %u queues are not 1 to %d", c->queues, BLK_QUEUES_MAX);
	if (!is_pow2_64(c->queue_size) || c->queue_size < BLK_QUEUE_SIZE_MIN ||
	    c->queue_size > VQ_MAX_SIZE)
		return err_set(e, EINVAL, "disk: a queue size of %u is no power of two from %d to %d",
			       c->queue_size, BLK_QUEUE_SIZE_MIN, VQ_MAX_SIZE);
	if (!memchr(c->serial, 0, sizeof(c->serial)))
		return err_set(e, EINVAL, "disk: the serial is longer than %d bytes", BLK_SERIAL_MAX);
	return rate_check(&c->rate, e);
}

static int blk_create(struct vdev *d, const void *cfg_arg, struct err *e)
{
	const struct blk_cfg *cfg = cfg_arg;
	const struct disk_cfg dc = { .fd = cfg->fd,
				     .no_uring = cfg->no_uring,
				     .align = cfg->direct ? cfg->block_size : 0 };
	struct blk *x = to_blk(d);
	int rc = check_cfg(cfg, e);

	x->tokens.src.fd = -1;
	if (rc < 0)
		return rc;
	rc = evtimer_init(d->loop, &x->tokens, "disk-tokens", tokens_came);
	if (rc < 0)
		return err_errno(e, -rc, "disk: timer");
	rate_init(&x->rate, &cfg->rate, io_now_ns());
	/* Whole blocks, in sectors. */
	x->sectors = cfg->size / cfg->block_size * (cfg->block_size / BLK_SECTOR);
	x->block_size = cfg->block_size;
	x->phys_size = cfg->phys_size ? cfg->phys_size : cfg->block_size;
	x->readonly = cfg->readonly;
	x->queues = d->nqueues = cfg->queues;
	x->queue_size = cfg->queue_size;
	memcpy(x->serial, cfg->serial, sizeof(x->serial));
	atomic_store(&x->writeback, 1);
	d->queue_max = (uint16_t)cfg->queue_size;
	if (cfg->readonly)
		d->offered &= ~(VIRTIO_F_BIT(BLK_F_DISCARD) | VIRTIO_F_BIT(BLK_F_WRITE_ZEROES) |
				VIRTIO_F_BIT(BLK_F_CONFIG_WCE) | VIRTIO_F_BIT(BLK_F_FLUSH));
	else
		d->offered &= ~VIRTIO_F_BIT(BLK_F_RO);
	if (!cfg->discard)
		d->offered &= ~VIRTIO_F_BIT(BLK_F_DISCARD);
	if (cfg->queues == 1)
		d->offered &= ~VIRTIO_F_BIT(BLK_F_MQ);
	x->njobs = min_t(unsigned, cfg->queues * cfg->queue_size, DISK_DEPTH_MAX);
	x->jobs = calloc(x->njobs, sizeof(*x->jobs));
	if (!x->jobs)
		return err_set(e, ENOMEM, "disk: out of memory");
	return disk_new(&x->disk, d->loop, &dc, blk_done, x, e);
}

static void blk_destroy(struct vdev *d)
{
	struct blk *x = to_blk(d);

	batch_end(&x->batch, d->loop);
	if (atomic_load(&x->leave)) {
		disk_leave(x->disk, x->jobs);
	} else {
		disk_free(x->disk);
		free(x->jobs);
	}
	evtimer_done(&x->tokens);
}

void blk_leave(struct vdev *d)
{
	atomic_store(&to_blk(d)->leave, true);
}

static int drain(struct blk *x)
{
	int rc;

	x->draining = true; /* nothing new meanwhile */
	rc = disk_drain(x->disk, DRAIN_MS);
	x->draining = false;
	return rc;
}

/* What is in flight ends first: the driver will use its memory for something else. If the host's disk does
 * not answer at all, the machine must not hang on it: its requests are then put away when they come. */
static void blk_reset(struct vdev *d)
{
	struct blk *x = to_blk(d);

	x->epoch++;
	drain(x);
	batch_end(&x->batch, d->loop);
	evtimer_set_ns(&x->tokens, 0); /* the tokens stay as they are: a reset does not refill */
	x->starved = x->signal = 0;
	atomic_store(&x->writeback, 1);
}

static int blk_quiesce(struct vdev *d, struct err *e)
{
	struct blk *x = to_blk(d);

	if (drain(x) < 0)
		return err_set(e, EBUSY, "the host's disk did not answer in %d s", DRAIN_MS / 1000);
	tell_driver(x);
	return 0;
}

static void blk_resume(struct vdev *d)
{
	to_blk(d)->starved = 0; /* every queue is kicked */
}

static void fill_config(const struct blk *x, struct config *c)
{
	const uint32_t blocks = x->block_size / BLK_SECTOR;

	*c = (struct config){
		.capacity = x->sectors,
		.size_max = SIZE_MAX_B,
		.seg_max = min_t(uint32_t, x->queue_size - 2, BLK_DATA_SEGS),
		.blk_size = x->block_size,
		.min_io_size = (uint16_t)(x->phys_size / x->block_size),
		.writeback = atomic_load(&x->writeback),
		.num_queues = (uint16_t)x->queues,
		.max_discard_sectors = BLK_RANGE_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = max_t(uint32_t, blocks, 4096 / BLK_SECTOR),
		.max_write_zeroes_sectors = BLK_RANGE_MAX,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = x->d.offered & VIRTIO_F_BIT(BLK_F_DISCARD) ? 1 : 0,
	};
	while (x->block_size << c->physical_block_exp < x->phys_size)
		c->physical_block_exp++;
}

static void blk_config_read(const struct vdev *d, uint32_t off, void *dst, size_t len)
{
	struct config c;

	fill_config((const struct blk *)(const void *)d, &c);
	memcpy(dst, (const uint8_t *)&c + off, len);
}

static void blk_config_write(struct vdev *d, uint32_t off, const void *src, size_t len)
{
	const size_t at = offsetof(struct config, writeback);
	struct blk *x = to_blk(d);

	if (!vdev_has(d, BLK_F_CONFIG_WCE) || off > at || off + len <= at)
		return;
	atomic_store(&x->writeback, ((const uint8_t *)src)[at - off] & 1);
}

static int blk_save(const struct vdev *d, struct snap_w *w, struct err *e)
{
	const struct blk *x = (const struct blk *)(const void *)d;

	(void)e;
	snap_w_u64(w, TAG_SECTORS, x->sectors);
	snap_w_u32(w, TAG_BLOCK_SIZE, x->block_size);
	snap_w_u8(w, TAG_WRITEBACK, atomic_load(&x->writeback));
	snap_w_bytes(w, TAG_SERIAL, x->serial, BLK_SERIAL_MAX);
	return 0;
}

static int blk_load(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e)
{
	struct blk *x = to_blk(d);
	const void *serial;
	uint64_t sectors;
	uint32_t block;
	uint8_t wb;
	size_t len;

	(void)ver;
	if (snap_r_u64(r, TAG_SECTORS, &sectors) < 0 || snap_r_u32(r, TAG_BLOCK_SIZE, &block) < 0 ||
	    snap_r_u8(r, TAG_WRITEBACK, &wb) < 0 || wb > 1 ||
	    snap_r_bytes(r, TAG_SERIAL, &serial, &len, BLK_SERIAL_MAX) < 0 || len != BLK_SERIAL_MAX)
		return err_set(e, EBADMSG, "disk: state is incomplete");
	if (sectors != x->sectors || block != x->block_size)
		return err_set(e, EINVAL, "disk: state of one with %llu sectors, this has %llu",
			       (unsigned long long)sectors, (unsigned long long)x->sectors);
	if (memcmp(serial, x->serial, len) != 0)
		return err_set(e, EINVAL, "disk: state of another serial");
	atomic_store(&x->writeback, wb);
	return 0;
}

void blk_counters(const struct vdev *d, struct blk_counters *ret)
{
	*ret = ((const struct blk *)(const void *)d)->count;
}

#define F(n) VIRTIO_F_BIT(BLK_F_##n)

const struct vdev_class blk_class = {
	.name = "blk",
	.device_id = VDEV_BLOCK,
	.queue_max = VQ_MAX_SIZE,
	.config_len = sizeof(struct config),
	.features = F(SIZE_MAX) | F(SEG_MAX) | F(RO) | F(BLK_SIZE) | F(FLUSH) | F(TOPOLOGY) |
		    F(CONFIG_WCE) | F(MQ) | F(DISCARD) | F(WRITE_ZEROES),
	.snap_ver = 1,
	.loop = VDEV_LOOP_DISK,
	.size = sizeof(struct blk),
	.create = blk_create,
	.destroy = blk_destroy,
	.reset = blk_reset,
	.kick = blk_kick,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.quiesce = blk_quiesce,
	.resume = blk_resume,
	.save = blk_save,
	.load = blk_load,
};
