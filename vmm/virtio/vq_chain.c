// SPDX-License-Identifier: Apache-2.0
/*
 * Data of a chain: copies, iovecs. The segments were validated by vq_pop().
 */
#include <string.h>

#include "vmm/virtio/vq.h"

/* A place in one part of a chain: segment and byte in it. */
struct cursor {
	const struct vq_seg *seg, *end;
	uint32_t off;
};

static struct cursor seek(const struct vq_chain *c, bool writable, uint64_t off)
{
	struct cursor cur = { .seg = c->seg, .end = c->seg + c->nread, .off = 0 };

	if (writable) {
		cur.seg = cur.end;
		cur.end += c->nwrite;
	}
	while (cur.seg < cur.end && off >= cur.seg->len) {
		off -= cur.seg->len;
		cur.seg++;
	}
	cur.off = (uint32_t)off; /* below the segment's length, or the part is at its end */
	return cur;
}

/* The next piece of at most @len bytes; 0 at the end of the part. */
static size_t step(struct cursor *cur, size_t len, uint8_t **ret, gpa_t *ret_at)
{
	size_t n;

	if (cur->seg == cur->end || len == 0)
		return 0;
	n = min_t(size_t, len, cur->seg->len - cur->off);
	*ret = (uint8_t *)cur->seg->base + cur->off;
	*ret_at = gpa(cur->seg->at.v + cur->off);
	cur->seg++;
	cur->off = 0;
	return n;
}

size_t vq_chain_read(const struct vq_chain *c, uint64_t off, void *dst, size_t len)
{
	struct cursor cur = seek(c, false, off);
	size_t done = 0, n;
	uint8_t *p;
	gpa_t at;

	for (; (n = step(&cur, len - done, &p, &at)); done += n)
		memcpy((uint8_t *)dst + done, p, n);
	/* What was copied is what the caller checks. */
	__asm__ volatile("" : : : "memory");
	return done;
}

size_t vq_chain_write(const struct vq *q, const struct vq_chain *c, uint64_t off, const void *src,
		      size_t len)
{
	struct cursor cur = seek(c, true, off);
	size_t done = 0, n;
	uint8_t *p;
	gpa_t at;

	for (; (n = step(&cur, len - done, &p, &at)); done += n) {
		memcpy(p, (const uint8_t *)src + done, n);
		gmem_mark_dirty(q->mem, at, n);
	}
	return done;
}

int vq_chain_iov(const struct vq_chain *c, bool writable, uint64_t off, uint64_t len,
		 struct iovec *iov, int max)
{
	struct cursor cur = seek(c, writable, off);
	int used = 0;
	size_t n;
	uint8_t *p;
	gpa_t at;

	for (; (n = step(&cur, len, &p, &at)); len -= n) {
		if (used == max)
			return -E2BIG;
		iov[used++] = (struct iovec){ .iov_base = p, .iov_len = n };
	}
	return used;
}

void vq_chain_mark_dirty(const struct vq *q, const struct vq_chain *c, uint64_t off, uint64_t len)
{
	struct cursor cur = seek(c, true, off);
	size_t n;
	uint8_t *p;
	gpa_t at;

	for (; (n = step(&cur, len, &p, &at)); len -= n)
		gmem_mark_dirty(q->mem, at, n);
}
