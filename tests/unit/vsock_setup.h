/* SPDX-License-Identifier: Apache-2.0 */
/* An honest guest before the vsock device, and the host's side of a connection. */
#ifndef TESTS_UNIT_VSOCK_SETUP_H
#define TESTS_UNIT_VSOCK_SETUP_H

#include "tests/unit/check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "tests/lib/until.h"
#include "tests/lib/vdev_suite.h"
#include "tests/lib/vsock_guest.h"

static struct vg_pkt pkt __attribute__((unused)); /* large */

/* --- the host's side --------------------------------------------------------------------------------- */

struct outcome {
	unsigned calls;
	int rc, fd;
};

static inline void connected(void *arg, int rc, int fd)
{
	struct outcome *o = arg;

	o->calls++;
	o->rc = rc;
	o->fd = fd;
	if (fd >= 0)
		io_set_nonblock(fd, true);
}

static inline struct outcome start_connect(struct vg *g, uint32_t port, uint64_t ns, struct outcome *o)
{
	*o = (struct outcome){ .fd = -1 };
	assert_int_equal(vsock_connect(g->f.d, port, ns, connected, o), 0);
	assert_int_equal(o->calls, 0);
	fdv_run(&g->f, 5);
	return *o;
}

/* A connection from the host to guest port @port; the host's descriptor is returned. */
static inline int host_connection(struct vg *g, uint32_t port, struct vg_conn *c)
{
	struct outcome o;

	start_connect(g, port, VSOCK_NO_TIMEOUT, &o);
	do
		assert_true(vg_recv(g, &pkt, 1000));
	while (pkt.h.op != VSOCK_OP_REQUEST);
	assert_int_equal(pkt.h.dst_port, port);
	assert_int_equal(pkt.h.src_cid, VSOCK_HOST_CID);
	assert_int_equal(pkt.h.dst_cid, VG_CID);
	*c = (struct vg_conn){ .guest_port = port, .host_port = pkt.h.src_port };
	vg_conn_take(c, &pkt);
	assert_true(vg_conn_op(g, c, VSOCK_OP_RESPONSE, 0));
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.rc, 0);
	assert_true(o.fd >= 0);
	return o.fd;
}

/* Bytes that a position in a stream holds. */
static inline uint8_t pattern(uint64_t i)
{
	return (uint8_t)((i * 2654435761u) >> 11);
}

static inline void fill(uint8_t *p, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = pattern(at + i);
}

static inline void verify(const char *why, const uint8_t *p, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != pattern(at + i))
			fail_msg("%s: byte %llu", why, (unsigned long long)(at + i));
}

/* Reads all there is; true at end of file. */
static inline bool host_read(const char *why, int fd, uint64_t *at)
{
	static uint8_t b[65536];
	ssize_t n;

	while ((n = read(fd, b, sizeof(b))) > 0) {
		verify(why, b, *at, (size_t)n);
		*at += (uint64_t)n;
	}
	check_row(why, n == 0 || errno == EAGAIN);
	return n == 0;
}

/* Takes what the device sends for one connection, checking data; the guest's application is quick. */
static inline bool guest_take(struct vg *g, struct vg_conn *c, const char *why, uint64_t *at)
{
	uint32_t told = c->fwd_cnt;

	while (vg_recv(g, &pkt, 0)) {
		check_row(why, pkt.used == sizeof(pkt.h) + pkt.h.len);
		if (!vg_conn_take(c, &pkt))
			continue;
		if (pkt.h.op == VSOCK_OP_RW) {
			verify(why, pkt.data, *at, pkt.h.len);
			*at += pkt.h.len;
			c->fwd_cnt = c->rx_cnt;
		}
		if (pkt.h.op == VSOCK_OP_CREDIT_REQUEST || c->fwd_cnt - told > g->buf_alloc / 2) {
			vg_conn_op(g, c, VSOCK_OP_CREDIT_UPDATE, 0);
			told = c->fwd_cnt;
		}
	}
	return true;
}

/* Takes what comes until @cond. */
#define take_until(g, c, why, at, cond) \
	check_row(why, until((g)->f.loop, guest_take(g, c, why, at) && (cond)))

/* --- tests -------------------------------------------------------------------------------------------- */

static inline void init(struct vg *g)
{
	const struct vg_opts o = { .features = ~0ull, .cfg = { .ready_fd = -1 } };

	assert_int_equal(vg_init(g, &o, false), 0);
}

struct front {
	unsigned readies;
	uint32_t port;
	uint64_t token;
	int give; /* descriptor, or negative errno */
};

static inline int open_host_port(void *arg, uint32_t port, uint64_t token, int *ret_fd)
{
	struct front *fr = arg;

	fr->port = port;
	fr->token = token;
	if (fr->give < 0)
		return fr->give;
	*ret_fd = fr->give;
	return 0;
}

static inline void ready(void *arg)
{
	((struct front *)arg)->readies++;
}

static const struct vsock_ops front_ops __attribute__((unused)) = { .open_host_port = open_host_port, .ready = ready };

static inline unsigned answer(struct vg *g)
{
	return vg_recv(g, &pkt, 100) ? pkt.h.op : VSOCK_OP_INVALID;
}

static inline void pair(int sv[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	io_set_nonblock(sv[0], true);
}

#endif
