/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the block device share. Loop thread alone, but where it says else. */
#ifndef VMM_VIRTIO_BLK_INTERNAL_H
#define VMM_VIRTIO_BLK_INTERNAL_H

#include "vmm/backend/disk.h"
#include "vmm/virtio/batch.h"
#include "vmm/virtio/blk.h"

#define BLK_SECTOR	 512u
#define BLK_HEADER	 16u
#define BLK_DATA_SEGS	 254 /* what drivers are told, at most */
#define BLK_RANGE_MAX	 (1u << 22) /* sectors of one discard or zeroing: 2 GiB */

/* VIRTIO 1.2, 5.2.3. */
enum {
	BLK_F_SIZE_MAX = 1,
	BLK_F_SEG_MAX = 2,
	BLK_F_RO = 5,
	BLK_F_BLK_SIZE = 6,
	BLK_F_FLUSH = 9,
	BLK_F_TOPOLOGY = 10,
	BLK_F_CONFIG_WCE = 11,
	BLK_F_MQ = 12,
	BLK_F_DISCARD = 13,
	BLK_F_WRITE_ZEROES = 14,
};

/* 5.2.6 */
enum {
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_GET_ID = 8,
	BLK_T_DISCARD = 11,
	BLK_T_WRITE_ZEROES = 13,
};
enum { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 };

/* A request in work: what of its chain is needed after the ring was left. */
struct blk_job {
	struct blk_job *next;
	struct disk_io io;
	unsigned epoch;	   /* of the device: one of before a reset is only put away */
	unsigned q;
	uint16_t head;
	uint32_t data_len; /* bytes written to the guest besides the status */
	uint8_t *status;
	gpa_t status_at;
	unsigned nseg;
	struct vq_seg seg[BLK_DATA_SEGS]; /* IN: what will be written */
	struct iovec iov[BLK_DATA_SEGS];
};

struct blk {
	struct vdev d;
	struct disk *disk;
	uint64_t sectors;
	uint32_t block_size, phys_size;
	unsigned queues, queue_size;
	bool readonly, draining;
	struct batch batch;
	char serial[BLK_SERIAL_MAX + 1];
	atomic_uchar writeback; /* config_read is another thread's */
	atomic_bool leave;
	unsigned epoch;
	unsigned njobs, jobs_used;
	struct blk_job *jobs, *free; /* last used first: their memory is touched already */
	uint64_t starved, signal;    /* by queue: chains wait for a job; the driver is to be told */
	struct rate_limit rate;
	struct evtimer tokens; /* armed while requests wait for them, or for their turn */
	struct blk_counters count;
	struct vq_chain chain; /* the one being looked at */
};
_Static_assert(BLK_QUEUES_MAX <= 64, "bitmaps by queue");

static inline struct blk *to_blk(struct vdev *d)
{
	return container_of(d, struct blk, d);
}

/* blk_req.c: begins what x->chain, popped from queue @q, asks for. 0, or -EBADMSG: it has no room for a
 * status. */
int blk_begin(struct blk *x, struct blk_job *j, unsigned q);
/* The backend's done(). */
void blk_done(void *arg, struct disk_io *io);

/* blk.c */
struct blk_job *blk_job_get(struct blk *x);
void blk_job_put(struct blk *x, struct blk_job *j);
/* After requests came back: the driver is told, and queues that waited go on. */
void blk_batch_over(struct blk *x);

#endif
