// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/fs_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUEUE_MAX  VQ_MAX_SIZE /* 1 MiB in pages of 4 KiB, and headers, in one chain */
#define QUIESCE_MS 10000
#define CONFIG_LEN (FS_DEV_TAG_MAX + 4)

#define STATE_MAX  MIB(512) /* of the largest server, with long names */

enum { TAG_TAG = 1, TAG_SESSION, TAG_STATE };

static struct fs_dev *to_fs(struct vdev *d)
{
	return container_of(d, struct fs_dev, d);
}

static void starve(struct fs_dev *x, unsigned q)
{
	x->starved[q / 64] |= 1ull << (q % 64);
}

void fs_dev_completed(struct fs_dev *x, struct fs_job *j)
{
	bool unlocks = j->peek.unlocks;

	if (j->peek.sync)
		x->sync_ns = max_t(uint64_t, j->took_ns, x->sync_ns - x->sync_ns / 4);
	if (j->rc == -EBADMSG) { /* no room for any reply */
		fs_job_finish(x, j);
		vdev_needs_reset(&x->d, "fs: request without room for a reply");
		return;
	}
	if (j->rc == FS_AGAIN) {
		fs_park(x, j);
		return;
	}
	fs_job_finish(x, j);
	if (unlocks && x->nparked)
		fs_park_retry(x);
}

/* Handing a request to a worker and taking it back costs more than an fsync() that has nothing to wait for (memory, a disk
 * that keeps what it has when the power fails). So those stay here while the last ones were quick. */
static bool is_slow(const struct fs_dev *x, const struct fs_job *j)
{
	return j->peek.slow && !(j->peek.sync && x->sync_ns < FS_SYNC_INLINE_NS);
}

/* One popped chain; @row: how many in a row. 0 or -EBADMSG. */
static int take(struct fs_dev *x, struct fs_job *j, unsigned row)
{
	int rc = fs_job_gather(j);

	if (rc < 0) {
		vq_unpop(&x->d.vq[j->q], &j->chain);
		fs_job_put(x, j);
		return rc;
	}
	if (j->peek.interrupt) {
		fs_park_interrupt(x, fs_interrupt_target(j->in, j->in_len));
		j->rc = 0;
		j->reply.head_len = 0;
		fs_job_finish(x, j);
		return 0;
	}
	if ((is_slow(x, j) || (row > FS_INLINE_MAX && !j->peek.no_reply)) && fs_pool_submit(x, j))
		return 0;
	fs_job_run(x->server, j);
	fs_dev_completed(x, j);
	return 0;
}

/* At most one ring's worth. 0 done; 1 more; -EBADMSG. */
static int serve(struct fs_dev *x, unsigned qi)
{
	struct vq *q = &x->d.vq[qi];
	unsigned budget = q->at.size, row = 0;
	int rc;

	do {
		vq_disable_kicks(q);
		for (rc = 1; rc > 0 && budget;) {
			struct fs_job *j = fs_job_get(x);

			if (!j) {
				starve(x, qi); /* kicks stay off until a job comes back */
				return 0;
			}
			j->q = qi;
			rc = vq_pop(q, &j->chain);
			if (rc <= 0) {
				fs_job_put(x, j);
				break; /* and costs nothing of the budget, as in vdev_serve() */
			}
			if (take(x, j, ++row) < 0)
				rc = -EBADMSG;
			budget--;
		}
		if (rc == 0)
			row = 0;
	} while (rc == 0 && vq_enable_kicks(q));
	if (rc < 0)
		return rc;
	return budget ? 0 : 1;
}

void fs_dev_serve_starved(struct fs_dev *x)
{
	bool more = false;

	for (unsigned q = 0; q < x->d.nqueues; q++) {
		uint64_t bit = 1ull << (q % 64);
		int rc;

		if (!(x->starved[q / 64] & bit) || !fs_job_available(x))
			continue;
		x->starved[q / 64] &= ~bit;
		rc = x->d.vq[q].ready ? serve(x, q) : 0;
		if (rc < 0) {
			vdev_needs_reset(&x->d, "fs: malformed ring");
		} else if (rc > 0) {
			starve(x, q);
			more = true;
		}
	}
	/* What was served here may all be over: then nothing comes back and brings us here. */
	if (more)
		fs_pool_wake(x);
}

static int fs_kick(struct vdev *d, unsigned q)
{
	struct fs_dev *x = to_fs(d);

	return q < d->nqueues ? serve(x, q) : 0;
}

/* Megabytes of which a few pages are ever touched: where the host gives huge pages to everybody,
 * the first one would cost 2 MiB. */
static void no_huge_pages(void *p, size_t len)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)p + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)p + len) & ~(page - 1);

	if (to > from)
		madvise((void *)from, to - from, MADV_NOHUGEPAGE); /* if not, it costs memory */
}

static int fs_create(struct vdev *d, const void *cfg_arg, struct err *e)
{
	const struct fs_dev_cfg *cfg = cfg_arg;
	struct fs_dev *x = to_fs(d);
	size_t n = strnlen(cfg->tag, sizeof(cfg->tag));
	int rc;

	x->retry.src.fd = -1;
	x->done_src.fd = -1;
	fs_jobs_init(&x->parked);
	rc = fs_pool_init(x);
	if (rc < 0)
		return err_errno(e, -rc, "fs: eventfd");
	if (n == 0 || n > FS_DEV_TAG_MAX)
		return err_set(e, EINVAL, "fs: the tag must have 1 to %d bytes", FS_DEV_TAG_MAX);
	if (!cfg->queues || cfg->queues > FS_DEV_QUEUES_MAX || cfg->threads > FS_THREADS_MAX)
		return err_set(e, EINVAL, "fs: %u queues, %u threads", cfg->queues, cfg->threads);
	memcpy(x->tag, cfg->tag, n);
	x->queues = cfg->queues;
	x->server = cfg->server;
	x->sync_ns = FS_SYNC_START_NS;
	x->want_threads = cfg->threads ? cfg->threads : FS_DEV_THREADS;
	d->nqueues = cfg->queues + 1;
	rc = evtimer_init(d->loop, &x->retry, "fs-locks", fs_park_timer);
	if (rc < 0)
		return err_errno(e, -rc, "fs: timer");
	x->jobs = calloc(FS_JOBS, sizeof(*x->jobs));
	if (!x->jobs)
		return err_set(e, ENOMEM, "fs: no memory");
	no_huge_pages(x->jobs, FS_JOBS * sizeof(*x->jobs));
	return 0;
}

static void fs_reset(struct vdev *d)
{
	struct fs_dev *x = to_fs(d);

	fs_pool_drain(x, 0);
	fs_park_drop(x);
	x->starved[0] = x->starved[1] = 0;
	x->sync_ns = FS_SYNC_START_NS;
	fs_server_reset(x->server);
}

static void fs_destroy(struct vdev *d)
{
	struct fs_dev *x = to_fs(d);

	fs_pool_done(x);
	if (x->retry.src.fd >= 0)
		evtimer_done(&x->retry);
	free(x->jobs);
}

static void fs_config_read(const struct vdev *d, uint32_t off, void *dst, size_t len)
{
	const struct fs_dev *x = (const struct fs_dev *)(const void *)d;
	uint8_t c[CONFIG_LEN];

	memcpy(c, x->tag, FS_DEV_TAG_MAX);
	for (unsigned i = 0; i < 4; i++)
		c[FS_DEV_TAG_MAX + i] = (uint8_t)(x->queues >> (8 * i));
	memcpy(dst, c + off, len);
}

/* Requests that wait for a lock stay: they touch nothing until resume(), and ending them would
 * break the guest's locks. They do forbid saving. */
static int fs_quiesce(struct vdev *d, struct err *e)
{
	struct fs_dev *x = to_fs(d);
	int rc = fs_pool_drain(x, QUIESCE_MS);

	if (rc < 0)
		return err_set(e, EBUSY, "fs: the host's disk did not answer in %d s",
			       QUIESCE_MS / 1000);
	evtimer_set_ns(&x->retry, 0);
	fs_pool_collect(x);
	evtimer_set_ns(&x->retry, 0);
	return 0;
}

static void fs_resume(struct vdev *d)
{
	struct fs_dev *x = to_fs(d);

	if (x->nparked)
		evtimer_set_ns(&x->retry, 1);
}

static int fs_save(const struct vdev *d, struct snap_w *w, struct err *e)
{
	const struct fs_dev *x = (const struct fs_dev *)(const void *)d;

	struct buf state = BUF_INIT(STATE_MAX);
	int rc;

	if (x->nparked)
		return err_set(e, EBUSY, "fs: a process of the guest waits for a lock");
	rc = fs_server_save(x->server, &state, e);
	if (rc == 0) {
		snap_w_bytes(w, TAG_TAG, x->tag, sizeof(x->tag));
		snap_w_u8(w, TAG_SESSION, (uint8_t)fs_server_session(x->server));
		snap_w_bytes(w, TAG_STATE, state.data, state.len);
	}
	buf_free(&state);
	return rc;
}

static int fs_load(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e)
{
	struct fs_dev *x = to_fs(d);
	const void *tag, *state;
	size_t len, state_len;
	uint8_t session;
	int rc;

	if (snap_r_bytes(r, TAG_TAG, &tag, &len, sizeof(x->tag)) < 0 ||
	    snap_r_u8(r, TAG_SESSION, &session) < 0 || session > FS_SESSION_ALL || len != sizeof(x->tag))
		return err_set(e, EBADMSG, "fs: state is incomplete");
	if (memcmp(tag, x->tag, len) != 0)
		return err_set(e, EINVAL, "fs: state of another tag");
	if (ver >= 2) { /* version 1 was saved only when there was nothing to say */
		if (snap_r_bytes(r, TAG_STATE, &state, &state_len, STATE_MAX) < 0)
			return err_set(e, EBADMSG, "fs: state is incomplete");
		rc = fs_server_load(x->server, state, state_len, e);
		if (rc < 0)
			return rc;
	} else if (session)
		session = FS_SESSION_ALL;
	fs_server_set_session(x->server, session);
	return 0;
}

const struct vdev_class fs_dev_class = {
	.name = "fs",
	.device_id = VDEV_FS,
	.queue_max = QUEUE_MAX,
	.config_len = CONFIG_LEN,
	.snap_ver = 2,
	.loop = VDEV_LOOP_FS,
	.size = sizeof(struct fs_dev),
	.create = fs_create,
	.destroy = fs_destroy,
	.reset = fs_reset,
	.kick = fs_kick,
	.config_read = fs_config_read,
	.quiesce = fs_quiesce,
	.resume = fs_resume,
	.save = fs_save,
	.load = fs_load,
};
