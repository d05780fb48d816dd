// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/vsock_guest.h"

#include <string.h>

int vg_init(struct vg *g, const struct vg_opts *o, bool stopped)
{
	struct fdv_opts fo = { .ram_low = MIB(8), .no_decoy = o->no_decoy };
	int rc;

	memset(g, 0, sizeof(*g));
	g->o = *o;
	g->o.rx_size = o->rx_size ? o->rx_size : 4096;
	g->o.rx_segs = o->rx_segs ? o->rx_segs : 1;
	g->o.rx_bufs = o->rx_bufs ? o->rx_bufs : 32;
	g->o.cfg.cid = o->cfg.cid ? o->cfg.cid : VG_CID;
	g->buf_alloc = 256u << 10;
	fo.queue_size = o->queue_size ? o->queue_size : 128;
	fdv_init(&g->f, &fo);
	rc = fdv_create(&g->f, &vsock_class, &g->o.cfg, NULL);
	if (rc < 0) {
		fdv_done(&g->f);
		return rc;
	}
	if (!stopped)
		vg_start(g);
	return 0;
}

void vg_start(struct vg *g)
{
	fdv_start(&g->f, g->o.features);
	for (unsigned i = 0; i < g->o.rx_bufs; i++)
		g->rx_slot[i] = fdv_alloc(&g->f, g->o.rx_size, 64);
	g->rx_nfree = g->o.rx_bufs;
	for (unsigned i = 0; i < VG_TX_SLOTS; i++) {
		g->tx_slot[i] = fdv_alloc(&g->f, VG_TX_MAX, 64);
		g->tx_head[i] = -1;
	}
	vg_restock(g);
}

void vg_done(struct vg *g)
{
	fdv_done(&g->f);
}

void vg_restock(struct vg *g)
{
	unsigned part = g->o.rx_size / g->o.rx_segs;

	if (g->rx_hold)
		return;
	while (g->rx_nfree) {
		gpa_t at = g->rx_slot[g->rx_nfree - 1];
		struct fdv_seg seg[64];
		int head;

		for (unsigned i = 0; i < g->o.rx_segs; i++) {
			uint32_t len = i + 1 < g->o.rx_segs ? part : g->o.rx_size - part * i;

			seg[i] = (struct fdv_seg){ gpa(at.v + part * i), len, true };
		}
		head = fdv_add(&g->f, VSOCK_RXQ, seg, g->o.rx_segs);
		if (head < 0)
			break;
		g->rx_at[head] = at;
		g->rx_nfree--;
	}
	fdv_kick(&g->f, VSOCK_RXQ);
}

void vg_add_event_buffer(struct vg *g, gpa_t *ret_at)
{
	struct fdv_seg seg = { fdv_alloc(&g->f, 8, 8), 8, true };

	memset(fdv_ptr(&g->f, seg.at, 8), 0xff, 8);
	bug_on(fdv_add(&g->f, VSOCK_EVQ, &seg, 1) < 0);
	fdv_kick(&g->f, VSOCK_EVQ);
	*ret_at = seg.at;
}

static void reclaim_tx(struct vg *g)
{
	uint16_t head;
	uint32_t len;

	while (fdv_used(&g->f, VSOCK_TXQ, &head, &len))
		for (unsigned i = 0; i < VG_TX_SLOTS; i++)
			if (g->tx_head[i] == head)
				g->tx_head[i] = -1;
}

static int free_tx_slot(struct vg *g)
{
	reclaim_tx(g);
	for (int i = 0; i < (int)VG_TX_SLOTS; i++)
		if (g->tx_head[i] < 0)
			return i;
	return -1;
}

bool vg_send_hdr(struct vg *g, const struct vsock_hdr *h, const void *data, uint32_t len)
{
	int slot = free_tx_slot(g), head;
	struct fdv_seg seg[4];
	unsigned n = 0;
	gpa_t at;

	if (slot < 0) {
		evloop_turn(g->f.loop, 0);
		slot = free_tx_slot(g);
	}
	if (slot < 0)
		return false;
	bug_on(len > VG_TX_MAX - sizeof(*h));
	at = g->tx_slot[slot];
	memcpy(fdv_ptr(&g->f, at, sizeof(*h)), h, sizeof(*h));
	if (len)
		memcpy(fdv_ptr(&g->f, gpa(at.v + sizeof(*h)), len), data, len);
	if (g->o.split_tx) {
		seg[n++] = (struct fdv_seg){ at, 13, false };
		seg[n++] = (struct fdv_seg){ gpa(at.v + 13), (uint32_t)sizeof(*h) - 13, false };
		if (len)
			seg[n++] = (struct fdv_seg){ gpa(at.v + sizeof(*h)), (len + 1) / 2, false };
		if (len > 1)
			seg[n++] = (struct fdv_seg){ gpa(at.v + sizeof(*h) + (len + 1) / 2),
						     len / 2, false };
	} else {
		seg[n++] = (struct fdv_seg){ at, (uint32_t)sizeof(*h) + len, false };
	}
	head = fdv_add(&g->f, VSOCK_TXQ, seg, n);
	if (head < 0)
		return false;
	g->tx_head[slot] = head;
	fdv_kick(&g->f, VSOCK_TXQ);
	return true;
}

struct vsock_hdr vg_hdr(const struct vg *g, unsigned op, uint32_t guest_port, uint32_t host_port,
			uint32_t len, uint32_t flags)
{
	return (struct vsock_hdr){ .src_cid = g->o.cfg.cid,
				   .dst_cid = VSOCK_HOST_CID,
				   .src_port = guest_port,
				   .dst_port = host_port,
				   .len = len,
				   .type = VSOCK_TYPE_STREAM,
				   .op = (uint16_t)op,
				   .flags = flags,
				   .buf_alloc = g->buf_alloc };
}

bool vg_send(struct vg *g, unsigned op, uint32_t guest_port, uint32_t host_port, uint32_t flags)
{
	struct vsock_hdr h = vg_hdr(g, op, guest_port, host_port, 0, flags);

	return vg_send_hdr(g, &h, NULL, 0);
}

bool vg_recv(struct vg *g, struct vg_pkt *p, unsigned ms)
{
	uint16_t head;
	uint32_t len, n;
	gpa_t at;

	if (!fdv_wait_used(&g->f, VSOCK_RXQ, &head, &len, ms))
		return false;
	at = g->rx_at[head];
	n = min_t(uint32_t, len,
		  (uint32_t)min_t(size_t, sizeof(p->h) + sizeof(p->data), g->o.rx_size));
	memcpy(&p->h, fdv_ptr(&g->f, at, sizeof(p->h)), sizeof(p->h));
	p->used = len;
	if (n > sizeof(p->h))
		memcpy(p->data, fdv_ptr(&g->f, gpa(at.v + sizeof(p->h)), n - sizeof(p->h)),
		       n - sizeof(p->h));
	if (g->rx_nfree < g->o.rx_bufs) /* always, unless a test poked the ring */
		g->rx_slot[g->rx_nfree++] = at;
	vg_restock(g);
	return true;
}

bool vg_conn_take(struct vg_conn *c, const struct vg_pkt *p)
{
	if (p->h.src_port != c->host_port || p->h.dst_port != c->guest_port)
		return false;
	c->peer_alloc = p->h.buf_alloc;
	c->peer_fwd = p->h.fwd_cnt;
	if (p->h.op == VSOCK_OP_RESPONSE || p->h.op == VSOCK_OP_REQUEST)
		c->open = true;
	if (p->h.op == VSOCK_OP_RST)
		c->reset = true;
	if (p->h.op == VSOCK_OP_SHUTDOWN)
		c->shut |= p->h.flags;
	if (p->h.op == VSOCK_OP_RW)
		c->rx_cnt += p->h.len;
	return true;
}

uint32_t vg_conn_credit(const struct vg_conn *c)
{
	uint32_t used = c->tx_cnt - c->peer_fwd;

	return used < c->peer_alloc ? c->peer_alloc - used : 0;
}

uint32_t vg_conn_send(struct vg *g, struct vg_conn *c, const void *data, uint32_t len)
{
	struct vsock_hdr h;

	len = min_t(uint32_t, len, vg_conn_credit(c));
	len = min_t(uint32_t, len, 64u << 10);
	if (!len)
		return 0;
	h = vg_hdr(g, VSOCK_OP_RW, c->guest_port, c->host_port, len, 0);
	h.fwd_cnt = c->fwd_cnt;
	if (!vg_send_hdr(g, &h, data, len))
		return 0;
	c->tx_cnt += len;
	return len;
}

bool vg_conn_op(struct vg *g, struct vg_conn *c, unsigned op, uint32_t flags)
{
	struct vsock_hdr h = vg_hdr(g, op, c->guest_port, c->host_port, 0, flags);

	h.fwd_cnt = c->fwd_cnt;
	return vg_send_hdr(g, &h, NULL, 0);
}
