// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/vsock_internal.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/io.h"

uint32_t vsock_conn_credit(const struct vsock_conn *c)
{
	uint32_t in_flight = c->tx_cnt - c->peer_fwd;

	return c->peer_alloc > in_flight ? c->peer_alloc - in_flight : 0;
}

/* Watches what can be served: level-triggered readiness that we cannot serve would spin. It may be
 * reported once more, since most is served before the loop looks again, and masking costs a call. */
static void conn_watch(struct vsock_conn *c)
{
	bool read = c->state == VSOCK_OPEN && !c->stuck && !c->host_eof && !c->guest_deaf;
	uint32_t mask = (read ? EPOLLIN : 0u) | (vsock_buffered(c) ? EPOLLOUT : 0u);

	if (c->src.fd < 0 || c->v->paused)
		return;
	if (c->hup) {
		evloop_del(&c->src); /* EPOLLHUP cannot be masked */
		c->mask = 0;
		return;
	}
	if (!c->src.loop || mask == c->mask)
		return;
	if (evloop_mod(&c->src, mask) == 0)
		c->mask = mask;
}

int vsock_conn_open(struct vsock_conn *c, int fd)
{
	int rc = 0;

	c->src.fd = fd;
	if (!c->v->paused)
		rc = evloop_add(c->v->d.loop, &c->src, EPOLLIN);
	if (rc < 0) {
		evloop_del(&c->src);
		close_and_reset(&c->src.fd);
		return rc;
	}
	c->mask = EPOLLIN;
	c->state = VSOCK_OPEN;
	return 0;
}

static void conn_close(struct vsock_conn *c, unsigned todo, uint64_t linger)
{
	vsock_buf_drop(c);
	vsock_conn_close_host(c);
	c->state = VSOCK_CLOSING;
	c->readable = false;
	c->todo = (uint8_t)((c->todo & VSOCK_TODO_RESPONSE) | todo);
	vsock_conn_deadline(c, linger ? io_now_ns() + linger : 0);
}

uint32_t vsock_conn_shut(const struct vsock_conn *c)
{
	return (c->host_eof ? VSOCK_SHUT_SEND : 0) | (c->host_deaf ? VSOCK_SHUT_RCV : 0);
}

static void settle_open(struct vsock_conn *c)
{
	if (c->hup && (c->host_eof || c->guest_deaf)) {
		conn_close(c, VSOCK_TODO_SHUTDOWN, VSOCK_LINGER_NS);
		c->host_eof = c->host_deaf = true;
		return;
	}
	if (c->guest_done && !vsock_buffered(c)) {
		if (!c->wr_shut)
			shutdown(c->src.fd, SHUT_WR);
		c->wr_shut = true;
		if (c->guest_deaf) {
			conn_close(c, VSOCK_TODO_RST, 0);
			return;
		}
	}
	if (vsock_conn_shut(c) & ~(uint32_t)c->shut_sent)
		c->todo |= VSOCK_TODO_SHUTDOWN;
	if (c->readable && !c->host_eof && !c->guest_deaf && vsock_conn_credit(c) == 0 &&
	    !c->credit_asked) {
		c->credit_asked = true;
		c->todo |= VSOCK_TODO_CREDIT_REQUEST;
	}
}

void vsock_conn_settle(struct vsock_conn *c)
{
	c->stuck &= c->readable;
	if (c->state == VSOCK_OPEN)
		settle_open(c);
	if (c->state == VSOCK_FLUSHING && (c->hup || !vsock_buffered(c))) {
		vsock_conn_free(c);
		return;
	}
	if (c->todo || (c->state == VSOCK_OPEN && c->readable && !c->host_eof && !c->guest_deaf &&
			vsock_conn_credit(c))) {
		if (!c->rx.next)
			vsock_link_last(&c->v->rx_list, &c->rx);
	} else {
		vsock_link_del(&c->rx);
	}
	conn_watch(c);
}

void vsock_conn_guest_gone(struct vsock_conn *c)
{
	if (c->state == VSOCK_CONNECTING) {
		vsock_conn_fail(c, -ECONNREFUSED, false);
		return;
	}
	if (c->state != VSOCK_OPEN || !vsock_buffered(c) || c->hup) {
		vsock_conn_free(c);
		return;
	}
	/* The last words of the guest still reach the host; its ports are free at once. */
	vsock_conn_unhash(c);
	shutdown(c->src.fd, SHUT_RD);
	c->state = VSOCK_FLUSHING;
	c->guest_done = c->guest_deaf = true;
	c->todo = 0;
	c->readable = false;
	vsock_conn_settle(c);
}

void vsock_conn_reset(struct vsock_conn *c)
{
	if (c->state == VSOCK_CONNECTING) {
		vsock_conn_fail(c, -ECONNREFUSED, true);
		return;
	}
	if (c->state != VSOCK_CLOSING)
		conn_close(c, VSOCK_TODO_RST, 0);
	c->todo = VSOCK_TODO_RST;
	vsock_conn_settle(c);
}

void vsock_conn_fail(struct vsock_conn *c, int rc, bool tell_guest)
{
	vsock_connected_fn *done = c->done;
	void *arg = c->done_arg;

	if (tell_guest && c->request_sent) {
		close_and_reset(&c->peer_fd);
		conn_close(c, VSOCK_TODO_RST, 0);
		vsock_conn_settle(c);
	} else {
		vsock_conn_free(c);
	}
	done(arg, rc, -1);
}

void vsock_conn_event(struct evsrc *src, uint32_t events)
{
	struct vsock_conn *c = container_of(src, struct vsock_conn, src);
	struct vsock *v = c->v;

	if (events & (EPOLLHUP | EPOLLERR)) {
		c->hup = true;
		c->readable = true;
	}
	if (events & EPOLLIN) {
		c->stuck = c->readable;
		c->readable = true;
	}
	if (events & EPOLLOUT)
		vsock_buf_flush(c);
	vsock_conn_settle(c);
	if (vsock_pump(v) < 0)
		vsock_broke(v);
}

static void timer_arm(struct vsock *v, uint64_t at)
{
	uint64_t now = io_now_ns();

	v->timer_at = at;
	evtimer_set_ns(&v->timer, at > now ? at - now : 1);
}

void vsock_conn_deadline(struct vsock_conn *c, uint64_t at)
{
	struct vsock *v = c->v;

	vsock_link_del(&c->timed);
	c->deadline = at;
	if (!at)
		return;
	vsock_link_last(&v->timed_list, &c->timed);
	if (!v->timer_at || at < v->timer_at)
		timer_arm(v, at);
}

void vsock_timer_fired(struct evtimer *t)
{
	struct vsock *v = container_of(t, struct vsock, timer);
	uint64_t now = io_now_ns(), next = 0;
	struct vsock_link *l, *after;

	for (l = v->timed_list.next; l != &v->timed_list; l = after) {
		struct vsock_conn *c = container_of(l, struct vsock_conn, timed);

		after = l->next;
		if (c->deadline > now) {
			if (!next || c->deadline < next)
				next = c->deadline;
			continue;
		}
		vsock_link_del(l);
		if (c->state == VSOCK_CONNECTING)
			vsock_conn_fail(c, -ETIMEDOUT, true);
		else
			vsock_conn_reset(c);
	}
	v->timer_at = 0;
	if (next)
		timer_arm(v, next);
	vsock_wake(v);
}

void vsock_conns_reset(struct vsock *v, bool hard)
{
	for (unsigned i = 0; i < v->conns_used; i++) {
		struct vsock_conn *c = &v->conns[i];

		switch (c->state) {
		case VSOCK_FREE:
			break;
		case VSOCK_CONNECTING:
			/* What no driver has seen yet waits for the next one: Linux resets a device
			 * before it first uses it. */
			if (c->request_sent)
				vsock_conn_fail(c, -ECONNRESET, false);
			break;
		default:
			if (hard)
				vsock_conn_free(c);
			else if (c->state != VSOCK_FLUSHING)
				vsock_conn_guest_gone(c);
		}
	}
}

void vsock_conns_watch(struct vsock *v, bool on)
{
	for (unsigned i = 0; i < v->conns_used; i++) {
		struct vsock_conn *c = &v->conns[i];

		if (c->state == VSOCK_FREE || c->src.fd < 0)
			continue;
		if (!on) {
			evloop_del(&c->src);
			continue;
		}
		/* One that the guest has not agreed to is watched when it has. */
		if (c->hup || c->state == VSOCK_CONNECTING)
			continue;
		c->mask = 0;
		if (evloop_add(v->d.loop, &c->src, 0) < 0)
			c->hup = true; /* cannot be served any more: ends as if the host had gone */
		vsock_conn_settle(c);
	}
}
