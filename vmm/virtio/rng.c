// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/rng.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define RATE_DEFAULT  MIB(1)
#define BURST_DEFAULT MIB(1)
#define QUEUE_MAX     64
#define NS_PER_SEC    1000000000ull
/* Random bytes are made in pieces of this size and then copied to the guest. */
#define PIECE 4096u

struct rng {
	struct vdev d;
	int src_fd;
	uint64_t rate, burst;
	uint64_t tokens;      /* bytes that may be given now */
	uint64_t filled_at;   /* when tokens was brought up to date */
	struct evtimer timer; /* armed while requests wait for tokens */
	bool waiting;
	struct vq_chain chain;
	uint8_t piece[PIECE];
};

static struct rng *to_rng(struct vdev *d)
{
	return container_of(d, struct rng, d);
}

static void refill(struct rng *r)
{
	uint64_t now = io_now_ns();
	__uint128_t add = (__uint128_t)(now - r->filled_at) * r->rate / NS_PER_SEC;

	if (add == 0)
		return; /* keep the fraction */
	r->filled_at = now;
	r->tokens = (uint64_t)min_t(__uint128_t, r->burst, r->tokens + add);
}

static ssize_t random_bytes(const struct rng *r, void *dst, size_t len)
{
	ssize_t n;

	do
		n = r->src_fd >= 0 ? read(r->src_fd, dst, len) : getrandom(dst, len, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Fills what the request has room for, within the cap; the bytes written. */
static uint32_t fill(struct rng *r, const struct vq *q)
{
	const struct vq_chain *c = &r->chain;
	uint32_t want = (uint32_t)min_t(uint64_t, c->write_len, RNG_MAX_REQUEST), done = 0;

	while (done < want) {
		ssize_t n = random_bytes(r, r->piece, min_t(size_t, want - done, PIECE));

		if (n <= 0)
			break; /* a source that is dry or gone: the driver asks again */
		vq_chain_write(q, c, done, r->piece, (size_t)n);
		done += (uint32_t)n;
	}
	explicit_bzero(r->piece, sizeof(r->piece));
	return done;
}

static uint64_t cost(const struct vq_chain *c)
{
	/* An empty request is work too. */
	return max_t(uint64_t, 64, min_t(uint64_t, c->write_len, RNG_MAX_REQUEST));
}

/* Serves requests as far as tokens and one ring's worth go. 0 none left, 1 some are, -EBADMSG. */
static int serve(struct rng *r)
{
	struct vq *q = &r->d.vq[0];
	unsigned budget = q->at.size;
	int rc;

	refill(r);
	vq_disable_kicks(q);
	for (;;) {
		uint64_t price;

		if (budget == 0) {
			rc = 1;
			break;
		}
		rc = vq_pop(q, &r->chain);
		if (rc < 0)
			break;
		if (rc == 0) {
			if (!vq_enable_kicks(q))
				break;
			vq_disable_kicks(q);
			budget--;
			continue;
		}
		price = cost(&r->chain);
		if (price > r->tokens) {
			vq_unpop(q, &r->chain);
			r->waiting = true;
			evtimer_set_ns(&r->timer,
				       (price - r->tokens) * NS_PER_SEC / r->rate + 1);
			rc = 0;
			break;
		}
		r->tokens -= price;
		vq_push(q, r->chain.head, fill(r, q));
		budget--;
	}
	vdev_signal(&r->d, 0);
	return rc;
}

static int rng_kick(struct vdev *d, unsigned q)
{
	struct rng *r = to_rng(d);

	(void)q;
	return r->waiting ? 0 : serve(r);
}

static void tokens_came(struct evtimer *t)
{
	struct rng *r = container_of(t, struct rng, timer);
	int rc;

	r->waiting = false;
	if (!r->d.active || r->d.quiesced || atomic_load(&r->d.broken))
		return; /* resume() is followed by a kick */
	rc = serve(r);
	if (rc < 0) {
		vdev_needs_reset(&r->d, "rng: malformed ring");
	} else if (rc > 0) {
		r->waiting = true;
		evtimer_set_ns(&r->timer, 1);
	}
}

static int rng_create(struct vdev *d, const void *cfg_arg, struct err *e)
{
	const struct rng_cfg *cfg = cfg_arg;
	struct rng *r = to_rng(d);
	int rc;

	r->timer.src.fd = -1;
	r->src_fd = -1;
	r->rate = cfg->bytes_per_sec ? cfg->bytes_per_sec : RATE_DEFAULT;
	r->burst = cfg->burst ? cfg->burst : BURST_DEFAULT;
	if (r->rate > GIB(1) || r->burst > GIB(1) || r->burst < RNG_MAX_REQUEST)
		return err_set(e, EINVAL, "rng: rate or burst out of range");
	rc = evtimer_init(d->loop, &r->timer, "rng-tokens", tokens_came);
	if (rc < 0)
		return err_errno(e, -rc, "rng: timer");
	r->tokens = r->burst;
	r->filled_at = io_now_ns();
	d->nqueues = 1;
	r->src_fd = cfg->src_fd;
	return 0;
}

static void rng_destroy(struct vdev *d)
{
	struct rng *r = to_rng(d);

	evtimer_done(&r->timer);
	close_and_reset(&r->src_fd);
}

static void rng_reset(struct vdev *d)
{
	struct rng *r = to_rng(d);

	/* The tokens stay as they are: a reset must not refill them. */
	evtimer_set_ns(&r->timer, 0);
	r->waiting = false;
}

const struct vdev_class rng_class = {
	.name = "rng",
	.device_id = VDEV_RNG,
	.queue_max = QUEUE_MAX,
	.snap_ver = 1,
	.loop = VDEV_LOOP_IO,
	.size = sizeof(struct rng),
	.create = rng_create,
	.destroy = rng_destroy,
	.reset = rng_reset,
	.kick = rng_kick,
};
