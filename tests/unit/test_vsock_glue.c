// SPDX-License-Identifier: Apache-2.0
/* What the vsock device asks the machine's owner, who is slow or does not answer. The machine is a stand-in. */
#include "tests/unit/vsock_setup.h"
#include "vmm/core/machine_internal.h"
#include "vmm/core/vsock_glue.h"

#define STORM 40u

static struct machine m;
static unsigned asked;
static uint64_t tokens[STORM * 2];

struct machine_dev *machine_find(struct machine *of, enum nc_dev_type type, const char *id)
{
	(void)id;
	assert_int_equal(type, NC_DEV_VSOCK);
	return &of->dev[0];
}

void machine_stamp(struct machine *of, enum nc_stamp s)
{
	(void)of;
	(void)s;
}

static void host_port(void *arg, uint32_t port, uint64_t token)
{
	(void)arg;
	assert_int_equal(port, 99);
	tokens[asked++] = token;
}

static const struct machine_ops machine_ops = { .host_port = host_port };

static void begin(struct vg *g)
{
	const struct vg_opts o = { .features = ~0ull,
				   .cfg = { .ready_fd = -1, .ops = &vsock_glue_open, .ops_arg = &m } };

	asked = 0;
	memset(&m, 0, sizeof(m));
	assert_int_equal(vg_init(g, &o, false), 0);
	m.setup.ops = &machine_ops;
	m.setup.control = m.io.loop = g->f.loop;
	m.dev[0].vdev = g->f.d;
}

/* @n connections at once; how many are refused. */
static unsigned storm(struct vg *g, uint32_t from, unsigned n)
{
	unsigned refused = 0;

	for (uint32_t i = 0; i < n; i++) {
		assert_true(vg_send(g, VSOCK_OP_REQUEST, from + i, 99, 0));
		while (vg_recv(g, &pkt, 0))
			refused += pkt.h.op == VSOCK_OP_RST;
	}
	while (vg_recv(g, &pkt, 20))
		refused += pkt.h.op == VSOCK_OP_RST;
	return refused;
}

static void a_few_at_a_time(void **state)
{
	struct vsock_stats st;
	unsigned n;
	struct vg g;

	(void)state;
	begin(&g);
	n = STORM - storm(&g, 1000, STORM);
	assert_in_range(n, 8, 16);
	assert_int_equal(asked, n);
	/* Each answer makes room for one, and one that belongs to no question does not. */
	assert_int_equal(machine_host_port(&m, 1ull << 40, -ECONNREFUSED, -1, NULL), 0);
	fdv_run(&g.f, 20);
	assert_int_equal(storm(&g, 2000, 1), 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(machine_host_port(&m, tokens[i], -ECONNREFUSED, -1, NULL), 0);
	fdv_run(&g.f, 20);
	while (vg_recv(&g, &pkt, 0))
		;
	assert_int_equal(storm(&g, 3000, 5), 2);
	assert_int_equal(asked, n + 3);
	vsock_get_stats(g.f.d, &st);
	assert_int_equal(st.conns, n);
	vg_done(&g);
}

/* A guest that gives up does not ask for more than one that waits. */
static void given_up(void **state)
{
	struct vg g;

	(void)state;
	begin(&g);
	for (uint32_t i = 0; i < STORM; i++) {
		vg_send(&g, VSOCK_OP_REQUEST, 1000 + i, 99, 0);
		vg_send(&g, VSOCK_OP_RST, 1000 + i, 99, 0);
		while (vg_recv(&g, &pkt, 0))
			;
	}
	fdv_run(&g.f, 20);
	assert_in_range(asked, 8, 16);
	vg_done(&g);
}

/* Questions that nobody answers are forgotten in the end. */
static void lost(void **state)
{
	uint64_t now = io_now_ns();
	struct vg g;

	(void)state;
	begin(&g);
	storm(&g, 1000, STORM);
	for (unsigned i = 0; i < MAX_ASKED_PORTS; i++) {
		assert_in_range(m.asked[i].until_ns, now + 5000000000ull, now + 15000000000ull);
		m.asked[i].until_ns = now;
	}
	assert_int_equal(storm(&g, 2000, 1), 0);
	assert_int_equal(asked, MAX_ASKED_PORTS + 1);
	vg_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_at_a_time),
		cmocka_unit_test(given_up),
		cmocka_unit_test(lost),
	};

	return cmocka_run_group_tests_name("vsock_glue", tests, NULL, NULL);
}
