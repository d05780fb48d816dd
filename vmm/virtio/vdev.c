// SPDX-License-Identifier: Apache-2.0
/*
 * Life of a virtio device: the states that every class goes through, whatever transport drives it.
 */
#include "vmm/virtio/vdev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

/* What the core implements for every device. */
#define COMMON_FEATURES                                                                       \
	(VIRTIO_F_BIT(VIRTIO_F_VERSION_1) | VIRTIO_F_BIT(VIRTIO_F_INDIRECT_DESC) |            \
	 VIRTIO_F_BIT(VIRTIO_F_EVENT_IDX))

static int alloc_queues(struct vdev *d, struct err *e)
{
	if (d->nqueues == 0 || d->nqueues > VDEV_MAX_QUEUES)
		return err_set(e, EINVAL, "%s: %u queues", d->id, d->nqueues);
	d->vq = calloc(d->nqueues, sizeof(*d->vq));
	if (!d->vq)
		return err_set(e, ENOMEM, "%s: out of memory", d->id);
	for (unsigned i = 0; i < d->nqueues; i++)
		d->vq[i].mem = d->mem;
	return 0;
}

int vdev_new(struct vdev **ret, const struct vdev_class *cls, const char *id, const void *cfg,
	     const struct gmem *mem, struct evloop *loop, struct err *e)
{
	struct vdev *d;
	int rc;

	bug_on(cls->size < sizeof(*d));
	d = calloc(1, cls->size);
	if (!d)
		return err_set(e, ENOMEM, "%s: out of memory", id);
	d->cls = cls;
	d->mem = mem;
	d->loop = loop;
	d->queue_max = cls->queue_max;
	d->offered = cls->features | COMMON_FEATURES;
	snprintf(d->id, sizeof(d->id), "%s", id);
	rc = cls->create(d, cfg, e);
	if (rc < 0) {
		err_wrap(e, rc, "%s", d->id);
		goto fail;
	}
	rc = alloc_queues(d, e);
	if (rc < 0)
		goto fail;
	*ret = d;
	return 0;
fail:
	vdev_free(d);
	return rc;
}

void vdev_free(struct vdev *d)
{
	if (!d)
		return;
	if (d->active)
		vdev_reset(d);
	if (d->cls->destroy)
		d->cls->destroy(d);
	free(d->vq);
	free(d);
}

void vdev_signal(struct vdev *d, unsigned q)
{
	if (vq_want_irq(&d->vq[q]) && d->transport)
		d->transport->irq_queue(d, q);
}

int vdev_serve(struct vdev *d, unsigned qi, struct vq_chain *chain, void (*one)(struct vdev *d, unsigned q))
{
	struct vq *q = &d->vq[qi];
	unsigned budget = q->at.size;
	int rc;

	/* Each round but the first finds what was seen, so it costs something of the budget; finding nothing does not: that may
	 * be all that is left of it, and the end of it says that there is more. */
	do {
		vq_disable_kicks(q);
		for (rc = 1; rc > 0 && budget;) {
			rc = vq_pop(q, chain);
			if (rc <= 0)
				break;
			one(d, qi);
			budget--;
		}
	} while (rc == 0 && vq_enable_kicks(q));
	vdev_signal(d, qi);
	if (rc < 0)
		return rc;
	return budget ? 0 : 1;
}

void vdev_config_changed(struct vdev *d)
{
	if (d->transport)
		d->transport->irq_config(d);
}

void vdev_needs_reset(struct vdev *d, const char *why)
{
	if (atomic_exchange(&d->broken, true))
		return;
	log_guest("%s: needs reset: %s", d->id, why);
	if (d->transport)
		d->transport->needs_reset(d, why);
}

void vdev_forget_queues(struct vdev *d)
{
	for (unsigned i = 0; i < d->nqueues; i++)
		vq_reset(&d->vq[i]);
}

/* From active, or from half way to it. */
static void deactivate(struct vdev *d)
{
	if (d->cls->reset)
		d->cls->reset(d);
	vdev_forget_queues(d);
	d->active = false;
	d->quiesced = false;
}

int vdev_activate(struct vdev *d, struct err *e)
{
	int rc;

	bug_on(d->active);
	d->active = true;
	rc = d->cls->activate ? d->cls->activate(d, e) : 0;
	if (rc < 0) {
		deactivate(d);
		return err_wrap(e, rc, "%s: activate", d->id);
	}
	return 0;
}

void vdev_reset(struct vdev *d)
{
	if (d->active)
		deactivate(d);
	d->quiesced = false;
	d->acked = 0;
	atomic_store(&d->broken, false);
}

int vdev_kick(struct vdev *d, unsigned q)
{
	int rc;

	if (!d->active || d->quiesced || atomic_load(&d->broken))
		return 0;
	if (q >= d->nqueues || !d->vq[q].ready || !d->cls->kick)
		return 0;
	rc = d->cls->kick(d, q);
	if (rc < 0) {
		char why[48];

		snprintf(why, sizeof(why), "queue %u is malformed", q);
		vdev_needs_reset(d, why);
		return 0;
	}
	return rc;
}

int vdev_quiesce(struct vdev *d, struct err *e)
{
	int rc = d->active && d->cls->quiesce ? d->cls->quiesce(d, e) : 0;

	if (rc < 0)
		return err_wrap(e, rc, "%s: quiesce", d->id);
	d->quiesced = true;
	return 0;
}

void vdev_resume(struct vdev *d)
{
	if (!d->quiesced)
		return;
	d->quiesced = false;
	if (d->active && d->cls->resume)
		d->cls->resume(d);
}

/* How much of [off, off+len) lies in the configuration. */
static size_t config_part(const struct vdev *d, uint64_t off, size_t len)
{
	if (off >= d->cls->config_len)
		return 0;
	return min_t(size_t, len, d->cls->config_len - off);
}

void vdev_config_read(const struct vdev *d, uint64_t off, void *dst, size_t len)
{
	size_t n = config_part(d, off, len);

	memset(dst, 0, len);
	if (n && d->cls->config_read)
		d->cls->config_read(d, (uint32_t)off, dst, n);
}

void vdev_config_write(struct vdev *d, uint64_t off, const void *src, size_t len)
{
	size_t n = config_part(d, off, len);

	if (n && d->cls->config_write)
		d->cls->config_write(d, (uint32_t)off, src, n);
}
