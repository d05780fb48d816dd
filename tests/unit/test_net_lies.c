// SPDX-License-Identifier: Apache-2.0
/* Drivers of the network device that lie; its control queue and what follows from commands. */
#include "tests/unit/net_setup.h"

/* --- chains that are none ------------------------------------------------------------------------------ */

static void test_directions(void **state)
{
	static const struct {
		const char *why;
		unsigned q;
		struct fdv_seg seg[3];
		unsigned n;
		bool accepted;
	} rows[] = {
		{ "receive: readable", 0, { { { KIB(256) }, 2000, false } }, 1, false },
		{ "receive: readable, then writable", 0,
		  { { { KIB(256) }, 12, false }, { { KIB(300) }, 2000, true } }, 2, false },
		{ "receive: writable", 0, { { { KIB(256) }, 2000, true } }, 1, true },
		{ "receive: no bytes", 0, { { { KIB(256) }, 0, true } }, 1, false },
		{ "receive: no bytes at its end", 0,
		  { { { KIB(256) }, 2000, true }, { { KIB(300) }, 0, true } }, 2, false },
		{ "receive: 64 KiB", 0, { { { KIB(256) }, 65536, true } }, 1, true },
		{ "transmit: writable", 1, { { { KIB(256) }, 100, true } }, 1, false },
		{ "transmit: readable, then writable", 1,
		  { { { KIB(256) }, 100, false }, { { KIB(300) }, 1, true } }, 2, false },
		{ "transmit: readable", 1, { { { KIB(256) }, 100, false } }, 1, true },
		{ "transmit: no bytes", 1, { { { KIB(256) }, 0, false } }, 1, false },
		{ "transmit: 64 KiB", 1, { { { KIB(256) }, 65536, false } }, 1, true },
		{ "control: no answer", 2, { { { KIB(256) }, 3, false } }, 1, false },
		{ "control: nothing but an answer", 2, { { { KIB(256) }, 1, true } }, 1, true },
		{ "control: half a head", 2,
		  { { { KIB(256) }, 1, false }, { { KIB(300) }, 1, true } }, 2, true },
		{ "control: a megabyte", 2,
		  { { { KIB(256) }, 1 << 20, false }, { { KIB(300) }, 1, true } }, 2, true },
		{ "control: a long answer", 2,
		  { { { KIB(256) }, 3, false }, { { KIB(300) }, 4096, true } }, 2, true },
	};
	uint8_t frame[80];

	(void)state;
	net_frame(frame, sizeof(frame), own_mac, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_fix x;

		net_begin(&x, NULL, ~0ull, 1);
		memset(fdv_ptr(x.f, gpa(KIB(256)), 1 << 20), 0, 1 << 20);
		assert_true(fdv_add(x.f, rows[i].q, rows[i].seg, rows[i].n) >= 0);
		net_host_put(&x, 0, frame, sizeof(frame));
		fdv_kick(x.f, rows[i].q);
		fdv_run(x.f, 5);
		check_row(rows[i].why, fdv_needs_reset(x.f) == !rows[i].accepted);
		check_row(rows[i].why, (fdv_used_idx(x.f, rows[i].q) == 1) == rows[i].accepted);
		/* Of that device alone, and a reset is enough. */
		fdv_reset(x.f);
		fdv_start(x.f, ~0ull);
		assert_int_equal(fdv_request(x.f, 1, frame, sizeof(frame), NULL, 0), 0);
		check_row(rows[i].why, !fdv_needs_reset(x.f));
		net_end(&x);
	}
}

/* A longer chain than a system call takes is received by nobody. */
static void test_too_many_pieces(void **state)
{
	struct net_cfg cfg = net_plain;
	struct fdv_seg seg[1024];
	uint8_t frame[60];

	(void)state;
	cfg.queue_size = 1024;
	net_frame(frame, sizeof(frame), own_mac, 1);
	for (unsigned n = 1022; n <= 1024; n++) {
		struct net_fix x;

		net_begin(&x, &cfg, ~0ull, 1);
		for (unsigned i = 0; i < n; i++)
			seg[i] = (struct fdv_seg){ gpa(KIB(512) + 2 * i), 2, true };
		assert_true(fdv_add_indirect(x.f, 0, seg, n) >= 0);
		net_host_put(&x, 0, frame, sizeof(frame));
		fdv_kick(x.f, 0);
		fdv_run(x.f, 5);
		assert_int_equal(fdv_needs_reset(x.f), n > 1023);
		assert_int_equal(net_counted(&x).rx_frames, n <= 1023);
		net_end(&x);
	}
}

/* The ring is corrupted while frames are under way, and found so from the tap's side. */
static void test_corrupted_later(void **state)
{
	uint8_t frame[60];
	struct net_fix x;

	(void)state;
	net_frame(frame, sizeof(frame), own_mac, 1);
	net_begin(&x, NULL, ~0ull, 1);
	net_offer(&x, 0, 100);
	fdv_kick(x.f, 0);
	fdv_poke_avail(x.f, 0, x.f->q[0].avail_idx, 0xffff);
	fdv_publish(x.f, 0, (uint16_t)(x.f->q[0].avail_idx + 1));
	net_host_put(&x, 0, frame, sizeof(frame));
	net_host_put(&x, 0, frame, sizeof(frame));
	fdv_run(x.f, 10);
	assert_true(fdv_needs_reset(x.f));
	assert_int_equal(atomic_load(&x.f->needs_resets), 1);
	fdv_reset(x.f);
	fdv_start(x.f, ~0ull);
	net_offer(&x, 0, 100);
	fdv_kick(x.f, 0);
	fdv_run(x.f, 10);
	assert_int_equal(fdv_used_idx(x.f, 0), 1);
	net_end(&x);
}

/* --- commands ------------------------------------------------------------------------------------------ */

static const uint8_t two_macs[] = { 1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 9 };

static void test_commands(void **state)
{
	static const struct {
		const char *why;
		uint8_t class, cmd;
		const void *args;
		size_t len;
		int answer;
		uint64_t without; /* a feature that is not acknowledged */
	} rows[] = {
		{ "promiscuous off", 0, 0, "\0", 1, 0, 0 },
		{ "promiscuous 2", 0, 0, "\2", 1, 1, 0 },
		{ "promiscuous, two bytes", 0, 0, "\1\0", 2, 1, 0 },
		{ "promiscuous, none", 0, 0, "", 0, 1, 0 },
		{ "no broadcast", 0, 5, "\1", 1, 0, 0 },
		{ "a mode that there is not", 0, 6, "\1", 1, 1, 0 },
		{ "no broadcast without the feature", 0, 5, "\1", 1, 1, 1ull << 20 },
		{ "promiscuous without the feature of others", 0, 0, "\1", 1, 0, 1ull << 20 },
		{ "modes without the feature", 0, 0, "\1", 1, 1, 1ull << 18 },
		{ "tables", 1, 0, two_macs, sizeof(two_macs), 0, 0 },
		{ "tables without the feature", 1, 0, two_macs, sizeof(two_macs), 1, 1ull << 18 },
		{ "tables cut by one byte", 1, 0, two_macs, sizeof(two_macs) - 1, 1, 0 },
		{ "tables and one byte", 1, 0, "\0\0\0\0\0\0\0\0\0", 9, 1, 0 },
		{ "empty tables", 1, 0, "\0\0\0\0\0\0\0\0", 8, 0, 0 },
		{ "one table", 1, 0, "\0\0\0\0", 4, 1, 0 },
		{ "three bytes of a count", 1, 0, "\0\0\0", 3, 1, 0 },
		{ "three bytes of a long count", 1, 0, "\xff\xff\xff", 3, 1, 0 },
		{ "a count that wraps", 1, 0, "\xab\xaa\xaa\x2a\2\0\0\0\0\1\0\0\0\0", 14, 1, 0 },
		{ "a count of all ones", 1, 0, "\xff\xff\xff\xff\2\0\0\0\0\1\0\0\0\0", 14, 1, 0 },
		{ "an address", 1, 1, "\2\0\0\0\0\3", 6, 0, 0 },
		{ "an address of five bytes", 1, 1, "\2\0\0\0\0", 5, 1, 0 },
		{ "an address of seven bytes", 1, 1, "\2\0\0\0\0\1\1", 7, 1, 0 },
		{ "an address without the feature", 1, 1, "\2\0\0\0\0\3", 6, 1, 1ull << 23 },
		{ "an unknown command of addresses", 1, 2, "\2\0\0\0\0\3", 6, 1, 0 },
		{ "a VLAN", 2, 0, "\xff\x0f", 2, 0, 0 },
		{ "a VLAN beyond all", 2, 0, "\0\x10", 2, 1, 0 },
		{ "a VLAN of one byte", 2, 0, "\1", 1, 1, 0 },
		{ "no VLAN", 2, 1, "\xff\x0f", 2, 0, 0 },
		{ "an unknown command of VLANs", 2, 2, "\1\0", 2, 1, 0 },
		{ "VLANs without the feature", 2, 0, "\1\0", 2, 1, 1ull << 19 },
		{ "announced", 3, 0, "", 0, 0, 0 },
		{ "announced, with a byte", 3, 0, "\0", 1, 1, 0 },
		{ "announced 1", 3, 1, "", 0, 1, 0 },
		{ "announced without the feature", 3, 0, "", 0, 1, 1ull << 21 },
		{ "no pairs", 4, 0, "\0\0", 2, 1, 0 },
		{ "one pair", 4, 0, "\1\0", 2, 0, 0 },
		{ "all pairs", 4, 0, "\3\0", 2, 0, 0 },
		{ "one more", 4, 0, "\4\0", 2, 1, 0 },
		{ "65535 pairs", 4, 0, "\xff\xff", 2, 1, 0 },
		{ "pairs of one byte", 4, 0, "\1", 1, 1, 0 },
		{ "pairs of three bytes", 4, 0, "\1\0\0", 3, 1, 0 },
		{ "hashes", 4, 1, "\1\0", 2, 1, 0 },
		{ "offloads none", 5, 0, "\0\0\0\0\0\0\0\0", 8, 0, 0 },
		{ "offloads", 5, 0, "\x82\1\0\0\0\0\0\0", 8, 0, 0 },
		{ "offloads that were not offered", 5, 0, "\2\4\0\0\0\0\0\0", 8, 1, 0 },
		{ "offloads that are none", 5, 0, "\1\0\0\0\0\0\0\0", 8, 1, 0 },
		{ "offloads of seven bytes", 5, 0, "\0\0\0\0\0\0\0", 7, 1, 0 },
		{ "offloads 1", 5, 1, "\0\0\0\0\0\0\0\0", 8, 1, 0 },
		{ "offloads without the feature", 5, 0, "\0\0\0\0\0\0\0\0", 8, 1, 1ull << 2 },
		{ "an unknown class", 6, 0, "\1", 1, 1, 0 },
		{ "the last class", 255, 255, "\1", 1, 1, 0 },
	};
	struct net_cfg cfg = net_plain;

	(void)state;
	cfg.pairs = 3;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_fix x;

		net_begin(&x, &cfg, ~rows[i].without, 3);
		check_row(rows[i].why, net_ctrl(x.f, rows[i].class, rows[i].cmd, rows[i].args,
						rows[i].len) == rows[i].answer);
		check_row(rows[i].why, !fdv_needs_reset(x.f));
		net_end(&x);
	}
}

static uint8_t command_of(struct net_fix *x, const void *bytes, uint32_t len)
{
	struct fdv_seg seg[2] = { { gpa(KIB(512)), len, false }, { gpa(KIB(640)), 1, true } };
	uint8_t *ack = fdv_ptr(x->f, gpa(KIB(640)), 1);
	uint16_t head;
	uint32_t got;

	memcpy(fdv_ptr(x->f, gpa(KIB(512)), len), bytes, len);
	*ack = 0xff;
	assert_true(fdv_add(x->f, 2, seg, 2) >= 0);
	fdv_kick(x->f, 2);
	assert_true(fdv_wait_used(x->f, 2, &head, &got, 1000));
	return *ack;
}

/* The longest command there is, one byte more, and one that is no command, behind a long one. */
static void test_lengths(void **state)
{
	static uint8_t longest[2 + 2 * (4 + 6 * 1024) + 1] = { 1, 0, 0, 4 };
	static const uint8_t liar[] = { 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct net_fix x;

	(void)state;
	longest[2 + 4 + 6 * 1024 + 1] = 4;
	net_begin(&x, NULL, ~0ull, 1);
	assert_int_equal(command_of(&x, longest, sizeof(longest) - 1), 0);
	assert_int_equal(command_of(&x, longest, sizeof(longest)), 1);
	assert_int_equal(command_of(&x, liar, sizeof(liar)), 1);
	assert_int_equal(command_of(&x, liar, 1), 1);
	net_end(&x);
}

/* A driver that knows nothing of several pairs has its control queue behind the first. */
static void test_ctrl_place(void **state)
{
	struct net_cfg cfg = net_plain;
	struct net_fix x;

	(void)state;
	cfg.pairs = 3;
	net_begin(&x, &cfg, ~(1ull << 22), 3);
	assert_int_equal(net_ctrl(x.f, 0, 0, "\1", 1), 0);
	net_end(&x);
}

/* Many commands at once: a turn does some, and none is lost. */
static void test_ctrl_flood(void **state)
{
	struct net_fix x;
	gpa_t at;

	(void)state;
	net_begin(&x, NULL, ~0ull, 1);
	at = fdv_put(x.f, "\0\0\1", 4);
	for (unsigned i = 0; i < 32; i++) {
		struct fdv_seg seg[2] = { { at, 3, false }, { gpa(at.v + 3), 1, true } };

		assert_true(fdv_add(x.f, 2, seg, 2) >= 0);
	}
	assert_int_equal(vdev_kick(x.f->d, 2), 1);
	assert_in_range(fdv_used_idx(x.f, 2), 1, 31);
	fdv_kick(x.f, 2);
	assert_int_equal(fdv_used_idx(x.f, 2), 32);
	net_end(&x);
}

/* --- what commands do ---------------------------------------------------------------------------------- */

static void test_filter(void **state)
{
	static const uint8_t bc[6] = { 255, 255, 255, 255, 255, 255 }, mc[6] = { 1, 0, 0x5e, 0, 0, 9 };
	static const uint8_t mc2[6] = { 1, 0, 0x5e, 0, 0, 8 }, uc[6] = { 2, 0, 0, 0, 0, 7 };
	static const uint8_t uc2[6] = { 2, 0, 0, 0, 0, 8 };
	static const struct {
		const char *why;
		int mode; /* of class 0: set to 1 */
		const uint8_t *to;
		bool wanted;
	} rows[] = {
		{ "its own", -1, own_mac, true },	 { "one of the table", -1, uc, true },
		{ "somebody's", -1, uc2, false },	 { "somebody's, promiscuous", 0, uc2, true },
		{ "a group", -1, mc, true },		 { "another group", -1, mc2, false },
		{ "another group, all", 1, mc2, true },	 { "somebody's, all", 2, uc2, true },
		{ "somebody's, all groups", 1, uc2, false }, { "another group, all others", 2, mc2, false },
		{ "a group, none", 3, mc, false },	 { "its own, none", 4, own_mac, false },
		{ "broadcast", -1, bc, true },		 { "broadcast, none", 5, bc, false },
		{ "broadcast, no groups", 3, bc, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t frame[80];
		struct net_fix x;

		net_begin(&x, NULL, ~0ull, 1);
		assert_int_equal(net_ctrl(x.f, 0, 0, "\0", 1), 0);
		assert_int_equal(net_ctrl(x.f, 1, 0, two_macs, sizeof(two_macs)), 0);
		if (rows[i].mode >= 0)
			assert_int_equal(net_ctrl(x.f, 0, (uint8_t)rows[i].mode, "\1", 1), 0);
		net_frame(frame, sizeof(frame), rows[i].to, 1);
		net_offer(&x, 0, 100);
		fdv_kick(x.f, 0);
		net_host_put(&x, 0, frame, sizeof(frame));
		fdv_run(x.f, 5);
		check_row(rows[i].why, net_counted(&x).rx_frames == rows[i].wanted);
		check_row(rows[i].why, net_counted(&x).rx_dropped == !rows[i].wanted);
		/* The chain is as good as it was. */
		net_frame(frame, sizeof(frame), uc, 1);
		assert_int_equal(net_ctrl(x.f, 0, 0, "\1", 1), 0);
		net_offer(&x, 0, 100);
		fdv_kick(x.f, 0);
		net_host_put(&x, 0, frame, sizeof(frame));
		fdv_run(x.f, 5);
		check_row(rows[i].why, net_counted(&x).rx_frames == 1u + rows[i].wanted);
		net_end(&x);
	}
}

static void test_vlan(void **state)
{
	static const struct {
		const char *why;
		uint8_t head[4];
		uint32_t len;
		int vlan; /* joined before; -1: none */
		bool wanted, knows;
	} rows[] = {
		{ "of VLAN 5, some priority, that it is not in", { 0x81, 0, 0xe0, 5 }, 80, -1, false, true },
		{ "of VLAN 5, that it is in", { 0x81, 0, 0xe0, 5 }, 80, 5, true, true },
		{ "of VLAN 5, that it left", { 0x81, 0, 0xe0, 5 }, 80, 5 | 1 << 12, false, true },
		{ "of the last VLAN", { 0x81, 0, 0x0f, 0xff }, 80, 4095, true, true },
		{ "of VLAN 5, to a driver that does not filter", { 0x81, 0, 0, 5 }, 80, -1, true, false },
		{ "IPv4", { 8, 0, 0, 5 }, 80, -1, true, true },
		{ "a type beside that of VLANs", { 0x81, 1, 0, 5 }, 80, -1, true, true },
		{ "cut behind the type of VLANs", { 0x81, 0, 0, 0 }, 26, -1, true, true },
		{ "cut before its type", { 8, 0, 0, 0 }, 25, -1, false, true },
		{ "a header alone", { 8, 0, 0, 0 }, 12, -1, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t frame[80], id[2] = { (uint8_t)rows[i].vlan, (uint8_t)(rows[i].vlan >> 8 & 0xf) };
		struct net_fix x;

		net_begin(&x, NULL, rows[i].knows ? ~0ull : ~(1ull << 19), 1);
		net_frame(frame, sizeof(frame), own_mac, 1);
		memcpy(frame + 24, rows[i].head, 4);
		net_offer(&x, 0, 100);
		fdv_kick(x.f, 0);
		assert_int_equal(net_ctrl(x.f, 0, 0, "\0", 1), 0);
		if (rows[i].vlan >= 0)
			assert_int_equal(net_ctrl(x.f, 2, 0, id, 2), 0);
		if (rows[i].vlan >= 0 && rows[i].vlan >> 12)
			assert_int_equal(net_ctrl(x.f, 2, 1, id, 2), 0);
		net_host_put(&x, 0, frame, rows[i].len);
		fdv_run(x.f, 5);
		check_row(rows[i].why, net_counted(&x).rx_frames == rows[i].wanted);
		check_row(rows[i].why, net_counted(&x).rx_dropped == !rows[i].wanted);
		net_end(&x);
	}
}

/* More addresses than fit are all addresses. */
static void test_long_table(void **state)
{
	static const uint8_t other[6] = { 2, 9, 9, 9, 9, 9 };
	uint8_t args[4 + 6 * 80 + 4] = { 65 }, frame[80];
	struct net_fix x;

	(void)state;
	net_frame(frame, sizeof(frame), other, 1);
	for (unsigned n = 64; n <= 65; n++) {
		net_begin(&x, NULL, ~0ull, 1);
		args[0] = (uint8_t)n;
		assert_int_equal(net_ctrl(x.f, 0, 0, "\0", 1), 0);
		assert_int_equal(net_ctrl(x.f, 1, 0, args, 8 + 6 * n), 0);
		net_offer(&x, 0, 100);
		fdv_kick(x.f, 0);
		net_host_put(&x, 0, frame, sizeof(frame));
		fdv_run(x.f, 5);
		assert_int_equal(net_counted(&x).rx_frames, n == 65);
		net_end(&x);
	}
}

/* Frames that are longer than the MTU that the driver was promised; those in segments are not. */
static void test_mtu(void **state)
{
	static const struct {
		const char *why;
		uint32_t len;
		uint8_t gso;
		bool wanted, promised;
	} rows[] = {
		{ "as long as may be", 12 + 18 + 1500, 0, true, true },
		{ "one byte more", 12 + 18 + 1501, 0, false, true },
		{ "jumbo", 12 + 14 + 9000, 0, false, true },
		{ "jumbo with ECN alone", 12 + 14 + 9000, 0x80, false, true },
		{ "in segments", 12 + 14 + 9000, 1, true, true },
		{ "jumbo, to a driver that does not know the feature", 12 + 14 + 9000, 0, true, false },
	};
	struct net_cfg cfg = net_plain;
	static uint8_t frame[10000];

	(void)state;
	cfg.mtu = 1500;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_fix x;

		net_begin(&x, &cfg, rows[i].promised ? ~0ull : ~(1ull << 3), 1);
		for (unsigned k = 0; k < 8; k++)
			net_offer(&x, 0, 1526);
		fdv_kick(x.f, 0);
		net_frame(frame, rows[i].len, own_mac, 1);
		frame[1] = rows[i].gso;
		net_host_put(&x, 0, frame, rows[i].len);
		fdv_run(x.f, 5);
		check_row(rows[i].why, net_counted(&x).rx_frames == rows[i].wanted);
		check_row(rows[i].why, net_counted(&x).rx_dropped == !rows[i].wanted);
		net_end(&x);
	}
}

static void test_offloads(void **state)
{
	static const struct {
		const char *why;
		uint64_t features; /* acknowledged of the offered */
		unsigned can, want;
	} rows[] = {
		{ "none", 0, ~0u, 0 },
		{ "checksums", 1 << 1, ~0u, TAP_CSUM },
		{ "TSO needs checksums", 1 << 7, ~0u, 0 },
		{ "TSO", 1 << 1 | 3 << 7, ~0u, TAP_CSUM | TAP_TSO4 | TAP_TSO6 },
		{ "ECN needs TSO", 1 << 1 | 1 << 9, ~0u, TAP_CSUM },
		{ "ECN", 1 << 1 | 1 << 7 | 1 << 9, ~0u, TAP_CSUM | TAP_TSO4 | TAP_TSO_ECN },
		{ "all", ~0ull, ~0u, 0x7f },
		{ "half of USO is none", 1ull << 54 | 1 << 1, ~0u, TAP_CSUM },
	};
	struct net_cfg cfg = net_plain;

	(void)state;
	cfg.offloads = NET_OFFLOADS;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_fix x;

		net_begin(&x, &cfg, rows[i].features, 1);
		check_row(rows[i].why, faketap.offloads == rows[i].want);
		/* The same when the tap was there first. */
		fdv_reset(x.f);
		faketap.offloads = 0xffff;
		fdv_start(x.f, rows[i].features);
		check_row(rows[i].why, faketap.offloads == rows[i].want);
		net_end(&x);
	}
}

/* Several pairs: each has its tap; those that are not in use get no frames and lose what they send; what
 * they hold goes back when they are switched off. */
static void test_pairs(void **state)
{
	struct net_cfg cfg = net_plain;
	uint8_t frame[60], got[100];
	struct net_fix x;

	(void)state;
	net_frame(frame, sizeof(frame), own_mac, 1);
	cfg.pairs = 3;
	net_begin(&x, &cfg, ~0ull, 3);
	assert_int_equal(faketap.queues_off, 2);
	for (unsigned i = 0; i < 3; i++) {
		net_offer(&x, 2 * i, 100);
		net_offer(&x, 2 * i, 100);
		fdv_kick(x.f, 2 * i);
	}
	net_host_put(&x, 2, frame, sizeof(frame));
	assert_int_equal(fdv_request(x.f, 5, frame, sizeof(frame), NULL, 0), 0);
	fdv_run(x.f, 5);
	assert_int_equal(net_counted(&x).tx_dropped, 1);
	assert_int_equal(fdv_used_idx(x.f, 4), 0);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(net_ctrl(x.f, 4, 0, "\3\0", 2), 0);
		assert_int_equal(faketap.queues_off, 0);
		fdv_run(x.f, 5);
		assert_int_equal(fdv_request(x.f, 5, frame, sizeof(frame), NULL, 0), 0);
		assert_int_equal(net_host_get(&x, 2, got, sizeof(got)), sizeof(frame));
		assert_int_equal(fdv_used_idx(x.f, 4), 1); /* the frame that was there, in the first round */
		assert_int_equal(net_ctrl(x.f, 4, 0, "\1\0", 2), 0);
		assert_int_equal(faketap.queues_off, 2);
		assert_int_equal(x.f->d->vq[4].in_flight, 0);
	}
	/* A reset ends in one. */
	assert_int_equal(net_ctrl(x.f, 4, 0, "\2\0", 2), 0);
	fdv_reset(x.f);
	fdv_start(x.f, ~0ull);
	assert_int_equal(faketap.queues_off, 2);
	net_end(&x);
}

/* A pair whose queue the tap does not switch on: the driver is told, and all else goes on as it was. */
static void test_pairs_that_cannot_be(void **state)
{
	struct net_cfg cfg = net_plain;
	struct net_state s;
	uint8_t frame[60];
	struct net_fix x;

	(void)state;
	cfg.pairs = 3;
	net_begin(&x, &cfg, ~0ull, 3);
	assert_int_equal(net_ctrl(x.f, 4, 0, "\2\0", 2), 0);
	faketap.attach_error = -E2BIG;
	assert_int_equal(net_ctrl(x.f, 4, 0, "\3\0", 2), 1);
	net_state(x.f->d, &s);
	assert_int_equal(s.pairs_used, 2);
	assert_int_equal(faketap.queues_off, 1);
	for (unsigned i = 0; i < 2; i++) {
		net_frame(frame, sizeof(frame), own_mac, (uint8_t)i);
		net_offer(&x, 2 * i, 100);
		fdv_kick(x.f, 2 * i);
		net_host_put(&x, i, frame, sizeof(frame));
		assert_int_equal(net_got(&x, 2 * i, frame, sizeof(frame), 1), sizeof(frame));
		assert_int_equal(fdv_request(x.f, 2 * i + 1, frame, sizeof(frame), NULL, 0), 0);
		assert_int_equal(net_host_get(&x, i, frame, sizeof(frame)), sizeof(frame));
	}
	assert_true(net_link(x.f));
	faketap.attach_error = 0;
	assert_int_equal(net_ctrl(x.f, 4, 0, "\3\0", 2), 0);
	net_end(&x);
}

/* A pair that is switched off while its tap is full: what waited is dropped, and it is good for more. */
static void test_pairs_off_while_full(void **state)
{
	struct net_cfg cfg = net_plain;
	uint8_t frame[60];
	struct net_fix x;
	uint16_t head;
	uint32_t len;

	(void)state;
	cfg.pairs = 2;
	net_begin(&x, &cfg, ~0ull, 2);
	assert_int_equal(net_ctrl(x.f, 4, 0, "\2\0", 2), 0);
	faketap.write_error = -EAGAIN;
	net_frame(frame, sizeof(frame), own_mac, 1);
	for (unsigned i = 0; i < 3; i++) {
		struct fdv_seg seg = { fdv_put(x.f, frame, sizeof(frame)), sizeof(frame), false };

		assert_true(fdv_add(x.f, 3, &seg, 1) >= 0);
		fdv_kick(x.f, 3);
	}
	assert_false(fdv_used(x.f, 3, &head, &len));
	faketap.write_error = 0;
	assert_int_equal(net_ctrl(x.f, 4, 0, "\1\0", 2), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_true(fdv_wait_used(x.f, 3, &head, &len, 1000));
	assert_int_equal(net_counted(&x).tx_dropped, 3);
	assert_int_equal(fdv_request(x.f, 3, frame, sizeof(frame), NULL, 0), 0);
	assert_int_equal(net_ctrl(x.f, 4, 0, "\2\0", 2), 0);
	assert_int_equal(fdv_request(x.f, 3, frame, sizeof(frame), NULL, 0), 0);
	assert_int_equal(net_host_get(&x, 1, frame, sizeof(frame)), sizeof(frame));
	net_end(&x);
}

/* What a driver told its device survives a save; a reset forgets it. */
static void test_state(void **state)
{
	static const uint8_t other[6] = { 2, 9, 9, 9, 9, 9 };
	struct net_cfg cfg = net_plain;
	struct buf a = BUF_INIT(MIB(1));
	struct snap_w w = { .b = &a };
	uint8_t frame[80], c[12] = { 0 };
	struct net_state s;
	struct net_fix x;
	struct snap_r r;
	struct err e = ERR_INIT;

	(void)state;
	cfg.pairs = 2;
	net_begin(&x, &cfg, ~0ull, 2);
	assert_int_equal(net_ctrl(x.f, 0, 0, "\0", 1), 0);
	assert_int_equal(net_ctrl(x.f, 1, 0, two_macs, sizeof(two_macs)), 0);
	assert_int_equal(net_ctrl(x.f, 1, 1, "\2\0\0\0\0\x42", 6), 0);
	assert_int_equal(net_ctrl(x.f, 4, 0, "\2\0", 2), 0);
	assert_int_equal(net_ctrl(x.f, 5, 0, "\2\0\0\0\0\0\0\0", 8), 0);
	assert_int_equal(fdv_quiesce(x.f, NULL), 0);
	assert_int_equal(fdv_save(x.f, &w, NULL), 0);
	fdv_destroy(x.f);
	close(steal_host(&x, 0));
	close(steal_host(&x, 1));
	assert_int_equal(fdv_create(x.f, &net_class, &cfg, NULL), 0);
	assert_int_equal(snap_r_init(&r, a.data, a.len, NULL), 0);
	if (fdv_load(x.f, &r, &e) < 0)
		fail_msg("%s", e.msg);
	net_state(x.f->d, &s);
	assert_int_equal(s.pairs_used, 2);
	assert_memory_equal(s.mac, "\2\0\0\0\0\x42", 6);
	/* Its taps come when it runs already. */
	fdv_resume(x.f);
	net_plug(&x, 2);
	assert_int_equal(faketap.offloads, TAP_CSUM);
	assert_int_equal(faketap.queues_off, 0);
	net_offer(&x, 0, 100);
	fdv_kick(x.f, 0);
	net_frame(frame, sizeof(frame), other, 1);
	net_host_put(&x, 0, frame, sizeof(frame));
	net_frame(frame, sizeof(frame), (const uint8_t *)"\2\0\0\0\0\x42", 1);
	net_host_put(&x, 0, frame, sizeof(frame));
	fdv_run(x.f, 5);
	assert_int_equal(net_counted(&x).rx_frames, 1);
	assert_int_equal(net_counted(&x).rx_dropped, 1);
	for (unsigned i = 0; i < 100 && !(c[6] & 2); i++) { /* told to announce itself */
		evloop_turn(x.f->loop, 10);
		vdev_config_read(x.f->d, 0, c, sizeof(c));
	}
	assert_int_equal(c[6], 3);
	fdv_reset(x.f);
	vdev_config_read(x.f->d, 0, c, sizeof(c));
	assert_memory_equal(c, own_mac, 6);
	assert_int_equal(c[6], 1);
	net_end(&x);
	buf_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directions),
		cmocka_unit_test(test_too_many_pieces),
		cmocka_unit_test(test_corrupted_later),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_ctrl_place),
		cmocka_unit_test(test_ctrl_flood),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_long_table),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_offloads),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_pairs_that_cannot_be),
		cmocka_unit_test(test_pairs_off_while_full),
		cmocka_unit_test(test_state),
	};

	return cmocka_run_group_tests_name("net_lies", tests, NULL, NULL);
}
