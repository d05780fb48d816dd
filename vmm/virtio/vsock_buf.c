// SPDX-License-Identifier: Apache-2.0
/*
 * The fast path writes the guest's pages straight to the socket. Only what a full socket did not take
 * is copied, into a buffer as large as the credit that the guest was given for the connection, so it always fits.
 */
#include "vmm/virtio/vsock_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/log.h"

void vsock_buf_give_credit(struct vsock_conn *c)
{
	bool large = c->v->nlarge < VSOCK_LARGE_MAX;

	bug_on(c->credit);
	c->credit = large ? VSOCK_BUF : VSOCK_BUF_SMALL;
	c->v->nlarge += large;
}

void vsock_buf_end_credit(struct vsock_conn *c)
{
	bug_on(c->buf);
	c->v->nlarge -= c->credit == VSOCK_BUF;
	c->credit = 0;
}

static struct vsock_buf *buf_get(struct vsock *v, uint32_t size)
{
	struct vsock_buf *b = v->bufs_kept;

	if (b && size == VSOCK_BUF) {
		v->bufs_kept = b->next;
		v->nbufs_kept--;
	} else {
		b = malloc(sizeof(*b) + size); /* not zeroed: pages are touched as far as used */
		if (!b)
			return NULL;
		b->size = size;
		v->bufs_bytes += size;
	}
	b->head = b->len = 0;
	b->next = NULL;
	return b;
}

static void buf_put(struct vsock *v, struct vsock_buf *b)
{
	if (b->size == VSOCK_BUF && v->nbufs_kept < VSOCK_BUFS_KEPT) {
		b->next = v->bufs_kept;
		v->bufs_kept = b;
		v->nbufs_kept++;
		return;
	}
	v->bufs_bytes -= b->size;
	free(b);
}

void vsock_bufs_free(struct vsock *v)
{
	while (v->bufs_kept) {
		struct vsock_buf *b = v->bufs_kept;

		v->bufs_kept = b->next;
		v->bufs_bytes -= b->size;
		free(b);
	}
	v->nbufs_kept = 0;
}

void vsock_buf_drop(struct vsock_conn *c)
{
	if (c->buf)
		buf_put(c->v, c->buf);
	c->buf = NULL;
	c->fwd_cnt = c->rx_cnt;
}

/* Bytes taken, 0 when the socket is full; when it takes nothing ever again all count as taken. */
static size_t host_write(struct vsock_conn *c, struct iovec *iov, int n, size_t len)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)n };
	ssize_t rc;

	do
		rc = sendmsg(c->src.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (rc < 0 && errno == EINTR);
	if (rc >= 0)
		return (size_t)rc;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
		return 0;
	c->host_deaf = true;
	return len;
}

/* The guest learns late of room that it has no use for yet: half of its credit may be spent. */
static void tell_credit(struct vsock_conn *c)
{
	if (c->fwd_cnt != c->fwd_told && c->rx_cnt - c->fwd_told > c->credit / 2 &&
	    c->state == VSOCK_OPEN)
		c->todo |= VSOCK_TODO_CREDIT_UPDATE;
}

static bool keep_rest(struct vsock_conn *c, const struct vq_chain *ch, uint64_t off, uint32_t len)
{
	struct vsock_buf *b = c->buf;

	if (!b)
		b = c->buf = buf_get(c->v, c->credit);
	if (!b)
		return false;
	bug_on(len > b->size - b->len); /* vsock_packet() checked the credit */
	while (len) {
		uint32_t tail = (b->head + b->len) % b->size;
		uint32_t n = min_t(uint32_t, len, b->size - tail);

		vq_chain_read(ch, off, b->data + tail, n);
		b->len += n;
		off += n;
		len -= n;
	}
	return true;
}

void vsock_buf_take(struct vsock_conn *c, const struct vq_chain *ch, uint32_t len)
{
	struct vsock *v = c->v;
	size_t done = 0;

	c->rx_cnt += len;
	v->stats.from_guest += len;
	if (c->host_deaf || c->hup) {
		done = len;
	} else if (len && !c->buf) {
		int n = vq_chain_iov(ch, false, sizeof(struct vsock_hdr), len, v->iov, VQ_MAX_SEGS);

		if (n > 0)
			done = host_write(c, v->iov, n, len);
	}
	c->fwd_cnt += (uint32_t)done;
	if (done < len &&
	    !keep_rest(c, ch, sizeof(struct vsock_hdr) + done, len - (uint32_t)done)) {
		log_guest("%s: out of memory: a connection is reset, its last bytes are lost", v->d.id);
		vsock_conn_reset(c);
		return;
	}
	tell_credit(c);
	vsock_conn_settle(c);
}

void vsock_buf_flush(struct vsock_conn *c)
{
	struct vsock_buf *b = c->buf;

	while (b && b->len) {
		uint32_t first = min_t(uint32_t, b->len, b->size - b->head);
		struct iovec iov[2] = {
			{ .iov_base = b->data + b->head, .iov_len = first },
			{ .iov_base = b->data, .iov_len = b->len - first },
		};
		uint32_t n = (uint32_t)host_write(c, iov, 2, b->len);

		if (n == 0)
			break;
		b->head = (b->head + n) % b->size;
		b->len -= n;
		c->fwd_cnt += n;
	}
	if (b && b->len == 0) {
		buf_put(c->v, b);
		c->buf = NULL;
	}
	tell_credit(c);
}
