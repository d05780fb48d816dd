// SPDX-License-Identifier: Apache-2.0
/*
 * The walker of split rings. Everything read from a ring is read once, into a local, and checked
 * there; the host pointers of the three areas were checked by vq_init() for the whole geometry.
 */
#include "vmm/virtio/vq.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little-endian");

enum {
	DESC_F_NEXT = 1,
	DESC_F_WRITE = 2,
	DESC_F_INDIRECT = 4,
	AVAIL_F_NO_INTERRUPT = 1,
	USED_F_NO_NOTIFY = 1,
};

/* As laid out in guest memory. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
_Static_assert(sizeof(struct desc) == 16, "descriptor");

struct used_elem {
	uint32_t id;
	uint32_t len;
};

/* Offsets in 16-bit words of the available ring: flags, idx, ring[size], used_event. */
#define AVAIL_IDX     1
#define AVAIL_RING(i) (2 + (i))
/* Offsets in bytes of the used ring: flags, idx, ring[size], avail_event. */
#define USED_FLAGS    0
#define USED_IDX      2
#define USED_RING(i)  (4 + sizeof(struct used_elem) * (i))

/* Orders our store to one ring before our load from the other one. */
static void full_fence(void)
{
#ifdef __SANITIZE_THREAD__ /* has no notion of fences, and says so */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic pop
#endif
}

static uint16_t load16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void used_store16(struct vq *q, uint64_t off, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)(q->used + off), v, __ATOMIC_RELEASE);
	gmem_mark_dirty(q->mem, gpa(q->at.used.v + off), sizeof(v));
}

/* The only read of a descriptor: what is checked is what is used, whatever the guest does meanwhile. */
static struct desc fetch_desc(const uint8_t *table, uint32_t i)
{
	struct desc d;

	memcpy(&d, table + (size_t)i * sizeof(d), sizeof(d));
	/* The compiler must not go back to guest memory for a field. */
	__asm__ volatile("" : "+m"(d) : : "memory");
	return d;
}

static bool is_busy(const struct vq *q, uint16_t head)
{
	return q->busy[head / 8] & (1u << (head % 8));
}

static void set_busy(struct vq *q, uint16_t head, bool on)
{
	uint8_t bit = (uint8_t)(1u << (head % 8));

	if (on) {
		q->busy[head / 8] |= bit;
		q->in_flight++;
	} else {
		q->busy[head / 8] &= (uint8_t)~bit;
		q->in_flight--;
	}
}

/* One area of the ring: aligned and in RAM as a whole. */
static void *map_area(const struct gmem *m, gpa_t at, uint64_t len, uint64_t align, const char *what,
		      struct err *e)
{
	void *p;

	if (at.v & (align - 1)) {
		err_set(e, EINVAL, "%s at %#llx is not aligned", what, (unsigned long long)at.v);
		return NULL;
	}
	p = gmem_ptr(m, at, len);
	if (!p)
		err_set(e, EINVAL, "%s at %#llx is not in RAM", what, (unsigned long long)at.v);
	return p;
}

int vq_init(struct vq *q, const struct gmem *m, const struct vq_layout *at, struct err *e)
{
	const uint8_t *desc;
	uint16_t *avail;
	uint8_t *used;

	if (!is_pow2_64(at->size) || at->size > VQ_MAX_SIZE)
		return err_set(e, EINVAL, "queue size %u", at->size);
	/* The event words are counted whether negotiated or not: the driver allocates them anyway. */
	desc = map_area(m, at->desc, sizeof(struct desc) * at->size, 16, "descriptor table", e);
	avail = desc ? map_area(m, at->avail, 6 + 2u * at->size, 2, "available ring", e) : NULL;
	used = avail ? map_area(m, at->used, 6 + 8u * at->size, 4, "used ring", e) : NULL;
	if (!used)
		return -EINVAL;
	memset(q, 0, sizeof(*q));
	q->mem = m;
	q->at = *at;
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->ready = true;
	return 0;
}

void vq_reset(struct vq *q)
{
	const struct gmem *m = q->mem;

	memset(q, 0, sizeof(*q));
	q->mem = m;
}

static bool add_seg(const struct vq *q, struct vq_chain *c, const struct desc *d)
{
	unsigned n = c->nread + c->nwrite;
	struct vq_seg *s = &c->seg[n];

	if (n == VQ_MAX_SEGS)
		return false; /* longer than any, so than the queue: a loop */
	if (c->nwrite && !(d->flags & DESC_F_WRITE))
		return false; /* readable behind writable */
	s->base = gmem_ptr(q->mem, gpa(d->addr), d->len); /* refuses length 0 too */
	if (!s->base)
		return false;
	s->at = gpa(d->addr);
	s->len = d->len;
	if (d->flags & DESC_F_WRITE) {
		c->nwrite++;
		c->write_len += d->len;
	} else {
		c->nread++;
		c->read_len += d->len;
	}
	return true;
}

/* The table that an indirect descriptor names becomes *table of *n entries. */
static bool enter_indirect(const struct vq *q, const struct desc *d, const uint8_t **table, uint32_t *n)
{
	if (!q->at.indirect || (d->flags & DESC_F_NEXT))
		return false;
	if (d->len % sizeof(struct desc) || d->len / sizeof(struct desc) > VQ_MAX_SEGS)
		return false;
	*table = gmem_ptr(q->mem, gpa(d->addr), d->len);
	*n = d->len / (uint32_t)sizeof(struct desc);
	return *table;
}

/* Collects the segments of the chain that starts at @i. An indirect table may end a chain of plain
 * descriptors, once (section 2.7.5.3.2). A chain that loops ends at VQ_MAX_SEGS. */
static bool walk(const struct vq *q, struct vq_chain *c, uint32_t i)
{
	const uint8_t *table = q->desc;
	uint32_t n = q->at.size;
	bool inside = false;

	for (;;) {
		struct desc d;

		if (i >= n)
			return false;
		d = fetch_desc(table, i);
		if (d.flags & DESC_F_INDIRECT) {
			if (inside || !enter_indirect(q, &d, &table, &n))
				return false;
			inside = true;
			i = 0;
			continue;
		}
		if (!add_seg(q, c, &d))
			return false;
		if (!(d.flags & DESC_F_NEXT))
			return true;
		i = d.next;
	}
}

static int malformed(struct vq *q)
{
	q->broken = true;
	return -EBADMSG;
}

/* Refreshes what we know of the driver's index; the acquire orders all reads of what it published. */
static void see_avail(struct vq *q)
{
	q->avail_seen = __atomic_load_n(&q->avail[AVAIL_IDX], __ATOMIC_ACQUIRE);
}

int vq_pop(struct vq *q, struct vq_chain *c)
{
	uint16_t head;

	if (!q->ready)
		return 0;
	if (q->broken)
		return -EBADMSG;
	if (q->avail_seen == q->next_avail)
		see_avail(q);
	if (q->avail_seen == q->next_avail)
		return 0;
	if ((uint16_t)(q->avail_seen - q->next_avail) > q->at.size)
		return malformed(q);
	head = load16(&q->avail[AVAIL_RING(q->next_avail & (q->at.size - 1))]);
	if (head >= q->at.size || is_busy(q, head))
		return malformed(q);
	c->head = head;
	c->nread = 0;
	c->nwrite = 0;
	c->read_len = 0;
	c->write_len = 0;
	if (!walk(q, c, head))
		return malformed(q);
	q->next_avail++;
	set_busy(q, head, true);
	return 1;
}

void vq_unpop(struct vq *q, const struct vq_chain *c)
{
	bug_on(!q->ready || c->head >= q->at.size || !is_busy(q, c->head));
	set_busy(q, c->head, false);
	q->next_avail--;
}

int vq_push(struct vq *q, uint16_t head, uint32_t written)
{
	uint64_t off = USED_RING(q->next_used & (q->at.size - 1));
	struct used_elem u = { .id = head, .len = written };

	bug_on(!q->ready || head >= q->at.size || !is_busy(q, head));
	memcpy(q->used + off, &u, sizeof(u));
	gmem_mark_dirty(q->mem, gpa(q->at.used.v + off), sizeof(u));
	set_busy(q, head, false);
	q->next_used++;
	used_store16(q, USED_IDX, q->next_used); /* release: after the element and the data */
	return 0;
}

bool vq_want_irq(struct vq *q)
{
	uint16_t old = q->signalled_used, now = q->next_used, event;
	bool valid = q->signalled_valid;

	if (!q->ready)
		return false;
	/* Our used index must be visible before we look at what the driver wants. */
	full_fence();
	if (!q->at.event_idx)
		return !(load16(&q->avail[0]) & AVAIL_F_NO_INTERRUPT);
	event = load16(&q->avail[AVAIL_RING(q->at.size)]);
	q->signalled_used = now;
	q->signalled_valid = true;
	return !valid || (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

void vq_disable_kicks(struct vq *q)
{
	/* With EVENT_IDX the old event index lies behind the driver's, which is as good. */
	if (q->ready && !q->at.event_idx)
		used_store16(q, USED_FLAGS, USED_F_NO_NOTIFY);
}

bool vq_enable_kicks(struct vq *q)
{
	if (!q->ready || q->broken)
		return false;
	if (q->at.event_idx)
		used_store16(q, USED_RING(q->at.size), q->next_avail);
	else
		used_store16(q, USED_FLAGS, 0);
	full_fence();
	see_avail(q);
	return q->avail_seen != q->next_avail;
}

void vq_moved(struct vq *q, uint16_t next)
{
	bug_on(q->in_flight);
	q->next_avail = q->next_used = q->avail_seen = next;
	q->signalled_valid = false;
}
