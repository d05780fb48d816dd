// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/vsock_internal.h"

#include <endian.h>
#include <sys/socket.h>

static void hdr_write(struct vsock *v, const struct vq_chain *ch, const struct vsock_hdr *h)
{
	struct vsock_hdr le = {
		.src_cid = htole64(h->src_cid),
		.dst_cid = htole64(h->dst_cid),
		.src_port = htole32(h->src_port),
		.dst_port = htole32(h->dst_port),
		.len = htole32(h->len),
		.type = htole16(h->type),
		.op = htole16(h->op),
		.flags = htole32(h->flags),
		.buf_alloc = htole32(h->buf_alloc),
		.fwd_cnt = htole32(h->fwd_cnt),
	};

	vq_chain_write(&v->d.vq[VSOCK_RXQ], ch, 0, &le, sizeof(le));
}

static struct vsock_hdr conn_hdr(const struct vsock_conn *c, enum vsock_op op, uint32_t len,
				 uint32_t flags)
{
	return (struct vsock_hdr){
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = c->v->cid,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.len = len,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = flags,
		.buf_alloc = c->credit,
		.fwd_cnt = c->fwd_cnt,
	};
}

/* A packet of @c's is out: every one tells the credit. */
static void credit_told(struct vsock_conn *c)
{
	c->fwd_told = c->fwd_cnt;
	c->todo &= (uint8_t)~VSOCK_TODO_CREDIT_UPDATE;
}

/* As vq_pop(); a buffer that cannot hold a header and a byte is no buffer. */
static int rx_pop(struct vsock *v, struct vq_chain *ch)
{
	struct vq *q = &v->d.vq[VSOCK_RXQ];
	int rc = vq_pop(q, ch);

	if (rc > 0 && ch->write_len <= sizeof(struct vsock_hdr)) {
		vq_unpop(q, ch);
		return -EBADMSG;
	}
	return rc;
}

static int send_hdr(struct vsock *v, const struct vsock_hdr *h)
{
	int rc = rx_pop(v, &v->chain[0]);

	if (rc <= 0)
		return rc;
	hdr_write(v, &v->chain[0], h);
	vq_push(&v->d.vq[VSOCK_RXQ], v->chain[0].head, sizeof(*h));
	v->stats.resets += h->op == VSOCK_OP_RST;
	return 1;
}

void vsock_refuse(struct vsock *v, const struct vsock_hdr *h)
{
	unsigned i = (v->refused_head + v->refused_len) % VSOCK_RST_MAX;

	bug_on(vsock_refusals_full(v)); /* the guest's queue is not read then */
	v->refused[i] = (struct vsock_refusal){ .src_cid = h->dst_cid,
						.host_port = h->dst_port,
						.guest_port = h->src_port,
						.type = h->type };
	v->refused_len++;
}

static int send_refusals(struct vsock *v, unsigned *budget)
{
	int rc = 1;

	while (v->refused_len && *budget && rc > 0) {
		const struct vsock_refusal *r = &v->refused[v->refused_head];
		const struct vsock_hdr h = { .src_cid = r->src_cid,
					     .dst_cid = v->cid,
					     .src_port = r->host_port,
					     .dst_port = r->guest_port,
					     .type = r->type,
					     .op = VSOCK_OP_RST };

		rc = send_hdr(v, &h);
		if (rc <= 0)
			return rc;
		v->refused_head = (v->refused_head + 1) % VSOCK_RST_MAX;
		v->refused_len--;
		--*budget;
	}
	return rc;
}

/* Sends one of @bits if it is due: 1 it or nothing was sent, 0 no buffer, -EBADMSG. */
static int send_todo(struct vsock_conn *c, unsigned bit, enum vsock_op op, unsigned *budget)
{
	uint32_t flags = op == VSOCK_OP_SHUTDOWN ? vsock_conn_shut(c) : 0;
	struct vsock_hdr h = conn_hdr(c, op, 0, flags);
	int rc;

	if (!(c->todo & bit))
		return 1;
	rc = send_hdr(c->v, &h);
	if (rc <= 0)
		return rc;
	credit_told(c);
	c->todo &= (uint8_t)~bit;
	c->shut_sent |= (uint8_t)flags;
	c->request_sent |= op == VSOCK_OP_REQUEST;
	*budget -= *budget > 0;
	return 1;
}

/* Pops up to @c->burst buffers and lays out @v->iov over their room, at most @max bytes. The number
 * of buffers, 0 or -EBADMSG. */
static int gather(struct vsock_conn *c, uint32_t max, int *ret_niov, uint64_t *ret_room)
{
	struct vsock *v = c->v;
	struct vq *q = &v->d.vq[VSOCK_RXQ];
	uint64_t room = 0;
	int niov = 0, n, rc = 0;

	for (n = 0; n < c->burst && room < max; n++) {
		struct vq_chain *ch = &v->chain[n];
		uint64_t len;

		rc = rx_pop(v, ch);
		if (rc <= 0)
			break;
		len = min_t(uint64_t, ch->write_len - sizeof(struct vsock_hdr), max - room);
		rc = vq_chain_iov(ch, true, sizeof(struct vsock_hdr), len, v->iov + niov,
				  (int)VQ_MAX_SEGS - niov);
		if (rc < 0) {
			/* A chain of very many pieces: with the next read, alone. */
			vq_unpop(q, ch);
			rc = 0;
			break;
		}
		niov += rc;
		room += len;
	}
	if (rc < 0) {
		while (n)
			vq_unpop(q, &v->chain[--n]);
		return rc;
	}
	*ret_niov = niov;
	*ret_room = room;
	return n;
}

/* Gives @n buffers back to the guest with @len bytes spread over the first of them. */
static void deliver(struct vsock_conn *c, int n, uint64_t len)
{
	struct vsock *v = c->v;
	struct vq *q = &v->d.vq[VSOCK_RXQ];
	uint64_t left = len;
	int used = 0;

	for (; used < n && left; used++)
		left -= min_t(uint64_t, left, v->chain[used].write_len - sizeof(struct vsock_hdr));
	while (n > used)
		vq_unpop(q, &v->chain[--n]);
	left = len;
	for (int i = 0; i < used; i++) {
		struct vq_chain *ch = &v->chain[i];
		uint32_t part =
			(uint32_t)min_t(uint64_t, left, ch->write_len - sizeof(struct vsock_hdr));
		struct vsock_hdr h = conn_hdr(c, VSOCK_OP_RW, part, 0);

		hdr_write(v, ch, &h);
		vq_chain_mark_dirty(q, ch, sizeof(h), part);
		vq_push(q, ch->head, (uint32_t)sizeof(h) + part);
		left -= part;
	}
	if (used)
		credit_told(c);
	c->tx_cnt += (uint32_t)len;
	v->stats.to_guest += len;
}

/* One read from the host end straight into the guest's buffers. 1, 0 no buffer, -EBADMSG. */
static int send_data(struct vsock_conn *c, uint64_t *bytes, unsigned *budget)
{
	struct msghdr m = { .msg_iov = c->v->iov };
	uint64_t room = 0;
	int n, niov = 0;
	ssize_t got;

	n = gather(c, vsock_conn_credit(c), &niov, &room);
	if (n <= 0)
		return n;
	m.msg_iovlen = (size_t)niov;
	do
		got = recvmsg(c->src.fd, &m, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	deliver(c, n, got > 0 ? (uint64_t)got : 0);
	if (got == 0 || (got < 0 && errno == EAGAIN && c->hup)) {
		c->host_eof = true;
	} else if (got < 0 && errno != EAGAIN) {
		vsock_conn_reset(c);
		return 1;
	}
	if (got > 0 && (uint64_t)got == room) {
		c->burst = min_t(uint8_t, c->burst * 2, VSOCK_BATCH);
	} else {
		/* Drained; after EPOLLHUP nobody tells again, so go on to the end of file. */
		c->readable = c->hup && got > 0;
		c->burst = max_t(uint8_t, c->burst / 2, 1);
	}
	*bytes += got > 0 ? (uint64_t)got : 0;
	*budget -= min_t(unsigned, *budget, (unsigned)n);
	return 1;
}

static bool has_data(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && c->readable && !c->host_eof && !c->guest_deaf &&
	       vsock_conn_credit(c);
}

/* One connection's share of a turn: what is due before data, one read, what is due after it. */
static int pump_conn(struct vsock_conn *c, uint64_t *bytes, unsigned *budget)
{
	int rc;

	if ((rc = send_todo(c, VSOCK_TODO_REQUEST, VSOCK_OP_REQUEST, budget)) <= 0 ||
	    (rc = send_todo(c, VSOCK_TODO_RESPONSE, VSOCK_OP_RESPONSE, budget)) <= 0 ||
	    (rc = send_todo(c, VSOCK_TODO_CREDIT_REQUEST, VSOCK_OP_CREDIT_REQUEST, budget)) <= 0)
		return rc;
	if (has_data(c)) {
		rc = send_data(c, bytes, budget);
		if (rc <= 0)
			return rc;
	}
	if ((rc = send_todo(c, VSOCK_TODO_CREDIT_UPDATE, VSOCK_OP_CREDIT_UPDATE, budget)) <= 0 ||
	    (rc = send_todo(c, VSOCK_TODO_SHUTDOWN, VSOCK_OP_SHUTDOWN, budget)) <= 0)
		return rc;
	if (c->todo & VSOCK_TODO_RST) {
		rc = send_todo(c, VSOCK_TODO_RST, VSOCK_OP_RST, budget);
		if (rc > 0)
			vsock_conn_free(c);
		return rc;
	}
	vsock_conn_settle(c);
	return 1;
}

static int pump_round(struct vsock *v, uint64_t *bytes, unsigned *budget)
{
	int rc = send_refusals(v, budget);

	while (rc > 0 && *budget && *bytes < VSOCK_TURN_BYTES && v->rx_list.next != &v->rx_list) {
		struct vsock_conn *c = container_of(v->rx_list.next, struct vsock_conn, rx);

		rc = pump_conn(c, bytes, budget);
		if (rc > 0 && c->rx.next)
			vsock_link_last(&v->rx_list, &c->rx); /* the next one's turn */
	}
	return rc;
}

static bool pump_idle(const struct vsock *v)
{
	return v->refused_len == 0 && v->rx_list.next == &v->rx_list;
}

int vsock_pump(struct vsock *v)
{
	struct vq *q = &v->d.vq[VSOCK_RXQ];
	unsigned budget = VSOCK_TURN_PACKETS;
	uint64_t bytes = 0;
	int rc = 1;

	if (!vsock_running(v) || !q->ready || pump_idle(v))
		return 0;
	vq_disable_kicks(q);
	while (!pump_idle(v)) {
		if (!budget || bytes >= VSOCK_TURN_BYTES) {
			vsock_wake(v);
			break;
		}
		rc = pump_round(v, &bytes, &budget);
		if (rc < 0)
			break;
		if (rc == 0) {
			/* No buffers: the driver's kick goes on, unless some came meanwhile. */
			if (!vq_enable_kicks(q))
				break;
			vq_disable_kicks(q);
			budget -= budget > 0;
		}
	}
	vdev_signal(&v->d, VSOCK_RXQ);
	return rc < 0 ? rc : 0;
}

int vsock_send_events(struct vsock *v)
{
	struct vq *q = &v->d.vq[VSOCK_EVQ];
	const uint32_t id = htole32(VSOCK_EVENT_TRANSPORT_RESET);
	struct vq_chain *ch = &v->chain[0];
	int rc;

	if (!v->event_due || !vsock_running(v) || !q->ready)
		return 0;
	rc = vq_pop(q, ch);
	if (rc == 0 && vq_enable_kicks(q))
		rc = vq_pop(q, ch);
	if (rc <= 0)
		return rc;
	if (ch->write_len < sizeof(id)) {
		vq_unpop(q, ch);
		return -EBADMSG;
	}
	vq_chain_write(q, ch, 0, &id, sizeof(id));
	vq_push(q, ch->head, sizeof(id));
	v->event_due = false;
	vdev_signal(&v->d, VSOCK_EVQ);
	return 0;
}
