// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/check.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/vdev_suite.h"
#include "vmm/virtio/mem.h"

#define BLOCKS	  12u
#define REQUESTED 10u /* blocks: the last two are not to be plugged */
#define REGION	  (BLOCKS * MEM_BLOCK)

enum { PLUG, UNPLUG, UNPLUG_ALL, STATE };
enum { ACK, NACK, BUSY, ERROR };
enum { PLUGGED, UNPLUGGED, MIXED };

struct req {
	uint16_t type, pad[3];
	uint64_t addr;
	uint16_t blocks, pad2[3];
};
struct config {
	uint64_t block_size, node, addr, region_size, usable_region_size, plugged_size, requested_size;
};

static const struct mem_cfg plain = { .base = { FDV_LATER }, .size = REGION, .requested = REQUESTED * MEM_BLOCK };

static const void *suite_cfg(void)
{
	return &plain;
}

/* What it answers; *ret_state may be NULL. */
static unsigned ask(struct fakedrv *f, unsigned type, uint64_t addr, unsigned blocks, uint16_t *ret_state)
{
	const struct req r = { .type = (uint16_t)type, .addr = addr, .blocks = (uint16_t)blocks };
	uint16_t resp[5] = { UINT16_MAX, 0, 0, 0, UINT16_MAX };

	assert_int_equal(fdv_request(f, 0, &r, sizeof(r), resp, sizeof(resp)), sizeof(resp));
	if (ret_state)
		*ret_state = resp[4];
	return resp[0];
}

static uint64_t at(unsigned block)
{
	return FDV_LATER + block * MEM_BLOCK;
}

static void suite_work(struct fakedrv *f)
{
	uint16_t s;

	assert_int_equal(ask(f, UNPLUG_ALL, 0, 0, NULL), ACK);
	assert_int_equal(ask(f, PLUG, at(1), 2, NULL), ACK);
	assert_int_equal(ask(f, STATE, at(0), BLOCKS, &s), ACK);
	assert_int_equal(s, MIXED);
	assert_int_equal(mem_plugged(f->d), 2 * MEM_BLOCK);
}

static const struct vdev_suite suite = {
	.cls = &mem_class,
	.cfg = suite_cfg,
	.later = REGION,
	.work = suite_work,
	.pops = 1,
	.endless = { .q = 0, .out = sizeof(struct req), .in = 10 },
};

static void begin(struct fakedrv *f)
{
	const struct fdv_opts o = { .later = REGION };

	fdv_init(f, &o);
	assert_int_equal(fdv_create(f, &mem_class, &plain, NULL), 0);
	fdv_start(f, ~0ull);
}

static void test_create(void **state)
{
	static const struct {
		const char *why;
		struct mem_cfg cfg;
		int rc;
	} rows[] = {
		{ "all of it", { { FDV_LATER }, REGION, REGION }, 0 },
		{ "one block, none asked for", { { FDV_LATER }, MEM_BLOCK, 0 }, 0 },
		{ "the last block", { { FDV_LATER + REGION - MEM_BLOCK }, MEM_BLOCK, MEM_BLOCK }, 0 },
		{ "nothing", { { FDV_LATER }, 0, 0 }, -EINVAL },
		{ "half a block more", { { FDV_LATER }, MEM_BLOCK + MEM_BLOCK / 2, 0 }, -EINVAL },
		{ "from within a block", { { FDV_LATER + MEM_BLOCK / 2 }, MEM_BLOCK, 0 }, -EINVAL },
		{ "a block more than there is", { { FDV_LATER }, REGION + MEM_BLOCK, 0 }, -EINVAL },
		{ "where no memory is", { { FDV_LATER + REGION }, MEM_BLOCK, 0 }, -EINVAL },
		{ "round the end", { { UINT64_MAX - MEM_BLOCK + 1 }, 2 * MEM_BLOCK, 0 }, -EINVAL },
		{ "asked for a block more", { { FDV_LATER }, REGION, REGION + MEM_BLOCK }, -EINVAL },
		{ "asked for half a block", { { FDV_LATER }, REGION, MEM_BLOCK / 2 }, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fdv_opts o = { .later = REGION };
		struct fakedrv f;

		fdv_init(&f, &o);
		check_row(rows[i].why, fdv_create(&f, &mem_class, &rows[i].cfg, NULL) == rows[i].rc);
		fdv_done(&f);
	}
}

static void test_config(void **state)
{
	struct config c, before;
	struct fakedrv f;

	(void)state;
	begin(&f);
	vdev_config_read(f.d, 0, &c, sizeof(c));
	assert_int_equal(c.block_size, MEM_BLOCK);
	assert_int_equal(c.node, 0);
	assert_int_equal(c.addr, FDV_LATER);
	assert_int_equal(c.region_size, REGION);
	assert_int_equal(c.usable_region_size, REGION);
	assert_int_equal(c.plugged_size, 0);
	assert_int_equal(c.requested_size, REQUESTED * MEM_BLOCK);
	assert_int_equal(ask(&f, PLUG, at(3), 4, NULL), ACK);
	vdev_config_read(f.d, 0, &c, sizeof(c));
	assert_int_equal(c.plugged_size, 4 * MEM_BLOCK);
	/* Nothing of it is the driver's to write. */
	before = c;
	memset(&c, 0xff, sizeof(c));
	vdev_config_write(f.d, 0, &c, sizeof(c));
	vdev_config_read(f.d, 0, &c, sizeof(c));
	assert_memory_equal(&c, &before, sizeof(c));
	fdv_done(&f);
}

/* Each request that is not right beside one that is; blocks 2 … 5 are plugged. */
static void test_requests(void **state)
{
	static const struct {
		const char *why;
		unsigned type;
		uint64_t addr;
		unsigned blocks, answer;
		int plugged; /* blocks more or less than the four */
	} rows[] = {
		{ "plug before", PLUG, FDV_LATER, 2, ACK, 2 },
		{ "plug behind", PLUG, FDV_LATER + 6 * MEM_BLOCK, 6, ACK, 6 },
		{ "plug more than is asked for", PLUG, FDV_LATER + 6 * MEM_BLOCK, 7, ERROR, 0 },
		{ "plug one that is", PLUG, FDV_LATER + 5 * MEM_BLOCK, 1, ERROR, 0 },
		{ "plug into one that is", PLUG, FDV_LATER + MEM_BLOCK, 2, ERROR, 0 },
		{ "plug out of one that is", PLUG, FDV_LATER + 5 * MEM_BLOCK, 2, ERROR, 0 },
		{ "plug none", PLUG, FDV_LATER, 0, ERROR, 0 },
		{ "plug from within a block", PLUG, FDV_LATER + 4096, 1, ERROR, 0 },
		{ "plug below the region", PLUG, FDV_LATER - MEM_BLOCK, 1, ERROR, 0 },
		{ "plug from below into it", PLUG, FDV_LATER - MEM_BLOCK, 2, ERROR, 0 },
		{ "plug behind the region", PLUG, FDV_LATER + REGION, 1, ERROR, 0 },
		{ "plug out of the region", PLUG, FDV_LATER + REGION - MEM_BLOCK, 2, ERROR, 0 },
		{ "plug memory that is there", PLUG, 0, 1, ERROR, 0 },
		{ "plug round the end", PLUG, 0 - MEM_BLOCK, UINT16_MAX, ERROR, 0 },
		{ "plug as many as can be named", PLUG, FDV_LATER, UINT16_MAX, ERROR, 0 },
		{ "unplug all four", UNPLUG, FDV_LATER + 2 * MEM_BLOCK, 4, ACK, -4 },
		{ "unplug the middle", UNPLUG, FDV_LATER + 3 * MEM_BLOCK, 2, ACK, -2 },
		{ "unplug one before", UNPLUG, FDV_LATER + MEM_BLOCK, 4, ERROR, 0 },
		{ "unplug one behind", UNPLUG, FDV_LATER + 2 * MEM_BLOCK, 5, ERROR, 0 },
		{ "unplug what is not", UNPLUG, FDV_LATER, 1, ERROR, 0 },
		{ "unplug none", UNPLUG, FDV_LATER + 2 * MEM_BLOCK, 0, ERROR, 0 },
		{ "unplug from within a block", UNPLUG, FDV_LATER + 2 * MEM_BLOCK + 1, 1, ERROR, 0 },
		{ "unplug memory that is there", UNPLUG, 0, 1, ERROR, 0 },
		{ "unplug round the end", UNPLUG, 0 - MEM_BLOCK, 2, ERROR, 0 },
		{ "unplug all, whatever it names", UNPLUG_ALL, 1, 3, ACK, -4 },
		{ "no request", 4, FDV_LATER, 2, ERROR, 0 },
		{ "the last number of a request", UINT16_MAX, FDV_LATER, 2, ERROR, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fakedrv f;

		begin(&f);
		assert_int_equal(ask(&f, PLUG, at(2), 4, NULL), ACK);
		check_row(rows[i].why, ask(&f, rows[i].type, rows[i].addr, rows[i].blocks, NULL) == rows[i].answer);
		check_row(rows[i].why, mem_plugged(f.d) == (uint64_t)(4 + rows[i].plugged) * MEM_BLOCK);
		assert_false(fdv_needs_reset(&f));
		fdv_done(&f);
	}
}

/* Up to what is asked for, and not a block more: not now, which is another answer than never. */
static void test_nack(void **state)
{
	struct fakedrv f;

	(void)state;
	begin(&f);
	assert_int_equal(ask(&f, PLUG, at(0), REQUESTED + 1, NULL), NACK);
	assert_int_equal(ask(&f, PLUG, at(0), REQUESTED - 1, NULL), ACK);
	assert_int_equal(ask(&f, PLUG, at(REQUESTED), 2, NULL), NACK);
	assert_int_equal(ask(&f, PLUG, at(REQUESTED), 1, NULL), ACK);
	assert_int_equal(ask(&f, PLUG, at(REQUESTED + 1), 1, NULL), NACK);
	assert_int_equal(ask(&f, UNPLUG, at(0), 1, NULL), ACK);
	assert_int_equal(ask(&f, PLUG, at(REQUESTED + 1), 1, NULL), ACK);
	assert_int_equal(mem_plugged(f.d), REQUESTED * MEM_BLOCK);
	fdv_done(&f);
}

static void test_state(void **state)
{
	static const struct {
		const char *why;
		uint64_t addr;
		unsigned blocks, answer, state;
	} rows[] = {
		{ "plugged", FDV_LATER + 2 * MEM_BLOCK, 4, ACK, PLUGGED },
		{ "one of them", FDV_LATER + 5 * MEM_BLOCK, 1, ACK, PLUGGED },
		{ "unplugged", FDV_LATER, 2, ACK, UNPLUGGED },
		{ "to the end", FDV_LATER + 6 * MEM_BLOCK, 6, ACK, UNPLUGGED },
		{ "one more before", FDV_LATER + MEM_BLOCK, 5, ACK, MIXED },
		{ "one more behind", FDV_LATER + 2 * MEM_BLOCK, 5, ACK, MIXED },
		{ "none", FDV_LATER, 0, ERROR, 0 },
		{ "beyond the end", FDV_LATER + 6 * MEM_BLOCK, 7, ERROR, 0 },
		{ "not at a block", FDV_LATER + 512, 1, ERROR, 0 },
		{ "round the end", UINT64_MAX - MEM_BLOCK + 1, 2, ERROR, 0 },
	};
	struct fakedrv f;

	(void)state;
	begin(&f);
	assert_int_equal(ask(&f, PLUG, at(2), 4, NULL), ACK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint16_t s;

		check_row(rows[i].why, ask(&f, STATE, rows[i].addr, rows[i].blocks, &s) == rows[i].answer);
		check_row(rows[i].why, s == rows[i].state);
	}
	fdv_done(&f);
}

/* Requests and answers of other sizes, in pieces, and where no memory is. */
static void test_shapes(void **state)
{
	const struct req r = { .type = PLUG, .addr = FDV_LATER, .blocks = 1 };
	uint16_t resp[8] = { UINT16_MAX };
	struct fdv_seg seg[4];
	struct fakedrv f;
	uint16_t head;
	uint32_t len;
	gpa_t in, out;

	(void)state;
	begin(&f);
	/* One byte is missing: nothing is done. */
	assert_int_equal(fdv_request(&f, 0, &r, sizeof(r) - 1, resp, sizeof(resp)), 10);
	assert_int_equal(resp[0], ERROR);
	assert_int_equal(mem_plugged(f.d), 0);
	/* More than a request is none the worse. */
	out = fdv_put(&f, &r, sizeof(r));
	in = fdv_alloc(&f, 16, 8);
	seg[0] = (struct fdv_seg){ out, 7, false };
	seg[1] = (struct fdv_seg){ gpa(out.v + 7), sizeof(r), false };
	seg[2] = (struct fdv_seg){ in, 3, true };
	seg[3] = (struct fdv_seg){ gpa(in.v + 3), 13, true };
	assert_true(fdv_add(&f, 0, seg, 4) >= 0);
	fdv_kick(&f, 0);
	assert_true(fdv_wait_used(&f, 0, &head, &len, 1000));
	assert_int_equal(len, 10);
	assert_int_equal(*(uint16_t *)fdv_ptr(&f, in, 2), ACK);
	assert_int_equal(mem_plugged(f.d), MEM_BLOCK);
	/* No room for an answer: done all the same, and the driver's to find out. */
	seg[0] = (struct fdv_seg){ out, sizeof(r), false };
	assert_true(fdv_add(&f, 0, seg, 1) >= 0);
	fdv_kick(&f, 0);
	assert_true(fdv_wait_used(&f, 0, &head, &len, 1000));
	assert_int_equal(len, 0);
	/* Half an answer. */
	seg[1] = (struct fdv_seg){ in, 2, true };
	assert_true(fdv_add(&f, 0, seg, 2) >= 0);
	fdv_kick(&f, 0);
	assert_true(fdv_wait_used(&f, 0, &head, &len, 1000));
	assert_int_equal(len, 2);
	assert_int_equal(*(uint16_t *)fdv_ptr(&f, in, 2), ERROR);
	assert_false(fdv_needs_reset(&f));
	fdv_done(&f);
}

static unsigned resident(struct fakedrv *f, unsigned block)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char vec[MEM_BLOCK / 4096];
	unsigned n = 0;

	assert_int_equal(mincore(fdv_ptr(f, gpa(at(block)), MEM_BLOCK), MEM_BLOCK, vec), 0);
	for (size_t i = 0; i < MEM_BLOCK / page; i++)
		n += vec[i] & 1;
	return n;
}

/* What is unplugged is the host's again, and nothing beside it; what is plugged costs nothing until it is used. */
static void test_given_back(void **state)
{
	struct fakedrv f;

	(void)state;
	begin(&f);
	assert_int_equal(ask(&f, PLUG, at(0), 4, NULL), ACK);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(resident(&f, i), 0);
		memset(fdv_ptr(&f, gpa(at(i)), MEM_BLOCK), 0x5a, MEM_BLOCK);
		assert_true(resident(&f, i) > 0);
	}
	assert_int_equal(ask(&f, UNPLUG, at(1), 2, NULL), ACK);
	assert_int_equal(resident(&f, 1) + resident(&f, 2), 0);
	assert_true(resident(&f, 0) > 0 && resident(&f, 3) > 0);
	assert_int_equal(*(uint8_t *)fdv_ptr(&f, gpa(at(3)), 1), 0x5a);
	/* What was refused stays. */
	assert_int_equal(ask(&f, UNPLUG, at(0), 4, NULL), ERROR);
	assert_true(resident(&f, 0) > 0 && resident(&f, 3) > 0);
	/* Used without having been plugged: the guest's own, until it says that nothing is plugged. */
	memset(fdv_ptr(&f, gpa(at(8)), MEM_BLOCK), 0x5a, MEM_BLOCK);
	assert_int_equal(ask(&f, UNPLUG_ALL, 0, 0, NULL), ACK);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(resident(&f, i), 0);
	fdv_done(&f);
}

/* A driver that resets the device lives in what it has plugged. */
static void test_reset(void **state)
{
	struct fakedrv f;
	uint16_t s;

	(void)state;
	begin(&f);
	assert_int_equal(ask(&f, PLUG, at(3), 2, NULL), ACK);
	memset(fdv_ptr(&f, gpa(at(3)), MEM_BLOCK), 0x5a, MEM_BLOCK);
	fdv_reset(&f);
	fdv_start(&f, ~0ull);
	assert_int_equal(ask(&f, STATE, at(3), 2, &s), ACK);
	assert_int_equal(s, PLUGGED);
	assert_int_equal(*(uint8_t *)fdv_ptr(&f, gpa(at(3)), 1), 0x5a);
	fdv_done(&f);
}

/* What a saved device of eleven blocks tells of them: 1, 3, 4, 6 and 9 are plugged. */
static const uint8_t saved_bits[2] = { 0x5a, 0x02 };
static const struct mem_cfg eleven = { .base = { FDV_LATER }, .size = 11 * MEM_BLOCK, .requested = 8 * MEM_BLOCK };

static void begin_saved(struct fakedrv *f, struct buf *b)
{
	const struct fdv_opts o = { .later = REGION };
	struct snap_w w = { .b = b };

	fdv_init(f, &o);
	assert_int_equal(fdv_create(f, &mem_class, &eleven, NULL), 0);
	fdv_start(f, ~0ull);
	for (unsigned i = 0; i < 11; i++)
		if (saved_bits[i / 8] & 1u << i % 8)
			assert_int_equal(ask(f, PLUG, at(i), 1, NULL), ACK);
	assert_int_equal(fdv_quiesce(f, NULL), 0);
	assert_int_equal(fdv_save(f, &w, NULL), 0);
	fdv_destroy(f);
}

static int load_as(struct fakedrv *f, const struct mem_cfg *cfg, const struct buf *b)
{
	struct snap_r r;

	assert_int_equal(fdv_create(f, &mem_class, cfg, NULL), 0);
	assert_int_equal(snap_r_init(&r, b->data, b->len, NULL), 0);
	return fdv_load(f, &r, NULL);
}

/* Saved, and found again by the same machine, but by no other. */
static void test_saved(void **state)
{
	static const struct {
		const char *why;
		struct mem_cfg cfg;
		int rc;
	} rows[] = {
		{ "the same", { { FDV_LATER }, 11 * MEM_BLOCK, 8 * MEM_BLOCK }, 0 },
		{ "a block less", { { FDV_LATER }, 10 * MEM_BLOCK, 8 * MEM_BLOCK }, -EINVAL },
		{ "a block more", { { FDV_LATER }, 12 * MEM_BLOCK, 8 * MEM_BLOCK }, -EINVAL },
		{ "elsewhere", { { FDV_LATER + MEM_BLOCK }, 11 * MEM_BLOCK, 8 * MEM_BLOCK }, -EINVAL },
		{ "much less", { { FDV_LATER }, MEM_BLOCK, MEM_BLOCK }, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = BUF_INIT(KIB(64));
		struct fakedrv f;

		begin_saved(&f, &b);
		check_row(rows[i].why, load_as(&f, &rows[i].cfg, &b) == rows[i].rc);
		assert_int_equal(mem_plugged(f.d), rows[i].rc ? 0 : 5 * MEM_BLOCK);
		if (!rows[i].rc) {
			fdv_resume(&f);
			assert_int_equal(ask(&f, UNPLUG, at(3), 2, NULL), ACK);
			assert_int_equal(ask(&f, UNPLUG, at(9), 1, NULL), ACK);
		}
		fdv_done(&f);
		buf_free(&b);
	}
}

/* Blocks that the region does not have. */
static void test_saved_beyond(void **state)
{
	struct buf b = BUF_INIT(KIB(64));
	struct fakedrv f;
	uint8_t *bits;

	(void)state;
	begin_saved(&f, &b);
	bits = memmem(b.data, b.len, saved_bits, sizeof(saved_bits));
	assert_non_null(bits);
	bits[1] |= 1u << 2; /* the eleventh, which there is */
	assert_int_equal(load_as(&f, &eleven, &b), 0);
	assert_int_equal(mem_plugged(f.d), 6 * MEM_BLOCK);
	fdv_destroy(&f);
	bits[1] |= 1u << 3;
	assert_int_equal(load_as(&f, &eleven, &b), -EBADMSG);
	assert_int_equal(mem_plugged(f.d), 0);
	fdv_done(&f);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_nack),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_saved_beyond),
	};

	return cmocka_run_group_tests_name("mem_dev", tests, NULL, NULL);
}
