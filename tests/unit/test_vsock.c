// SPDX-License-Identifier: Apache-2.0
/* The vsock device with an honest guest: connections, data, ends, life cycle. */
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

static struct vg_pkt pkt; /* large */

/* --- the host's side --------------------------------------------------------------------------------- */

struct outcome {
	unsigned calls;
	int rc, fd;
};

static void connected(void *arg, int rc, int fd)
{
	struct outcome *o = arg;

	o->calls++;
	o->rc = rc;
	o->fd = fd;
	if (fd >= 0)
		io_set_nonblock(fd, true);
}

static struct outcome start_connect(struct vg *g, uint32_t port, uint64_t ns, struct outcome *o)
{
	*o = (struct outcome){ .fd = -1 };
	assert_int_equal(vsock_connect(g->f.d, port, ns, connected, o), 0);
	assert_int_equal(o->calls, 0);
	fdv_run(&g->f, 5);
	return *o;
}

/* A connection from the host to guest port @port; the host's descriptor is returned. */
static int host_connection(struct vg *g, uint32_t port, struct vg_conn *c)
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
static uint8_t pattern(uint64_t i)
{
	return (uint8_t)((i * 2654435761u) >> 11);
}

static void fill(uint8_t *p, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = pattern(at + i);
}

static void verify(const char *why, const uint8_t *p, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != pattern(at + i))
			fail_msg("%s: byte %llu", why, (unsigned long long)(at + i));
}

/* Reads all there is; true at end of file. */
static bool host_read(const char *why, int fd, uint64_t *at)
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
static bool guest_take(struct vg *g, struct vg_conn *c, const char *why, uint64_t *at)
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

static void test_create(void **state)
{
	static const struct {
		const char *why;
		uint64_t cid;
		unsigned conns;
		int rc;
	} rows[] = {
		{ "the host's own cid", 2, 0, -EINVAL },
		{ "the smallest", 3, 0, 0 },
		{ "the largest", 0xfffffffe, 1, 0 },
		{ "the wildcard", 0xffffffff, 0, -EINVAL },
		{ "beyond 32 bits", 1ull << 32, 0, -EINVAL },
		{ "as many connections as there can be", 3, VSOCK_MAX_CONNS, 0 },
		{ "one more", 3, VSOCK_MAX_CONNS + 1, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vg_opts o = { .features = ~0ull,
				     .cfg = { .cid = rows[i].cid, .ready_fd = -1,
					      .max_conns = rows[i].conns } };
		uint64_t cid = 0;
		struct vg g;

		check_row(rows[i].why, vg_init(&g, &o, false) == rows[i].rc);
		if (rows[i].rc < 0)
			continue;
		vdev_config_read(g.f.d, 0, &cid, sizeof(cid));
		check_row(rows[i].why, cid == rows[i].cid);
		vg_done(&g);
	}
}

static void init(struct vg *g)
{
	const struct vg_opts o = { .features = ~0ull, .cfg = { .ready_fd = -1 } };

	assert_int_equal(vg_init(g, &o, false), 0);
}

static void test_refused_and_late(void **state)
{
	struct outcome o;
	struct vg g;

	(void)state;
	init(&g);
	start_connect(&g, 7, VSOCK_NO_TIMEOUT, &o);
	assert_true(vg_recv(&g, &pkt, 100));
	assert_int_equal(pkt.h.op, VSOCK_OP_REQUEST);
	assert_int_equal(pkt.h.buf_alloc, VSOCK_BUF);
	vg_send(&g, VSOCK_OP_RST, 7, pkt.h.src_port, 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.rc, -ECONNREFUSED);
	assert_int_equal(o.fd, -1);

	start_connect(&g, 7, 20000000, &o);
	assert_true(vg_recv(&g, &pkt, 100));
	assert_int_equal(pkt.h.op, VSOCK_OP_REQUEST);
	assert_int_equal(o.calls, 0);
	assert_true(vg_recv(&g, &pkt, 500));
	assert_int_equal(pkt.h.op, VSOCK_OP_RST); /* so that the guest forgets it, too */
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.rc, -ETIMEDOUT);
	vg_send(&g, VSOCK_OP_RESPONSE, 7, pkt.h.src_port, 0);
	assert_true(vg_recv(&g, &pkt, 100));
	assert_int_equal(pkt.h.op, VSOCK_OP_RST);
	assert_int_equal(o.calls, 1);
	vg_done(&g);
}

static void test_driver_not_there_yet(void **state)
{
	const struct vg_opts opt = { .features = ~0ull, .cfg = { .ready_fd = -1 } };
	struct outcome o, late, patient, never;
	struct vg g;

	(void)state;
	assert_int_equal(vg_init(&g, &opt, true), 0);
	start_connect(&g, 5, VSOCK_NO_TIMEOUT, &o);
	start_connect(&g, 5, 5000000, &late);
	start_connect(&g, 5, 3600000000000ull, &patient);
	fdv_reset(&g.f); /* as drivers do first */
	for (int i = 0; i < 20 && !late.calls; i++)
		evloop_turn(g.f.loop, 5);
	assert_int_equal(late.rc, -ETIMEDOUT);
	assert_int_equal(o.calls, 0);
	assert_int_equal(patient.calls, 0);
	/* A driver that gives no buffers, and is reset: it has not seen the requests either. */
	g.rx_hold = true;
	vg_start(&g);
	fdv_run(&g.f, 5);
	fdv_reset(&g.f);
	assert_int_equal(o.calls, 0);
	g.rx_hold = false;
	vg_start(&g);
	assert_true(vg_recv(&g, &pkt, 1000));
	assert_int_equal(pkt.h.op, VSOCK_OP_REQUEST);
	vg_send(&g, VSOCK_OP_RESPONSE, 5, pkt.h.src_port, 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.rc, 0);
	close(o.fd);

	/* One that the guest knows of dies with the driver; one that nobody saw, with the device. */
	start_connect(&g, 6, VSOCK_NO_TIMEOUT, &o);
	assert_true(vg_recv(&g, &pkt, 1000));
	fdv_reset(&g.f);
	assert_int_equal(o.rc, -ECONNRESET);
	start_connect(&g, 6, VSOCK_NO_TIMEOUT, &never);
	*(&o) = (struct outcome){ .fd = -1 };
	assert_int_equal(vsock_connect(g.f.d, 6, VSOCK_NO_TIMEOUT, connected, &o), 0);
	vg_done(&g);
	assert_int_equal(never.calls, 1);
	assert_int_equal(never.rc, -ECANCELED);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.rc, -ECANCELED);
}

static atomic_uint told;

static void count_timeout(void *arg, int rc, int fd)
{
	(void)arg;
	if (rc == -ETIMEDOUT && fd == -1)
		atomic_fetch_add(&told, 1);
}

static void *ask(void *arg)
{
	struct vdev *d = arg;

	for (int i = 0; i < 50; i++)
		if (vsock_connect(d, 1, 1000000, count_timeout, NULL) < 0)
			return NULL;
	return NULL;
}

static void *run_loop(void *arg)
{
	evloop_run(arg);
	return NULL;
}

/* Callers on any thread, while the loop runs on its own. */
static void test_threads(void **state)
{
	const struct vg_opts opt = { .features = ~0ull, .cfg = { .ready_fd = -1 } };
	uint64_t end = io_now_ns() + 5000000000ull;
	pthread_t loop, t[4];
	struct vg g;

	(void)state;
	assert_int_equal(vg_init(&g, &opt, true), 0);
	assert_int_equal(pthread_create(&loop, NULL, run_loop, g.f.loop), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, ask, g.f.d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	while (atomic_load(&told) < 200 && io_now_ns() < end)
		usleep(1000);
	evloop_stop(g.f.loop);
	pthread_join(loop, NULL);
	assert_int_equal(atomic_load(&told), 200);
	vg_done(&g);
}

/* Local ports do not come again soon, and the guest cannot guess one into being open. */
static void test_ports(void **state)
{
	uint32_t last = 0;
	struct vg g;

	(void)state;
	init(&g);
	for (int i = 0; i < 50; i++) {
		struct outcome o;

		start_connect(&g, 9, VSOCK_NO_TIMEOUT, &o);
		assert_true(vg_recv(&g, &pkt, 100));
		assert_true(pkt.h.src_port > last);
		assert_true(pkt.h.src_port >= VSOCK_PORT_FIRST);
		last = pkt.h.src_port;
		vg_send(&g, VSOCK_OP_RST, 9, last, 0);
		assert_int_equal(o.calls, 1);
	}
	vg_done(&g);
}

struct front {
	unsigned readies;
	uint32_t port;
	uint64_t token;
	int give; /* descriptor, or negative errno */
};

static int open_host_port(void *arg, uint32_t port, uint64_t token, int *ret_fd)
{
	struct front *fr = arg;

	fr->port = port;
	fr->token = token;
	if (fr->give < 0)
		return fr->give;
	*ret_fd = fr->give;
	return 0;
}

static void ready(void *arg)
{
	((struct front *)arg)->readies++;
}

static const struct vsock_ops front_ops = { .open_host_port = open_host_port, .ready = ready };

static unsigned answer(struct vg *g)
{
	return vg_recv(g, &pkt, 100) ? pkt.h.op : VSOCK_OP_INVALID;
}

static void pair(int sv[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	io_set_nonblock(sv[0], true);
}

static void test_ready_port(void **state)
{
	struct front fr = { .give = -ECONNREFUSED };
	struct vg_opts o = { .features = ~0ull, .cfg = { .ops = &front_ops, .ops_arg = &fr } };
	const uint8_t hello[8] = { 1 };
	struct vg_conn c = { .guest_port = 1025, .host_port = VSOCK_READY_PORT };
	uint8_t got[16];
	struct vg g;
	int sv[2];

	(void)state;
	pair(sv);
	o.cfg.ready_fd = sv[1];
	assert_int_equal(vg_init(&g, &o, false), 0);
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	assert_int_equal(fr.readies, 1);
	assert_int_equal(answer(&g), VSOCK_OP_RESPONSE);
	vg_conn_take(&c, &pkt);
	assert_int_equal(vg_conn_send(&g, &c, hello, sizeof(hello)), sizeof(hello));
	assert_int_equal(read(sv[0], got, sizeof(got)), sizeof(hello));
	assert_memory_equal(got, hello, sizeof(hello));
	/* Nobody else in the guest can pass for the agent, now or when it has gone. */
	vg_send(&g, VSOCK_OP_REQUEST, 1026, VSOCK_READY_PORT, 0);
	assert_int_equal(answer(&g), VSOCK_OP_RST);
	vg_conn_op(&g, &c, VSOCK_OP_RST, 0);
	assert_int_equal(read(sv[0], got, sizeof(got)), 0);
	vg_send(&g, VSOCK_OP_REQUEST, 1025, VSOCK_READY_PORT, 0);
	assert_int_equal(answer(&g), VSOCK_OP_RST);
	fdv_reset(&g.f);
	vg_start(&g);
	vg_send(&g, VSOCK_OP_REQUEST, 1025, VSOCK_READY_PORT, 0);
	assert_int_equal(answer(&g), VSOCK_OP_RST);
	assert_int_equal(fr.readies, 1);
	assert_int_equal(fr.port, 0);
	vg_done(&g);
	close(sv[0]);
}

static void test_host_ports(void **state)
{
	struct front fr = { .give = -EACCES };
	const struct vg_opts o = { .features = ~0ull,
				   .cfg = { .ready_fd = -1, .ops = &front_ops, .ops_arg = &fr } };
	struct vg_conn c = { .guest_port = 1025, .host_port = 80 };
	char got[8];
	struct vg g;
	int sv[2];

	(void)state;
	assert_int_equal(vg_init(&g, &o, false), 0);
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	assert_int_equal(fr.port, 80);
	assert_int_equal(answer(&g), VSOCK_OP_RST);
	/* At once. */
	pair(sv);
	fr.give = sv[1];
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	assert_int_equal(answer(&g), VSOCK_OP_RESPONSE);
	vg_conn_take(&c, &pkt);
	vg_conn_send(&g, &c, "ab", 2);
	assert_int_equal(read(sv[0], got, sizeof(got)), 2);
	close(sv[0]);
	/* Later; no answer meanwhile. */
	pair(sv);
	fr.give = -EINPROGRESS;
	c = (struct vg_conn){ .guest_port = 1026, .host_port = 80 };
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	while (vg_recv(&g, &pkt, 20))
		assert_false(vg_conn_take(&c, &pkt));
	vsock_host_opened(g.f.d, fr.token, 0, sv[1]);
	assert_int_equal(answer(&g), VSOCK_OP_RESPONSE);
	assert_int_equal(pkt.h.dst_port, 1026);
	close(sv[0]);
	/* The guest gives up before the answer: the descriptor is closed, another one's is not. */
	pair(sv);
	c.guest_port = 1027;
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	vg_conn_op(&g, &c, VSOCK_OP_RST, 0);
	c.guest_port = 1028;
	{
		uint64_t stale = fr.token;

		vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
		assert_true(fr.token != stale);
		vsock_host_opened(g.f.d, stale, 0, sv[1]);
	}
	assert_int_equal(read(sv[0], got, sizeof(got)), 0);
	vsock_host_opened(g.f.d, fr.token, -ECONNREFUSED, -1);
	do
		assert_true(vg_recv(&g, &pkt, 100));
	while (pkt.h.dst_port != 1028);
	assert_int_equal(pkt.h.op, VSOCK_OP_RST);
	vg_done(&g);
	close(sv[0]);
}

static const struct {
	const char *why;
	uint64_t features;
	unsigned rx_size, rx_segs, rx_bufs, queue;
	uint32_t alloc, chunk;
	bool split_tx;
} traffic[] = {
	{ "as Linux does", ~0ull, 4096, 1, 64, 128, 256u << 10, 65536, false },
	{ "without event index", ~VIRTIO_F_BIT(VIRTIO_F_EVENT_IDX), 4096, 1, 64, 128, 256u << 10, 65536, false },
	{ "large receive buffers", ~0ull, 65536 + 44, 1, 16, 128, 1u << 20, 65536, false },
	{ "tiny receive buffers", ~0ull, 45 + 12, 1, 100, 128, 256u << 10, 999, false },
	{ "header and data in odd pieces", ~0ull, 1501, 7, 9, 64, 256u << 10, 4097, true },
	{ "one receive buffer", ~0ull, 4096, 1, 1, 2, 256u << 10, 65536, false },
	{ "a window of three bytes", ~0ull, 4096, 1, 8, 16, 3, 2, false },
};

static void test_traffic(void **state)
{
	static uint8_t chunk[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(traffic); i++) {
		const char *why = traffic[i].why;
		const uint64_t total = traffic[i].alloc < 100 ? 3000 : MIB(1);
		const struct vg_opts o = { .features = traffic[i].features,
					   .rx_size = traffic[i].rx_size,
					   .rx_segs = traffic[i].rx_segs,
					   .rx_bufs = traffic[i].rx_bufs,
					   .queue_size = traffic[i].queue,
					   .split_tx = traffic[i].split_tx,
					   .cfg = { .ready_fd = -1 } };
		uint64_t out = 0, out_seen = 0, in = 0, in_seen = 0, end = io_now_ns() + 20000000000ull;
		struct vsock_stats st;
		struct vg_conn c;
		struct vg g;
		int fd;

		check_row(why, vg_init(&g, &o, false) == 0);
		g.buf_alloc = traffic[i].alloc;
		fd = host_connection(&g, 1000, &c);
		/* Both ways at once, then the host's end of file, then the guest's. */
		while (out_seen < total || in_seen < total) {
			uint32_t want = (uint32_t)min_t(uint64_t, traffic[i].chunk, total - out);
			size_t len = min_t(uint64_t, traffic[i].chunk, total - in);
			ssize_t n;

			check_row(why, io_now_ns() < end);
			fill(chunk, out, want);
			out += vg_conn_send(&g, &c, chunk, want);
			fill(chunk, in, len);
			n = len ? write(fd, chunk, len) : 0;
			in += n > 0 ? (uint64_t)n : 0;
			evloop_turn(g.f.loop, 0);
			guest_take(&g, &c, why, &in_seen);
			host_read(why, fd, &out_seen);
		}
		check_row(why, !c.reset && !c.shut);
		vsock_get_stats(g.f.d, &st);
		check_row(why, st.to_guest == total && st.from_guest == total && st.conns == 1);
		close(fd);
		take_until(&g, &c, why, &in_seen, c.shut == VSOCK_SHUT_BOTH);
		check_row(why, !c.reset);
		vg_conn_op(&g, &c, VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH);
		guest_take(&g, &c, why, &in_seen);
		check_row(why, c.reset && !fdv_needs_reset(&g.f));
		vsock_get_stats(g.f.d, &st);
		check_row(why, st.conns == 0);
		vg_done(&g);
	}
}

/* Every connection goes on while others do, in both directions. */
static void test_many(void **state)
{
	enum { N = 300 };
	static struct vg_conn c[N];
	static int fd[N];
	struct vsock_stats st;
	uint64_t at;
	struct vg g;

	(void)state;
	init(&g);
	for (int i = 0; i < N; i++)
		fd[i] = host_connection(&g, 1000 + (uint32_t)i % 7, &c[i]);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			uint8_t b[64];

			memset(b, i, sizeof(b));
			assert_int_equal(write(fd[i], b, sizeof(b)), sizeof(b));
			assert_int_equal(vg_conn_send(&g, &c[i], b, 5), 5);
		}
		for (int seen = 0; seen < N;) {
			assert_true(vg_recv(&g, &pkt, 1000));
			for (int i = 0; i < N; i++)
				if (vg_conn_take(&c[i], &pkt) && pkt.h.op == VSOCK_OP_RW) {
					assert_int_equal(pkt.h.len, 64);
					assert_int_equal(pkt.data[63], i & 0xff);
					c[i].fwd_cnt = c[i].rx_cnt;
					seen++;
				}
		}
		for (int i = 0; i < N; i++) {
			uint8_t b[64];

			assert_int_equal(read(fd[i], b, sizeof(b)), 5);
			assert_int_equal(b[4], i & 0xff);
		}
	}
	vsock_get_stats(g.f.d, &st);
	assert_int_equal(st.conns, N);
	for (int i = 0; i < N; i++)
		close(fd[i]);
	for (at = 0; at < N;) {
		assert_true(vg_recv(&g, &pkt, 5000));
		at += pkt.h.op == VSOCK_OP_SHUTDOWN && pkt.h.flags == VSOCK_SHUT_BOTH;
	}
	vg_done(&g);
}

static void test_half_close(void **state)
{
	uint8_t b[16];
	struct vg_conn c;
	uint64_t at = 0;
	struct vg g;
	int fd;

	(void)state;
	init(&g);
	/* The host ends first; the guest goes on. */
	fd = host_connection(&g, 1, &c);
	fill(b, 0, sizeof(b));
	assert_int_equal(write(fd, b, sizeof(b)), sizeof(b));
	shutdown(fd, SHUT_WR);
	take_until(&g, &c, "host ends", &at, c.shut);
	assert_int_equal(at, sizeof(b));
	assert_int_equal(c.shut, VSOCK_SHUT_SEND);
	assert_int_equal(vg_conn_send(&g, &c, "xy", 2), 2);
	assert_int_equal(read(fd, b, sizeof(b)), 2);
	vg_conn_op(&g, &c, VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND);
	assert_int_equal(read(fd, b, sizeof(b)), 0);
	take_until(&g, &c, "both ended", &at, c.shut == VSOCK_SHUT_BOTH);
	close(fd);

	/* The guest ends first; the host goes on. */
	fd = host_connection(&g, 2, &c);
	vg_conn_op(&g, &c, VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND);
	assert_int_equal(read(fd, b, sizeof(b)), 0);
	fill(b, 0, sizeof(b));
	assert_int_equal(write(fd, b, sizeof(b)), sizeof(b));
	at = 0;
	take_until(&g, &c, "guest ended", &at, at == sizeof(b));
	assert_int_equal(c.shut, 0);
	/* And then listens no more. */
	vg_conn_op(&g, &c, VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH);
	guest_take(&g, &c, "guest closed", &at);
	assert_true(c.reset);
	assert_int_equal(send(fd, b, 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	close(fd);

	/* The guest listens no more, but talks. */
	fd = host_connection(&g, 3, &c);
	vg_conn_op(&g, &c, VSOCK_OP_SHUTDOWN, VSOCK_SHUT_RCV);
	assert_int_equal(send(fd, b, 1, MSG_NOSIGNAL), -1);
	assert_int_equal(vg_conn_send(&g, &c, "xy", 2), 2);
	assert_int_equal(read(fd, b, sizeof(b)), 2);
	close(fd);

	/* The host listens no more. */
	fd = host_connection(&g, 4, &c);
	shutdown(fd, SHUT_RD);
	assert_int_equal(vg_conn_send(&g, &c, "xy", 2), 2);
	take_until(&g, &c, "host deaf", &at, c.shut);
	assert_int_equal(c.shut, VSOCK_SHUT_RCV);
	close(fd);
	vg_done(&g);
}

/* Everything that was written comes before the end, however the end comes and however slow the reader. */
static void test_last_words(void **state)
{
	static const struct {
		const char *why;
		unsigned op, flags;
		bool unread, reset; /* the host's bytes lie unread in the guest; the device is reset */
	} rows[] = {
		{ "SHUTDOWN of sending", VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND, false, false },
		{ "SHUTDOWN of both", VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH, false, false },
		{ "RST", VSOCK_OP_RST, 0, false, false },
		{ "RST with bytes of the host's unread", VSOCK_OP_RST, 0, true, false },
		{ "SHUTDOWN of both with bytes of the host's unread", VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH,
		  true, false },
		{ "reset of the device", VSOCK_OP_CREDIT_UPDATE, 0, true, true },
	};
	static uint8_t chunk[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int slow = 0; slow < 2; slow++) {
			const char *why = rows[i].why;
			uint64_t sent = 0, seen = 0, end = io_now_ns() + 5000000000ull;
			struct vg_conn c;
			bool eof = false;
			struct vg g;
			int fd;

			init(&g);
			fd = host_connection(&g, 1, &c);
			if (rows[i].unread) {
				g.rx_hold = true;
				/* More than there are buffers for. */
				while (write(fd, chunk, 4000) > 0)
					fdv_run(&g.f, 1);
			}
			for (;;) {
				uint32_t n;

				fill(chunk, sent, sizeof(chunk));
				n = vg_conn_send(&g, &c, chunk, slow ? 65536 : 5000);
				sent += n;
				if (!n || !slow)
					break;
			}
			check_row(why, !slow || sent == VSOCK_BUF);
			vg_conn_op(&g, &c, rows[i].op, rows[i].flags);
			if (rows[i].reset)
				fdv_reset(&g.f);
			fdv_run(&g.f, 5);
			while (!eof && io_now_ns() < end) {
				eof = host_read(why, fd, &seen);
				evloop_turn(g.f.loop, 0);
			}
			check_row(why, eof && seen == sent);
			close(fd);
			vg_done(&g);
		}
	}
}

static void test_stalled_reader(void **state)
{
	static uint8_t chunk[65536];
	uint64_t sent = 0, seen = 0, other = 0, dummy = 0;
	struct vg_conn c, c2;
	struct vg g;
	int fd, fd2;

	(void)state;
	init(&g);
	fd = host_connection(&g, 1, &c);
	fd2 = host_connection(&g, 2, &c2);
	for (int i = 0; i < 100; i++) {
		uint32_t n;

		fill(chunk, sent, sizeof(chunk));
		n = vg_conn_send(&g, &c, chunk, sizeof(chunk));
		sent += n;
		fdv_run(&g.f, 1);
		guest_take(&g, &c, "credit", &dummy);
		if (!n)
			break;
	}
	/* A socket's buffer, and ours. */
	assert_in_range(sent, VSOCK_BUF, 2 * VSOCK_BUF + 512 * 1024);
	assert_int_equal(vg_conn_credit(&c), 0);
	assert_true(loop_sleeps(g.f.loop));
	/* Others are none the worse. */
	fill(chunk, 0, 1000);
	assert_int_equal(vg_conn_send(&g, &c2, chunk, 1000), 1000);
	host_read("other", fd2, &other);
	assert_int_equal(other, 1000);
	/* The reader wakes: credit comes without being asked for. */
	take_until(&g, &c, "credit", &dummy,
		   (host_read("slow", fd, &seen), seen == sent) &&
			   vg_conn_credit(&c) >= VSOCK_BUF / 2);
	assert_true(loop_sleeps(g.f.loop));
	close(fd);
	close(fd2);
	vg_done(&g);
}

static void test_stalled_guest(void **state)
{
	static uint8_t chunk[65536];
	uint64_t in = 0, in_seen = 0;
	struct vg_conn c;
	unsigned asked = 0;
	ssize_t n;
	struct vg g;
	int fd;

	(void)state;
	init(&g);
	g.buf_alloc = 10000;
	fd = host_connection(&g, 1, &c);
	do {
		fill(chunk, in, sizeof(chunk));
		n = write(fd, chunk, sizeof(chunk));
		in += n > 0 ? (uint64_t)n : 0;
		fdv_run(&g.f, 1);
	} while (n > 0);
	/* The application in the guest reads nothing: not a byte beyond its window comes. */
	while (vg_recv(&g, &pkt, 100)) {
		vg_conn_take(&c, &pkt);
		asked += pkt.h.op == VSOCK_OP_CREDIT_REQUEST;
		if (pkt.h.op == VSOCK_OP_RW) {
			verify("window", pkt.data, in_seen, pkt.h.len);
			in_seen += pkt.h.len;
		}
	}
	assert_int_equal(in_seen, 10000);
	assert_int_equal(asked, 1);
	assert_true(loop_sleeps(g.f.loop));
	/* A little room, gone at once: it asks again. */
	c.fwd_cnt += 10;
	vg_conn_op(&g, &c, VSOCK_OP_CREDIT_UPDATE, 0);
	while (vg_recv(&g, &pkt, 100)) {
		asked += pkt.h.op == VSOCK_OP_CREDIT_REQUEST;
		if (vg_conn_take(&c, &pkt) && pkt.h.op == VSOCK_OP_RW) {
			verify("window", pkt.data, in_seen, pkt.h.len);
			in_seen += pkt.h.len;
		}
	}
	assert_int_equal(in_seen, 10010);
	assert_int_equal(asked, 2);
	close(fd); /* EPOLLHUP, which cannot be masked */
	assert_true(loop_sleeps(g.f.loop));
	c.fwd_cnt = c.rx_cnt;
	vg_conn_op(&g, &c, VSOCK_OP_CREDIT_UPDATE, 0);
	take_until(&g, &c, "window opens", &in_seen, c.shut == VSOCK_SHUT_BOTH);
	assert_int_equal(in_seen, in);
	vg_done(&g);
}

static void test_no_receive_buffers(void **state)
{
	uint8_t b[100];
	uint64_t at = 0;
	struct vg_conn c;
	struct vg g;
	int fd;

	(void)state;
	init(&g);
	fd = host_connection(&g, 1, &c);
	g.rx_hold = true;
	fill(b, 0, sizeof(b));
	for (uint64_t i = 0; i < 64; i++) {
		fill(b, i * sizeof(b), sizeof(b));
		assert_int_equal(write(fd, b, sizeof(b)), sizeof(b));
		fdv_run(&g.f, 1);
	}
	assert_true(loop_sleeps(g.f.loop));
	guest_take(&g, &c, "held", &at);
	assert_true(at < 64 * sizeof(b));
	close(fd);
	assert_true(loop_sleeps(g.f.loop));
	/* The next buffer brings a kick. */
	assert_int_equal(fdv_avail_event(&g.f, VSOCK_RXQ), g.f.q[VSOCK_RXQ].avail_idx);
	g.rx_hold = false;
	vg_restock(&g);
	take_until(&g, &c, "given", &at, c.shut == VSOCK_SHUT_BOTH);
	assert_int_equal(at, 64 * sizeof(b));
	vg_done(&g);
}

/* The end of the work of one event is not the end of the work: nobody tells again of sockets whose
 * other side has closed. */
static void test_more_than_a_turn(void **state)
{
	enum { N = 6 };
	const struct vg_opts o = { .features = ~0ull, .rx_size = 65536, .rx_bufs = 40,
				   .cfg = { .ready_fd = -1 } };
	static uint8_t chunk[65536];
	uint64_t in = 0, out = 0;
	struct vg_conn c[N];
	unsigned ends = 0;
	struct vg g;
	int fd[N];

	(void)state;
	assert_int_equal(vg_init(&g, &o, false), 0);
	for (uint32_t i = 0; i < N; i++)
		fd[i] = host_connection(&g, i, &c[i]);
	/* All buffers are with us. */
	g.rx_hold = true;
	for (uint32_t i = 0; g.rx_nfree < g.o.rx_bufs; i++) {
		vg_send(&g, VSOCK_OP_REQUEST, 7777, i, 0);
		assert_true(vg_recv(&g, &pkt, 100));
	}
	for (uint32_t i = 0; i < N; i++) {
		ssize_t n;

		while ((n = write(fd[i], chunk, sizeof(chunk))) > 0)
			in += (uint64_t)n;
		close(fd[i]);
	}
	assert_true(loop_sleeps(g.f.loop));
	assert_true(in > VSOCK_TURN_BYTES);
	g.rx_hold = false;
	vg_restock(&g);
	g.rx_hold = true; /* and nothing of ours kicks any more */
	while (ends < N) {
		assert_true(vg_recv(&g, &pkt, 5000));
		ends += pkt.h.op == VSOCK_OP_SHUTDOWN;
		out += pkt.h.len;
	}
	assert_int_equal(in, out);
	vg_done(&g);
}

/* Telling credit is worth a packet only now and then. */
static void test_credit_updates(void **state)
{
	static uint8_t chunk[65536];
	uint64_t seen = 0, sent = 0;
	unsigned told_credit = 0;
	struct vg_conn c;
	struct vg g;
	int fd;

	(void)state;
	init(&g);
	fd = host_connection(&g, 1, &c);
	while (sent < MIB(4)) {
		fill(chunk, sent, sizeof(chunk));
		sent += vg_conn_send(&g, &c, chunk, sizeof(chunk));
		evloop_turn(g.f.loop, 0);
		host_read("data", fd, &seen);
		while (vg_recv(&g, &pkt, 0)) {
			vg_conn_take(&c, &pkt);
			told_credit += pkt.h.op == VSOCK_OP_CREDIT_UPDATE;
		}
	}
	assert_in_range(told_credit, MIB(4) / VSOCK_BUF - 1, 2 * MIB(4) / VSOCK_BUF + 2);
	/* And when it was asked for, once. */
	vg_conn_op(&g, &c, VSOCK_OP_CREDIT_REQUEST, 0);
	assert_int_equal(answer(&g), VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(pkt.h.fwd_cnt, sent);
	assert_false(vg_recv(&g, &pkt, 5));
	close(fd);
	vg_done(&g);
}

/* While the last words of a connection are still on their way, its ports are free for another. */
static void test_ports_free_while_flushing(void **state)
{
	struct front fr = { .give = -1 };
	const struct vg_opts o = { .features = ~0ull,
				   .cfg = { .ready_fd = -1, .ops = &front_ops, .ops_arg = &fr } };
	struct vg_conn c = { .guest_port = 1025, .host_port = 80 };
	static uint8_t chunk[65536];
	uint64_t sent = 0, seen = 0;
	struct vg g;
	int a[2], b[2];
	uint32_t n;
	char got[4];

	(void)state;
	pair(a);
	pair(b);
	assert_int_equal(vg_init(&g, &o, false), 0);
	fr.give = a[1];
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	assert_int_equal(answer(&g), VSOCK_OP_RESPONSE);
	vg_conn_take(&c, &pkt);
	do {
		fill(chunk, sent, sizeof(chunk));
		n = vg_conn_send(&g, &c, chunk, sizeof(chunk));
		sent += n;
	} while (n);
	vg_conn_op(&g, &c, VSOCK_OP_RST, 0);
	while (vg_recv(&g, &pkt, 5))
		;
	c = (struct vg_conn){ .guest_port = 1025, .host_port = 80 };
	fr.give = b[1];
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	assert_int_equal(answer(&g), VSOCK_OP_RESPONSE);
	vg_conn_take(&c, &pkt);
	assert_int_equal(vg_conn_send(&g, &c, "new", 3), 3);
	assert_int_equal(read(b[0], got, sizeof(got)), 3);
	assert_true(until(g.f.loop, host_read("old", a[0], &seen)));
	assert_int_equal(seen, sent);
	assert_int_equal(vg_conn_send(&g, &c, "more", 4), 4);
	assert_int_equal(read(b[0], got, sizeof(got)), 4);
	close(a[0]);
	close(b[0]);
	vg_done(&g);
}

/* A pause keeps connections; a saved and loaded device has none and says so. */
static void test_pause_and_load(void **state)
{
	struct buf st = BUF_INIT(MIB(1));
	struct snap_w w = { .b = &st };
	struct vg_conn c;
	struct snap_r r;
	uint64_t at = 0;
	uint32_t port;
	uint8_t b[10];
	gpa_t ev;
	struct vg g;
	int fd;

	(void)state;
	init(&g);
	fd = host_connection(&g, 1, &c);
	port = c.host_port;
	assert_int_equal(vdev_quiesce(g.f.d, NULL), 0);
	fill(b, 0, sizeof(b));
	assert_int_equal(write(fd, b, sizeof(b)), sizeof(b));
	vg_conn_send(&g, &c, "abc", 3);
	fdv_run(&g.f, 20);
	assert_false(vg_recv(&g, &pkt, 0));
	assert_int_equal(read(fd, b, sizeof(b)), -1);
	vdev_resume(g.f.d);
	for (unsigned q = 0; q < VSOCK_NQUEUES; q++)
		fdv_kick(&g.f, q);
	assert_int_equal(read(fd, b, sizeof(b)), 3);
	take_until(&g, &c, "resumed", &at, at == 10);
	assert_int_equal(c.reset, false);
	assert_int_equal(vdev_quiesce(g.f.d, NULL), 0);
	assert_int_equal(vdev_save(g.f.d, &w, NULL), 0);

	fdv_destroy(&g.f);
	assert_int_equal(read(fd, b, sizeof(b)), 0);
	close(fd);
	g.o.cfg.cid = VG_CID + 1;
	assert_int_equal(fdv_create(&g.f, &vsock_class, &g.o.cfg, NULL), 0);
	assert_int_equal(snap_r_init(&r, st.data, st.len, NULL), 0);
	assert_int_equal(vdev_load(g.f.d, &r, NULL), 0);
	vdev_resume(g.f.d);
	for (unsigned q = 0; q < VSOCK_NQUEUES; q++)
		fdv_kick(&g.f, q);
	vg_add_event_buffer(&g, &ev);
	fdv_run(&g.f, 5);
	assert_int_equal(fdv_used_idx(&g.f, VSOCK_EVQ), 1);
	assert_int_equal(*(uint32_t *)fdv_ptr(&g.f, ev, 4), VSOCK_EVENT_TRANSPORT_RESET);
	vdev_config_read(g.f.d, 0, &at, sizeof(at));
	assert_int_equal(at, VG_CID + 1);
	/* Once; and ports go on where they were. */
	vg_add_event_buffer(&g, &ev);
	assert_int_equal(fdv_used_idx(&g.f, VSOCK_EVQ), 1);
	assert_int_equal(to_vsock(g.f.d)->next_port, port + 1 - VSOCK_PORT_FIRST);
	/* A port beyond the range is refused. */
	to_vsock(g.f.d)->next_port = VSOCK_PORT_FIRST;
	buf_consume(&st, st.len);
	assert_int_equal(vdev_quiesce(g.f.d, NULL), 0);
	assert_int_equal(vdev_save(g.f.d, &w, NULL), 0);
	fdv_destroy(&g.f);
	assert_int_equal(fdv_create(&g.f, &vsock_class, &g.o.cfg, NULL), 0);
	assert_int_equal(snap_r_init(&r, st.data, st.len, NULL), 0);
	assert_int_equal(vdev_load(g.f.d, &r, NULL), -EBADMSG);
	buf_free(&st);
	vg_done(&g);
}

/* --- the generic suite --------------------------------------------------------------------------------- */

static const void *suite_cfg(void)
{
	static const struct vsock_cfg cfg = { .cid = VG_CID, .ready_fd = -1 };

	return &cfg;
}

static void suite_work(struct fakedrv *f)
{
	const struct vsock_hdr h = { .src_cid = VG_CID, .dst_cid = VSOCK_HOST_CID, .src_port = 11,
				     .dst_port = 22, .type = VSOCK_TYPE_STREAM,
				     .op = VSOCK_OP_REQUEST };
	struct fdv_seg rx = { fdv_alloc(f, 256, 8), 256, true };
	struct fdv_seg tx = { fdv_put(f, &h, sizeof(h)), sizeof(h), false };
	uint16_t head;
	uint32_t len;

	assert_true(fdv_add(f, VSOCK_RXQ, &rx, 1) >= 0);
	assert_true(fdv_add(f, VSOCK_TXQ, &tx, 1) >= 0);
	fdv_kick(f, VSOCK_RXQ);
	fdv_kick(f, VSOCK_TXQ);
	assert_true(fdv_wait_used(f, VSOCK_TXQ, &head, &len, 1000));
	assert_true(fdv_wait_used(f, VSOCK_RXQ, &head, &len, 1000));
	assert_int_equal(len, sizeof(h));
}

static void suite_pend(struct fakedrv *f)
{
	struct fdv_seg rx = { fdv_alloc(f, 256, 8), 256, true };

	assert_true(fdv_add(f, VSOCK_RXQ, &rx, 1) >= 0);
	fdv_kick(f, VSOCK_RXQ);
}

static const struct vdev_suite suite = {
	.cls = &vsock_class,
	.cfg = suite_cfg,
	.work = suite_work,
	.pend = suite_pend,
	.pops = 1u << VSOCK_TXQ,
};

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_refused_and_late),
		cmocka_unit_test(test_driver_not_there_yet),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_ready_port),
		cmocka_unit_test(test_host_ports),
		cmocka_unit_test(test_traffic),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_stalled_reader),
		cmocka_unit_test(test_stalled_guest),
		cmocka_unit_test(test_no_receive_buffers),
		cmocka_unit_test(test_more_than_a_turn),
		cmocka_unit_test(test_credit_updates),
		cmocka_unit_test(test_ports_free_while_flushing),
		cmocka_unit_test(test_pause_and_load),
	};

	return cmocka_run_group_tests_name("vsock", tests, NULL, NULL);
}
