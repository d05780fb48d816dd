// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/vsock_internal.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

struct vsock_request {
	struct vsock_request *next;
	uint32_t port;
	uint64_t deadline; /* 0: none */
	vsock_connected_fn *done;
	void *arg;
};

int vsock_connect(struct vdev *d, uint32_t port, uint64_t timeout_ns, vsock_connected_fn *done,
		  void *arg)
{
	struct vsock *v = to_vsock(d);
	struct vsock_request *r = malloc(sizeof(*r));
	uint64_t now = io_now_ns();

	if (!r)
		return -ENOMEM;
	*r = (struct vsock_request){ .port = port, .done = done, .arg = arg };
	if (timeout_ns < UINT64_MAX - now)
		r->deadline = now + timeout_ns;
	pthread_mutex_lock(&v->lock);
	*v->incoming_end = r;
	v->incoming_end = &r->next;
	pthread_mutex_unlock(&v->lock);
	vsock_wake(v);
	return 0;
}

static struct vsock_request *take_incoming(struct vsock *v)
{
	struct vsock_request *list;

	pthread_mutex_lock(&v->lock);
	list = v->incoming;
	v->incoming = NULL;
	v->incoming_end = &v->incoming;
	pthread_mutex_unlock(&v->lock);
	return list;
}

static int start_connect(struct vsock *v, const struct vsock_request *r)
{
	struct vsock_conn *c;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	c = vsock_conn_new(v, r->port, vsock_port_alloc(v, r->port), VSOCK_CONNECTING, false);
	if (!c) {
		close(fds[0]);
		close(fds[1]);
		return -ENOSPC;
	}
	c->src.fd = fds[0]; /* watched when the guest has agreed */
	c->peer_fd = fds[1];
	c->done = r->done;
	c->done_arg = r->arg;
	c->todo = VSOCK_TODO_REQUEST;
	vsock_buf_give_credit(c);
	vsock_conn_deadline(c, r->deadline);
	vsock_conn_settle(c);
	return 0;
}

void vsock_start_incoming(struct vsock *v)
{
	struct vsock_request *r = take_incoming(v), *next;

	for (; r; r = next) {
		int rc = start_connect(v, r);

		next = r->next;
		if (rc < 0)
			r->done(r->arg, rc, -1);
		free(r);
	}
}

void vsock_cancel_incoming(struct vsock *v)
{
	struct vsock_request *r = take_incoming(v), *next;

	for (; r; r = next) {
		next = r->next;
		r->done(r->arg, -ECANCELED, -1);
		free(r);
	}
}

/* 0: *ret_fd is the host end; -EINPROGRESS; else refused. */
static int open_port(struct vsock *v, uint32_t port, uint64_t token, int *ret_fd)
{
	if (port == VSOCK_READY_PORT && v->has_ready) {
		if (v->ready_fd < 0)
			return -ECONNREFUSED; /* a second one pretends to be the agent */
		*ret_fd = steal_fd(&v->ready_fd);
		if (v->ops && v->ops->ready)
			v->ops->ready(v->ops_arg);
		return 0;
	}
	if (!v->ops || !v->ops->open_host_port)
		return -ECONNREFUSED;
	return v->ops->open_host_port(v->ops_arg, port, token, ret_fd);
}

static void accepted(struct vsock_conn *c, int fd)
{
	vsock_conn_deadline(c, 0);
	vsock_buf_give_credit(c); /* not before: requests that nobody answers take none */
	if (vsock_conn_open(c, fd) < 0) {
		vsock_conn_reset(c);
		return;
	}
	c->todo |= VSOCK_TODO_RESPONSE;
	vsock_conn_settle(c);
}

void vsock_on_request(struct vsock *v, const struct vsock_hdr *h)
{
	struct vsock_conn *c = vsock_conn_new(v, h->src_port, h->dst_port, VSOCK_OPENING, true);
	int fd = -1, rc;

	if (!c) {
		vsock_refuse(v, h);
		return;
	}
	c->peer_alloc = h->buf_alloc;
	rc = open_port(v, h->dst_port, vsock_conn_token(c), &fd);
	if (rc == 0) {
		accepted(c, fd);
	} else if (rc == -EINPROGRESS) {
		vsock_conn_deadline(c, io_now_ns() + VSOCK_OPENING_NS);
	} else {
		vsock_conn_free(c);
		vsock_refuse(v, h);
	}
}

void vsock_host_opened(struct vdev *d, uint64_t token, int rc, int fd)
{
	struct vsock *v = to_vsock(d);
	struct vsock_conn *c = vsock_conn_by_token(v, token);

	if (!c) {
		close_and_reset(&fd);
		return;
	}
	if (rc == 0)
		accepted(c, fd);
	else
		vsock_conn_reset(c);
	if (vsock_pump(v) < 0)
		vsock_broke(v);
}
