// SPDX-License-Identifier: Apache-2.0
/*
 * Ring bytes of any kind. Input: options, number of steps and patches, then the patches (applied
 * one between two steps each, as a guest that changes its rings meanwhile), then RAM from 0 on, where the
 * rings are.
 */
#include "tests/fuzz/bytes.h"
#include "vmm/virtio/vq.h"

#define RAM      KIB(64)
#define HIGH     GIB(4)
#define MAX_STEP 48

static struct gmem *mem;
static struct vq q;
static struct vq_chain chain;

static void check_segments(void)
{
	unsigned n = chain.nread + (unsigned)chain.nwrite;
	uint64_t sum[2] = { 0, 0 };

	bug_on(n == 0 || n > VQ_MAX_SEGS);
	for (unsigned i = 0; i < n; i++) {
		const struct vq_seg *s = &chain.seg[i];
		volatile uint8_t *p = s->base;

		bug_on(!s->len || gmem_ptr(mem, s->at, s->len) != s->base);
		(void)p[0];
		(void)p[s->len - 1];
		sum[i >= chain.nread] += s->len;
	}
	bug_on(sum[0] != chain.read_len || sum[1] != chain.write_len);
}

static void serve(unsigned step)
{
	struct iovec iov[8];
	uint8_t bytes[300];
	size_t n;

	check_segments();
	n = vq_chain_read(&chain, step, bytes, sizeof(bytes));
	bug_on(n > sizeof(bytes));
	if (step % 7 == 3) {
		vq_unpop(&q, &chain);
		return;
	}
	n = vq_chain_write(&q, &chain, step, bytes, n);
	if (vq_chain_iov(&chain, true, step, 4096, iov, 8) > 0)
		bug_on(!iov[0].iov_len);
	if (step % 5 != 4) /* else it stays in flight */
		vq_push(&q, chain.head, (uint32_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct gmem_region r[2] = { { gpa(0), RAM, false }, { gpa(HIGH), RAM, false } };
	struct bytes in = { data, size }, patch;
	struct vq_layout at = { .desc = gpa(0) };
	unsigned options, steps;

	if (!mem)
		bug_on(gmem_new(&mem, r, 2, GMEM_ANON, NULL) < 0);
	options = (unsigned)take(&in, 1);
	steps = (unsigned)take(&in, 1) % MAX_STEP;
	at.size = (uint16_t)(1u << (options & 7));
	at.event_idx = options & 8;
	at.indirect = options & 16;
	at.avail = gpa(options & 32 ? 0x40 : 0x800);
	at.used = gpa(options & 32 ? 0x20 : 0xa00);
	patch = (struct bytes){ in.p, steps * 4u < in.len ? steps * 4u : in.len };
	in.p += patch.len;
	in.len -= patch.len;
	memset(gmem_ptr(mem, gpa(0), RAM), 0, RAM);
	memcpy(gmem_ptr(mem, gpa(0), RAM), in.p, in.len < RAM ? in.len : RAM);
	bug_on(vq_init(&q, mem, &at, NULL) < 0);
	for (unsigned i = 0; i < steps; i++) {
		uint16_t where = (uint16_t)take(&patch, 2), what = (uint16_t)take(&patch, 2);

		if (vq_pop(&q, &chain) > 0)
			serve(i);
		vq_want_irq(&q);
		vq_disable_kicks(&q);
		vq_enable_kicks(&q);
		if (what)
			gmem_write(mem, gpa(where & 0xfff), &what, 2);
	}
	return 0;
}
