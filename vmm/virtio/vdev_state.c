// SPDX-License-Identifier: Apache-2.0
/*
 * Save and load of what all devices have: features, queues. The class's own fields come first in the
 * section (their tags are lower) but are loaded last, since they may need these.
 */
#include "vmm/virtio/vdev.h"

enum {
	TAG_NAME = VDEV_TAG_COMMON, /* compared, never restored */
	TAG_NQUEUES,                /* likewise */
	TAG_CLASS_VER,
	TAG_FLAGS,
	TAG_ACKED,
	TAG_QUEUE0,
};

enum {
	FLAG_ACTIVE = 1u << 0,
	FLAG_BROKEN = 1u << 1,
	FLAG_ALL = 3,
};

int vdev_save(struct vdev *d, struct snap_w *w, struct err *e)
{
	const struct vdev_class *cls = d->cls;
	uint32_t flags = 0;
	int rc;

	if (d->active && !d->quiesced)
		return err_set(e, EBUSY, "%s: save of a running device", d->id);
	for (unsigned i = 0; i < d->nqueues; i++)
		if (d->vq[i].in_flight)
			return err_set(e, EBUSY, "%s: requests in flight", d->id);
	rc = cls->save ? cls->save(d, w, e) : 0;
	if (rc < 0)
		return err_wrap(e, rc, "%s: save", d->id);
	flags |= d->active ? FLAG_ACTIVE : 0;
	flags |= atomic_load(&d->broken) ? FLAG_BROKEN : 0;
	snap_w_u16(w, TAG_NAME, cls->device_id);
	snap_w_u32(w, TAG_NQUEUES, d->nqueues);
	snap_w_u16(w, TAG_CLASS_VER, cls->snap_ver);
	snap_w_u32(w, TAG_FLAGS, flags);
	snap_w_u64(w, TAG_ACKED, d->acked);
	for (unsigned i = 0; i < d->nqueues; i++)
		vq_save(&d->vq[i], w, (uint16_t)(TAG_QUEUE0 + i));
	return w->failed ? err_set(e, ENOMEM, "%s: no room for its state", d->id) : 0;
}

static int load_head(struct vdev *d, struct snap_r *r, uint16_t *ver, uint32_t *flags, uint64_t *acked,
		     struct err *e)
{
	uint16_t id = 0;
	uint32_t n = 0;

	if (snap_r_u16(r, TAG_NAME, &id) < 0 || snap_r_u32(r, TAG_NQUEUES, &n) < 0 ||
	    snap_r_u16(r, TAG_CLASS_VER, ver) < 0 || snap_r_u32(r, TAG_FLAGS, flags) < 0 ||
	    snap_r_u64(r, TAG_ACKED, acked) < 0)
		return err_set(e, EBADMSG, "%s: state is incomplete", d->id);
	if (id != d->cls->device_id || n != d->nqueues)
		return err_set(e, EINVAL, "%s: state of another device (type %u, %u queues)", d->id, id,
			       n);
	if (*ver > d->cls->snap_ver)
		return err_set(e, ENOTSUP, "%s: state version %u is newer than %u", d->id, *ver,
			       d->cls->snap_ver);
	if (*flags & ~(uint32_t)FLAG_ALL)
		return err_set(e, EBADMSG, "%s: state flags %#x", d->id, *flags);
	if (*acked & ~d->offered)
		return err_set(e, EINVAL, "%s: state uses features %#llx that this machine lacks", d->id,
			       (unsigned long long)(*acked & ~d->offered));
	return 0;
}

static int load_queues(struct vdev *d, struct snap_r *r, bool active, struct err *e)
{
	for (unsigned i = 0; i < d->nqueues; i++) {
		struct vq *q = &d->vq[i];
		int rc = vq_load(q, r, (uint16_t)(TAG_QUEUE0 + i), e);

		if (rc < 0)
			return err_wrap(e, rc, "%s", d->id);
		if (!q->ready)
			continue;
		if (!active || q->at.size > d->queue_max ||
		    q->at.event_idx != vdev_has(d, VIRTIO_F_EVENT_IDX) ||
		    q->at.indirect != vdev_has(d, VIRTIO_F_INDIRECT_DESC))
			return err_set(e, EBADMSG, "%s: state of queue %u is inconsistent", d->id, i);
	}
	return 0;
}

int vdev_load(struct vdev *d, struct snap_r *r, struct err *e)
{
	uint64_t acked = 0;
	uint32_t flags = 0;
	uint16_t ver = 0;
	int rc;

	bug_on(d->active);
	rc = load_head(d, r, &ver, &flags, &acked, e);
	if (rc < 0)
		return rc;
	d->acked = acked;
	rc = load_queues(d, r, flags & FLAG_ACTIVE, e);
	if (rc < 0)
		goto fail;
	d->active = flags & FLAG_ACTIVE;
	d->quiesced = true;
	atomic_store(&d->broken, flags & FLAG_BROKEN);
	rc = d->cls->load ? d->cls->load(d, r, ver, e) : 0;
	if (rc == 0 && r->rc < 0)
		rc = err_set(e, -r->rc, "malformed field");
	if (rc == 0)
		return 0;
	err_wrap(e, rc, "%s: load", d->id);
fail:
	/* The class may have taken part of it: its reset() brings back the created state. */
	d->active = true;
	vdev_reset(d);
	return rc;
}
