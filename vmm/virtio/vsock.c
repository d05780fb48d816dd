// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/vsock_internal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define QUEUE_MAX 256 /* of 64 KiB packets: more than a turn's work */

enum { TAG_NEXT_PORT = 1 };

void vsock_wake(struct vsock *v)
{
	uint64_t one = 1;
	ssize_t rc = write(v->again.fd, &one, sizeof(one));

	(void)rc; /* only full: then it is awake */
}

void vsock_broke(struct vsock *v)
{
	vdev_needs_reset(&v->d, "vsock: malformed ring");
}

/* Takes packets of the guest's, at most a turn's worth. 0 or -EBADMSG. */
static int tx_drain(struct vsock *v)
{
	struct vq *q = &v->d.vq[VSOCK_TXQ];
	struct vq_chain *ch = &v->chain[VSOCK_BATCH];
	unsigned packets = 0;
	uint64_t bytes = 0;
	int rc = 0;

	if (!vsock_running(v) || !q->ready)
		return 0;
	vq_disable_kicks(q);
	while (rc == 0) {
		uint32_t n = 0;

		v->tx_stopped = vsock_refusals_full(v);
		if (v->tx_stopped)
			break;
		if (packets++ == VSOCK_TURN_PACKETS || bytes >= VSOCK_TURN_BYTES) {
			vsock_wake(v);
			break;
		}
		rc = vq_pop(q, ch);
		if (rc < 0)
			break;
		if (rc == 0) {
			if (!vq_enable_kicks(q))
				break;
			vq_disable_kicks(q);
			continue;
		}
		rc = vsock_packet(v, ch, &n);
		vq_push(q, ch->head, 0);
		bytes += n;
	}
	vdev_signal(&v->d, VSOCK_TXQ);
	return rc;
}

/* Whatever there is to do on any queue. */
static int run(struct vsock *v)
{
	int rc;

	if (!vsock_running(v))
		return 0;
	vsock_start_incoming(v);
	rc = tx_drain(v);
	if (rc == 0)
		rc = vsock_pump(v);
	if (rc == 0 && v->tx_stopped && !vsock_refusals_full(v))
		vsock_wake(v);
	if (rc == 0)
		rc = vsock_send_events(v);
	return rc;
}

static void on_again(struct evsrc *src, uint32_t events)
{
	struct vsock *v = container_of(src, struct vsock, again);
	uint64_t n;
	ssize_t rc = read(src->fd, &n, sizeof(n));

	(void)rc;
	(void)events;
	if (!v->paused)
		vsock_start_incoming(v); /* their time runs, driver or not */
	if (run(v) < 0)
		vsock_broke(v);
}

static int vsock_kick(struct vdev *d, unsigned q)
{
	struct vsock *v = to_vsock(d);

	(void)q;
	return run(v);
}

static int vsock_create(struct vdev *d, const void *cfg_arg, struct err *e)
{
	const struct vsock_cfg *cfg = cfg_arg;
	struct vsock *v = to_vsock(d);
	unsigned max = cfg->max_conns ? cfg->max_conns : VSOCK_MAX_CONNS;
	int rc;

	v->ready_fd = v->again.fd = v->timer.src.fd = -1;
	v->incoming_end = &v->incoming;
	pthread_mutex_init(&v->lock, NULL);
	vsock_link_init(&v->rx_list);
	vsock_link_init(&v->timed_list);
	if (cfg->cid <= VSOCK_HOST_CID || cfg->cid >= UINT32_MAX)
		return err_set(e, EINVAL, "vsock: cid %llu is not in 3..4294967294",
			       (unsigned long long)cfg->cid);
	if (max > VSOCK_MAX_CONNS)
		return err_set(e, EINVAL, "vsock: %u connections, the most is %u", max,
			       VSOCK_MAX_CONNS);
	v->cid = cfg->cid;
	v->ops = cfg->ops;
	v->ops_arg = cfg->ops_arg;
	v->chain = calloc(VSOCK_BATCH + 1, sizeof(*v->chain));
	v->iov = calloc(VQ_MAX_SEGS, sizeof(*v->iov));
	if (!v->chain || !v->iov)
		return err_set(e, ENOMEM, "vsock: out of memory");
	rc = vsock_conns_init(v, max, e);
	if (rc < 0)
		return rc;
	v->again = (struct evsrc){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				   .fn = on_again,
				   .name = "vsock-again" };
	if (v->again.fd < 0)
		return err_errno(e, errno, "vsock: eventfd");
	rc = evloop_add(d->loop, &v->again, EPOLLIN);
	if (rc == 0)
		rc = evtimer_init(d->loop, &v->timer, "vsock-timer", vsock_timer_fired);
	if (rc < 0)
		return err_errno(e, -rc, "vsock: event loop");
	d->nqueues = VSOCK_NQUEUES;
	v->ready_fd = cfg->ready_fd;
	v->has_ready = cfg->ready_fd >= 0;
	return 0;
}

static void vsock_destroy(struct vdev *d)
{
	struct vsock *v = to_vsock(d);

	vsock_cancel_incoming(v);
	vsock_conns_free(v);
	vsock_bufs_free(v);
	evtimer_done(&v->timer);
	evloop_del(&v->again);
	close_and_reset(&v->again.fd);
	close_and_reset(&v->ready_fd);
	free(v->chain);
	free(v->iov);
	pthread_mutex_destroy(&v->lock);
}

static int vsock_activate(struct vdev *d, struct err *e)
{
	struct vsock *v = to_vsock(d);

	(void)e;
	/* On the next turn: the driver may still be waiting for this one. */
	vsock_wake(v);
	return 0;
}

static void vsock_reset(struct vdev *d)
{
	struct vsock *v = to_vsock(d);

	if (v->paused) {
		v->paused = false;
		vsock_conns_watch(v, true);
	}
	vsock_conns_reset(v, false);
	v->refused_head = v->refused_len = 0;
	v->event_due = v->tx_stopped = false;
}

static void vsock_config_read(const struct vdev *d, uint32_t off, void *dst, size_t len)
{
	const struct vsock *v = to_vsock_const(d);
	uint64_t cid = htole64(v->cid);

	memset(dst, 0, len);
	if (off < sizeof(cid))
		memcpy(dst, (const uint8_t *)&cid + off, min_t(size_t, len, sizeof(cid) - off));
}

static int vsock_quiesce(struct vdev *d, struct err *e)
{
	struct vsock *v = to_vsock(d);

	(void)e;
	if (!v->paused)
		vsock_conns_watch(v, false);
	v->paused = true;
	return 0;
}

static void vsock_resume(struct vdev *d)
{
	struct vsock *v = to_vsock(d);

	if (!v->paused)
		return;
	v->paused = false;
	vsock_conns_watch(v, true);
	vsock_wake(v);
}

static int vsock_save(const struct vdev *d, struct snap_w *w, struct err *e)
{
	const struct vsock *v = to_vsock_const(d);

	(void)e;
	/* Ports must not come again soon; all else is as after reset, or the machine's own (CID). */
	snap_w_u32(w, TAG_NEXT_PORT, v->next_port);
	return 0;
}

static int vsock_load(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e)
{
	struct vsock *v = to_vsock(d);
	uint32_t next = 0;
	int rc = snap_r_u32(r, TAG_NEXT_PORT, &next);

	(void)ver;
	if (rc < 0 && rc != -ENOENT)
		return err_wrap(e, err_set(e, EBADMSG, "next port"), "vsock");
	if (next >= VSOCK_PORT_FIRST)
		return err_set(e, EBADMSG, "vsock: next port %u is out of range", next);
	vsock_conns_reset(v, true);
	v->refused_head = v->refused_len = 0;
	v->next_port = next;
	v->event_due = v->paused = d->active;
	return 0;
}

void vsock_get_stats(const struct vdev *d, struct vsock_stats *ret)
{
	const struct vsock *v = to_vsock_const(d);

	*ret = v->stats;
	ret->conns = v->nconns;
}

const struct vdev_class vsock_class = {
	.name = "vsock",
	.device_id = VDEV_VSOCK,
	.queue_max = QUEUE_MAX,
	.config_len = sizeof(uint64_t),
	.snap_ver = 1,
	.loop = VDEV_LOOP_IO,
	.size = sizeof(struct vsock),
	.create = vsock_create,
	.destroy = vsock_destroy,
	.activate = vsock_activate,
	.reset = vsock_reset,
	.kick = vsock_kick,
	.config_read = vsock_config_read,
	.quiesce = vsock_quiesce,
	.resume = vsock_resume,
	.save = vsock_save,
	.load = vsock_load,
};
