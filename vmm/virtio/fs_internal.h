/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the virtio-fs device share. For the device's own sources.
 *
 * A job is one request in work: popped -> run inline, or queued for a worker and back by way of the
 * done list, or parked until a lock is free -> finished (pushed). Only the loop thread pops,
 * finishes and moves jobs between free, parked and queued; a worker touches the job it took and
 * nothing else.
 */
#ifndef VMM_VIRTIO_FS_INTERNAL_H
#define VMM_VIRTIO_FS_INTERNAL_H

#include <pthread.h>
#include "vmm/virtio/fs.h"

#define FS_JOBS	       64
#define FS_PARKED_MAX  32 /* so that locks can never use up the jobs */
#define FS_INLINE_MAX  4  /* requests in a row on the loop thread before workers help */
#define FS_THREADS_MAX 16
#define FS_SYNC_INLINE_NS 200000ull  /* an fsync() that takes less need not leave the loop thread … */
#define FS_SYNC_START_NS  1000000ull /* … after some that did */

struct fs_job {
	struct fs_job *next;
	unsigned q;
	struct fs_peek peek;
	int rc; /* fs_request()'s */
	uint64_t took_ns; /* of peek.sync */
	size_t in_len;
	struct fs_reply reply;
	int niov; /* WRITE: payload; else the guest's pages behind the reply's header */
	bool payload;
	struct vq_chain chain;
	struct iovec iov[VQ_MAX_SEGS];
	_Alignas(16) uint8_t in[FS_MAX_REQUEST];
	_Alignas(16) uint8_t out[FS_MAX_REPLY];
};

struct fs_job_list {
	struct fs_job *head, **tail;
};

struct fs_dev {
	struct vdev d;
	struct fs_server *server;
	uint8_t tag[FS_DEV_TAG_MAX];
	uint32_t queues;
	struct fs_job *jobs; /* [FS_JOBS] */
	unsigned jobs_used;
	struct fs_job *free; /* last used first: their memory is touched already */
	uint64_t starved[2]; /* queues with chains that found no free job, or no end */

	struct fs_job_list parked;
	unsigned nparked;
	uint64_t early[16]; /* interrupts whose requests were not there yet; numbers are never used twice */
	unsigned nearly;
	struct evtimer retry;
	uint64_t retry_ns;
	uint64_t sync_ns; /* what peek.sync takes: the longest, fading */

	/* Workers. */
	unsigned want_threads, nthreads;
	pthread_t thread[FS_THREADS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct fs_job_list todo, done; /* under lock */
	unsigned running;	       /* under lock: taken by workers and not yet done */
	bool stop;		       /* under lock */
	struct evsrc done_src;
};

static inline void fs_jobs_init(struct fs_job_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static inline void fs_jobs_add(struct fs_job_list *l, struct fs_job *j)
{
	j->next = NULL;
	*l->tail = j;
	l->tail = &j->next;
}

static inline struct fs_job *fs_jobs_pop(struct fs_job_list *l)
{
	struct fs_job *j = l->head;

	if (j) {
		l->head = j->next;
		if (!l->head)
			l->tail = &l->head;
	}
	return j;
}

/* fs_job.c, loop thread but for fs_job_run(), which measures peek.sync. */
/* Copies the request out of the chain. 0, or -EBADMSG: no FUSE request. */
int fs_job_gather(struct fs_job *j);
void fs_job_run(struct fs_server *s, struct fs_job *j);
/* Writes the reply and returns the chain and the job. */
void fs_job_finish(struct fs_dev *x, struct fs_job *j);
struct fs_job *fs_job_get(struct fs_dev *x);
void fs_job_put(struct fs_dev *x, struct fs_job *j);

/* fs_park.c, loop thread. */
void fs_park(struct fs_dev *x,
	     struct fs_job *j); /* or refuses it with ENOLCK when there are too many */
void fs_park_retry(struct fs_dev *x);
void fs_park_interrupt(struct fs_dev *x, uint64_t unique);
void fs_park_drop(struct fs_dev *x);
void fs_park_timer(struct evtimer *t);

/* fs_pool.c, loop thread. */
int fs_pool_init(struct fs_dev *x);
void fs_pool_done(struct fs_dev *x); /* nothing is queued any more */
/* False: no worker could be had. */
bool fs_pool_submit(struct fs_dev *x, struct fs_job *j);
/* Waits until no worker is busy and collects. -ETIMEDOUT; @ms 0: for ever, and what no worker
 * took yet is thrown away. */
int fs_pool_drain(struct fs_dev *x, unsigned ms);
/* Makes the loop look at what is done, and at queues that wait for a job. Any thread. */
void fs_pool_wake(struct fs_dev *x);
/* Finishes what workers are done with. */
void fs_pool_collect(struct fs_dev *x);

static inline bool fs_job_available(const struct fs_dev *x)
{
	return x->free || x->jobs_used < FS_JOBS;
}

/* fs.c: after a job came back from wherever it was. */
void fs_dev_completed(struct fs_dev *x, struct fs_job *j);
void fs_dev_serve_starved(struct fs_dev *x);

#endif
