// SPDX-License-Identifier: Apache-2.0
/*
 * The device status register and what follows from it: feature negotiation, DRIVER_OK, reset.
 *
 *   0 -> ACKNOWLEDGE -> DRIVER -> FEATURES_OK -> DRIVER_OK       FAILED: at any time
 *
 * Bits are only ever added, each after the ones before it; 0 is a reset. A write that breaks this is
 * ignored whole. FEATURES_OK is not taken when the driver's features are not a subset of the offered or
 * lack VERSION_1.
 */
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/log.h"
#include "vmm/virtio/virtio_pci_internal.h"

uint8_t vpci_status(const struct virtio_pci *t)
{
	return t->status | (atomic_load(&t->d->broken) ? STATUS_NEEDS_RESET : 0);
}

bool vpci_status_valid(uint8_t status)
{
	static const uint8_t order[] = { STATUS_ACKNOWLEDGE, STATUS_DRIVER, STATUS_FEATURES_OK,
					 STATUS_DRIVER_OK };
	bool ended = false;

	status &= (uint8_t)~STATUS_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (!(status & order[i]))
			ended = true;
		else if (ended)
			return false;
		status &= (uint8_t)~order[i];
	}
	return status == 0; /* no unknown bits */
}

static void ring_doorbell(struct vpci_queue *q)
{
	const uint64_t one = 1;
	ssize_t rc = write(q->src.fd, &one, sizeof(one));

	(void)rc; /* a full counter is readable all the same */
}

/* Each ring is an edge, so nobody has to read the count: it does not come to its end in centuries. */
static void doorbell(struct evsrc *src, uint32_t events)
{
	struct vpci_queue *q = container_of(src, struct vpci_queue, src);

	(void)events;
	if (vdev_kick(q->t->d, q->index) > 0)
		ring_doorbell(q); /* the rest after other sources of the loop had their turn */
}

static void listen_to(struct virtio_pci *t, struct vpci_queue *q)
{
	q->src.fn = doorbell;
	q->src.name = "doorbell";
	if (evloop_add(t->d->loop, &q->src, EPOLLIN | EPOLLET) < 0)
		vdev_needs_reset(t->d, "no doorbell");
	/* What was made available before anybody listened. */
	ring_doorbell(q);
}

void vpci_start_queues(struct virtio_pci *t)
{
	for (unsigned i = 0; i < t->d->nqueues; i++) {
		struct vpci_queue *q = &t->q[i];

		if (t->d->active && t->d->vq[i].ready && !q->src.loop && !q->lent)
			listen_to(t, q);
	}
}

int vpci_lend_kicks(struct vdev *d, unsigned i)
{
	struct virtio_pci *t = d->transport_priv;

	evloop_del(&t->q[i].src);
	t->q[i].lent = true;
	return t->q[i].src.fd;
}

void vpci_reclaim_kicks(struct vdev *d, unsigned i, bool listen)
{
	struct virtio_pci *t = d->transport_priv;

	t->q[i].lent = false;
	if (listen)
		listen_to(t, &t->q[i]);
}

void vpci_stop_queues(struct virtio_pci *t)
{
	for (unsigned i = 0; i < t->d->nqueues; i++)
		evloop_del(&t->q[i].src);
}

void vpci_unbind(struct virtio_pci *t)
{
	for (unsigned i = 0; i < t->d->nqueues; i++) {
		struct vpci_queue *q = &t->q[i];

		if (q->bound)
			t->vm->ops->ioeventfd(t->vm, q->src.fd, false, q->bound, 0, NULL, false, NULL);
		q->bound = 0;
	}
}

void vpci_bind(struct virtio_pci *t)
{
	vpci_unbind(t);
	for (unsigned i = 0; i < t->d->nqueues && t->bar_base && !t->d->cls->rare_kicks; i++) {
		struct vpci_queue *q = &t->q[i];
		uint64_t at = t->bar_base + AT_NOTIFY + i * NOTIFY_MULTIPLIER;

		/* Without one, the write comes as an exit and rings the same bell. */
		if (t->d->active && t->d->vq[i].ready &&
		    t->vm->ops->ioeventfd(t->vm, q->src.fd, false, at, 0, NULL, true, NULL) == 0)
			q->bound = at;
	}
}

struct activation {
	struct virtio_pci *t;
	int rc;
	struct err e;
};

static int init_queues(struct virtio_pci *t, struct err *e)
{
	struct vdev *d = t->d;

	for (unsigned i = 0; i < d->nqueues; i++) {
		struct vpci_queue *q = &t->q[i];
		struct vq_layout at = {
			.size = q->size, .desc = gpa(q->desc), .avail = gpa(q->avail),
			.used = gpa(q->used), .event_idx = vdev_has(d, VIRTIO_F_EVENT_IDX),
			.indirect = vdev_has(d, VIRTIO_F_INDIRECT_DESC),
		};
		int rc = q->enabled ? vq_init(&d->vq[i], d->mem, &at, e) : 0;

		if (rc < 0)
			return err_wrap(e, rc, "queue %u", i);
	}
	return 0;
}

static void activate_on_loop(void *arg)
{
	struct activation *a = arg;

	a->rc = init_queues(a->t, &a->e);
	if (a->rc == 0)
		a->rc = vdev_activate(a->t->d, &a->e);
	else
		vdev_forget_queues(a->t->d);
	if (a->rc == 0)
		vpci_start_queues(a->t);
}

static void driver_ok(struct virtio_pci *t)
{
	struct activation a = { .t = t, .e = ERR_INIT };
	int rc = evloop_call(t->d->loop, activate_on_loop, &a);

	if (rc == 0 && a.rc == 0)
		vpci_bind(t);
	else
		vdev_needs_reset(t->d, a.e.msg[0] ? a.e.msg : "out of memory");
}

static bool features_ok(struct virtio_pci *t)
{
	uint64_t f = t->driver_features;

	if ((f & ~t->d->offered) || !(f & VIRTIO_F_BIT(VIRTIO_F_VERSION_1)))
		return false;
	t->d->acked = f;
	return true;
}

void vpci_init_regs(struct virtio_pci *t)
{
	t->status = 0;
	t->device_feature_select = t->driver_feature_select = 0;
	t->driver_features = 0;
	t->queue_select = 0;
	atomic_store(&t->config_vector, NO_VECTOR);
	atomic_store(&t->isr, 0);
	for (unsigned i = 0; i < t->d->nqueues; i++) {
		struct vpci_queue *q = &t->q[i];

		q->size = t->d->queue_max;
		q->enabled = false;
		q->desc = q->avail = q->used = 0;
		atomic_store(&q->vector, NO_VECTOR);
	}
}

static void clear_doorbell(struct vpci_queue *q)
{
	uint64_t n;
	ssize_t rc = read(q->src.fd, &n, sizeof(n));

	(void)rc;
}

static void reset_on_loop(void *arg)
{
	struct virtio_pci *t = arg;

	vpci_stop_queues(t);
	vdev_reset(t->d);
	for (unsigned i = 0; i < t->d->nqueues; i++)
		clear_doorbell(&t->q[i]);
}

int vpci_reset(struct virtio_pci *t)
{
	int rc;

	vpci_unbind(t);
	rc = evloop_call(t->d->loop, reset_on_loop, t);
	if (rc < 0)
		return rc; /* the driver reads the old status, and waits */
	vpci_init_regs(t);
	return 0;
}

void vpci_write_status(struct virtio_pci *t, uint8_t v)
{
	uint8_t added;

	if (v == 0) {
		vpci_reset(t);
		return;
	}
	v &= (uint8_t)~STATUS_NEEDS_RESET; /* ours; drivers write back what they read */
	if ((t->status & ~v) || !vpci_status_valid(v)) {
		log_guest("%s: status %#x after %#x ignored", t->d->id, v, t->status);
		return;
	}
	added = (uint8_t)(v & ~t->status);
	if ((added & STATUS_FEATURES_OK) && !features_ok(t)) {
		log_guest("%s: features %#llx refused", t->d->id,
			  (unsigned long long)t->driver_features);
		added &= (uint8_t)~(STATUS_FEATURES_OK | STATUS_DRIVER_OK);
	}
	t->status |= added;
	if (added & STATUS_DRIVER_OK)
		driver_ok(t);
}
