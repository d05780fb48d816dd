// SPDX-License-Identifier: Apache-2.0
/*
 * Frames to the guest. The stash holds chains enough for the largest frame that may come, if the ring
 * has them, and behind it lies a buffer of ours, so that no frame is ever cut unseen: what does not fit
 * waits there (MRG_RXBUF) or is dropped. While the ring is empty the tap keeps its frames, and its
 * queue's length bounds what a flood costs.
 */
#include <string.h>
#include <sys/uio.h>

#include "lib/io.h"
#include "vmm/virtio/net_internal.h"

/* Offsets in the header, section 5.1.6. */
enum { HDR_NUM_BUFFERS = 10 };

/* A system call takes 1024, and one is the spill. */
#define MAX_SEGS (VQ_MAX_SEGS - 1)

static struct vq *ring(struct net_pair *p)
{
	return &p->n->d.vq[2 * p->index];
}

static bool mergeable(const struct net *n)
{
	return vdev_has(&n->d, NET_F_MRG_RXBUF);
}

/* Bytes that a frame may have as far as we know; longer ones are still received, if more slowly. */
static size_t frame_room(const struct net *n)
{
	uint16_t mtu = atomic_load_explicit(&n->mtu, memory_order_relaxed);

	if (n->guest_offloads & ~VIRTIO_F_BIT(NET_F_GUEST_CSUM))
		return NET_MAX_FRAME;
	return TAP_HEADER + NET_ETH_HEADER + max_t(size_t, mtu, 1500);
}

/* --- the stash --------------------------------------------------------------------------------------- */

static void move_down(struct net_rx *rx)
{
	unsigned nsegs = rx->end_seg - rx->first_seg, nbufs = rx->end - rx->first;

	memmove(rx->iov, rx->iov + rx->first_seg, nsegs * sizeof(rx->iov[0]));
	memmove(rx->at, rx->at + rx->first_seg, nsegs * sizeof(rx->at[0]));
	memmove(rx->buf, rx->buf + rx->first, nbufs * sizeof(rx->buf[0]));
	rx->first_seg = rx->first = 0;
	rx->end_seg = nsegs;
	rx->end = nbufs;
}

/* False: it does not fit. */
static bool stash(struct net_rx *rx, const struct vq_chain *c)
{
	if (rx->first == rx->end)
		rx->first = rx->end = rx->first_seg = rx->end_seg = 0;
	if (rx->end_seg - rx->first_seg + c->nwrite > MAX_SEGS)
		return false;
	if (rx->end_seg + c->nwrite > MAX_SEGS) /* buf[] ends no sooner: a chain has a segment at least */
		move_down(rx);
	for (unsigned i = 0; i < c->nwrite; i++) {
		rx->iov[rx->end_seg] = (struct iovec){ c->seg[i].base, c->seg[i].len };
		rx->at[rx->end_seg++] = c->seg[i].at;
	}
	rx->buf[rx->end++] = (struct net_buf){ .head = c->head, .nsegs = c->nwrite,
					       .len = (uint32_t)min_t(uint64_t, c->write_len,
								      UINT32_MAX) };
	rx->room += rx->buf[rx->end - 1].len;
	return true;
}

static void drop_first(struct net_rx *rx)
{
	const struct net_buf *b = &rx->buf[rx->first++];

	rx->first_seg += b->nsegs;
	rx->room -= b->len;
}

/* Pops until @want bytes are there. 1: no more can be held; 0: they are there, or the ring is empty;
 * -EBADMSG. */
static int gather(struct net_pair *p, size_t want)
{
	struct vq_chain *c = &p->n->chain;
	struct net_rx *rx = &p->rx;
	struct vq *q = ring(p);
	int rc;

	while (rx->room < want) {
		if (!mergeable(p->n) && rx->first != rx->end)
			return 0; /* a frame, a chain */
		if (q->in_flight == q->at.size)
			return 1;
		rc = vq_pop(q, c);
		if (rc <= 0)
			return rc;
		if (!c->nread && c->nwrite && stash(rx, c))
			continue;
		vq_unpop(q, c);
		return c->nread || !c->nwrite || rx->first == rx->end ? -EBADMSG : 1;
	}
	return 0;
}

void net_rx_return(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	struct vq_chain *c = &p->n->chain;

	while (rx->end > rx->first) {
		c->head = rx->buf[--rx->end].head;
		vq_unpop(ring(p), c);
	}
	rx->first = rx->end = rx->first_seg = rx->end_seg = 0;
	rx->room = 0;
}

void net_rx_reset(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;

	rx->first = rx->end = rx->first_seg = rx->end_seg = 0;
	rx->room = 0;
	rx->spilled = 0;
	rx->starved = true;
}

/* --- bytes of the stash ------------------------------------------------------------------------------ */

/* Copies between @buf and the stash from its byte @off on. */
static void copy(const struct net_rx *rx, size_t off, uint8_t *buf, size_t len, bool out)
{
	for (unsigned i = rx->first_seg; i < rx->end_seg && len; i++) {
		const struct iovec *v = &rx->iov[i];
		size_t n;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		n = min_t(size_t, len, v->iov_len - off);
		if (out)
			memcpy(buf, (uint8_t *)v->iov_base + off, n);
		else
			memcpy((uint8_t *)v->iov_base + off, buf, n);
		buf += n;
		len -= n;
		off = 0;
	}
}

static void mark_dirty(struct net_pair *p, size_t len)
{
	const struct net_rx *rx = &p->rx;

	for (unsigned i = rx->first_seg; i < rx->end_seg && len; i++) {
		size_t n = min_t(size_t, len, rx->iov[i].iov_len);

		gmem_mark_dirty(p->n->d.mem, rx->at[i], n);
		len -= n;
	}
}

/* --- frames ------------------------------------------------------------------------------------------ */

/* How many chains @len bytes take. */
static unsigned chains_for(const struct net_rx *rx, size_t len)
{
	unsigned k = 0;

	for (size_t have = 0; have < len; k++)
		have += rx->buf[rx->first + k].len;
	return k;
}

static void dropped(struct net *n)
{
	net_count(&n->rx.dropped, 1);
}

/* @len bytes, which lie in the stash, become used chains. */
static void hand_over(struct net_pair *p, size_t len)
{
	struct net_rx *rx = &p->rx;
	unsigned k = chains_for(rx, len);
	uint8_t num[2] = { (uint8_t)k, (uint8_t)(k >> 8) };

	copy(rx, HDR_NUM_BUFFERS, num, sizeof(num), false);
	mark_dirty(p, len);
	net_count(&p->n->rx.frames, 1);
	net_count(&p->n->rx.bytes, len - TAP_HEADER);
	for (; k; k--) {
		const struct net_buf *b = &rx->buf[rx->first];
		uint32_t n = (uint32_t)min_t(size_t, len, b->len);

		vq_push(ring(p), b->head, n);
		len -= n;
		drop_first(rx);
	}
}

/* Whether the guest shall have the frame of @len bytes in the stash (and, behind its end, the spill). */
static bool wanted(const struct net_pair *p, size_t len)
{
	uint8_t head[NET_PEEK];
	size_t n = min_t(size_t, len, sizeof(head)), here = min_t(size_t, n, p->rx.room);

	if (len <= TAP_HEADER)
		return false;
	copy(&p->rx, 0, head, here, true);
	memcpy(head + here, p->rx.spill + here, n - here);
	return net_filter_wants(p->n, head, len);
}

/* A frame of @len bytes has been read. */
static void arrived(struct net_pair *p, size_t len)
{
	struct net_rx *rx = &p->rx;

	if (len >= NET_MAX_FRAME || !wanted(p, len)) {
		dropped(p->n);
	} else if (len <= rx->room) {
		hand_over(p, len);
	} else if (mergeable(p->n)) {
		copy(rx, 0, rx->spill, rx->room, true);
		rx->spilled = len;
	} else {
		dropped(p->n); /* longer than the one chain that it may have */
	}
}

static ssize_t read_frame(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	unsigned n = rx->end_seg - rx->first_seg;

	if (rx->room < NET_MAX_FRAME)
		rx->iov[rx->first_seg + n++] = (struct iovec){ rx->spill + rx->room,
							       NET_MAX_FRAME - rx->room };
	return p->n->ops->readv(p->tap.fd, rx->iov + rx->first_seg, (int)n);
}

/* The frame that waits in the spill, with enough room now. */
static void unspill(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	size_t len = rx->spilled;

	rx->spilled = 0;
	copy(rx, 0, rx->spill, len, false);
	hand_over(p, len);
}

/* Gets chains for the next frame. 1: there are; 0: the driver has to make some available; -EBADMSG. */
static int make_room(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	struct vq *q = ring(p);

	vq_disable_kicks(q);
	for (;;) {
		int rc = gather(p, rx->spilled ? rx->spilled : frame_room(p->n));

		if (rc < 0)
			return rc;
		if (rx->spilled ? rx->room >= rx->spilled : rx->first != rx->end)
			return 1;
		if (rx->spilled && rc > 0) {
			/* All that the ring can hold is too little. */
			rx->spilled = 0;
			dropped(p->n);
		} else if (!vq_enable_kicks(q)) {
			rx->starved = true;
			return 0;
		} else {
			vq_disable_kicks(q);
		}
	}
}

/* One frame. *ret_len: its bytes, if it is new. 1: go on; 0: none now; -EBADMSG. */
static int receive(struct net_pair *p, size_t *ret_len)
{
	int rc = make_room(p);
	ssize_t len;

	if (rc <= 0)
		return rc;
	if (p->rx.spilled) {
		unspill(p);
		return 1;
	}
	len = read_frame(p);
	if (len == -EINTR)
		return 1;
	if (len == -EAGAIN)
		return 0;
	if (len < 0) {
		net_lost(p->n);
		return 0;
	}
	*ret_len = (size_t)len;
	arrived(p, (size_t)len);
	return 1;
}

int net_rx_run(struct net_pair *p)
{
	struct net *n = p->n;
	uint64_t bytes = 0, wait;
	unsigned frames = 0;
	int rc = 0;

	if (!net_runs(n) || !net_linked(n, p->index) || !ring(p)->ready || p->lent)
		return 0;
	p->rx.starved = p->rx_held = false;
	/* A frame in the spill is nobody's to wake us up for. */
	for (; (frames < NET_TURN_FRAMES && bytes < NET_TURN_BYTES) || p->rx.spilled; frames++) {
		size_t len = 0;

		wait = rate_limited(&n->rx_rate) ? rate_wait(&n->rx_rate, io_now_ns()) : 0;
		if (wait) {
			p->rx_held = true;
			net_hold(n, wait);
			rc = 0;
			break;
		}
		rc = receive(p, &len);
		if (rc <= 0)
			break;
		if (len)
			rate_charge(&n->rx_rate, len);
		bytes += len;
	}
	batch_turn(&p->rx_batch, n->d.loop, frames);
	vdev_signal(&n->d, 2 * p->index);
	net_watch(p);
	return rc;
}
