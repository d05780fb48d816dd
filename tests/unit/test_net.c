// SPDX-License-Identifier: Apache-2.0
/* The network device over faketap: what every device passes, frames both ways, taps that come and go. */
#include "tests/unit/check.h"

#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/vdev_suite.h"
#include "tests/unit/net_setup.h"

/* --- what every device must pass ----------------------------------------------------------------------- */

static struct net_fix suite_x;

static void suite_created(struct fakedrv *f)
{
	suite_x.f = f;
	net_plug(&suite_x, 1);
}

static void suite_work(struct fakedrv *f)
{
	struct net_fix *x = &suite_x;
	uint8_t frame[100], got[200];

	net_frame(frame, sizeof(frame), own_mac, 7);
	/* From the guest. */
	assert_true(fdv_request(f, 1, frame, sizeof(frame), NULL, 0) == 0);
	assert_int_equal(net_host_get(x, 0, got, sizeof(got)), sizeof(frame));
	assert_memory_equal(got, frame, sizeof(frame));
	/* To it. */
	net_host_put(x, 0, frame, sizeof(frame));
	assert_int_equal(fdv_request(f, 0, NULL, 0, got, sizeof(got)), sizeof(frame));
	assert_memory_equal(got + TAP_HEADER, frame + TAP_HEADER, sizeof(frame) - TAP_HEADER);
	/* Receive mode: all. */
	assert_int_equal(net_ctrl(f, 0, 0, "\1", 1), 0);
}

static void suite_done(void)
{
	net_unplug_all();
}

static const struct vdev_suite suite = {
	.cls = &net_class,
	.cfg = net_default_cfg,
	.cfg_done = suite_done,
	.created = suite_created,
	.work = suite_work,
	.pops = 1 << 0 | 1 << 1 | 1 << 2,
	.endless = { .q = 1, .out = 12 },
};

/* --- creation ------------------------------------------------------------------------------------------ */

static void test_create(void **state)
{
	static const struct {
		const char *why;
		struct net_cfg cfg;
		int rc;
	} rows[] = {
		{ "plain", { .mac = { 2 }, .pairs = 1, .queue_size = 256 }, 0 },
		{ "no pairs", { .mac = { 2 }, .pairs = 0, .queue_size = 256 }, -EINVAL },
		{ "most pairs", { .mac = { 2 }, .pairs = 16, .queue_size = 256 }, 0 },
		{ "more", { .mac = { 2 }, .pairs = 17, .queue_size = 256 }, -EINVAL },
		{ "largest ring", { .mac = { 2 }, .pairs = 1, .queue_size = 1024 }, 0 },
		{ "larger", { .mac = { 2 }, .pairs = 1, .queue_size = 2048 }, -EINVAL },
		{ "no power of two", { .mac = { 2 }, .pairs = 1, .queue_size = 255 }, -EINVAL },
		{ "a ring of one", { .mac = { 2 }, .pairs = 1, .queue_size = 1 }, -EINVAL },
		{ "a group's address", { .mac = { 3 }, .pairs = 1, .queue_size = 256 }, -EINVAL },
		{ "no address", { .pairs = 1, .queue_size = 256 }, -EINVAL },
		{ "least MTU", { .mac = { 2 }, .pairs = 1, .queue_size = 256, .mtu = 68 }, 0 },
		{ "less", { .mac = { 2 }, .pairs = 1, .queue_size = 256, .mtu = 67 }, -EINVAL },
		{ "all offloads", { .mac = { 2 }, .pairs = 1, .queue_size = 256, .offloads = 15 }, 0 },
		{ "TSO without checksums",
		  { .mac = { 2 }, .pairs = 1, .queue_size = 256, .offloads = NET_TSO }, -EINVAL },
		{ "an unknown offload",
		  { .mac = { 2 }, .pairs = 1, .queue_size = 256, .offloads = 17 }, -EINVAL },
		{ "a rate without refill",
		  { .mac = { 2 }, .pairs = 1, .queue_size = 256, .rate.bytes.size = 1 }, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fakedrv f;

		fdv_init(&f, NULL);
		check_row(rows[i].why, fdv_create(&f, &net_class, &rows[i].cfg, NULL) == rows[i].rc);
		fdv_done(&f);
	}
}

/* What the description asks for is what is offered, and nothing else. */
static void test_features(void **state)
{
	static const struct {
		const char *why;
		uint32_t offloads;
		unsigned pairs;
		uint16_t mtu;
		uint64_t extra;
	} rows[] = {
		{ "nothing", 0, 1, 0, 0 },
		{ "checksums", NET_CSUM, 1, 0, 1ull << 0 | 1ull << 1 | 1ull << 2 },
		{ "TSO", NET_CSUM | NET_TSO, 1, 0,
		  7ull << 0 | 7ull << 7 | 7ull << 11 },
		{ "UFO", NET_CSUM | NET_UFO, 1, 0, 7ull << 0 | 1ull << 10 | 1ull << 14 },
		{ "USO", NET_CSUM | NET_USO, 1, 0, 7ull << 0 | 7ull << 54 },
		{ "pairs", 0, 2, 0, 1ull << 22 },
		{ "an MTU", 0, 1, 1400, 1ull << 3 },
	};
	/* MAC MRG_RXBUF STATUS CTRL_VQ CTRL_RX CTRL_VLAN CTRL_RX_EXTRA GUEST_ANNOUNCE CTRL_MAC_ADDR;
	 * INDIRECT EVENT_IDX VERSION_1 */
	const uint64_t always = 1ull << 5 | 0x3full << 16 | 1ull << 15 | 1ull << 23 | 1ull << 28 |
				1ull << 29 | 1ull << 32;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct net_cfg cfg = { .mac = { 2 }, .pairs = rows[i].pairs, .queue_size = 64,
					     .offloads = rows[i].offloads, .mtu = rows[i].mtu };
		struct fakedrv f;

		fdv_init(&f, NULL);
		assert_int_equal(fdv_create(&f, &net_class, &cfg, NULL), 0);
		check_row(rows[i].why, f.d->offered == (always | rows[i].extra));
		fdv_done(&f);
	}
}

static void test_config(void **state)
{
	struct net_cfg cfg = { .mac = { 2, 1, 2, 3, 4, 5 }, .pairs = 3, .queue_size = 64, .mtu = 1400,
			       .ops = &faketap_ops };
	struct net_fix x;
	uint8_t c[12];

	(void)state;
	net_begin(&x, &cfg, ~0ull, 0);
	vdev_config_read(x.f->d, 0, c, sizeof(c));
	assert_memory_equal(c, "\2\1\2\3\4\5\0\0\3\0\x78\5", 12); /* no link */
	net_plug(&x, 3);
	vdev_config_read(x.f->d, 0, c, sizeof(c));
	assert_memory_equal(c + 6, "\1\0", 2);
	net_end(&x);
}

/* --- frames -------------------------------------------------------------------------------------------- */

static void test_sizes_out(void **state)
{
	static const struct {
		const char *why;
		uint32_t len;
		bool sent;
	} rows[] = {
		{ "less than a header", 11, false },
		{ "a header alone", 12, false },
		{ "one byte less than Ethernet's header", 25, false },
		{ "Ethernet's header", 26, true },
		{ "an ordinary frame", 12 + 1514, true },
		{ "jumbo", 12 + 9014, true },
		{ "the largest that segmentation makes", NET_MAX_FRAME_T, true },
		{ "one byte more", NET_MAX_FRAME_T + 1, false },
		{ "a megabyte", 1 << 20, false },
	};
	struct net_fix x;

	(void)state;
	net_begin(&x, NULL, ~0ull, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_counters before = net_counted(&x), after;
		static uint8_t got[1 << 17];
		struct fdv_seg seg = { gpa(KIB(256)), rows[i].len, false };
		uint16_t head;
		uint32_t len;

		assert_true(fdv_add(x.f, 1, &seg, 1) >= 0);
		fdv_kick(x.f, 1);
		check_row(rows[i].why, fdv_wait_used(x.f, 1, &head, &len, 1000));
		after = net_counted(&x);
		check_row(rows[i].why, after.tx_frames - before.tx_frames == rows[i].sent);
		check_row(rows[i].why, after.tx_dropped - before.tx_dropped == !rows[i].sent);
		check_row(rows[i].why, (net_host_get(&x, 0, got, sizeof(got)) == (int)rows[i].len) ==
					       rows[i].sent);
		check_row(rows[i].why, !fdv_needs_reset(x.f));
	}
	net_end(&x);
}

/* A frame in pieces of any size, indirect or not, arrives as one. */
static void test_pieces_out(void **state)
{
	uint8_t frame[512], got[600];
	struct net_fix x;

	(void)state;
	net_begin(&x, NULL, ~0ull, 1);
	net_frame(frame, sizeof(frame), own_mac, 3);
	for (unsigned piece = 1; piece <= 512; piece *= 2) {
		gpa_t at = fdv_put(x.f, frame, sizeof(frame));
		struct fdv_seg seg[512];
		unsigned n = 0;
		uint16_t head;
		uint32_t len;

		for (unsigned off = 0; off < sizeof(frame); off += piece)
			seg[n++] = (struct fdv_seg){ gpa(at.v + off), piece, false };
		assert_true((n > 32 ? fdv_add_indirect : fdv_add)(x.f, 1, seg, n) >= 0);
		fdv_kick(x.f, 1);
		assert_true(fdv_wait_used(x.f, 1, &head, &len, 1000));
		assert_int_equal(net_host_get(&x, 0, got, sizeof(got)), sizeof(frame));
		assert_memory_equal(got, frame, sizeof(frame));
	}
	net_end(&x);
}

/* Frames of several sizes into chains of several sizes: merged, and not. */
static void test_sizes_in(void **state)
{
	static const struct {
		const char *why;
		bool merge;
		uint32_t chain;
		unsigned chains;
		uint32_t frame;
		unsigned used; /* chains; 0: dropped */
	} rows[] = {
		{ "fits", false, 1526, 1, 1526, 1 },
		{ "one byte too long for its chain", false, 1525, 2, 1526, 0 },
		{ "a chain larger than all frames", false, 1 << 17, 1, 9026, 1 },
		{ "merged: one is enough", true, 1526, 2, 1526, 1 },
		{ "merged: two", true, 1525, 2, 1526, 2 },
		{ "merged: 9000 bytes in chains for 1500", true, 1526, 8, 9026, 6 },
		{ "merged: the largest", true, 4096, 20, 65000, 16 },
		{ "merged: chains of one byte", true, 1, 60, 60, 60 },
		{ "not merged: a chain of one byte", false, 1, 2, 60, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t no = rows[i].merge ? 0 : 1ull << 15;
		static uint8_t frame[70000], got[70000];
		struct net_counters c;
		struct net_fix x;

		net_begin(&x, NULL, ~no, 1);
		net_frame(frame, rows[i].frame, own_mac, (uint8_t)i);
		for (unsigned k = 0; k < rows[i].chains; k++)
			net_offer(&x, 0, rows[i].chain);
		fdv_kick(x.f, 0);
		net_host_put(&x, 0, frame, rows[i].frame);
		check_row(rows[i].why, net_got(&x, 0, got, sizeof(got), rows[i].used) ==
					       (rows[i].used ? rows[i].frame : 0));
		c = net_counted(&x);
		check_row(rows[i].why, c.rx_frames == !!rows[i].used && c.rx_dropped == !rows[i].used);
		if (rows[i].used) {
			check_row(rows[i].why, got[10] == rows[i].used && got[11] == 0);
			check_row(rows[i].why, !memcmp(got, frame, 10));
			check_row(rows[i].why, !memcmp(got + 12, frame + 12, rows[i].frame - 12));
		}
		check_row(rows[i].why, !fdv_needs_reset(x.f));
		net_end(&x);
	}
}

/* A frame that finds too few chains waits for more, whole; frames behind it stay in the tap. */
static void test_spill(void **state)
{
	uint8_t a[5000], b[80], got[6000];
	struct net_fix x;

	(void)state;
	net_begin(&x, NULL, ~0ull, 1);
	net_frame(a, sizeof(a), own_mac, 1);
	net_frame(b, sizeof(b), own_mac, 2);
	net_offer(&x, 0, 1526);
	fdv_kick(x.f, 0);
	net_host_put(&x, 0, a, sizeof(a));
	net_host_put(&x, 0, b, sizeof(b));
	fdv_run(x.f, 20);
	assert_int_equal(fdv_used_idx(x.f, 0), 0);
	/* Paused meanwhile: it is still there. */
	assert_int_equal(fdv_quiesce(x.f, NULL), 0);
	fdv_resume(x.f);
	for (unsigned i = 0; i < 3; i++) {
		net_offer(&x, 0, 1526);
		fdv_kick(x.f, 0);
	}
	assert_int_equal(net_got(&x, 0, got, sizeof(got), 4), sizeof(a));
	assert_memory_equal(got + 12, a + 12, sizeof(a) - 12);
	net_offer(&x, 0, 1526);
	fdv_kick(x.f, 0);
	assert_int_equal(net_got(&x, 0, got, sizeof(got), 1), sizeof(b));
	assert_memory_equal(got + 12, b + 12, sizeof(b) - 12);
	net_end(&x);
}

/* What all chains of the ring together cannot hold is dropped, and the next one comes. */
static void test_spill_hopeless(void **state)
{
	struct net_cfg cfg = net_plain;
	uint8_t a[5000], b[80], got[100];
	struct net_fix x;

	(void)state;
	cfg.queue_size = 2;
	net_begin(&x, &cfg, ~0ull, 1);
	net_frame(a, sizeof(a), own_mac, 1);
	net_frame(b, sizeof(b), own_mac, 2);
	net_host_put(&x, 0, a, sizeof(a));
	net_host_put(&x, 0, b, sizeof(b));
	net_offer(&x, 0, 1526);
	net_offer(&x, 0, 1526);
	fdv_kick(x.f, 0);
	assert_int_equal(net_got(&x, 0, got, sizeof(got), 1), sizeof(b));
	assert_int_equal(net_counted(&x).rx_dropped, 1);
	net_end(&x);
}

/* Thousands of frames through chains of several pieces while the stash is never empty. */
static void test_long_run(void **state)
{
	const struct fdv_opts o = { .queue_size = 1024 };
	struct net_cfg cfg = net_plain;
	uint8_t frame[300], got[400];
	struct net_fix x;

	(void)state;
	cfg.queue_size = 1024;
	for (unsigned pieces = 1; pieces <= 3; pieces += 2) {
		unsigned sent = 0;

		net_begin_opts(&x, &cfg, ~0ull, 1, &o);
		for (unsigned i = 0; i < 300; i++) {
			gpa_t at = fdv_alloc(x.f, 360, 1);
			struct fdv_seg seg[3] = { { at, pieces == 1 ? 360 : 120, true },
						  { gpa(at.v + 120), 120, true },
						  { gpa(at.v + 240), 120, true } };

			assert_true(fdv_add(x.f, 0, seg, pieces) >= 0);
		}
		fdv_kick(x.f, 0);
		for (; sent < 3000; sent++) {
			uint16_t head;
			uint32_t len;
			struct fdv_seg seg[3];

			net_frame(frame, sizeof(frame), own_mac, (uint8_t)sent);
			net_host_put(&x, 0, frame, sizeof(frame));
			assert_true(fdv_wait_used(x.f, 0, &head, &len, 1000));
			assert_int_equal(len, sizeof(frame));
			for (unsigned k = 0, i = head; k < pieces; k++, i = x.f->q[0].next[i]) {
				memcpy(&seg[k].at, fdv_ptr(x.f, gpa(x.f->q[0].desc.v + 16ull * i), 8), 8);
				seg[k].len = pieces == 1 ? 360 : 120;
				seg[k].write = true;
				memcpy(got + 120 * k, fdv_ptr(x.f, seg[k].at, seg[k].len), seg[k].len);
			}
			assert_memory_equal(got + 12, frame + 12, sizeof(frame) - 12);
			assert_true(fdv_add(x.f, 0, seg, pieces) >= 0);
			fdv_kick(x.f, 0);
		}
		net_end(&x);
	}
}

/* Without chains nothing is read: what a flood costs is the tap's queue. */
static void test_no_buffers(void **state)
{
	uint8_t frame[1500];
	struct net_fix x;
	unsigned sent = 0;

	(void)state;
	net_begin(&x, NULL, ~0ull, 1);
	net_frame(frame, sizeof(frame), own_mac, 1);
	fdv_kick(x.f, 0);
	while (send(x.host[0], frame, sizeof(frame), MSG_DONTWAIT) > 0)
		sent++;
	fdv_run(x.f, 20);
	assert_int_not_equal(sent, 0);
	assert_int_equal(net_counted(&x).rx_frames + net_counted(&x).rx_dropped, 0);
	/* The loop sleeps: it does not turn on a tap that is always readable. */
	assert_true(evloop_turn(x.f->loop, 0) >= 0);
	net_offer(&x, 0, 2000);
	fdv_kick(x.f, 0);
	fdv_run(x.f, 20);
	assert_int_equal(net_counted(&x).rx_frames, 1);
	net_end(&x);
}

/* A turn is bounded in both directions, so that others of the loop have theirs. */
static void test_turns(void **state)
{
	const struct net_cfg cfg = { .mac = { 2, 0, 0, 0, 0, 1 }, .pairs = 1, .queue_size = 1024,
				     .ops = &faketap_ops };
	const struct fdv_opts o = { .queue_size = 1024 };
	uint8_t frame[60];
	struct net_fix x;

	(void)state;
	net_begin_opts(&x, &cfg, ~0ull, 1, &o);
	net_frame(frame, sizeof(frame), own_mac, 1);
	for (unsigned i = 0; i < 500; i++) {
		struct fdv_seg seg = { fdv_put(x.f, frame, sizeof(frame)), sizeof(frame), false };

		assert_true(fdv_add(x.f, 1, &seg, 1) >= 0);
	}
	assert_int_equal(vdev_kick(x.f->d, 1), 1); /* more is waiting */
	assert_in_range(faketap.writes, 1, 64);
	fdv_kick(x.f, 1);
	assert_int_equal(net_counted(&x).tx_frames + net_counted(&x).tx_dropped, 500);
	for (unsigned i = 0; i < 500; i++)
		net_offer(&x, 0, 100);
	for (unsigned i = 0; i < 200; i++)
		if (send(x.host[0], frame, sizeof(frame), MSG_DONTWAIT) < 0)
			break;
	assert_int_equal(vdev_kick(x.f->d, 0), 1);
	assert_in_range(net_counted(&x).rx_frames, 1, 64);
	net_end(&x);
}

/* --- the other side ------------------------------------------------------------------------------------ */

static void test_write_errors(void **state)
{
	static const struct {
		const char *why;
		int error;
	} rows[] = {
		{ "the header was refused", -EINVAL },
		{ "the interface is down", -EIO },
		{ "no memory", -ENOMEM },
		{ "no buffers", -ENOBUFS },
		{ "too long", -EMSGSIZE },
	};
	uint8_t frame[100], got[200];
	struct net_fix x;

	(void)state;
	net_begin(&x, NULL, ~0ull, 1);
	net_frame(frame, sizeof(frame), own_mac, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		faketap.write_error = rows[i].error;
		check_row(rows[i].why, fdv_request(x.f, 1, frame, sizeof(frame), NULL, 0) == 0);
		check_row(rows[i].why, net_counted(&x).tx_dropped == i + 1);
		check_row(rows[i].why, !fdv_needs_reset(x.f));
	}
	faketap.write_error = 0;
	assert_int_equal(fdv_request(x.f, 1, frame, sizeof(frame), NULL, 0), 0);
	assert_int_equal(net_host_get(&x, 0, got, sizeof(got)), sizeof(frame));
	net_end(&x);
}

/* A tap that is full is waited for; nothing is lost, and no turn spins. */
static void test_full(void **state)
{
	const struct fdv_opts o = { .queue_size = 512 };
	struct net_cfg cfg = net_plain;
	unsigned sent = 0, calls;
	uint8_t *frame;
	struct net_fix x;

	(void)state;
	cfg.queue_size = 512;
	net_begin_opts(&x, &cfg, ~0ull, 1, &o);
	frame = calloc(1, 60000);
	net_frame(frame, 60000, own_mac, 1);
	for (unsigned i = 0; i < 100; i++) {
		struct fdv_seg seg = { gpa(KIB(512)), 60000, false };

		assert_true(fdv_add(x.f, 1, &seg, 1) >= 0);
	}
	memcpy(fdv_ptr(x.f, gpa(KIB(512)), 60000), frame, 60000);
	fdv_kick(x.f, 1);
	assert_true(net_counted(&x).tx_frames < 100); /* the sockets hold less */
	calls = faketap.writes;
	fdv_kick(x.f, 1);
	assert_true(faketap.writes <= calls + 1);
	while (sent < 100) {
		if (net_host_get(&x, 0, frame, 60000) == 60000)
			sent++;
		fdv_run(x.f, 2);
	}
	assert_int_equal(net_counted(&x).tx_frames, 100);
	assert_int_equal(net_counted(&x).tx_dropped, 0);
	free(frame);
	net_end(&x);
}

/* It goes while it is full: all that waited for it is dropped, however much that is, and the queue goes on with the next one. */
static void test_full_and_gone(void **state)
{
	const struct fdv_opts o = { .queue_size = 512 };
	struct net_cfg cfg = net_plain;
	const unsigned frames = 300;
	struct fdv_seg seg = { gpa(KIB(512)), 60000, false };
	uint8_t *frame = calloc(1, 60000);
	struct net_counters c;
	struct net_fix x;
	uint16_t head;
	uint32_t len;

	(void)state;
	cfg.queue_size = 512;
	net_begin_opts(&x, &cfg, ~0ull, 1, &o);
	net_frame(fdv_ptr(x.f, seg.at, seg.len), seg.len, own_mac, 1);
	for (unsigned i = 0; i < frames; i++)
		assert_true(fdv_add(x.f, 1, &seg, 1) >= 0);
	fdv_kick(x.f, 1);
	assert_true(net_counted(&x).tx_frames < 100);
	assert_int_equal(net_detach(x.f->d, NULL), 0);
	for (unsigned i = 0; i < frames; i++)
		check_row("used, without another kick", fdv_wait_used(x.f, 1, &head, &len, 1000));
	c = net_counted(&x);
	assert_int_equal(c.tx_frames + c.tx_dropped, frames);
	close(x.host[0]);
	net_plug(&x, 1);
	seg.len = 100;
	assert_true(fdv_add(x.f, 1, &seg, 1) >= 0);
	fdv_kick(x.f, 1);
	assert_true(fdv_wait_used(x.f, 1, &head, &len, 1000));
	assert_int_equal(net_host_get(&x, 0, frame, 60000), 100);
	free(frame);
	net_end(&x);
}

/* The tap goes: the link is down, frames are dropped, everything else goes on; another one comes. */
static void test_lost(void **state)
{
	uint8_t frame[100], got[200];
	struct net_fix x;

	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		net_begin(&x, NULL, ~0ull, 1);
		net_frame(frame, sizeof(frame), own_mac, 1);
		net_offer(&x, 0, 2000);
		fdv_kick(x.f, 0);
		if (way == 0)
			close(steal_host(&x, 0));
		else if (way == 1)
			faketap.write_error = -EBADFD;
		else
			faketap.read_error = -EFAULT;
		if (way == 2)
			net_host_put(&x, 0, frame, sizeof(frame));
		assert_int_equal(fdv_request(x.f, 1, frame, sizeof(frame), NULL, 0), 0);
		for (unsigned i = 0; i < 2000 && net_link(x.f); i++)
			evloop_turn(x.f->loop, 1);
		assert_false(net_link(x.f));
		assert_false(fdv_needs_reset(x.f));
		assert_int_equal(fdv_request(x.f, 1, frame, sizeof(frame), NULL, 0), 0);
		assert_true(net_counted(&x).tx_dropped >= 1);
		assert_int_equal(net_ctrl(x.f, 0, 0, "\1", 1), 0);
		faketap.write_error = faketap.read_error = 0;
		net_plug(&x, 1);
		assert_true(net_link(x.f));
		net_host_put(&x, 0, frame, sizeof(frame));
		assert_int_equal(net_got(&x, 0, got, sizeof(got), 1), sizeof(frame));
		assert_int_equal(fdv_request(x.f, 1, frame, sizeof(frame), NULL, 0), 0);
		assert_int_equal(net_host_get(&x, 0, got, sizeof(got)), sizeof(frame));
		net_end(&x);
	}
}

static void test_attach(void **state)
{
	struct net_cfg cfg = net_plain;
	struct net_attachment a = { .link = true };
	struct net_state s;
	struct net_fix x;
	int host, file;

	(void)state;
	cfg.pairs = 2;
	cfg.offloads = NET_CSUM | NET_USO;
	net_begin(&x, &cfg, ~0ull, 0);
	assert_int_equal(net_detach(x.f->d, NULL), -ENOTCONN);
	host = faketap_new(&a.fd[0]);
	a.nfds = 1;
	assert_int_equal(net_attach(x.f->d, &a, NULL), -EINVAL); /* two pairs, one tap */
	close(host);
	host = faketap_new(&a.fd[1]);
	a.nfds = 2;
	faketap.can = TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_TSO_ECN | TAP_UFO;
	assert_int_equal(net_attach(x.f->d, &a, NULL), -EINVAL); /* no USO */
	faketap.can = ~0u;
	a.mtu = 1400;
	assert_int_equal(net_attach(x.f->d, &a, NULL), -EINVAL); /* made without one */
	a.mtu = 0;
	file = open("/dev/null", 0);
	SWAP(int, a.fd[1], file);
	assert_int_equal(net_attach(x.f->d, &a, NULL), -EINVAL); /* no tap */
	SWAP(int, a.fd[1], file);
	close(file);
	net_state(x.f->d, &s);
	assert_false(s.attached);
	a.mac = (const uint8_t *)"\2\2\2\2\2\2";
	a.link = false;
	assert_int_equal(net_attach(x.f->d, &a, NULL), 0);
	assert_int_equal(net_attach(x.f->d, &a, NULL), -EBUSY);
	net_state(x.f->d, &s);
	assert_true(s.attached && !s.link);
	assert_memory_equal(s.mac, "\2\2\2\2\2\2", 6);
	net_set_link(x.f->d, true);
	net_state(x.f->d, &s);
	assert_true(s.link);
	assert_int_equal(net_detach(x.f->d, NULL), 0);
	assert_false(net_link(x.f));
	close(host);
	net_end(&x);
}

/* A driver at work is told to announce itself when its link comes, some times; it acknowledges. */
static void test_announce(void **state)
{
	struct net_fix x;
	unsigned told = 0;

	(void)state;
	net_begin(&x, NULL, ~0ull, 0);
	net_plug(&x, 1);
	for (unsigned i = 0; i < 200 && told < 3; i++) {
		uint8_t status;

		evloop_turn(x.f->loop, 10);
		vdev_config_read(x.f->d, 6, &status, 1);
		if (!(status & 2))
			continue;
		told++;
		assert_int_equal(net_ctrl(x.f, 3, 0, NULL, 0), 0);
		vdev_config_read(x.f->d, 6, &status, 1);
		assert_int_equal(status, 1);
	}
	assert_int_equal(told, 3);
	assert_true(atomic_load(&x.f->config_irqs) >= 4);
	net_end(&x);
	/* Not one that does not know the feature. */
	net_begin(&x, NULL, ~(1ull << 21), 0);
	net_plug(&x, 1);
	for (unsigned i = 0; i < 20; i++) {
		uint8_t status;

		evloop_turn(x.f->loop, 10);
		vdev_config_read(x.f->d, 6, &status, 1);
		assert_int_equal(status, 1);
	}
	net_end(&x);
}

/* Both directions keep their rate; what waits is neither lost nor dropped. */
static void test_rate(void **state)
{
	const struct fdv_opts o = { .queue_size = 256 };
	struct net_cfg cfg = net_plain;
	uint8_t frame[1024], got[1100];
	unsigned out = 0, n;
	struct net_fix x;
	uint64_t start, kicked, late;

	(void)state;
	cfg.rate.bytes = (struct rate_bucket_cfg){ .size = KIB(64), .refill_ms = 200 };
	net_begin_opts(&x, &cfg, ~0ull, 1, &o);
	net_frame(frame, sizeof(frame), own_mac, 1);
	start = io_now_ns();
	for (n = 0; n < 128; n++) {
		struct fdv_seg seg = { fdv_put(x.f, frame, sizeof(frame)), sizeof(frame), false };

		assert_true(fdv_add(x.f, 1, &seg, 1) >= 0);
		net_offer(&x, 0, 1100);
		net_host_put(&x, 0, frame, sizeof(frame));
	}
	kicked = io_now_ns();
	fdv_kick(x.f, 1);
	fdv_kick(x.f, 0);
	/* The bucket, and what came into it if this test had no processor meanwhile. */
	late = (io_now_ns() - kicked) * 64 / 200000000u;
	assert_in_range(net_counted(&x).tx_frames, 64, 68 + late);
	while (net_counted(&x).rx_frames < 128 || out < 128) {
		evloop_turn(x.f->loop, 5);
		while (net_host_get(&x, 0, got, sizeof(got)) > 0)
			out++;
		assert_true(io_now_ns() - start < 60000000000ull);
	}
	assert_true(io_now_ns() - start >= 190000000ull); /* 64 KiB of 128 came at once, the rest in 200 ms */
	assert_int_equal(net_counted(&x).tx_dropped + net_counted(&x).rx_dropped, 0);
	net_end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_sizes_out),
		cmocka_unit_test(test_pieces_out),
		cmocka_unit_test(test_sizes_in),
		cmocka_unit_test(test_spill),
		cmocka_unit_test(test_spill_hopeless),
		cmocka_unit_test(test_long_run),
		cmocka_unit_test(test_no_buffers),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_write_errors),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_full_and_gone),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_announce),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
