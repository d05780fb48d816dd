// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/echodev.h"

#include <string.h>

#define HELD_MAX 16

enum { TAG_SERVED = 1, TAG_SCRATCH };

struct echo {
	struct vdev d;
	atomic_uint served;
	atomic_uint scratch;
	bool fail_activate;
	unsigned nheld;
	uint16_t held[HELD_MAX];
	struct vq_chain chain;
};

static struct echo *echo(struct vdev *d)
{
	return container_of(d, struct echo, d);
}

static int echo_create(struct vdev *d, const void *cfg, struct err *e)
{
	(void)cfg;
	(void)e;
	d->nqueues = ECHO_QUEUES;
	return 0;
}

static int echo_activate(struct vdev *d, struct err *e)
{
	if (echo(d)->fail_activate)
		return err_set(e, EIO, "told to fail");
	return 0;
}

static void echo_reset(struct vdev *d)
{
	struct echo *x = echo(d);

	x->nheld = 0;
	x->fail_activate = false;
	atomic_store(&x->served, 0);
	atomic_store(&x->scratch, 0);
}

static void release_held(struct echo *x)
{
	if (!x->nheld)
		return;
	while (x->nheld)
		vq_push(&x->d.vq[1], x->held[--x->nheld], 0);
	vdev_signal(&x->d, 1);
}

static void serve(struct echo *x, struct vq *q)
{
	struct vq_chain *c = &x->chain;
	uint8_t bytes[256];
	uint64_t off = 0;
	size_t n, put;

	do {
		n = vq_chain_read(c, off, bytes, sizeof(bytes));
		put = vq_chain_write(q, c, off, bytes, n);
		if (n && off == 0 && bytes[0] == ECHO_RELEASE)
			release_held(x);
		off += put;
	} while (n == sizeof(bytes) && put == n);
	vq_push(q, c->head, (uint32_t)off);
	atomic_fetch_add(&x->served, 1);
	if (vdev_has(&x->d, ECHO_F_LOUD))
		vdev_config_changed(&x->d);
}

/* 0, 1 or -EBADMSG, as vdev_class.kick. */
static int drain_echo(struct echo *x, struct vq *q)
{
	unsigned budget = q->at.size;
	int rc = 0;

	do {
		vq_disable_kicks(q);
		while (budget && (rc = vq_pop(q, &x->chain)) > 0) {
			budget--;
			serve(x, q);
		}
	} while (rc == 0 && budget && vq_enable_kicks(q));
	vdev_signal(&x->d, 0);
	return rc;
}

static int drain_hold(struct echo *x, struct vq *q)
{
	int rc = 0;

	do {
		while (x->nheld < HELD_MAX && (rc = vq_pop(q, &x->chain)) > 0)
			x->held[x->nheld++] = x->chain.head;
	} while (rc == 0 && x->nheld < HELD_MAX && vq_enable_kicks(q));
	return rc < 0 ? rc : 0;
}

static int echo_kick(struct vdev *d, unsigned q)
{
	switch (q) {
	case 0:
		return drain_echo(echo(d), &d->vq[0]);
	case 1:
		return drain_hold(echo(d), &d->vq[1]);
	default:
		return 0;
	}
}

static void echo_config_read(const struct vdev *d, uint32_t off, void *dst, size_t len)
{
	const struct echo *x = (const struct echo *)(const void *)d;
	uint32_t cfg[2] = { atomic_load(&x->served), atomic_load(&x->scratch) };

	memcpy(dst, (const uint8_t *)cfg + off, len);
}

static void echo_config_write(struct vdev *d, uint32_t off, const void *src, size_t len)
{
	struct echo *x = echo(d);
	uint32_t cfg[2] = { 0, atomic_load(&x->scratch) };

	memcpy((uint8_t *)cfg + off, src, len);
	atomic_store(&x->scratch, cfg[1]);
}

static int echo_quiesce(struct vdev *d, struct err *e)
{
	(void)e;
	release_held(echo(d));
	return 0;
}

static int echo_save(const struct vdev *d, struct snap_w *w, struct err *e)
{
	const struct echo *x = (const struct echo *)(const void *)d;

	(void)e;
	snap_w_u32(w, TAG_SERVED, atomic_load(&x->served));
	snap_w_u32(w, TAG_SCRATCH, atomic_load(&x->scratch));
	return 0;
}

static int echo_load(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e)
{
	struct echo *x = echo(d);
	uint32_t served, scratch;

	(void)ver;
	if (snap_r_u32(r, TAG_SERVED, &served) < 0 || snap_r_u32(r, TAG_SCRATCH, &scratch) < 0)
		return err_set(e, EBADMSG, "incomplete");
	atomic_store(&x->served, served);
	atomic_store(&x->scratch, scratch);
	return 0;
}

const struct vdev_class echo_class = {
	.name = "echo",
	.device_id = VDEV_RNG, /* the transport wants a known type */
	.queue_max = ECHO_QUEUE_MAX,
	.config_len = ECHO_CONFIG_LEN,
	.features = VIRTIO_F_BIT(ECHO_F_LOUD) | VIRTIO_F_BIT(ECHO_F_QUIET),
	.snap_ver = 1,
	.size = sizeof(struct echo),
	.create = echo_create,
	.activate = echo_activate,
	.reset = echo_reset,
	.kick = echo_kick,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
	.quiesce = echo_quiesce,
	.save = echo_save,
	.load = echo_load,
};

void echo_fail_activate(struct vdev *d)
{
	echo(d)->fail_activate = true;
}

unsigned echo_held(const struct vdev *d)
{
	return ((const struct echo *)(const void *)d)->nheld;
}
