// SPDX-License-Identifier: Apache-2.0
/* The vsock device with a guest that breaks the rules: each case is one step from an accepted one. */
#include "tests/unit/check.h"

#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/until.h"
#include "tests/lib/vsock_guest.h"

static struct vg_pkt pkt;

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

static void init(struct vg *g)
{
	const struct vg_opts o = { .features = ~0ull, .cfg = { .ready_fd = -1 } };

	assert_int_equal(vg_init(g, &o, false), 0);
}

static void start(struct vg *g, uint32_t port, struct outcome *o, struct vg_conn *c)
{
	*o = (struct outcome){ .fd = -1 };
	assert_int_equal(vsock_connect(g->f.d, port, VSOCK_NO_TIMEOUT, connected, o), 0);
	do
		assert_true(vg_recv(g, &pkt, 1000));
	while (pkt.h.op != VSOCK_OP_REQUEST);
	*c = (struct vg_conn){ .guest_port = port, .host_port = pkt.h.src_port };
	vg_conn_take(c, &pkt);
}

static int host_connection(struct vg *g, uint32_t port, struct vg_conn *c)
{
	struct outcome o;

	start(g, port, &o, c);
	assert_true(vg_conn_op(g, c, VSOCK_OP_RESPONSE, 0));
	assert_int_equal(o.rc, 0);
	return o.fd;
}

/* --- one packet on an open connection ------------------------------------------------------------------ */

enum { SURVIVES, RESETS };

static const struct lie {
	const char *why;
	int verdict;
	uint16_t op, type;       /* type 0: stream */
	uint32_t len;            /* what the header says */
	uint32_t real;           /* bytes that are there */
	int64_t src_cid, dst_cid; /* difference from the right ones */
	int64_t fwd;             /* difference from what the guest has taken */
	uint32_t flags;
} lies[] = {
	{ "data", SURVIVES, VSOCK_OP_RW, 0, 100, 100, 0, 0, 0, 0 },
	{ "data of no bytes", SURVIVES, VSOCK_OP_RW, 0, 0, 0, 0, 0, 0, 0 },
	{ "length one more than is there", RESETS, VSOCK_OP_RW, 0, 101, 100, 0, 0, 0, 0 },
	{ "length one less than is there", RESETS, VSOCK_OP_RW, 0, 99, 100, 0, 0, 0, 0 },
	{ "length of all there can be", RESETS, VSOCK_OP_RW, 0, UINT32_MAX, 100, 0, 0, 0, 0 },
	{ "length that wraps with the header", RESETS, VSOCK_OP_RW, 0, (uint32_t)-44, 0, 0, 0, 0, 0 },
	{ "credit update", SURVIVES, VSOCK_OP_CREDIT_UPDATE, 0, 0, 0, 0, 0, 0, 0 },
	{ "credit update with payload", RESETS, VSOCK_OP_CREDIT_UPDATE, 0, 1, 1, 0, 0, 0, 0 },
	{ "wrong source", RESETS, VSOCK_OP_RW, 0, 1, 1, 1, 0, 0, 0 },
	{ "the host as source", RESETS, VSOCK_OP_RW, 0, 1, 1, 2 - (int64_t)VG_CID, 0, 0, 0 },
	{ "source beyond 32 bits", RESETS, VSOCK_OP_RW, 0, 1, 1, 1ll << 32, 0, 0, 0 },
	{ "wrong destination", RESETS, VSOCK_OP_RW, 0, 1, 1, 0, 1, 0, 0 },
	{ "destination beyond 32 bits", RESETS, VSOCK_OP_RW, 0, 1, 1, 0, 1ll << 32, 0, 0 },
	{ "seqpacket", RESETS, VSOCK_OP_RW, 2, 1, 1, 0, 0, 0, 0 },
	{ "unknown type", RESETS, VSOCK_OP_RW, 0xffff, 1, 1, 0, 0, 0, 0 },
	{ "operation 0", RESETS, VSOCK_OP_INVALID, 0, 0, 0, 0, 0, 0, 0 },
	{ "first unknown operation", RESETS, VSOCK_OP_COUNT, 0, 0, 0, 0, 0, 0, 0 },
	{ "largest operation", RESETS, 0xffff, 0, 0, 0, 0, 0, 0, 0 },
	{ "second request", RESETS, VSOCK_OP_REQUEST, 0, 0, 0, 0, 0, 0, 0 },
	{ "second response", RESETS, VSOCK_OP_RESPONSE, 0, 0, 0, 0, 0, 0, 0 },
	{ "taken what was not sent", RESETS, VSOCK_OP_CREDIT_UPDATE, 0, 0, 0, 0, 0, 1, 0 },
	{ "the same by half the circle", RESETS, VSOCK_OP_CREDIT_UPDATE, 0, 0, 0, 0, 0, INT32_MAX, 0 },
	{ "an older count, as two CPUs may bring about", SURVIVES, VSOCK_OP_CREDIT_UPDATE, 0, 0, 0, 0, 0,
	  -10, 0 },
	{ "unknown shutdown flags alone", SURVIVES, VSOCK_OP_SHUTDOWN, 0, 0, 0, 0, 0, 0, ~3u },
	{ "shutdown", SURVIVES, VSOCK_OP_SHUTDOWN, 0, 0, 0, 0, 0, 0, VSOCK_SHUT_SEND },
	{ "credit request", SURVIVES, VSOCK_OP_CREDIT_REQUEST, 0, 0, 0, 0, 0, 0, 0 },
};

static void send_lie(struct vg *g, const struct vg_conn *c, const struct lie *l)
{
	struct vsock_hdr h = vg_hdr(g, l->op, c->guest_port, c->host_port, l->len, l->flags);
	static uint8_t data[256];

	h.src_cid += (uint64_t)l->src_cid;
	h.dst_cid += (uint64_t)l->dst_cid;
	h.fwd_cnt = (uint32_t)(c->fwd_cnt + l->fwd);
	if (l->type)
		h.type = l->type;
	assert_true(vg_send_hdr(g, &h, data, l->real));
}

/* Waits for a packet of @c's; others' are fine, as long as no reset is among them. */
static bool was_reset(struct vg *g, struct vg_conn *c)
{
	fdv_run(&g->f, 2);
	while (vg_recv(g, &pkt, 0))
		vg_conn_take(c, &pkt);
	return c->reset;
}

static void echo_works(const char *why, struct vg *g, struct vg_conn *c, int fd)
{
	char b[4];

	check_row(why, vg_conn_send(g, c, "ping", 4) == 4);
	check_row(why, read(fd, b, 4) == 4 && memcmp(b, "ping", 4) == 0);
	check_row(why, write(fd, "pong", 4) == 4);
	for (;;) {
		check_row(why, vg_recv(g, &pkt, 1000));
		if (vg_conn_take(c, &pkt) && pkt.h.op == VSOCK_OP_RW)
			break;
	}
	c->fwd_cnt = c->rx_cnt;
	check_row(why, pkt.h.len == 4 && memcmp(pkt.data, "pong", 4) == 0);
}

static void test_packets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		const char *why = lies[i].why;
		struct vg_conn c, other;
		char b[128];
		struct vg g;
		int fd, fd2;

		init(&g);
		fd = host_connection(&g, 1, &c);
		fd2 = host_connection(&g, 2, &other);
		echo_works(why, &g, &c, fd);
		for (unsigned k = 0; k < 3; k++)
			echo_works(why, &g, &c, fd); /* so that an older count is one */
		c.fwd_cnt = c.rx_cnt;
		vg_conn_op(&g, &c, VSOCK_OP_CREDIT_UPDATE, 0);
		send_lie(&g, &c, &lies[i]);
		check_row(why, was_reset(&g, &c) == (lies[i].verdict == RESETS));
		if (lies[i].verdict == RESETS) {
			ssize_t n = read(fd, b, sizeof(b));

			check_row(why, n == 0); /* not a byte of a bad packet's */
		} else if (lies[i].op != VSOCK_OP_SHUTDOWN && lies[i].op != VSOCK_OP_RW) {
			echo_works(why, &g, &c, fd);
		}
		check_row(why, !fdv_needs_reset(&g.f));
		echo_works(why, &g, &other, fd2);
		close(fd);
		close(fd2);
		vg_done(&g);
	}
}

/* The same packets where there is no such connection: one RST each, but for RST itself. */
static void test_packets_to_nobody(void **state)
{
	const struct vg_conn c = { .guest_port = 77, .host_port = 88 };
	struct vg g;

	(void)state;
	init(&g);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		send_lie(&g, &c, &lies[i]);
		check_row(lies[i].why, vg_recv(&g, &pkt, 100));
		check_row(lies[i].why, pkt.h.op == VSOCK_OP_RST && pkt.h.dst_port == 77 &&
						pkt.h.src_port == 88 && pkt.h.dst_cid == VG_CID);
		check_row(lies[i].why, pkt.h.src_cid == VSOCK_HOST_CID + (uint64_t)lies[i].dst_cid);
		check_row(lies[i].why, !vg_recv(&g, &pkt, 0));
	}
	vg_send(&g, VSOCK_OP_RST, 77, 88, 0);
	assert_false(vg_recv(&g, &pkt, 5));
	vg_done(&g);
}

/* Packets that do not fit the state of a connection that the host is making. */
static void test_answers(void **state)
{
	static const struct {
		const char *why;
		unsigned op;
		int rc; /* 1: not done yet */
	} rows[] = {
		{ "response", VSOCK_OP_RESPONSE, 0 },
		{ "reset", VSOCK_OP_RST, -ECONNREFUSED },
		{ "request", VSOCK_OP_REQUEST, -ECONNREFUSED },
		{ "data before the response", VSOCK_OP_RW, -ECONNREFUSED },
		{ "credit before the response", VSOCK_OP_CREDIT_UPDATE, -ECONNREFUSED },
		{ "shutdown before the response", VSOCK_OP_SHUTDOWN, -ECONNREFUSED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vsock_stats st;
		struct vg_conn c;
		struct outcome o;
		struct vg g;

		init(&g);
		start(&g, 9, &o, &c);
		vg_conn_op(&g, &c, rows[i].op, VSOCK_SHUT_BOTH);
		check_row(rows[i].why, o.calls == 1 && o.rc == rows[i].rc);
		was_reset(&g, &c);
		check_row(rows[i].why, c.reset == (rows[i].rc && rows[i].op != VSOCK_OP_RST));
		vsock_get_stats(g.f.d, &st);
		check_row(rows[i].why, st.conns == (rows[i].rc == 0));
		if (o.fd >= 0)
			close(o.fd);
		vg_done(&g);
	}
}

/* A response that guesses the port of a request that has not been sent. */
static void test_guessed_response(void **state)
{
	const struct vg_opts opt = { .features = ~0ull, .rx_bufs = 1, .cfg = { .ready_fd = -1 } };
	struct vg_conn first, guess = { .guest_port = 3 };
	struct outcome o1, o2 = { .fd = -1 };
	struct vg g;

	(void)state;
	assert_int_equal(vg_init(&g, &opt, false), 0);
	start(&g, 3, &o1, &first);
	g.rx_hold = true;
	assert_int_equal(vsock_connect(g.f.d, 4, VSOCK_NO_TIMEOUT, connected, &o2), 0);
	assert_true(vg_recv(&g, &pkt, 1000)); /* the only buffer */
	assert_int_equal(vsock_connect(g.f.d, 3, VSOCK_NO_TIMEOUT, connected, &o2), 0);
	fdv_run(&g.f, 2);
	guess.host_port = first.host_port + 2;
	vg_conn_op(&g, &guess, VSOCK_OP_RESPONSE, 0);
	assert_int_equal(o2.calls, 1);
	assert_int_equal(o2.rc, -ECONNREFUSED);
	vg_done(&g);
}

/* --- credit -------------------------------------------------------------------------------------------- */

/* More than the credit allows, to a reader that sleeps: the connection ends, memory stays bounded. */
static void test_credit_overflow(void **state)
{
	static uint8_t chunk[65536];

	(void)state;
	for (uint32_t beyond = 0; beyond < 2; beyond++) {
		uint32_t room;
		struct vg_conn c;
		struct vg g;
		int fd;

		init(&g);
		fd = host_connection(&g, 1, &c);
		/* Fill the socket and then the credit, to the byte. */
		for (;;) {
			uint32_t n = vg_conn_send(&g, &c, chunk, sizeof(chunk));

			fdv_run(&g.f, 1);
			while (vg_recv(&g, &pkt, 0))
				vg_conn_take(&c, &pkt);
			if (!n)
				break;
		}
		vg_conn_op(&g, &c, VSOCK_OP_CREDIT_REQUEST, 0);
		assert_false(was_reset(&g, &c));
		room = vg_conn_credit(&c);
		assert_int_equal(room, 0);
		if (beyond) {
			struct vsock_hdr h = vg_hdr(&g, VSOCK_OP_RW, c.guest_port, c.host_port, beyond, 0);

			assert_true(vg_send_hdr(&g, &h, chunk, beyond));
		}
		assert_int_equal(was_reset(&g, &c), beyond);
		close(fd);
		vg_done(&g);
	}
}

static void test_data_after_shutdown(void **state)
{
	struct vg_conn c;
	char b[4];
	struct vg g;
	int fd;

	(void)state;
	init(&g);
	fd = host_connection(&g, 1, &c);
	assert_int_equal(vg_conn_send(&g, &c, "ab", 2), 2);
	vg_conn_op(&g, &c, VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND);
	assert_int_equal(vg_conn_send(&g, &c, "cd", 2), 2);
	assert_true(was_reset(&g, &c));
	assert_int_equal(read(fd, b, 4), 2);
	assert_int_equal(read(fd, b, 4), 0);
	close(fd);
	vg_done(&g);
}

/* --- storms -------------------------------------------------------------------------------------------- */

/* A hundred thousand requests: each is refused, nothing grows, and the guest that takes no answers is
 * made to wait instead of being answered from memory. */
static void test_storm(void **state)
{
	const unsigned total = 100000;
	unsigned sent = 0, refused = 0;
	struct vsock_stats st;
	struct vg_conn c;
	struct vg g;
	int fd;

	(void)state;
	init(&g);
	fd = host_connection(&g, 1, &c);
	g.rx_hold = true;
	while (vg_send(&g, VSOCK_OP_REQUEST, 5000 + sent, 99, 0))
		sent++;
	assert_in_range(sent, VSOCK_RST_MAX, VSOCK_RST_MAX + 64 + VG_TX_SLOTS);
	g.rx_hold = false;
	vg_restock(&g);
	while (sent < total || refused < sent) {
		while (sent < total && vg_send(&g, VSOCK_OP_REQUEST, 5000 + sent, 99, 0))
			sent++;
		assert_true(vg_recv(&g, &pkt, 1000));
		do {
			assert_int_equal(pkt.h.op, VSOCK_OP_RST);
			assert_int_equal(pkt.h.dst_port, 5000 + refused); /* in order, none twice */
			refused++;
		} while (vg_recv(&g, &pkt, 0));
	}
	vsock_get_stats(g.f.d, &st);
	assert_int_equal(st.conns, 1);
	assert_int_equal(st.resets, total);
	echo_works("after the storm", &g, &c, fd);
	close(fd);
	vg_done(&g);
}

static int take_all(void *arg, uint32_t port, uint64_t token, int *ret_fd)
{
	(void)arg;
	(void)port;
	(void)token;
	(void)ret_fd;
	return -EINPROGRESS;
}

/* The guest cannot use up the host's half of the table. */
static void test_table_full(void **state)
{
	static const struct vsock_ops ops = { .open_host_port = take_all };
	const struct vg_opts o = { .features = ~0ull,
				   .cfg = { .ready_fd = -1, .ops = &ops, .max_conns = 64 } };
	unsigned refused = 0;
	struct outcome full = { .fd = -1 };
	struct vsock_stats st;
	struct vg_conn c;
	struct vg g;
	int fd[32];

	(void)state;
	assert_int_equal(vg_init(&g, &o, false), 0);
	for (uint32_t i = 0; i < 100; i++) {
		assert_true(vg_send(&g, VSOCK_OP_REQUEST, 1000 + i, 99, 0));
		while (vg_recv(&g, &pkt, 0)) {
			assert_int_equal(pkt.h.op, VSOCK_OP_RST);
			refused++;
		}
	}
	assert_int_equal(refused, 100 - 32);
	vsock_get_stats(g.f.d, &st);
	assert_int_equal(st.conns, 32);
	for (unsigned i = 0; i < 32; i++)
		fd[i] = host_connection(&g, 1, &c);
	assert_int_equal(vsock_connect(g.f.d, 1, VSOCK_NO_TIMEOUT, connected, &full), 0);
	assert_true(until(g.f.loop, full.calls == 1));
	assert_int_equal(full.rc, -ENOSPC);
	for (unsigned i = 0; i < 32; i++)
		close(fd[i]);
	vg_done(&g);
}

/* Sends on all @n connections, whose readers sleep, until none has credit left. */
static void spend_all(struct vg *g, struct vg_conn *c, unsigned n)
{
	static uint8_t chunk[65536];
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < n; i++)
			more |= vg_conn_send(g, &c[i], chunk, sizeof(chunk)) > 0;
		fdv_run(&g->f, 10);
		while (vg_recv(g, &pkt, 0))
			for (unsigned i = 0; i < n; i++)
				more |= vg_conn_take(&c[i], &pkt);
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(vg_conn_credit(&c[i]), 0);
}

/* Stalled readers, and a guest that writes beyond what it was given, with much and with little: the
 * buffers of all connections together have a bound, and only who breaks it is reset. */
static void test_buffers_bound(void **state)
{
	enum { N = VSOCK_LARGE_MAX + 8, HONEST = 2 }; /* the last ones */
	static struct vg_conn c[N];
	struct vsock *v;
	int fd[N];
	struct vg g;

	(void)state;
	init(&g);
	v = to_vsock(g.f.d);
	for (unsigned i = 0; i < N; i++)
		fd[i] = host_connection(&g, 1, &c[i]);
	spend_all(&g, c, N);
	assert_int_equal(v->bufs_bytes, VSOCK_LARGE_MAX * VSOCK_BUF + (N - VSOCK_LARGE_MAX) * VSOCK_BUF_SMALL);
	for (unsigned i = 0; i < N; i++)
		assert_false(c[i].reset);
	for (unsigned i = 0; i < N - HONEST; i++) {
		struct vsock_hdr h = vg_hdr(&g, VSOCK_OP_RW, c[i].guest_port, c[i].host_port, 1, 0);

		assert_true(vg_send_hdr(&g, &h, "x", 1));
		assert_true(was_reset(&g, &c[i]));
	}
	assert_int_equal(v->bufs_bytes, VSOCK_BUFS_KEPT * VSOCK_BUF + HONEST * VSOCK_BUF_SMALL);
	for (unsigned i = 0; i < N; i++) {
		assert_true(i < N - HONEST || !was_reset(&g, &c[i]));
		close(fd[i]);
	}
	assert_true(until(g.f.loop, v->bufs_bytes == VSOCK_BUFS_KEPT * VSOCK_BUF));
	vg_done(&g);
}

/* --- rings --------------------------------------------------------------------------------------------- */

static void test_short_chains(void **state)
{
	static const struct {
		const char *why;
		unsigned q;
		uint32_t len;
		bool write, needs_reset;
	} rows[] = {
		{ "packet of a header", VSOCK_TXQ, 44, false, false },
		{ "packet shorter than a header", VSOCK_TXQ, 43, false, true },
		{ "packet of one byte", VSOCK_TXQ, 1, false, true },
		{ "packet that is for the device to write", VSOCK_TXQ, 44, true, true },
		{ "receive buffer for a header and a byte", VSOCK_RXQ, 45, true, false },
		{ "receive buffer for a header", VSOCK_RXQ, 44, true, true },
		{ "receive buffer of one byte", VSOCK_RXQ, 1, true, true },
		{ "receive buffer to be read", VSOCK_RXQ, 4096, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vg_opts o = { .features = ~0ull, .rx_bufs = 1, .cfg = { .ready_fd = -1 } };
		struct fdv_seg seg;
		struct vg_conn c;
		struct vg g;
		int fd;

		check_row(rows[i].why, vg_init(&g, &o, false) == 0);
		fd = host_connection(&g, 1, &c);
		if (rows[i].q == VSOCK_RXQ) {
			/* Our buffer is the next after the one that is there. */
			g.rx_hold = true;
			check_row(rows[i].why, write(fd, "a", 1) == 1);
			check_row(rows[i].why, until(g.f.loop, vg_recv(&g, &pkt, 0)));
			check_row(rows[i].why, write(fd, "b", 1) == 1);
			fdv_run(&g.f, 2);
		}
		seg = (struct fdv_seg){ fdv_alloc(&g.f, 4096, 8), rows[i].len, rows[i].write };
		memset(fdv_ptr(&g.f, seg.at, 4096), 0, 4096);
		check_row(rows[i].why, fdv_add(&g.f, rows[i].q, &seg, 1) >= 0);
		fdv_kick(&g.f, rows[i].q);
		fdv_run(&g.f, 2);
		check_row(rows[i].why, fdv_needs_reset(&g.f) == rows[i].needs_reset);
		for (unsigned q = 0; q < VSOCK_NQUEUES; q++)
			check_row(rows[i].why, g.f.d->vq[q].in_flight == 0);
		fdv_reset(&g.f);
		g.rx_hold = false;
		vg_start(&g);
		vg_send(&g, VSOCK_OP_REQUEST, 1, 1, 0);
		check_row(rows[i].why, vg_recv(&g, &pkt, 100) && pkt.h.op == VSOCK_OP_RST);
		close(fd);
		vg_done(&g);
	}
}

struct flipper {
	uint8_t *at;
	size_t len;
	atomic_bool stop;
};

static void *flip(void *arg)
{
	struct flipper *fl = arg;
	uint64_t x = 88172645463325252ull;

	while (!atomic_load(&fl->stop)) {
		volatile uint8_t *p;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p = fl->at + x % fl->len;
		*p ^= (uint8_t)(1u << (x >> 32) % 8);
		*p ^= (uint8_t)(1u << (x >> 32) % 8);
	}
	return NULL;
}

static void restart(struct vg *g)
{
	fdv_reset(&g->f);
	vg_start(g);
}

/* Another CPU of the guest changes header and payload while the device looks at them. */
static void test_flips(void **state)
{
	uint64_t end = io_now_ns() + 300000000u, late = end + 20000000000ull;
	struct flipper fl = { .len = 100 };
	unsigned connections = 0;
	static struct outcome o;
	struct vg_conn c;
	pthread_t t;
	struct vg g;
	int fd;

	(void)state;
	init(&g);
	c.reset = true;
	o.fd = -1;
	fl.at = fdv_ptr(&g.f, g.tx_slot[0], fl.len);
	assert_int_equal(pthread_create(&t, NULL, flip, &fl), 0);
	/* Longer where one of the two had no processor. */
	while (io_now_ns() < end || (!connections && io_now_ns() < late)) {
		static uint8_t b[4096];

		if (c.reset || o.calls == 0 || o.rc < 0) {
			/* Answers are flipped, too: it may take a while. */
			if (o.fd >= 0)
				close(o.fd);
			if (o.calls == 0)
				restart(&g);
			fl.at = fdv_ptr(&g.f, g.tx_slot[0], fl.len);
			start(&g, 1, &o, &c);
			vg_conn_op(&g, &c, VSOCK_OP_RESPONSE, 0);
			connections += o.fd >= 0;
			continue;
		}
		if (!vg_conn_send(&g, &c, b, 56))
			vg_conn_op(&g, &c, VSOCK_OP_CREDIT_REQUEST, 0);
		while (read(o.fd, b, sizeof(b)) > 0)
			;
		while (vg_recv(&g, &pkt, 0))
			vg_conn_take(&c, &pkt);
	}
	atomic_store(&fl.stop, true);
	pthread_join(t, NULL);
	assert_true(connections > 0);
	if (o.fd >= 0)
		close(o.fd);
	fdv_reset(&g.f);
	vg_start(&g);
	fd = host_connection(&g, 2, &c);
	echo_works("after the flips", &g, &c, fd);
	close(fd);
	vg_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_packets_to_nobody),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_guessed_response),
		cmocka_unit_test(test_credit_overflow),
		cmocka_unit_test(test_data_after_shutdown),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_table_full),
		cmocka_unit_test(test_buffers_bound),
		cmocka_unit_test(test_short_chains),
		cmocka_unit_test(test_flips),
	};

	return cmocka_run_group_tests_name("vsock_lies", tests, NULL, NULL);
}
