// SPDX-License-Identifier: Apache-2.0
/*
 * Pausing, saving and loading a device with its transport: one section, the device's own fields first.
 */
#include <string.h>

#include "vmm/virtio/virtio_pci_internal.h"

enum {
	TAG_STATUS = VDEV_TAG_TRANSPORT,
	TAG_DRIVER_FEATURES,
	TAG_SELECTS,
	TAG_CONFIG_VECTOR,
	TAG_ISR,
	TAG_GENERATION,
	TAG_QUEUE0,
};

/* The registers of a queue; no padding. */
struct saved_queue {
	uint64_t desc, avail, used;
	uint16_t size, enabled, vector, reserved;
};
_Static_assert(sizeof(struct saved_queue) == 32, "saved queue registers");

struct saved_selects {
	uint32_t device_feature, driver_feature, queue;
};
_Static_assert(sizeof(struct saved_selects) == 12, "saved selectors");

struct call {
	struct virtio_pci *t;
	struct snap_w *w;
	struct snap_r *r;
	struct err *e;
	int rc;
};

static int on_loop(void (*fn)(void *arg), struct call *c)
{
	int rc = evloop_call(c->t->d->loop, fn, c);

	return rc < 0 ? err_set(c->e, -rc, "%s: out of memory", c->t->d->id) : c->rc;
}

static void quiesce_on_loop(void *arg)
{
	struct call *c = arg;

	vpci_stop_queues(c->t);
	c->rc = vdev_quiesce(c->t->d, c->e);
	if (c->rc < 0)
		vpci_start_queues(c->t);
}

int virtio_pci_quiesce(struct virtio_pci *t, struct err *e)
{
	return on_loop(quiesce_on_loop, &(struct call){ .t = t, .e = e });
}

static void resume_on_loop(void *arg)
{
	struct call *c = arg;

	vdev_resume(c->t->d);
	vpci_start_queues(c->t); /* and kicks each */
}

void virtio_pci_resume(struct virtio_pci *t)
{
	on_loop(resume_on_loop, &(struct call){ .t = t });
}

static void save_on_loop(void *arg)
{
	struct call *c = arg;

	c->rc = vdev_save(c->t->d, c->w, c->e);
}

static void save_regs(struct virtio_pci *t, struct snap_w *w)
{
	struct saved_selects sel = { t->device_feature_select, t->driver_feature_select,
				     t->queue_select };

	snap_w_u8(w, TAG_STATUS, t->status);
	snap_w_u64(w, TAG_DRIVER_FEATURES, t->driver_features);
	snap_w_bytes(w, TAG_SELECTS, &sel, sizeof(sel));
	snap_w_u16(w, TAG_CONFIG_VECTOR, (uint16_t)atomic_load(&t->config_vector));
	snap_w_u8(w, TAG_ISR, (uint8_t)atomic_load(&t->isr));
	snap_w_u8(w, TAG_GENERATION, (uint8_t)atomic_load(&t->generation));
	for (unsigned i = 0; i < t->nqueues; i++) {
		struct vpci_queue *q = &t->q[i];
		struct saved_queue s = { .desc = q->desc, .avail = q->avail, .used = q->used,
					 .size = q->size, .enabled = q->enabled,
					 .vector = (uint16_t)atomic_load(&q->vector) };

		snap_w_bytes(w, (uint16_t)(TAG_QUEUE0 + i), &s, sizeof(s));
	}
}

int virtio_pci_save(struct virtio_pci *t, struct snap_w *w, struct err *e)
{
	int rc = on_loop(save_on_loop, &(struct call){ .t = t, .w = w, .e = e });

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->lock);
	save_regs(t, w);
	pthread_mutex_unlock(&t->lock);
	return w->failed ? err_set(e, ENOMEM, "%s: no room for its state", t->d->id) : 0;
}

/* What is read before anything is believed. */
struct loaded {
	uint8_t status, isr, generation;
	uint64_t driver_features;
	struct saved_selects sel;
	uint16_t config_vector;
	struct saved_queue q[VDEV_MAX_QUEUES];
};

static int read_struct(struct snap_r *r, uint16_t tag, void *ret, size_t size)
{
	const void *p;
	size_t len;
	int rc = snap_r_bytes(r, tag, &p, &len, size);

	if (rc < 0 || len != size)
		return -EBADMSG;
	memcpy(ret, p, size);
	return 0;
}

static bool vector_ok(const struct virtio_pci *t, unsigned v)
{
	return v <= t->nqueues || v == NO_VECTOR;
}

static bool queue_ok(const struct virtio_pci *t, const struct saved_queue *s)
{
	return is_pow2_64(s->size) && s->size <= t->d->queue_max && s->enabled <= 1 &&
	       vector_ok(t, s->vector) && !s->reserved;
}

static bool read_regs(struct virtio_pci *t, struct snap_r *r, struct loaded *l)
{
	if (snap_r_u8(r, TAG_STATUS, &l->status) < 0 || snap_r_u8(r, TAG_ISR, &l->isr) < 0 ||
	    snap_r_u64(r, TAG_DRIVER_FEATURES, &l->driver_features) < 0 ||
	    snap_r_u8(r, TAG_GENERATION, &l->generation) < 0 ||
	    snap_r_u16(r, TAG_CONFIG_VECTOR, &l->config_vector) < 0 ||
	    read_struct(r, TAG_SELECTS, &l->sel, sizeof(l->sel)) < 0)
		return false;
	for (unsigned i = 0; i < t->nqueues; i++)
		if (read_struct(r, (uint16_t)(TAG_QUEUE0 + i), &l->q[i], sizeof(l->q[i])) < 0 ||
		    !queue_ok(t, &l->q[i]))
			return false;
	return vpci_status_valid(l->status) && vector_ok(t, l->config_vector) &&
	       !(l->isr & ~(ISR_QUEUE | ISR_CONFIG)) && l->sel.queue <= UINT16_MAX;
}

/* The device's part must be what these registers lead to. */
static bool consistent(const struct virtio_pci *t, const struct loaded *l)
{
	const struct vdev *d = t->d;
	bool driver_ok = l->status & STATUS_DRIVER_OK;

	/* A failed activation leaves DRIVER_OK with an inactive or broken device. */
	if (d->active && !driver_ok)
		return false;
	if (driver_ok && !d->active && !atomic_load(&d->broken))
		return false;
	if (d->acked != (l->status & STATUS_FEATURES_OK ? l->driver_features : 0))
		return false;
	for (unsigned i = 0; i < t->nqueues; i++) {
		const struct vq *vq = &d->vq[i];

		if (vq->ready && (!l->q[i].enabled || vq->at.size != l->q[i].size ||
				  vq->at.desc.v != l->q[i].desc || vq->at.avail.v != l->q[i].avail ||
				  vq->at.used.v != l->q[i].used))
			return false;
	}
	return true;
}

static void take_regs(struct virtio_pci *t, const struct loaded *l)
{
	t->status = l->status;
	t->driver_features = l->driver_features;
	t->device_feature_select = l->sel.device_feature;
	t->driver_feature_select = l->sel.driver_feature;
	t->queue_select = (uint16_t)l->sel.queue;
	atomic_store(&t->config_vector, l->config_vector);
	atomic_store(&t->isr, l->isr);
	atomic_store(&t->generation, l->generation);
	for (unsigned i = 0; i < t->nqueues; i++) {
		const struct saved_queue *s = &l->q[i];
		struct vpci_queue *q = &t->q[i];

		q->size = s->size;
		q->enabled = s->enabled;
		q->desc = s->desc;
		q->avail = s->avail;
		q->used = s->used;
		atomic_store(&q->vector, s->vector);
	}
}

static void load_on_loop(void *arg)
{
	struct call *c = arg;

	c->rc = vdev_load(c->t->d, c->r, c->e);
}

int virtio_pci_load(struct virtio_pci *t, struct snap_r *r, struct err *e)
{
	struct loaded l;
	int rc;

	pthread_mutex_lock(&t->lock);
	if (read_regs(t, r, &l))
		rc = on_loop(load_on_loop, &(struct call){ .t = t, .r = r, .e = e });
	else
		rc = err_set(e, EBADMSG, "%s: malformed registers", t->d->id);
	if (rc == 0 && !consistent(t, &l)) {
		rc = err_set(e, EBADMSG, "%s: registers do not fit the device's state", t->d->id);
		vpci_reset(t);
	}
	if (rc == 0) {
		take_regs(t, &l);
		vpci_bind(t);
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}
