// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/bus/bus.h"

/* Remembers the accesses it got; reads give the offset in each byte. */
struct probe {
	unsigned n;
	struct {
		uint64_t off, value;
		unsigned size;
		bool write;
	} got[16];
};

static uint64_t probe_read(void *dev, uint64_t off, unsigned size)
{
	struct probe *p = dev;
	uint64_t v = 0;

	p->got[p->n].off = off;
	p->got[p->n].size = size;
	p->got[p->n++].write = false;
	for (unsigned i = 0; i < 8; i++) /* more than asked for: the bus cuts it */
		v |= ((off + i) & 0xff) << (8 * i);
	return v;
}

static void probe_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct probe *p = dev;

	p->got[p->n].off = off;
	p->got[p->n].size = size;
	p->got[p->n].value = value;
	p->got[p->n++].write = true;
}

static const struct bus_ops probe_ops = { .name = "probe", .read = probe_read, .write = probe_write };
static const struct bus_ops other_ops = { .name = "other", .read = probe_read, .write = probe_write };
static const struct bus_ops null_ops = { .name = "null" };

static struct bus *new_bus(void)
{
	struct err e = ERR_INIT;
	struct bus *b;

	if (bus_new(&b, &e) < 0)
		fail_msg("%s", e.msg);
	return b;
}

struct access {
	const char *why;
	uint64_t addr;
	unsigned size;
	int calls; /* of the device */
	unsigned first_size;
};

#define BASE 0x1000ull
#define LEN  0x10ull

static const struct access accesses[] = {
	{ "first byte", BASE, 1, 1, 1 },
	{ "last byte", BASE + LEN - 1, 1, 1, 1 },
	{ "last eight", BASE + LEN - 8, 8, 1, 8 },
	{ "three bytes come as two and one", BASE, 3, 2, 2 },
	{ "five as four and one", BASE, 5, 2, 4 },
	{ "seven as four, two and one", BASE + 1, 7, 3, 4 },
	{ "byte before", BASE - 1, 1, 0, 0 },
	{ "byte behind", BASE + LEN, 1, 0, 0 },
	{ "into the range from below", BASE - 1, 2, 0, 0 },
	{ "across its end", BASE + LEN - 1, 2, 0, 0 },
	{ "across its end by the last of seven", BASE + LEN - 6, 7, 0, 0 },
	{ "end of the address space", UINT64_MAX, 8, 0, 0 },
};

static void dispatch(void **state)
{
	struct bus *b = new_bus();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		const struct access *a = &accesses[i];
		uint8_t data[9], want[8];
		struct probe p = { 0 };
		uint64_t off = a->addr - BASE;

		assert_int_equal(bus_add(b, BASE, LEN, &probe_ops, &p, NULL), 0);
		memset(data, 0x55, sizeof(data));
		bus_read(b, a->addr, data, a->size);
		for (unsigned k = 0; k < a->size; k++)
			want[k] = a->calls ? (uint8_t)(off + k) : 0xff;
		if (memcmp(data, want, a->size) || data[a->size] != 0x55)
			fail_msg("%s: wrong bytes read", a->why);
		if (p.n != (unsigned)a->calls || (p.n && p.got[0].size != a->first_size))
			fail_msg("%s: %u reads", a->why, p.n);
		p.n = 0;
		bus_write(b, a->addr, data, a->size);
		if (p.n != (unsigned)a->calls)
			fail_msg("%s: %u writes", a->why, p.n);
		for (unsigned k = 0; k < p.n; k++) {
			uint64_t v = 0;

			memcpy(&v, data + (p.got[k].off - off), p.got[k].size);
			if (!p.got[k].write || p.got[k].value != v)
				fail_msg("%s: wrong value written", a->why);
		}
		bus_remove(b, BASE);
	}
	bus_free(b);
}

struct range {
	const char *why;
	uint64_t base, len;
	int want;
};

static const struct range ranges[] = {
	{ "right below", 0x0f00, 0x100, 0 },
	{ "right above", 0x2000, 0x100, 0 },
	{ "the same", 0x1000, 0x1000, -EEXIST },
	{ "its first byte", 0x0fff, 2, -EEXIST },
	{ "its last byte", 0x1fff, 1, -EEXIST },
	{ "around it", 0x0800, 0x2000, -EEXIST },
	{ "empty", 0x9000, 0, -EINVAL },
	{ "wraps", UINT64_MAX - 1, 3, -EINVAL },
	{ "ends with the address space", UINT64_MAX - 1, 2, 0 },
};

static void overlap(void **state)
{
	struct probe p = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		const struct range *r = &ranges[i];
		struct bus *b = new_bus();
		struct err e = ERR_INIT;
		uint8_t c;

		assert_int_equal(bus_add(b, 0x1000, 0x1000, &probe_ops, &p, &e), 0);
		if (bus_add(b, r->base, r->len, &other_ops, &p, &e) != r->want)
			fail_msg("%s: wanted %d: %s", r->why, r->want, e.msg);
		if (r->want == -EEXIST && (!strstr(e.msg, "probe") || !strstr(e.msg, "other")))
			fail_msg("%s: names missing: %s", r->why, e.msg);
		if (r->want == 0) {
			p.n = 0;
			bus_read(b, r->base + r->len - 1, &c, 1);
			assert_int_equal(p.n, 1);
			assert_int_equal(p.got[0].off, r->len - 1);
		}
		bus_free(b);
	}
}

static void move(void **state)
{
	struct bus *b = new_bus();
	struct probe p = { 0 };
	struct err e = ERR_INIT;
	uint8_t c;

	(void)state;
	assert_int_equal(bus_add(b, 0x1000, 0x100, &probe_ops, &p, NULL), 0);
	assert_int_equal(bus_add(b, 0x3000, 0x100, &null_ops, NULL, NULL), 0);
	assert_int_equal(bus_move(b, 0x1000, 0x1080, &e), 0); /* over its own old place */
	bus_read(b, 0x1000, &c, 1);
	assert_int_equal(c, 0xff);
	assert_int_equal(p.n, 0);
	assert_int_equal(bus_move(b, 0x1080, 0x2f00, &e), 0); /* ends where another begins */
	assert_int_equal(bus_move(b, 0x2f00, 0x2f01, &e), -EEXIST);
	bus_read(b, 0x2f01, &c, 1); /* a failed move leaves it */
	assert_int_equal(c, 1);
	assert_int_equal(bus_move(b, 0x2f01, 0x5000, &e), -ENOENT);
	assert_int_equal(bus_move(b, 0x2f00, UINT64_MAX - 0x7f, &e), -EINVAL);
	bus_read(b, 0x3000, &c, 1); /* a device that reads as nothing */
	assert_int_equal(c, 0xff);
	bus_write(b, 0x3000, &c, 1);
	bus_remove(b, 0x2f01); /* no such base: nothing happens */
	bus_read(b, 0x2f00, &c, 1);
	assert_int_equal(c, 0);
	bus_free(b);
}

static void many(void **state)
{
	struct bus *b = new_bus();
	struct probe p[100];
	uint8_t c;

	(void)state;
	memset(p, 0, sizeof(p));
	for (unsigned i = 0; i < 100; i++) /* in an order that is neither up nor down */
		assert_int_equal(bus_add(b, (i * 37 % 100) * 16, 16, &probe_ops, &p[i * 37 % 100], NULL),
				 0);
	for (unsigned i = 0; i < 100; i++) {
		bus_read(b, i * 16 + 5, &c, 1);
		assert_int_equal(p[i].n, 1);
		assert_int_equal(p[i].got[0].off, 5);
	}
	for (unsigned i = 0; i < 100; i += 2)
		bus_remove(b, i * 16);
	for (unsigned i = 0; i < 100; i++) {
		bus_read(b, i * 16, &c, 1);
		assert_int_equal(p[i].n, i % 2 + 1);
	}
	bus_free(b);
}

/* A pinned device that moves another from within an access. */
static uint64_t pinned_read(void *dev, uint64_t off, unsigned size)
{
	struct bus *b = dev;

	(void)off;
	(void)size;
	return bus_move(b, 0x2000, 0x3000, NULL) == 0 ? 1 : 2;
}

static void pinned(void **state)
{
	const struct bus_ops ops = { .name = "pinned", .pinned = true, .read = pinned_read };
	struct bus *b = new_bus();
	struct probe p = { 0 };
	uint8_t c;

	(void)state;
	assert_int_equal(bus_add(b, 0x1000, 16, &ops, b, NULL), 0);
	assert_int_equal(bus_add(b, 0x2000, 16, &probe_ops, &p, NULL), 0);
	bus_read(b, 0x1000, &c, 1);
	assert_int_equal(c, 1);
	bus_read(b, 0x3001, &c, 1);
	assert_int_equal(c, 1);
	bus_free(b);
}

/* --- several threads ------------------------------------------------------------------------------ */
#define READERS 3
#define ROUNDS  300

/* Freed by the writer right after bus_remove(): a reader that is still inside shows as use after free,
 * and without a sanitizer by the mark. */
struct mortal {
	atomic_uint alive, inside;
};

struct hammer {
	struct bus *b;
	atomic_bool stop;
	atomic_uint bad, hits;
};

static uint64_t mortal_read(void *dev, uint64_t off, unsigned size)
{
	struct mortal *m = dev;
	uint64_t v;

	(void)off;
	(void)size;
	atomic_fetch_add(&m->inside, 1);
	sched_yield();
	v = atomic_load(&m->alive);
	atomic_fetch_sub(&m->inside, 1);
	return v;
}

static const struct bus_ops mortal_ops = { .name = "mortal", .read = mortal_read };

static void *reader(void *arg)
{
	struct hammer *h = arg;

	while (!atomic_load(&h->stop)) {
		for (uint64_t at = 0x1000; at <= 0x5000; at += 0x1000) {
			uint8_t c;

			bus_read(h->b, at, &c, 1);
			if (c == 1)
				atomic_fetch_add(&h->hits, 1);
			else if (c != 0xff)
				atomic_fetch_add(&h->bad, 1);
		}
	}
	return NULL;
}

static void concurrent(void **state)
{
	struct hammer h = { .b = new_bus() };
	pthread_t thread[READERS];

	(void)state;
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, reader, &h), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct mortal *m = calloc(1, sizeof(*m));

		assert_non_null(m);
		atomic_store(&m->alive, 1);
		assert_int_equal(bus_add(h.b, 0x1000, 0x100, &mortal_ops, m, NULL), 0);
		if (i % 8 == 0)
			usleep(200);
		assert_int_equal(bus_move(h.b, 0x1000, 0x2000 + i % 4 * 0x1000, NULL), 0);
		bus_remove(h.b, 0x2000 + i % 4 * 0x1000);
		assert_int_equal(atomic_load(&m->inside), 0);
		atomic_store(&m->alive, 7);
		free(m);
	}
	atomic_store(&h.stop, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&h.bad), 0);
	assert_true(atomic_load(&h.hits) > 0);
	bus_free(h.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dispatch), cmocka_unit_test(overlap), cmocka_unit_test(move),
		cmocka_unit_test(many),	    cmocka_unit_test(pinned),  cmocka_unit_test(concurrent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
