// SPDX-License-Identifier: Apache-2.0
/*
 * Frames from the guest: each chain is one, header first, written to the tap as it lies in guest memory.
 * The tap copies the header before it looks at it and refuses what does not fit the frame.
 */
#include "lib/io.h"
#include "lib/log.h"
#include "vmm/virtio/net_internal.h"

/* A header and an Ethernet header: what is shorter no tap takes. */
#define MIN_FRAME (TAP_HEADER + 14)

/* 0: sent, or dropped; -EAGAIN: the tap is full; -EBADMSG. */
static int send_frame(struct net_pair *p, const struct vq_chain *c)
{
	struct net *n = p->n;
	ssize_t rc = -EINVAL;

	if (c->nwrite)
		return -EBADMSG;
	if (!net_linked(n, p->index))
		rc = -ENOTCONN;
	else if (c->read_len >= MIN_FRAME && c->read_len <= NET_MAX_FRAME)
		do
			rc = n->ops->writev(p->tap.fd, n->iov,
					    vq_chain_iov(c, false, 0, c->read_len, n->iov,
							 VQ_MAX_SEGS));
		while (rc == -EINTR);
	if (rc == -EAGAIN)
		return -EAGAIN;
	if (rc == -EBADFD)
		net_lost(n);
	if (rc < 0) {
		net_count(&n->tx.dropped, 1);
		return 0;
	}
	net_count(&n->tx.frames, 1);
	net_count(&n->tx.bytes, c->read_len - TAP_HEADER);
	return 0;
}

/* One chain. 1: go on; 0: none, or not now; -EBADMSG. */
static int transmit(struct net_pair *p, struct vq *q, uint64_t *bytes)
{
	struct net *n = p->n;
	uint64_t wait;
	int rc = vq_pop(q, &n->chain);

	if (rc <= 0)
		return rc;
	wait = rate_limited(&n->tx_rate) ? rate_wait(&n->tx_rate, io_now_ns()) : 0;
	if (wait) {
		vq_unpop(q, &n->chain);
		p->tx_held = true;
		net_hold(n, wait);
		return 0;
	}
	rc = send_frame(p, &n->chain);
	if (rc == -EAGAIN) {
		vq_unpop(q, &n->chain);
		p->tx_full = true;
		return 0;
	}
	if (rc < 0) {
		vq_unpop(q, &n->chain);
		return rc;
	}
	rate_charge(&n->tx_rate, n->chain.read_len);
	*bytes += n->chain.read_len;
	vq_push(q, n->chain.head, 0);
	return 1;
}

int net_tx_run(struct net_pair *p)
{
	struct net *n = p->n;
	struct vq *q = &n->d.vq[2 * p->index + 1];
	unsigned frames = 0;
	uint64_t bytes = 0;
	int rc = 0;

	if (!net_runs(n) || !q->ready || p->lent)
		return 0;
	p->tx_full = p->tx_held = false;
	do {
		vq_disable_kicks(q);
		for (; frames < NET_TURN_FRAMES && bytes < NET_TURN_BYTES; frames++) {
			rc = transmit(p, q, &bytes);
			if (rc <= 0)
				break;
		}
	} while (rc == 0 && !p->tx_full && !p->tx_held && vq_enable_kicks(q));
	/* Frames that nobody takes are dropped, at once. */
	if (net_linked(n, p->index))
		batch_turn(&p->tx_batch, n->d.loop, frames);
	vdev_signal(&n->d, 2 * p->index + 1);
	net_watch(p);
	return rc;
}
