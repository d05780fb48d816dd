// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/vsock_internal.h"

#include <endian.h>
#include <sys/socket.h>

#include "lib/log.h"

static void hdr_get(const struct vq_chain *ch, struct vsock_hdr *h)
{
	struct vsock_hdr le;

	/* The one copy: the guest may change its bytes from here on. */
	vq_chain_read(ch, 0, &le, sizeof(le));
	h->src_cid = le64toh(le.src_cid);
	h->dst_cid = le64toh(le.dst_cid);
	h->src_port = le32toh(le.src_port);
	h->dst_port = le32toh(le.dst_port);
	h->len = le32toh(le.len);
	h->type = le16toh(le.type);
	h->op = le16toh(le.op);
	h->flags = le32toh(le.flags);
	h->buf_alloc = le32toh(le.buf_alloc);
	h->fwd_cnt = le32toh(le.fwd_cnt);
}

/* False: the guest claims to have taken what was never sent. */
static bool take_credit(struct vsock_conn *c, const struct vsock_hdr *h)
{
	uint32_t in_flight = c->tx_cnt - c->peer_fwd;
	uint32_t progress = h->fwd_cnt - c->peer_fwd;

	if (progress > in_flight) {
		/* Two CPUs of an honest guest may queue their packets the other way round, so an
		 * older figure is none; one from the future is a lie. */
		return h->fwd_cnt - c->tx_cnt > INT32_MAX;
	}
	c->peer_fwd = h->fwd_cnt;
	c->peer_alloc = h->buf_alloc;
	if (vsock_conn_credit(c))
		c->credit_asked = false;
	return true;
}

typedef void op_fn(struct vsock_conn *c, const struct vsock_hdr *h, const struct vq_chain *ch);

static void on_response(struct vsock_conn *c, const struct vsock_hdr *h, const struct vq_chain *ch)
{
	vsock_connected_fn *done = c->done;
	void *arg = c->done_arg;
	int fd = c->peer_fd;
	int rc;

	(void)h;
	(void)ch;
	if (!c->request_sent) {
		vsock_conn_reset(c);
		return;
	}
	vsock_conn_deadline(c, 0);
	rc = vsock_conn_open(c, c->src.fd);
	if (rc < 0) {
		vsock_conn_fail(c, rc, true);
		return;
	}
	c->peer_fd = -1;
	c->done = NULL;
	vsock_conn_settle(c);
	done(arg, 0, fd);
}

static void on_rst(struct vsock_conn *c, const struct vsock_hdr *h, const struct vq_chain *ch)
{
	(void)h;
	(void)ch;
	vsock_conn_guest_gone(c);
}

static void on_shutdown(struct vsock_conn *c, const struct vsock_hdr *h, const struct vq_chain *ch)
{
	(void)ch;
	c->guest_done |= (h->flags & VSOCK_SHUT_SEND) != 0;
	if ((h->flags & VSOCK_SHUT_RCV) && !c->guest_deaf) {
		c->guest_deaf = true;
		c->readable = false;
		if (c->src.fd >= 0)
			shutdown(c->src.fd, SHUT_RD);
	}
	if (c->state == VSOCK_CLOSING && c->guest_done && c->guest_deaf)
		c->todo = VSOCK_TODO_RST;
	vsock_conn_settle(c);
}

static void on_rw(struct vsock_conn *c, const struct vsock_hdr *h, const struct vq_chain *ch)
{
	if (c->state == VSOCK_CLOSING)
		return; /* was under way when the host end closed */
	if (c->guest_done || h->len > c->credit - (c->rx_cnt - c->fwd_cnt)) {
		log_guest("%s: guest breaks its vsock credit or writes after shutdown", c->v->d.id);
		vsock_conn_reset(c);
		return;
	}
	vsock_buf_take(c, ch, h->len);
}

static void on_credit_update(struct vsock_conn *c, const struct vsock_hdr *h,
			     const struct vq_chain *ch)
{
	(void)h;
	(void)ch;
	vsock_conn_settle(c);
}

static void on_credit_request(struct vsock_conn *c, const struct vsock_hdr *h,
			      const struct vq_chain *ch)
{
	(void)h;
	(void)ch;
	c->todo |= VSOCK_TODO_CREDIT_UPDATE;
	vsock_conn_settle(c);
}

#define IN(state) (1u << (state))
#define LIVE      (IN(VSOCK_OPEN) | IN(VSOCK_CLOSING))

/* What a guest may say about a connection that exists, and in which of its states. */
static const struct {
	op_fn *fn;
	unsigned states;
	bool payload;
} ops[VSOCK_OP_COUNT] = {
	[VSOCK_OP_RESPONSE] = { on_response, IN(VSOCK_CONNECTING), false },
	[VSOCK_OP_RST] = { on_rst, ~0u, false },
	[VSOCK_OP_SHUTDOWN] = { on_shutdown, LIVE, false },
	[VSOCK_OP_RW] = { on_rw, LIVE, true },
	[VSOCK_OP_CREDIT_UPDATE] = { on_credit_update, LIVE, false },
	[VSOCK_OP_CREDIT_REQUEST] = { on_credit_request, LIVE, false },
};

static bool well_formed(const struct vsock *v, const struct vsock_hdr *h, const struct vq_chain *ch)
{
	return h->src_cid == v->cid && h->dst_cid == VSOCK_HOST_CID && h->type == VSOCK_TYPE_STREAM &&
	       h->op > VSOCK_OP_INVALID && h->op < VSOCK_OP_COUNT &&
	       h->len == ch->read_len - sizeof(*h) && (h->len == 0 || h->op == VSOCK_OP_RW);
}

int vsock_packet(struct vsock *v, const struct vq_chain *ch, uint32_t *ret_bytes)
{
	struct vsock_conn *c;
	struct vsock_hdr h;

	if (ch->read_len < sizeof(h))
		return -EBADMSG;
	hdr_get(ch, &h);
	*ret_bytes = 0;
	c = vsock_conn_find(v, h.src_port, h.dst_port);
	if (!well_formed(v, &h, ch)) {
		log_guest("%s: malformed vsock packet, op %u type %u", v->d.id, h.op, h.type);
		if (c)
			vsock_conn_reset(c);
		else if (h.op != VSOCK_OP_RST)
			vsock_refuse(v, &h);
		return 0;
	}
	*ret_bytes = h.len;
	if (!c) {
		if (h.op == VSOCK_OP_REQUEST)
			vsock_on_request(v, &h);
		else if (h.op != VSOCK_OP_RST)
			vsock_refuse(v, &h);
		return 0;
	}
	if (h.op == VSOCK_OP_RST) {
		on_rst(c, &h, ch);
		return 0;
	}
	if (!ops[h.op].fn || !(ops[h.op].states & IN(c->state)) || !take_credit(c, &h)) {
		vsock_conn_reset(c);
		return 0;
	}
	ops[h.op].fn(c, &h, ch);
	return 0;
}
