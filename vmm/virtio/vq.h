/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues, device side (VIRTIO 1.2, section 2.7), with indirect descriptors and EVENT_IDX.
 * Ring geometry is frozen by vq_init() and checked whole there. A chain that vq_pop() hands out was
 * copied once and is validated: every segment lies in RAM, readable ones first, at most VQ_MAX_SEGS.
 * Devices never see a ring.
 *
 * One thread at a time owns a queue (its device's loop). A device that empties a queue does
 *
 *	do {
 *		vq_disable_kicks(q);
 *		while (budget-- && (rc = vq_pop(q, c)) > 0)
 *			…
 *	} while (rc == 0 && vq_enable_kicks(q));
 *
 * because with EVENT_IDX no further kick comes before vq_enable_kicks() said from where on one is
 * wanted. The budget (the ring's size is a good one) is needed since a driver can refill for ever.
 */
#ifndef VMM_VIRTIO_VQ_H
#define VMM_VIRTIO_VQ_H

#include "vmm/mem/gmem.h"
#include "vmm/snapshot/snap.h"

#define VQ_MAX_SIZE 1024 /* the largest queue any of our devices offers */
#define VQ_MAX_SEGS 1024

struct vq_layout {
	uint16_t size; /* power of two, 1 … VQ_MAX_SIZE */
	gpa_t desc, avail, used;
	bool event_idx;
	bool indirect;
};

/* A segment of guest memory; @base is valid for the life of the gmem, and its bytes change under us. */
struct vq_seg {
	void *base;
	gpa_t at;
	uint32_t len;
};

/* 24 KiB: embed one in the device, don't put it on the stack. Only what the counts cover is written. */
struct vq_chain {
	uint16_t head;
	uint16_t nread, nwrite;        /* device-readable segments come first in seg[] */
	uint64_t read_len, write_len;  /* their sums */
	struct vq_seg seg[VQ_MAX_SEGS];
};

struct vq {
	const struct gmem *mem;
	struct vq_layout at;
	bool ready;
	bool broken;                    /* the ring was found malformed; until vq_reset() */
	uint16_t next_avail, next_used; /* free-running */
	uint16_t signalled_used;        /* used index at the last interrupt (EVENT_IDX) */
	bool signalled_valid;
	uint16_t in_flight;
	/* vq.c's own: the three areas as mapped, and the driver's index as last read. */
	const uint8_t *desc;
	uint16_t *avail;
	uint8_t *used;
	uint16_t avail_seen;
	uint8_t busy[VQ_MAX_SIZE / 8];  /* heads popped and not yet pushed */
};

/* -EINVAL with a text: size, alignment, a ring outside RAM. */
int vq_init(struct vq *q, const struct gmem *m, const struct vq_layout *at, struct err *e);
void vq_reset(struct vq *q); /* not ready, nothing in flight; q->mem stays */

/* 1: *c filled; 0: empty (or the queue is not ready); -EBADMSG: the ring is malformed and the device
 * needs a reset. */
int vq_pop(struct vq *q, struct vq_chain *c);
/* Undoes the last vq_pop() of @c when nothing was done with it. */
void vq_unpop(struct vq *q, const struct vq_chain *c);
/* Returns a chain with @written bytes in its writable part. @head as popped. -EBADMSG never: our own
 * mistakes (a head that is not in flight) are bugs. */
int vq_push(struct vq *q, uint16_t head, uint32_t written);
/* After one or more pushes: should the driver be interrupted? Call once per batch. */
bool vq_want_irq(struct vq *q);
/* Tells the driver whether kicks are wanted. vq_enable_kicks() returns true when buffers arrived
 * meanwhile, and then the caller must go on popping. */
void vq_disable_kicks(struct vq *q);
bool vq_enable_kicks(struct vq *q);

/* Somebody else (the kernel) has served the queue up to @next, in order; nothing is in flight. */
void vq_moved(struct vq *q, uint16_t next);

/* Copy from the readable, to the writable segments, starting at byte @off of that part. Bytes copied:
 * short only at the end of the part. */
size_t vq_chain_read(const struct vq_chain *c, uint64_t off, void *dst, size_t len);
size_t vq_chain_write(const struct vq *q, const struct vq_chain *c, uint64_t off, const void *src,
		      size_t len);
/* iovecs for [off, off+len) of one part, cut at its end; count used, or -E2BIG when @max is too few.
 * Who writes through them tells vq_chain_mark_dirty(). */
int vq_chain_iov(const struct vq_chain *c, bool writable, uint64_t off, uint64_t len,
		 struct iovec *iov, int max);
void vq_chain_mark_dirty(const struct vq *q, const struct vq_chain *c, uint64_t off, uint64_t len);

/* Nothing may be in flight. vq_load() needs q->mem, checks all as vq_init() does, and leaves a reset
 * queue when it fails or when the saved one was not ready. */
void vq_save(const struct vq *q, struct snap_w *w, uint16_t tag);
int vq_load(struct vq *q, struct snap_r *r, uint16_t tag, struct err *e);

#endif
