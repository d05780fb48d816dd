// SPDX-License-Identifier: Apache-2.0
/*
 * The queue walker. RAM is full of descriptors that it would accept, and each malformed chain is one
 * step from one that it does accept, so that a missing check shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/echodev.h"
#include "tests/lib/fakedrv.h"

#define SIZE 8u
#define BUF  0x20000ull /* buffers of the cases, in RAM */
#define TAB  0x30000ull /* indirect tables */

static struct fakedrv f;
static struct vq *q;
static struct vq_chain *chain;

static void setup(bool event_idx, bool indirect)
{
	const uint64_t features = (event_idx ? VIRTIO_F_BIT(VIRTIO_F_EVENT_IDX) : 0) |
				  (indirect ? VIRTIO_F_BIT(VIRTIO_F_INDIRECT_DESC) : 0);

	fdv_init(&f, &(struct fdv_opts){ .queue_size = SIZE });
	assert_int_equal(fdv_create(&f, &echo_class, NULL, NULL), 0);
	fdv_start(&f, features);
	q = &f.d->vq[2]; /* the queue that the device leaves alone */
	/* On the heap, so that the sanitizer guards its end. */
	chain = malloc(sizeof(*chain));
	assert_non_null(chain);
}

static void teardown(void)
{
	free(chain);
	fdv_done(&f);
}

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

enum { N = FDV_NEXT, W = FDV_WRITE, I = FDV_INDIRECT };

/* Descriptors 0 … of the ring and of the table at TAB; head 0 is made available. @want: segments, or
 * -EBADMSG. */
struct chain_case {
	const char *why;
	int want;
	struct desc ring[3];
	struct desc table[4];
	bool no_indirect;
};

static const struct chain_case chains[] = {
	{ "one readable", 1, .ring = { { BUF, 64, 0, 0 } } },
	{ "readable, writable", 2, .ring = { { BUF, 64, N, 1 }, { BUF, 64, W, 0 } } },
	{ "next is not looked at without its flag", 1, .ring = { { BUF, 64, 0, 9999 } } },
	{ "an unknown flag is ignored", 1, .ring = { { BUF, 64, 0x8000, 0 } } },
	{ "same descriptor again: a loop", -EBADMSG, .ring = { { BUF, 64, N, 0 } } },
	{ "loop of two", -EBADMSG, .ring = { { BUF, 64, N, 1 }, { BUF, 64, N, 0 } } },
	{ "loop behind the head", -EBADMSG, .ring = { { BUF, 64, N, 1 }, { BUF, 64, N, 1 } } },
	{ "last descriptor is good", 2, .ring = { { BUF, 64, N, SIZE - 1 } } },
	{ "next is the table's length", -EBADMSG, .ring = { { BUF, 64, N, SIZE } } },
	{ "next is far out", -EBADMSG, .ring = { { BUF, 64, N, 0xffff } } },
	{ "writable before readable", -EBADMSG, .ring = { { BUF, 64, N | W, 1 }, { BUF, 64, 0, 0 } } },
	{ "readable between writables", -EBADMSG,
	  .ring = { { BUF, 64, N | W, 1 }, { BUF, 64, N, 2 }, { BUF, 64, W, 0 } } },
	{ "length 1", 1, .ring = { { BUF, 1, 0, 0 } } },
	{ "length 0", -EBADMSG, .ring = { { BUF, 0, 0, 0 } } },
	{ "length 0 at the end", -EBADMSG, .ring = { { BUF, 64, N, 1 }, { BUF, 0, W, 0 } } },
	{ "up to the end of low RAM", 1, .ring = { { FDV_RAM_LOW - 64, 64, 0, 0 } } },
	{ "one byte past it", -EBADMSG, .ring = { { FDV_RAM_LOW - 64, 65, 0, 0 } } },
	{ "in the hole", -EBADMSG, .ring = { { FDV_HOLE, 1, 0, 0 } } },
	{ "high RAM", 1, .ring = { { FDV_RAM_HIGH, (uint32_t)FDV_RAM_HIGH_LEN, 0, 0 } } },
	{ "longer than high RAM", -EBADMSG,
	  .ring = { { FDV_RAM_HIGH, (uint32_t)FDV_RAM_HIGH_LEN + 1, 0, 0 } } },
	{ "just below high RAM", -EBADMSG, .ring = { { FDV_RAM_HIGH - 1, 2, 0, 0 } } },
	{ "wraps at 2^64", -EBADMSG, .ring = { { UINT64_MAX - 15, 64, 0, 0 } } },
	{ "longest length", -EBADMSG, .ring = { { BUF, UINT32_MAX, 0, 0 } } },
	{ "top bits of the address count", -EBADMSG, .ring = { { BUF | 1ull << 63, 64, 0, 0 } } },

	{ "indirect, one entry", 1, .ring = { { TAB, 16, I, 0 } }, .table = { { BUF, 64, 0, 0 } } },
	{ "indirect, two entries", 2,
	  .ring = { { TAB, 32, I, 0 } }, .table = { { BUF, 64, N, 1 }, { BUF, 64, W, 0 } } },
	{ "indirect behind a plain one", 2,
	  .ring = { { BUF, 64, N, 1 }, { TAB, 16, I, 0 } }, .table = { { BUF, 64, W, 0 } } },
	{ "the write flag of the indirect one is ignored", 1,
	  .ring = { { TAB, 16, I | W, 0 } }, .table = { { BUF, 64, 0, 0 } } },
	{ "indirect without the feature", -EBADMSG,
	  .ring = { { TAB, 16, I, 0 } }, .table = { { BUF, 64, 0, 0 } }, .no_indirect = true },
	{ "indirect with a next", -EBADMSG,
	  .ring = { { TAB, 16, I | N, 1 }, { BUF, 64, 0, 0 } }, .table = { { BUF, 64, 0, 0 } } },
	{ "indirect in indirect", -EBADMSG,
	  .ring = { { TAB, 16, I, 0 } }, .table = { { TAB + 16, 16, I, 0 }, { BUF, 64, 0, 0 } } },
	{ "empty table", -EBADMSG, .ring = { { TAB, 0, I, 0 } }, .table = { { BUF, 64, 0, 0 } } },
	{ "table of a part of an entry", -EBADMSG,
	  .ring = { { TAB, 24, I, 0 } }, .table = { { BUF, 64, 0, 0 } } },
	{ "table shorter than an entry", -EBADMSG,
	  .ring = { { TAB, 15, I, 0 } }, .table = { { BUF, 64, 0, 0 } } },
	{ "longest table", 1,
	  .ring = { { TAB, 16 * VQ_MAX_SEGS, I, 0 } }, .table = { { BUF, 64, 0, 0 } } },
	{ "one entry too long", -EBADMSG,
	  .ring = { { TAB, 16 * (VQ_MAX_SEGS + 1), I, 0 } }, .table = { { BUF, 64, 0, 0 } } },
	{ "table partly outside RAM", -EBADMSG, .ring = { { FDV_RAM_LOW - 16, 32, I, 0 } } },
	{ "the same, inside", 1, .ring = { { FDV_RAM_LOW - 16, 16, I, 0 } } },
	{ "next beyond the table but within the ring", -EBADMSG,
	  .ring = { { TAB, 32, I, 0 } }, .table = { { BUF, 64, N, 2 }, { BUF, 64, 0, 0 } } },
	{ "loop in the table", -EBADMSG,
	  .ring = { { TAB, 32, I, 0 } }, .table = { { BUF, 64, N, 1 }, { BUF, 64, N, 0 } } },
	{ "writable before the table, readable in it", -EBADMSG,
	  .ring = { { BUF, 64, N | W, 1 }, { TAB, 16, I, 0 } }, .table = { { BUF, 64, 0, 0 } } },
};

static void chain_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		const struct chain_case *t = &chains[i];
		uint64_t sum = 0;
		int rc;

		setup(true, !t->no_indirect);
		for (unsigned k = 0; k < ARRAY_SIZE(t->ring) && t->ring[k].addr; k++)
			fdv_poke_desc(&f, 2, k, t->ring[k].addr, t->ring[k].len, t->ring[k].flags,
				      t->ring[k].next);
		for (unsigned k = 0; k < ARRAY_SIZE(t->table) && t->table[k].addr; k++)
			fdv_poke_table(&f, gpa(TAB), k, t->table[k].addr, t->table[k].len,
				       t->table[k].flags, t->table[k].next);
		fdv_poke_avail(&f, 2, 0, 0);
		fdv_publish(&f, 2, 1);
		rc = vq_pop(q, chain);
		if (rc != (t->want < 0 ? t->want : 1))
			fail_msg("%s: vq_pop says %d", t->why, rc);
		if (rc < 0) {
			/* It stays so until a reset, whatever the driver mends. */
			fdv_poke_desc(&f, 2, 0, BUF, 64, 0, 0);
			if (vq_pop(q, chain) != -EBADMSG || q->in_flight || vq_enable_kicks(q))
				fail_msg("%s: forgotten", t->why);
		} else {
			for (unsigned k = 0; k < chain->nread + (unsigned)chain->nwrite; k++)
				sum += chain->seg[k].len;
			if (chain->nread + chain->nwrite != t->want ||
			    sum != chain->read_len + chain->write_len)
				fail_msg("%s: %u + %u segments", t->why, chain->nread,
					 chain->nwrite);
		}
		teardown();
	}
}

/* Chains at the limit: a whole ring, and as many segments as a vq_chain holds. */
static void longest(void **state)
{
	struct fdv_seg seg[VQ_MAX_SEGS];

	(void)state;
	setup(true, true);
	for (unsigned i = 0; i < VQ_MAX_SEGS; i++)
		seg[i] = (struct fdv_seg){ gpa(BUF + i), 1, i >= VQ_MAX_SEGS / 2 };
	assert_int_equal(fdv_add(&f, 2, seg, SIZE), 0);
	assert_int_equal(vq_pop(q, chain), 1);
	assert_int_equal(chain->nread, SIZE);
	vq_push(q, chain->head, 0);
	assert_true(fdv_used(&f, 2, &(uint16_t){ 0 }, &(uint32_t){ 0 }));
	assert_true(fdv_add_indirect(&f, 2, seg, VQ_MAX_SEGS) >= 0);
	assert_int_equal(vq_pop(q, chain), 1);
	assert_int_equal(chain->nread, VQ_MAX_SEGS / 2);
	assert_int_equal(chain->nwrite, VQ_MAX_SEGS / 2);
	assert_int_equal(chain->write_len, VQ_MAX_SEGS / 2);
	vq_push(q, chain->head, 0);
	teardown();
	/* One plain descriptor in front of a full table: one too many. */
	setup(true, true);
	for (unsigned i = 0; i < VQ_MAX_SEGS; i++)
		fdv_poke_table(&f, gpa(TAB), i, BUF, 1, i + 1 < VQ_MAX_SEGS ? N : 0, i + 1);
	fdv_poke_desc(&f, 2, 0, BUF, 1, N, 1);
	fdv_poke_desc(&f, 2, 1, TAB, 16 * VQ_MAX_SEGS, I, 0);
	fdv_poke_avail(&f, 2, 0, 0);
	fdv_publish(&f, 2, 1);
	assert_int_equal(vq_pop(q, chain), -EBADMSG);
	teardown();
}

struct avail_case {
	const char *why;
	unsigned idx;      /* published */
	unsigned slot[2];  /* heads in the first slots */
	int first, second; /* of two pops */
};

static const struct avail_case avails[] = {
	{ "nothing", 0, { 0 }, 0, 0 },
	{ "one", 1, { 3 }, 1, 0 },
	{ "two", 2, { 3, 4 }, 1, 1 },
	{ "last head", 1, { SIZE - 1 }, 1, 0 },
	{ "head is the size", 1, { SIZE }, -EBADMSG, -EBADMSG },
	{ "head is far out", 1, { 0xffff }, -EBADMSG, -EBADMSG },
	{ "a full ring", SIZE, { 1, 2 }, 1, 1 },
	{ "more than the ring holds", SIZE + 1, { 1, 2 }, -EBADMSG, -EBADMSG },
	{ "index goes back", 0xffff, { 1, 2 }, -EBADMSG, -EBADMSG },
	{ "the same head twice while it is in flight", 2, { 3, 3 }, 1, -EBADMSG },
};

static void avail_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(avails); i++) {
		const struct avail_case *t = &avails[i];
		int rc[2];

		setup(false, true);
		for (unsigned k = 0; k < SIZE; k++)
			fdv_poke_avail(&f, 2, k, k);
		for (unsigned k = 0; k < 2; k++)
			fdv_poke_avail(&f, 2, k, t->slot[k]);
		fdv_publish(&f, 2, (uint16_t)t->idx);
		rc[0] = vq_pop(q, chain);
		rc[1] = vq_pop(q, chain);
		if (rc[0] != t->first || rc[1] != t->second)
			fail_msg("%s: %d, then %d", t->why, rc[0], rc[1]);
		teardown();
	}
}

struct layout_case {
	const char *why;
	uint64_t desc, avail, used;
	unsigned size;
	int want;
};

#define D 0x10000ull
#define A 0x18000ull
#define U 0x1c000ull
/* Lengths for size 64. */
#define DLEN (16 * 64ull)
#define ALEN (6 + 2 * 64ull)
#define ULEN (6 + 8 * 64ull)

static const struct layout_case layouts[] = {
	{ "good", D, A, U, 64, 0 },
	{ "size 1", D, A, U, 1, 0 },
	{ "largest", D, A, U, VQ_MAX_SIZE, 0 },
	{ "size 0", D, A, U, 0, -EINVAL },
	{ "no power of two", D, A, U, 48, -EINVAL },
	{ "too large", D, A, U, 2 * VQ_MAX_SIZE, -EINVAL },
	{ "largest that fits 16 bits", D, A, U, 32768, -EINVAL },
	{ "descriptors aligned to 8", D + 8, A, U, 64, -EINVAL },
	{ "available ring aligned to 1", D, A + 1, U, 64, -EINVAL },
	{ "available ring aligned to 2", D, A + 2, U, 64, 0 },
	{ "used ring aligned to 2", D, A, U + 2, 64, -EINVAL },
	{ "used ring aligned to 4", D, A, U + 4, 64, 0 },
	{ "descriptors end with RAM", FDV_RAM_LOW - DLEN, A, U, 64, 0 },
	{ "descriptors end behind it", FDV_RAM_LOW - DLEN + 16, A, U, 64, -EINVAL },
	{ "available ring ends with RAM", D, FDV_RAM_LOW - ALEN, U, 64, 0 },
	{ "available ring ends behind it", D, FDV_RAM_LOW - ALEN + 2, U, 64, -EINVAL },
	{ "used ring ends with RAM", D, A, FDV_RAM_LOW - ULEN - 2, 64, 0 },
	{ "used ring ends behind it", D, A, FDV_RAM_LOW - ULEN + 2, 64, -EINVAL },
	{ "descriptors in the hole", FDV_HOLE, A, U, 64, -EINVAL },
	{ "available ring in the hole", D, FDV_HOLE, U, 64, -EINVAL },
	{ "used ring in the hole", D, A, FDV_HOLE, 64, -EINVAL },
	{ "in high RAM", FDV_RAM_HIGH, FDV_RAM_HIGH + 0x8000, FDV_RAM_HIGH + 0xc000, 64, 0 },
	{ "wraps", UINT64_MAX - 15, A, U, 64, -EINVAL },
	{ "all on one place", D, D, D, 64, 0 },
};

static void layout_table(void **state)
{
	(void)state;
	setup(false, false);
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		const struct layout_case *t = &layouts[i];
		struct vq_layout at = { .size = (uint16_t)t->size, .desc = gpa(t->desc),
					.avail = gpa(t->avail), .used = gpa(t->used) };
		struct err e = ERR_INIT;
		struct vq v = { 0 };

		if (vq_init(&v, f.mem, &at, &e) != t->want || v.ready != !t->want ||
		    !e.msg[0] != !t->want)
			fail_msg("%s: %s", t->why, e.msg);
	}
	teardown();
}

/* Rings on top of each other, driven for a while: nothing of ours may break. */
static void overlapping(void **state)
{
	(void)state;
	setup(true, true);
	for (unsigned i = 0; i < 200; i++) {
		struct vq_layout at = { .size = SIZE, .desc = gpa(D + i * 16 % 96), .avail = gpa(D + i),
					.used = gpa(D + i * 4 % 160), .event_idx = i & 1,
					.indirect = i & 2 };
		struct vq v;

		at.avail.v &= ~1ull;
		assert_int_equal(vq_init(&v, f.mem, &at, NULL), 0);
		for (unsigned k = 0; k < 32 && vq_pop(&v, chain) > 0; k++) {
			vq_push(&v, chain->head, k);
			vq_want_irq(&v);
			vq_enable_kicks(&v);
		}
	}
	teardown();
}

struct event_case {
	const char *why;
	uint16_t event;    /* used_event that the driver set */
	unsigned pushes;   /* then: want an interrupt? */
	bool want;
};

static const struct event_case events[] = {
	{ "first batch always", 999, 1, true },
	{ "the one asked for", 1, 1, true },
	{ "asked for a later one", 3, 1, false },
	{ "asked for one in the middle of the batch", 4, 3, true },
	{ "asked for one that is long past", 1, 1, false },
	{ "garbage", 0x8000, 2, false },
};

static void push_some(unsigned n)
{
	struct fdv_seg seg = { gpa(BUF), 64, true };
	uint16_t head;
	uint32_t len;

	for (unsigned i = 0; i < n; i++) {
		assert_true(fdv_add(&f, 2, &seg, 1) >= 0);
		assert_int_equal(vq_pop(q, chain), 1);
		vq_push(q, chain->head, 64);
		assert_true(fdv_used(&f, 2, &head, &len));
		assert_int_equal(head, chain->head);
		assert_int_equal(len, 64);
	}
}

static void event_idx(void **state)
{
	(void)state;
	setup(true, false);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		push_some(events[i].pushes);
		fdv_poke_used_event(&f, 2, events[i].event);
		if (vq_want_irq(q) != events[i].want)
			fail_msg("%s (used index %u)", events[i].why, q->next_used);
	}
	/* Across the wrap of the index. */
	while (q->next_used != 0xfffe) {
		push_some(1);
		fdv_poke_used_event(&f, 2, (uint16_t)(q->next_used + 100));
		if (vq_want_irq(q))
			fail_msg("unasked at %u", q->next_used);
	}
	fdv_poke_used_event(&f, 2, 0);
	push_some(2);
	fdv_poke_used_event(&f, 2, 0);
	assert_false(vq_want_irq(q)); /* used index 0: element 0xffff was the last */
	push_some(1);
	fdv_poke_used_event(&f, 2, 0);
	assert_true(vq_want_irq(q));
	teardown();
}

static void no_event_idx(void **state)
{
	(void)state;
	setup(false, false);
	push_some(1);
	assert_true(vq_want_irq(q));
	fdv_poke_avail_flags(&f, 2, 1);
	assert_false(vq_want_irq(q));
	fdv_poke_avail_flags(&f, 2, 2); /* another bit is not ours */
	assert_true(vq_want_irq(q));
	vq_disable_kicks(q);
	assert_int_equal(fdv_used_flags(&f, 2), 1);
	assert_false(vq_enable_kicks(q));
	assert_int_equal(fdv_used_flags(&f, 2), 0);
	teardown();
}

static void kicks(void **state)
{
	struct fdv_seg seg = { gpa(BUF), 64, false };

	(void)state;
	setup(true, false);
	vq_disable_kicks(q);
	assert_int_equal(fdv_used_flags(&f, 2), 0); /* with EVENT_IDX flags stay 0 */
	assert_false(vq_enable_kicks(q));
	assert_int_equal(fdv_avail_event(&f, 2), 0);
	fdv_add(&f, 2, &seg, 1);
	assert_true(vq_enable_kicks(q)); /* one came meanwhile */
	assert_int_equal(vq_pop(q, chain), 1);
	assert_false(vq_enable_kicks(q));
	assert_int_equal(fdv_avail_event(&f, 2), 1);
	/* Put back: it is there again, as the same. */
	vq_unpop(q, chain);
	assert_int_equal(q->in_flight, 0);
	assert_true(vq_enable_kicks(q));
	assert_int_equal(fdv_avail_event(&f, 2), 0);
	assert_int_equal(vq_pop(q, chain), 1);
	assert_int_equal(vq_pop(q, chain), 0);
	vq_reset(q);
	assert_int_equal(vq_pop(q, chain), 0); /* not ready: nothing there, nothing wanted */
	assert_false(vq_want_irq(q));
	assert_false(vq_enable_kicks(q));
	vq_disable_kicks(q);
	teardown();
}

/* Out-of-order completion, and 70,000 rounds through the wraps of both indices. */
static void wraps(void **state)
{
	struct fdv_seg seg = { gpa(BUF), 64, true };
	uint16_t head[3], got;
	uint32_t len;

	(void)state;
	setup(true, false);
	for (unsigned round = 0; round < 24000; round++) {
		for (unsigned i = 0; i < 3; i++) {
			assert_true(fdv_add(&f, 2, &seg, 1) >= 0);
			assert_int_equal(vq_pop(q, chain), 1);
			head[i] = chain->head;
		}
		assert_int_equal(vq_pop(q, chain), 0);
		for (unsigned i = 3; i-- > 0;) {
			vq_push(q, head[i], i);
			assert_true(fdv_used(&f, 2, &got, &len));
			assert_int_equal(got, head[i]);
			assert_int_equal(len, i);
		}
	}
	assert_int_equal(q->in_flight, 0);
	teardown();
}

static void copies(void **state)
{
	struct fdv_seg seg[] = {
		{ gpa(BUF), 5, false }, { gpa(BUF + 100), 1, false }, { gpa(BUF + 200), 10, false },
		{ gpa(BUF + 300), 3, true }, { gpa(BUF + 400), 7, true },
	};
	const char text[] = "0123456789abcdef";
	char out[32];
	struct iovec iov[3];

	(void)state;
	setup(false, false);
	memcpy(fdv_ptr(&f, gpa(BUF), 5), text, 5);
	memcpy(fdv_ptr(&f, gpa(BUF + 100), 1), text + 5, 1);
	memcpy(fdv_ptr(&f, gpa(BUF + 200), 10), text + 6, 10);
	assert_int_equal(fdv_add(&f, 2, seg, 5), 0);
	assert_int_equal(vq_pop(q, chain), 1);
	for (size_t off = 0; off <= 17; off++) {
		for (size_t len = 0; len <= 18; len++) {
			size_t want = off >= 16 ? 0 : min_t(size_t, len, 16 - off);

			memset(out, '.', sizeof(out));
			assert_int_equal(vq_chain_read(chain, off, out, len), want);
			assert_memory_equal(out, text + off, want);
			assert_int_equal(out[want], '.');
		}
	}
	assert_int_equal(vq_chain_read(chain, UINT64_MAX, out, 1), 0);
	memset(fdv_ptr(&f, gpa(BUF + 300), 200), '.', 200);
	assert_int_equal(vq_chain_write(q, chain, 2, text, 16), 8);
	assert_memory_equal(fdv_ptr(&f, gpa(BUF + 300), 4), "..0.", 4);
	assert_memory_equal(fdv_ptr(&f, gpa(BUF + 400), 8), "1234567.", 8);
	assert_int_equal(vq_chain_iov(chain, false, 0, 16, iov, 3), 3);
	assert_int_equal(vq_chain_iov(chain, false, 0, 16, iov, 2), -E2BIG);
	assert_int_equal(vq_chain_iov(chain, false, 0, 6, iov, 2), 2); /* ends on a border */
	assert_int_equal(vq_chain_iov(chain, false, 5, 100, iov, 3), 2);
	assert_ptr_equal(iov[0].iov_base, fdv_ptr(&f, gpa(BUF + 100), 1));
	assert_int_equal(iov[1].iov_len, 10);
	assert_int_equal(vq_chain_iov(chain, true, 1, 4, iov, 3), 2);
	assert_ptr_equal(iov[0].iov_base, fdv_ptr(&f, gpa(BUF + 301), 1));
	assert_int_equal(iov[0].iov_len, 2);
	assert_int_equal(iov[1].iov_len, 2);
	assert_int_equal(vq_chain_iov(chain, true, 10, 4, iov, 3), 0);
	vq_chain_mark_dirty(q, chain, 1, 100);
	teardown();
}

struct state_case {
	const char *why;
	unsigned byte;
	uint8_t xor;
	int want;
};

/* Bytes of the field: desc 0, avail 8, used 16, flags 24, size 28, next_avail 30, next_used 32,
 * signalled 34, reserved 36. */
static const struct state_case states[] = {
	{ "unchanged", 0, 0, 0 },
	{ "signalled index may be any", 34, 0xff, 0 },
	{ "misaligned descriptors", 0, 8, -EBADMSG },
	{ "used ring outside RAM", 20, 1 << 4, -EBADMSG },
	{ "size", 28, 1, -EBADMSG },
	{ "unknown flag", 24, 0x20, -EBADMSG },
	{ "indices differ", 30, 1, -EBADMSG },
	{ "reserved", 36, 1, -EBADMSG },
	{ "not ready: the rest does not matter", 24, 1, 0 },
};

static void save_load(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct snap_w w = { .b = &b };
	struct snap_r r;
	struct vq v = { 0 };
	uint8_t *short_field;

	(void)state;
	setup(true, true);
	push_some(5);
	vq_want_irq(q);
	vq_save(q, &w, 7);
	v.mem = f.mem;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		const struct state_case *t = &states[i];
		struct err e = ERR_INIT;

		b.data[8 + t->byte] ^= t->xor;
		assert_int_equal(snap_r_init(&r, b.data, b.len, &e), 0);
		if (vq_load(&v, &r, 7, &e) != t->want)
			fail_msg("%s: %s", t->why, e.msg);
		/* The lowest flag is the one that says whether the queue was ready. */
		if (v.ready != (t->want == 0 && (b.data[8 + 24] & 1)))
			fail_msg("%s: ready %d", t->why, v.ready);
		b.data[8 + t->byte] ^= t->xor;
	}
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(vq_load(&v, &r, 8, NULL), -EBADMSG); /* absent */
	assert_int_equal(vq_load(&v, &r, 7, NULL), 0);
	assert_int_equal(v.next_avail, 5);
	assert_int_equal(v.next_used, 5);
	assert_int_equal(v.signalled_used, 5);
	assert_true(v.signalled_valid && v.at.event_idx && v.at.indirect);
	assert_int_equal(vq_pop(&v, chain), 0);
	push_some(1); /* by the other; this one sees it as well */
	assert_int_equal(vq_pop(&v, chain), 1);
	/* A field that is too short, with nothing behind it. */
	b.len = 0;
	snap_w_bytes(&w, 7, "too short for a queue's state...", 32);
	short_field = malloc(b.len);
	assert_non_null(short_field);
	memcpy(short_field, b.data, b.len);
	assert_int_equal(snap_r_init(&r, short_field, b.len, NULL), 0);
	assert_int_equal(vq_load(&v, &r, 7, NULL), -EBADMSG);
	free(short_field);
	buf_free(&b);
	teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_table), cmocka_unit_test(avail_table),
		cmocka_unit_test(chain_table),	cmocka_unit_test(longest),
		cmocka_unit_test(overlapping),	cmocka_unit_test(event_idx),
		cmocka_unit_test(no_event_idx), cmocka_unit_test(kicks),
		cmocka_unit_test(wraps),	cmocka_unit_test(copies),
		cmocka_unit_test(save_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
