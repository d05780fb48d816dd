// SPDX-License-Identifier: Apache-2.0
/* The vsock device with an honest guest: data, ends, life cycle. */
#include "tests/unit/vsock_setup.h"

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

/* Sends on all @n connections, whose readers sleep, until none has credit left. */
static void fill_all(struct vg *g, struct vg_conn *c, uint64_t *sent, unsigned n)
{
	static uint8_t chunk[65536];
	uint64_t end = io_now_ns() + 60000000000ull;
	bool more = true;

	while (more) {
		assert_true(io_now_ns() < end);
		more = false;
		for (unsigned i = 0; i < n; i++) {
			if (c[i].reset || !vg_conn_credit(&c[i]))
				continue;
			fill(chunk, sent[i], min_t(uint32_t, sizeof(chunk), vg_conn_credit(&c[i])));
			sent[i] += vg_conn_send(g, &c[i], chunk, sizeof(chunk));
			more = true;
		}
		fdv_run(&g->f, more ? 0 : 20);
		while (vg_recv(g, &pkt, 0))
			for (unsigned i = 0; i < n; i++)
				if (vg_conn_take(&c[i], &pkt))
					more = true;
	}
}

/* However many readers stall: a guest that keeps to its credit loses nothing, and the buffers of all
 * connections together have a bound. */
static void test_many_stalled_readers(void **state)
{
	enum { N = VSOCK_LARGE_MAX + 80 };
	static uint64_t sent[N], seen[N];
	static struct vg_conn c[N];
	uint64_t end = io_now_ns() + 60000000000ull;
	struct vsock *v;
	int fd[N];
	struct vg g;

	(void)state;
	init(&g);
	v = to_vsock(g.f.d);
	for (unsigned i = 0; i < N; i++) {
		fd[i] = host_connection(&g, 1, &c[i]);
		assert_int_equal(c[i].peer_alloc, i < VSOCK_LARGE_MAX ? VSOCK_BUF : VSOCK_BUF_SMALL);
		sent[i] = seen[i] = i * 1000003ull; /* each its own bytes */
	}
	fill_all(&g, c, sent, N);
	for (unsigned i = 0; i < N; i++)
		assert_false(c[i].reset);
	assert_int_equal(v->bufs_bytes, VSOCK_LARGE_MAX * VSOCK_BUF + (N - VSOCK_LARGE_MAX) * VSOCK_BUF_SMALL);
	assert_true(loop_sleeps(g.f.loop));
	/* All readers wake. */
	for (unsigned i = 0; i < N; i++) {
		vg_conn_op(&g, &c[i], VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND);
		while (!host_read("woken", fd[i], &seen[i])) {
			assert_true(io_now_ns() < end);
			evloop_turn(g.f.loop, 0);
		}
		assert_int_equal(seen[i], sent[i]);
		close(fd[i]);
	}
	assert_int_equal(v->bufs_bytes, VSOCK_BUFS_KEPT * VSOCK_BUF);
	/* Who comes when the others have gone has the large credit again. */
	while (v->nconns) {
		assert_true(vg_recv(&g, &pkt, 1000));
		for (unsigned i = 0; i < N; i++)
			if (vg_conn_take(&c[i], &pkt) && pkt.h.op == VSOCK_OP_SHUTDOWN)
				vg_conn_op(&g, &c[i], VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH);
	}
	assert_int_equal(v->nlarge, 0);
	fd[0] = host_connection(&g, 1, &c[0]);
	assert_int_equal(c[0].peer_alloc, VSOCK_BUF);
	close(fd[0]);
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
	.endless = { .q = VSOCK_TXQ, .out = 44 },
};

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),
		cmocka_unit_test(test_traffic),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_stalled_reader),
		cmocka_unit_test(test_many_stalled_readers),
		cmocka_unit_test(test_stalled_guest),
		cmocka_unit_test(test_no_receive_buffers),
		cmocka_unit_test(test_more_than_a_turn),
		cmocka_unit_test(test_credit_updates),
		cmocka_unit_test(test_ports_free_while_flushing),
		cmocka_unit_test(test_pause_and_load),
	};

	return cmocka_run_group_tests_name("vsock", tests, NULL, NULL);
}
