// SPDX-License-Identifier: Apache-2.0
/* The vsock device with an honest guest: how connections begin, and with whom. */
#include "tests/unit/vsock_setup.h"

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

static void test_refused_and_late(void **state)
{
	struct outcome o;
	struct vg g;

	(void)state;
	init(&g);
	start_connect(&g, 7, VSOCK_NO_TIMEOUT, &o);
	assert_true(vg_recv(&g, &pkt, 1000));
	assert_int_equal(pkt.h.op, VSOCK_OP_REQUEST);
	assert_int_equal(pkt.h.buf_alloc, VSOCK_BUF);
	vg_send(&g, VSOCK_OP_RST, 7, pkt.h.src_port, 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.rc, -ECONNREFUSED);
	assert_int_equal(o.fd, -1);

	start_connect(&g, 7, 1000000000, &o);
	assert_true(vg_recv(&g, &pkt, 1000));
	assert_int_equal(pkt.h.op, VSOCK_OP_REQUEST);
	assert_int_equal(o.calls, 0);
	assert_true(vg_recv(&g, &pkt, 20000));
	assert_int_equal(pkt.h.op, VSOCK_OP_RST); /* so that the guest forgets it, too */
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.rc, -ETIMEDOUT);
	vg_send(&g, VSOCK_OP_RESPONSE, 7, pkt.h.src_port, 0);
	assert_true(vg_recv(&g, &pkt, 1000));
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
	uint64_t end = io_now_ns() + 60000000000ull;
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
		assert_true(vg_recv(&g, &pkt, 1000));
		assert_true(pkt.h.src_port > last);
		assert_true(pkt.h.src_port >= VSOCK_PORT_FIRST);
		last = pkt.h.src_port;
		vg_send(&g, VSOCK_OP_RST, 9, last, 0);
		assert_int_equal(o.calls, 1);
	}
	vg_done(&g);
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
		assert_true(vg_recv(&g, &pkt, 1000));
	while (pkt.h.dst_port != 1028);
	assert_int_equal(pkt.h.op, VSOCK_OP_RST);
	vg_done(&g);
	close(sv[0]);
}

/* The machine is paused and resumed while the guest thinks about it. */
static void test_paused_meanwhile(void **state)
{
	struct outcome o;
	struct vg_conn c;
	char got[8];
	struct vg g;

	(void)state;
	for (unsigned rounds = 1; rounds < 4; rounds++) {
		init(&g);
		start_connect(&g, 7, VSOCK_NO_TIMEOUT, &o);
		assert_true(vg_recv(&g, &pkt, 1000));
		assert_int_equal(pkt.h.op, VSOCK_OP_REQUEST);
		c = (struct vg_conn){ .guest_port = 7, .host_port = pkt.h.src_port };
		vg_conn_take(&c, &pkt);
		for (unsigned i = 0; i < rounds; i++) {
			assert_int_equal(fdv_quiesce(&g.f, NULL), 0);
			fdv_resume(&g.f);
		}
		assert_true(loop_sleeps(g.f.loop));
		assert_true(vg_conn_op(&g, &c, VSOCK_OP_RESPONSE, 0));
		assert_int_equal(o.calls, 1);
		assert_int_equal(o.rc, 0);
		assert_int_equal(vg_conn_send(&g, &c, "ab", 2), 2);
		assert_int_equal(read(o.fd, got, sizeof(got)), 2);
		close(o.fd);
		vg_done(&g);
	}
}

/* Nobody answers: the guest is told, and the place in the table is free. */
static void test_host_ports_unanswered(void **state)
{
	struct front fr = { .give = -EINPROGRESS };
	const struct vg_opts o = { .features = ~0ull,
				   .cfg = { .ready_fd = -1, .ops = &front_ops, .ops_arg = &fr } };
	struct vg_conn c = { .guest_port = 1025, .host_port = 80 };
	uint64_t now = io_now_ns();
	struct vsock_conn *conn;
	struct vsock_stats st;
	char got[8];
	struct vg g;
	int sv[2];

	(void)state;
	assert_int_equal(vg_init(&g, &o, false), 0);
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	conn = vsock_conn_find(to_vsock(g.f.d), 1025, 80);
	assert_non_null(conn);
	assert_in_range(conn->deadline, now + 5000000000ull, now + 15000000000ull);
	vsock_conn_deadline(conn, now + 1);
	assert_true(vg_recv(&g, &pkt, 1000));
	assert_int_equal(pkt.h.op, VSOCK_OP_RST);
	assert_int_equal(pkt.h.dst_port, 1025);
	vsock_get_stats(g.f.d, &st);
	assert_int_equal(st.conns, 0);
	/* The answer comes after all. */
	pair(sv);
	vsock_host_opened(g.f.d, fr.token, 0, sv[1]);
	assert_int_equal(read(sv[0], got, sizeof(got)), 0);
	close(sv[0]);
	/* One that is open has all the time there is. */
	pair(sv);
	vg_conn_op(&g, &c, VSOCK_OP_REQUEST, 0);
	vsock_host_opened(g.f.d, fr.token, 0, sv[1]);
	assert_int_equal(answer(&g), VSOCK_OP_RESPONSE);
	conn = vsock_conn_find(to_vsock(g.f.d), 1025, 80);
	assert_non_null(conn);
	assert_int_equal(conn->deadline, 0);
	close(sv[0]);
	vg_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_refused_and_late),
		cmocka_unit_test(test_driver_not_there_yet),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_ready_port),
		cmocka_unit_test(test_paused_meanwhile),
		cmocka_unit_test(test_host_ports),
		cmocka_unit_test(test_host_ports_unanswered),
	};

	return cmocka_run_group_tests_name("vsock_connect", tests, NULL, NULL);
}
