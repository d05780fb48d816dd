// SPDX-License-Identifier: Apache-2.0
/*
 * The driver's side of split rings, for the fake driver.
 */
#include <string.h>

#include "tests/lib/fakedrv.h"

static uint16_t *word(struct fakedrv *f, gpa_t at, uint64_t off)
{
	return fdv_ptr(f, gpa(at.v + off), sizeof(uint16_t));
}

static void store16(struct fakedrv *f, gpa_t at, uint64_t off, uint16_t v)
{
	__atomic_store_n(word(f, at, off), v, __ATOMIC_RELEASE);
}

static uint16_t load16(struct fakedrv *f, gpa_t at, uint64_t off)
{
	return __atomic_load_n(word(f, at, off), __ATOMIC_ACQUIRE);
}

void fdv_poke_table(struct fakedrv *f, gpa_t table, unsigned i, uint64_t addr, uint32_t len,
		    unsigned flags, unsigned next)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d = { addr, len, (uint16_t)flags, (uint16_t)next };

	memcpy(fdv_ptr(f, gpa(table.v + 16ull * i), sizeof(d)), &d, sizeof(d));
}

void fdv_poke_desc(struct fakedrv *f, unsigned q, unsigned i, uint64_t addr, uint32_t len,
		   unsigned flags, unsigned next)
{
	fdv_poke_table(f, f->q[q].desc, i, addr, len, flags, next);
}

void fdv_poke_avail(struct fakedrv *f, unsigned q, unsigned slot, unsigned head)
{
	store16(f, f->q[q].avail, 4 + 2ull * (slot % f->q[q].size), (uint16_t)head);
}

void fdv_publish(struct fakedrv *f, unsigned q, uint16_t idx)
{
	f->q[q].avail_idx = idx;
	store16(f, f->q[q].avail, 2, idx);
}

void fdv_poke_used_event(struct fakedrv *f, unsigned q, uint16_t v)
{
	store16(f, f->q[q].avail, 4 + 2ull * f->q[q].size, v);
}

void fdv_poke_avail_flags(struct fakedrv *f, unsigned q, uint16_t v)
{
	store16(f, f->q[q].avail, 0, v);
}

uint16_t fdv_used_idx(struct fakedrv *f, unsigned q)
{
	return load16(f, f->q[q].used, 2);
}

uint16_t fdv_used_flags(struct fakedrv *f, unsigned q)
{
	return load16(f, f->q[q].used, 0);
}

uint16_t fdv_avail_event(struct fakedrv *f, unsigned q)
{
	return load16(f, f->q[q].used, 4 + 8ull * f->q[q].size);
}

static void make_available(struct fakedrv *f, unsigned q, uint16_t head)
{
	struct fdv_queue *dq = &f->q[q];

	fdv_poke_avail(f, q, dq->avail_idx, head);
	fdv_publish(f, q, (uint16_t)(dq->avail_idx + 1));
}

int fdv_add(struct fakedrv *f, unsigned q, const struct fdv_seg *seg, unsigned n)
{
	struct fdv_queue *dq = &f->q[q];
	uint16_t head = dq->free_head, i = head;

	bug_on(n == 0);
	if (n > dq->nfree)
		return -ENOSPC;
	for (unsigned k = 0; k < n; k++) {
		unsigned flags = (seg[k].write ? FDV_WRITE : 0) | (k + 1 < n ? FDV_NEXT : 0);

		fdv_poke_desc(f, q, i, seg[k].at.v, seg[k].len, flags, dq->next[i]);
		if (k + 1 == n)
			break;
		i = dq->next[i];
	}
	dq->free_head = dq->next[i];
	dq->nfree = (uint16_t)(dq->nfree - n);
	dq->count[head] = (uint16_t)n;
	make_available(f, q, head);
	return head;
}

int fdv_add_indirect(struct fakedrv *f, unsigned q, const struct fdv_seg *seg, unsigned n)
{
	struct fdv_queue *dq = &f->q[q];
	uint16_t head = dq->free_head;
	gpa_t table;

	if (!dq->nfree)
		return -ENOSPC;
	table = fdv_alloc(f, 16ull * n, 16);
	for (unsigned k = 0; k < n; k++)
		fdv_poke_table(f, table, k, seg[k].at.v, seg[k].len,
			       (seg[k].write ? FDV_WRITE : 0) | (k + 1 < n ? FDV_NEXT : 0), k + 1);
	fdv_poke_desc(f, q, head, table.v, 16 * n, FDV_INDIRECT, 0);
	dq->free_head = dq->next[head];
	dq->nfree--;
	dq->count[head] = 1;
	make_available(f, q, head);
	return head;
}

static void free_chain(struct fdv_queue *dq, uint16_t head)
{
	uint16_t last = head, n = dq->count[head];

	/* 0: a head that was poked, not added. */
	if (!n)
		return;
	for (uint16_t k = 1; k < n; k++)
		last = dq->next[last];
	dq->next[last] = dq->free_head;
	dq->free_head = head;
	dq->nfree = (uint16_t)(dq->nfree + n);
	dq->count[head] = 0;
}

bool fdv_used(struct fakedrv *f, unsigned q, uint16_t *head, uint32_t *len)
{
	struct fdv_queue *dq = &f->q[q];
	uint32_t elem[2];

	if (fdv_used_idx(f, q) == dq->used_idx)
		return false;
	memcpy(elem, fdv_ptr(f, gpa(dq->used.v + 4 + 8ull * (dq->used_idx % dq->size)), 8), 8);
	bug_on(elem[0] >= dq->size);
	dq->used_idx++;
	*head = (uint16_t)elem[0];
	*len = elem[1];
	free_chain(dq, *head);
	fdv_poke_used_event(f, q, dq->used_idx); /* interrupt at the next one, please */
	return true;
}
