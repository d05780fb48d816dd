// SPDX-License-Identifier: Apache-2.0
/*
 * The table of ranges is immutable and replaced whole. Readers count themselves in and out of one of
 * two phases, on one of a few counters that threads are spread over; a writer publishes the new
 * table, then waits until either phase has been empty once, flipping between the two so that new
 * readers cannot keep it waiting. Sequentially consistent order makes this right: a reader that the
 * writer's sum missed counted itself in after it, and loads the table later still.
 */
#include "vmm/bus/bus.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READER_SLOTS 16

struct range {
	uint64_t base, last; /* inclusive, so that a range may end at 2^64 */
	const struct bus_ops *ops;
	void *dev;
};

struct table {
	size_t n, cap;
	struct range r[]; /* ascending */
};

struct reader_slot {
	_Alignas(64) atomic_ullong in[2], out[2];
};

struct bus {
	struct reader_slot slot[READER_SLOTS];
	_Atomic(struct table *) table;
	atomic_uint phase;
	pthread_mutex_t lock; /* writers */
	/* The table that was replaced last, for the next change: removing never needs memory, and a
	 * guest that moves BARs about makes us allocate nothing. */
	struct table *spare;
};

static atomic_uint next_slot;
static _Thread_local unsigned my_slot; /* + 1; 0: none yet */
static _Thread_local unsigned inside;  /* accesses that this thread is in, of unpinned devices */

static unsigned enter(struct bus *b)
{
	unsigned p;

	if (!my_slot)
		my_slot = atomic_fetch_add(&next_slot, 1) % READER_SLOTS + 1;
	p = atomic_load(&b->phase) & 1;
	atomic_fetch_add(&b->slot[my_slot - 1].in[p], 1);
	inside++;
	return p;
}

static void leave(struct bus *b, unsigned p)
{
	inside--;
	atomic_fetch_add(&b->slot[my_slot - 1].out[p], 1);
}

static bool phase_empty(struct bus *b, unsigned p)
{
	unsigned long long in = 0, out = 0;

	/* Out first: a reader that comes between the two sums makes them differ, never equal. */
	for (unsigned i = 0; i < READER_SLOTS; i++)
		out += atomic_load(&b->slot[i].out[p]);
	for (unsigned i = 0; i < READER_SLOTS; i++)
		in += atomic_load(&b->slot[i].in[p]);
	return in == out;
}

static void wait_phase(struct bus *b, unsigned p)
{
	const struct timespec pause = { .tv_nsec = 20000 };

	for (unsigned tries = 0; !phase_empty(b, p); tries++)
		if (tries > 100)
			nanosleep(&pause, NULL);
}

/* Every access that began before this call has ended when it returns. Writers' lock held. */
static void synchronize_locked(struct bus *b)
{
	unsigned p = atomic_load(&b->phase) & 1;

	/* A device that changes the bus from within its own access would wait for itself. */
	bug_on(inside);
	wait_phase(b, p ^ 1);
	atomic_store(&b->phase, p ^ 1);
	wait_phase(b, p);
}

/* Makes @b->spare, which was filled in, what readers see. */
static void publish_locked(struct bus *b)
{
	b->spare = atomic_exchange(&b->table, b->spare);
	synchronize_locked(b);
}

static struct table *table_new(size_t cap)
{
	struct table *t = calloc(1, sizeof(*t) + cap * sizeof(t->r[0]));

	if (t)
		t->cap = cap;
	return t;
}

static int reserve_locked(struct bus *b, size_t n, struct err *e)
{
	struct table *t;

	if (b->spare->cap >= n)
		return 0;
	t = table_new(n + n / 2);
	if (!t)
		return err_set(e, ENOMEM, "bus: out of memory");
	free(b->spare);
	b->spare = t;
	return 0;
}

int bus_new(struct bus **ret, struct err *e)
{
	struct bus *b = aligned_alloc(_Alignof(struct bus), sizeof(*b));
	struct table *t = table_new(16), *spare = table_new(16);

	if (!b || !t || !spare) {
		free(b);
		free(t);
		free(spare);
		return err_set(e, ENOMEM, "bus: out of memory");
	}
	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
	atomic_init(&b->table, t);
	b->spare = spare;
	*ret = b;
	return 0;
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	free(atomic_load(&b->table));
	free(b->spare);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* Fills the spare table with a copy of the current one without @skip (if any) and with @add (if any).
 * -EEXIST when @add overlaps one that stays. There is room: see reserve_locked(). */
static int edit_locked(struct bus *b, const struct range *skip, const struct range *add, struct err *e)
{
	const struct table *t = atomic_load(&b->table);
	struct table *n = b->spare;

	bug_on(t->n - !!skip + !!add > n->cap);
	n->n = 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct range *r = &t->r[i];

		if (r == skip)
			continue;
		if (add && r->base <= add->last && add->base <= r->last)
			return err_set(e, EEXIST, "%s at %#llx overlaps %s at %#llx", add->ops->name,
				       (unsigned long long)add->base, r->ops->name,
				       (unsigned long long)r->base);
		if (add && add->base < r->base) {
			n->r[n->n++] = *add;
			add = NULL;
		}
		n->r[n->n++] = *r;
	}
	if (add)
		n->r[n->n++] = *add;
	return 0;
}

/* The range that holds @addr. */
static const struct range *table_find(const struct table *t, uint64_t addr)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr < t->r[mid].base)
			hi = mid;
		else if (addr > t->r[mid].last)
			lo = mid + 1;
		else
			return &t->r[mid];
	}
	return NULL;
}

static const struct range *find_base(const struct table *t, uint64_t base)
{
	const struct range *r = table_find(t, base);

	return r && r->base == base ? r : NULL;
}

int bus_add(struct bus *b, uint64_t base, uint64_t len, const struct bus_ops *ops, void *dev,
	    struct err *e)
{
	struct range add = { .base = base, .last = base + len - 1, .ops = ops, .dev = dev };
	int rc;

	if (len == 0 || add.last < base)
		return err_set(e, EINVAL, "%s: bad range %#llx + %#llx", ops->name,
			       (unsigned long long)base, (unsigned long long)len);
	pthread_mutex_lock(&b->lock);
	rc = reserve_locked(b, atomic_load(&b->table)->n + 1, e);
	if (rc == 0)
		rc = edit_locked(b, NULL, &add, e);
	if (rc == 0)
		publish_locked(b);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

void bus_remove(struct bus *b, uint64_t base)
{
	const struct range *r;

	pthread_mutex_lock(&b->lock);
	r = find_base(atomic_load(&b->table), base);
	if (r) {
		edit_locked(b, r, NULL, NULL);
		publish_locked(b);
	}
	pthread_mutex_unlock(&b->lock);
}

int bus_move(struct bus *b, uint64_t from, uint64_t to, struct err *e)
{
	const struct range *r;
	struct range moved;
	int rc;

	pthread_mutex_lock(&b->lock);
	r = find_base(atomic_load(&b->table), from);
	if (!r) {
		rc = err_set(e, ENOENT, "no range at %#llx", (unsigned long long)from);
		goto out;
	}
	moved = *r;
	moved.base = to;
	moved.last = to + (r->last - r->base);
	rc = moved.last < to ? err_set(e, EINVAL, "%s: bad range at %#llx", r->ops->name,
				       (unsigned long long)to)
			     : reserve_locked(b, atomic_load(&b->table)->n, e);
	if (rc == 0)
		rc = edit_locked(b, r, &moved, e);
	if (rc == 0)
		publish_locked(b);
out:
	pthread_mutex_unlock(&b->lock);
	return rc;
}

/* The device that takes the access whole, or NULL. */
static const struct range *claim(const struct table *t, uint64_t addr, unsigned size)
{
	const struct range *r = table_find(t, addr);

	return r && r->last - addr >= size - 1 ? r : NULL;
}

/* Largest power of two that is at most @n, for n 1 … 8. */
static unsigned piece(unsigned n)
{
	return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

/* Gives the access to @r's device in pieces of sizes that devices know. */
static void dispatch(const struct range *r, uint64_t off, uint8_t *data, unsigned size, bool write)
{
	for (unsigned n; size; size -= n, off += n, data += n) {
		uint64_t v = 0;

		n = piece(size);
		if (write) {
			memcpy(&v, data, n);
			if (r->ops->write)
				r->ops->write(r->dev, off, n, v);
		} else {
			v = r->ops->read ? r->ops->read(r->dev, off, n) : UINT64_MAX;
			memcpy(data, &v, n);
		}
	}
}

static void bus_access(struct bus *b, uint64_t addr, uint8_t *data, unsigned size, bool write)
{
	const struct range *r;
	struct range copy;
	unsigned p;

	bug_on(size == 0 || size > 8);
	p = enter(b);
	r = claim(atomic_load(&b->table), addr, size);
	if (r && !r->ops->pinned) {
		dispatch(r, addr - r->base, data, size, write);
		leave(b, p);
		return;
	}
	if (r)
		copy = *r;
	leave(b, p);
	if (r)
		dispatch(&copy, addr - copy.base, data, size, write);
	else if (!write)
		memset(data, 0xff, size);
}

void bus_read(struct bus *b, uint64_t addr, void *data, unsigned size)
{
	bus_access(b, addr, data, size, false);
}

void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned size)
{
	uint8_t bytes[8];

	bug_on(size == 0 || size > sizeof(bytes));
	memcpy(bytes, data, size);
	bus_access(b, addr, bytes, size, true);
}
