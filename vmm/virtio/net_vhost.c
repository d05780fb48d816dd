// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's vhost-net in the place of net_rx.c and net_tx.c: it takes kicks from the transport's doorbells
 * and frames from the tap itself, and interrupts the guest by an irqfd of its own; where that cannot be, by way of our
 * loop. The control queue stays here. When it stops, the rings go on from where it was.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/backend/vhost.h"
#include "vmm/virtio/net_internal.h"

/* What changes how rings and headers look; the kernel has to know. */
#define RING_FEATURES                                                                             \
	(VIRTIO_F_BIT(VIRTIO_F_VERSION_1) | VIRTIO_F_BIT(VIRTIO_F_INDIRECT_DESC) |                \
	 VIRTIO_F_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_F_BIT(NET_F_MRG_RXBUF))

static void clear(struct evsrc *src)
{
	uint64_t n;
	ssize_t rc = read(src->fd, &n, sizeof(n));

	(void)rc;
}

static void on_call(struct evsrc *src, uint32_t events)
{
	struct net_ring *r = container_of(src, struct net_ring, call);
	struct vdev *d = &r->p->n->d;

	(void)events;
	clear(src);
	d->transport->irq_queue(d, r->q);
}

/* One that is there refuses a frame that is shorter than its header. */
static bool tap_has_gone(const struct net_pair *p)
{
	uint8_t byte = 0;
	const struct iovec v = { &byte, sizeof(byte) };

	return p->n->ops->writev(p->tap.fd, &v, 1) == -EBADFD;
}

/* A ring that it cannot go on with: the guest's doing, or the tap's end. */
static void on_error(struct evsrc *src, uint32_t events)
{
	struct net_pair *p = container_of(src, struct net_pair, error);

	(void)events;
	clear(src);
	if (p->n->tap_gone)
		return;
	if (tap_has_gone(p)) {
		net_lost(p->n);
		return;
	}
	vdev_needs_reset(&p->n->d, "vhost-net: a queue is malformed");
	net_vhost_stop(p, false);
}

void net_vhost_init(struct net_pair *p)
{
	p->vhost_fd = -1;
	for (unsigned i = 0; i < 2; i++)
		p->ring[i] = (struct net_ring){
			.call = { .fd = -1, .fn = on_call, .name = "vhost interrupt" },
			.p = p, .q = 2 * p->index + i,
		};
	p->error = (struct evsrc){ .fd = -1, .fn = on_error, .name = "vhost error" };
}

int net_vhost_check(struct net *n, const struct net_attachment *a, struct err *e)
{
	uint64_t need = n->d.offered & RING_FEATURES, have = ~0ull;

	if (rate_limited(&n->rx_rate))
		return err_set(e, EINVAL, "%s: vhost-net keeps no limits", n->d.id);
	if (!n->d.transport || !n->d.transport->lend_kicks)
		return err_set(e, ENOTSUP, "%s: no vhost-net here", n->d.id);
	for (unsigned i = 0; i < n->pairs; i++) {
		uint64_t features = 0;
		int rc = vhost_prepare(a->vhost_fd[i], &features, e);

		if (rc < 0)
			return err_wrap(e, rc, "%s", n->d.id);
		have &= features;
	}
	if (need & ~have)
		return err_set(e, EINVAL, "%s: vhost-net lacks features %#llx, which the guest was promised",
			       n->d.id, (unsigned long long)(need & ~have));
	n->vhost_features = have;
	return 0;
}

static int new_event(struct evsrc *src)
{
	src->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return src->fd < 0 ? -errno : 0;
}

static void listen_to_call(void *arg)
{
	struct net_ring *r = arg;

	/* Unless it has stopped meanwhile. */
	if (r->call.fd >= 0 && !r->call.loop && evloop_add(r->p->n->d.loop, &r->call, EPOLLIN) < 0)
		vdev_needs_reset(&r->p->n->d, "vhost-net: no more interrupts");
}

/* Any thread. */
static void not_direct(void *arg)
{
	struct net_ring *r = arg;

	if (evloop_post(r->p->n->d.loop, listen_to_call, r) < 0)
		log_warn("%s: out of memory: no more interrupts of vhost-net", r->p->n->d.id);
}

static int take_calls(struct net_ring *r)
{
	struct vdev *d = &r->p->n->d;
	int rc = new_event(&r->call);

	if (rc < 0)
		return rc;
	if (d->transport->lend_irq && d->transport->lend_irq(d, r->q, r->call.fd, not_direct, r) == 0)
		return 0;
	return evloop_add(d->loop, &r->call, EPOLLIN);
}

static void unlisten(struct evsrc *src)
{
	evloop_del(src);
	close_and_reset(&src->fd);
}

static int start_ring(struct net_pair *p, unsigned i, struct err *e)
{
	struct vdev *d = &p->n->d;
	struct net_ring *r = &p->ring[i];
	const uint64_t one = 1;
	int kick, rc;

	if (take_calls(r) < 0)
		return err_errno(e, errno, "vhost-net: eventfd");
	kick = d->transport->lend_kicks(d, r->q);
	r->lent = true;
	rc = vhost_start(p->vhost_fd, i, &d->vq[r->q], kick, r->call.fd, p->error.fd, p->tap.fd, e);
	if (rc < 0)
		return rc;
	r->started = true;
	/* For what was made available before. */
	if (write(kick, &one, sizeof(one)) < 0)
		return err_errno(e, errno, "vhost-net: kick");
	return 0;
}

static int start(struct net_pair *p, struct err *e)
{
	struct net *n = p->n;
	int rc = vhost_setup(p->vhost_fd, n->d.mem, n->d.acked & n->vhost_features & RING_FEATURES, e);

	if (rc == 0 && (new_event(&p->error) < 0 || evloop_add(n->d.loop, &p->error, EPOLLIN) < 0))
		rc = err_errno(e, errno, "vhost-net: eventfd");
	for (unsigned i = 0; rc == 0 && i < 2; i++)
		rc = start_ring(p, i, e);
	return rc;
}

void net_vhost_start(struct net_pair *p)
{
	struct net *n = p->n;
	struct err e = ERR_INIT;

	if (!n->vhost || p->lent || !net_runs(n) || !net_linked(n, p->index) ||
	    !n->d.vq[2 * p->index].ready || !n->d.vq[2 * p->index + 1].ready)
		return;
	net_rx_return(p);
	batch_end(&p->rx_batch, n->d.loop);
	batch_end(&p->tx_batch, n->d.loop);
	p->lent = true;
	if (start(p, &e) < 0) {
		/* Then we serve it ourselves. */
		log_warn("%s: %s", n->d.id, e.msg);
		net_vhost_stop(p, true);
		n->vhost = false;
	}
}

void net_vhost_stop(struct net_pair *p, bool go_on)
{
	struct net *n = p->n;

	if (!p->lent)
		return;
	p->lent = false;
	for (unsigned i = 0; i < 2; i++) {
		struct net_ring *r = &p->ring[i];
		uint16_t next;

		if (r->started && vhost_stop(p->vhost_fd, i, &next) == 0)
			vq_moved(&n->d.vq[r->q], next);
		if (r->lent)
			n->d.transport->reclaim_kicks(&n->d, r->q, go_on);
		if (n->d.transport->reclaim_irq)
			n->d.transport->reclaim_irq(&n->d, r->q);
		unlisten(&r->call);
		/* One that was on its way to us. */
		if (r->started)
			n->d.transport->irq_queue(&n->d, r->q);
		r->started = r->lent = false;
	}
	unlisten(&p->error);
}

void net_vhost_close(struct net_pair *p)
{
	net_vhost_stop(p, false);
	close_and_reset(&p->vhost_fd);
}
