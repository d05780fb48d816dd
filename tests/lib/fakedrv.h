/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest driver for tests: owns guest memory, lays out rings, makes requests, and may lie. All RAM
 * that is not laid out is filled with descriptors that the queue walker would accept, so that a
 * check that is missing shows: a stray read finds something good, not zeros.
 *
 * In raw mode (fdv_init()) it drives vdev and vq directly, on the caller's thread, which also runs
 * the device's loop. In PCI mode (fakedrv_pci.h) it goes through the transport's registers.
 *
 * Mistakes of a test (out of RAM, out of descriptors) abort. No cmocka here: fuzz targets use it too.
 */
#ifndef TESTS_LIB_FAKEDRV_H
#define TESTS_LIB_FAKEDRV_H

#include "vmm/virtio/vdev.h"

/* RAM: [0, FDV_RAM_LOW), a hole, [FDV_RAM_HIGH, + FDV_RAM_HIGH_LEN). */
#define FDV_RAM_LOW      MIB(4)
#define FDV_RAM_HIGH     GIB(4)
#define FDV_RAM_HIGH_LEN MIB(1)
#define FDV_LATER        GIB(8) /* fdv_opts.later bytes, never filled */
#define FDV_HOLE         (FDV_RAM_LOW + MIB(16))
/* Decoy descriptors point here. */
#define FDV_DECOY        KIB(4)

struct fakedrv;

struct fdv_opts {
	uint64_t ram_low;    /* bytes of the low region; 0: FDV_RAM_LOW */
	unsigned queue_size; /* 0: the smaller of 64 and the class's largest */
	uint64_t later;      /* bytes that a memory device can hand out */
	bool no_decoy;       /* leave RAM zero (a fuzz target that fills it itself) */
};

struct fdv_queue {
	uint16_t size;
	gpa_t desc, avail, used;
	uint16_t avail_idx; /* what was published */
	uint16_t used_idx;  /* what was taken back */
	uint16_t nfree, free_head;
	uint16_t next[VQ_MAX_SIZE];  /* free list, and the descriptors of each chain */
	uint16_t count[VQ_MAX_SIZE]; /* descriptors of the chain that starts here */
};

/* How the driver reaches the device. */
struct fdv_mode {
	int (*create)(struct fakedrv *f, const struct vdev_class *cls, const void *cfg,
		      struct err *e);
	void (*destroy)(struct fakedrv *f);
	int (*quiesce)(struct fakedrv *f, struct err *e);
	void (*resume)(struct fakedrv *f);
	int (*save)(struct fakedrv *f, struct snap_w *w, struct err *e);
	int (*load)(struct fakedrv *f, struct snap_r *r, struct err *e);
	void (*start)(struct fakedrv *f, uint64_t features); /* queues are laid out */
	void (*reset)(struct fakedrv *f);
	void (*kick)(struct fakedrv *f, unsigned q);
	bool (*needs_reset)(struct fakedrv *f);
};

struct fakedrv {
	struct fdv_opts opts;
	const struct fdv_mode *mode;
	struct gmem *mem;
	struct evloop *loop;
	struct vdev *d;
	uint64_t brk;       /* next free byte of the low region */
	uint64_t brk_rings; /* the same, behind the rings */
	uint64_t acked;
	struct fdv_queue q[VDEV_MAX_QUEUES];
	/* Counted by the transport, in raw mode by us. */
	atomic_uint irqs[VDEV_MAX_QUEUES], config_irqs, needs_resets;
};

/* Memory and loop. @o may be NULL. */
void fdv_init(struct fakedrv *f, const struct fdv_opts *o);
/* Frees device, loop and memory. */
void fdv_done(struct fakedrv *f);

/* Makes the device. 0 or what its create() said. */
int fdv_create(struct fakedrv *f, const struct vdev_class *cls, const void *cfg, struct err *e);
/* Frees it, keeps memory and rings: what a snapshot does. fdv_create() and fdv_load() follow. */
void fdv_destroy(struct fakedrv *f);
int fdv_quiesce(struct fakedrv *f, struct err *e);
void fdv_resume(struct fakedrv *f); /* and kicks, as a transport does */
int fdv_save(struct fakedrv *f, struct snap_w *w, struct err *e);
int fdv_load(struct fakedrv *f, struct snap_r *r, struct err *e);

/* Lays all queues out anew, empty, and brings the device to DRIVER_OK with those of @features that it
 * offers. ~0: all. */
void fdv_start(struct fakedrv *f, uint64_t features);
void fdv_layout(struct fakedrv *f); /* the first half of it */
void fdv_reset(struct fakedrv *f);

/* Memory. fdv_free_all() forgets all buffers but the rings. */
gpa_t fdv_alloc(struct fakedrv *f, size_t len, size_t align);
gpa_t fdv_put(struct fakedrv *f, const void *src, size_t len); /* allocated and filled */
void fdv_free_all(struct fakedrv *f);
void *fdv_ptr(struct fakedrv *f, gpa_t at, size_t len);

struct fdv_seg {
	gpa_t at;
	uint32_t len;
	bool write; /* the device writes it */
};

/* Makes a chain and publishes it. Returns its head, -ENOSPC when descriptors are short. */
int fdv_add(struct fakedrv *f, unsigned q, const struct fdv_seg *seg, unsigned n);
int fdv_add_indirect(struct fakedrv *f, unsigned q, const struct fdv_seg *seg, unsigned n);
void fdv_kick(struct fakedrv *f, unsigned q);
/* The next used element. */
bool fdv_used(struct fakedrv *f, unsigned q, uint16_t *head, uint32_t *len);
/* Runs the loop until there is one, at most @ms. */
bool fdv_wait_used(struct fakedrv *f, unsigned q, uint16_t *head, uint32_t *len, unsigned ms);
/* Runs the loop for a while: until it has been idle twice for 2 ms, or @ms and 20 turns are over; one turn where @ms is 0. */
void fdv_run(struct fakedrv *f, unsigned ms);
bool fdv_needs_reset(struct fakedrv *f);

/* One request and its answer: @out is what the device reads, @in what it writes (either may be of
 * length 0). Bytes written as the device says, -ETIMEDOUT after a second. */
int fdv_request(struct fakedrv *f, unsigned q, const void *out, size_t out_len, void *in,
		size_t in_len);

/* Lies: raw writes to the rings. */
#define FDV_NEXT     1u
#define FDV_WRITE    2u
#define FDV_INDIRECT 4u
void fdv_poke_desc(struct fakedrv *f, unsigned q, unsigned i, uint64_t addr, uint32_t len,
		   unsigned flags, unsigned next);
void fdv_poke_table(struct fakedrv *f, gpa_t table, unsigned i, uint64_t addr, uint32_t len,
		    unsigned flags, unsigned next);
void fdv_poke_avail(struct fakedrv *f, unsigned q, unsigned slot, unsigned head);
void fdv_publish(struct fakedrv *f, unsigned q, uint16_t idx);
void fdv_poke_used_event(struct fakedrv *f, unsigned q, uint16_t v);
void fdv_poke_avail_flags(struct fakedrv *f, unsigned q, uint16_t v);
uint16_t fdv_used_idx(struct fakedrv *f, unsigned q);
uint16_t fdv_used_flags(struct fakedrv *f, unsigned q);
uint16_t fdv_avail_event(struct fakedrv *f, unsigned q);

#endif
