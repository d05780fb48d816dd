/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk's data: a raw file or block device. Knows bytes and descriptors, nothing of rings or guests.
 *
 * Requests are asynchronous: disk_submit() never waits for the disk, and each request comes back by
 * done() on the loop's thread, in any order. Reads, writes and flushes go by an io_uring that can do
 * nothing else (the descriptor is its only file, and those are its only operations; it has to be made
 * before the thread is bound to its system calls); without one, and for what is rare, by a few threads.
 *
 * Every function is called on the loop's thread, or before it runs.
 */
#ifndef VMM_BACKEND_DISK_H
#define VMM_BACKEND_DISK_H

#include <sys/uio.h>
#include "lib/evloop.h"

#define DISK_DEPTH_MAX   256 /* requests in flight */
#define DISK_THREADS_MAX 8

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,   /* what was done before is on stable storage */
	DISK_DISCARD, /* the range's content is of no use any more: a hint */
	DISK_ZERO,
};

/* One request; the caller's memory, untouched by the caller until done(). */
struct disk_io {
	struct disk_io *next; /* the backend's */
	enum disk_op op;
	bool sync;            /* WRITE, ZERO: done means on stable storage */
	bool unmap;           /* ZERO: may become a hole */
	uint64_t off, len;    /* bytes, within the disk: the caller has checked */
	struct iovec *iov;    /* READ, WRITE: @len bytes in all; entries are used up */
	int niov;
	int rc;               /* 0 or a negative errno of the host */
};

struct disk_cfg {
	int fd;
	bool no_uring;  /* threads alone: io_uring is not wanted, or cannot be made any more */
	unsigned align; /* O_DIRECT: what memory must be aligned to, a power of two up to 4096; 0: nothing */
};

struct disk;

/* @done: the request, then NULL when a batch of them is over. Takes cfg->fd on success. An io_uring that
 * cannot be had is no error. -ENOMEM and such. */
int disk_new(struct disk **ret, struct evloop *loop, const struct disk_cfg *cfg,
	     void (*done)(void *arg, struct disk_io *io), void *arg, struct err *e);
/* Waits for what is in flight, for ever; done() is not called. NULL is fine. */
void disk_free(struct disk *d);

/* As disk_free(), and free(@memory), without waiting: should something be in flight, both follow on the loop when it is
 * over. @memory holds the requests; what they point to must last as long. */
void disk_leave(struct disk *d, void *memory);

/* At most DISK_DEPTH_MAX may be in flight. disk_push() follows the last of a batch; what the host did at once (a page
 * cache, a disk in memory) is told from within it, without the NULL at the end, which follows by the loop. */
void disk_submit(struct disk *d, struct disk_io *io);
void disk_push(struct disk *d);
/* Waits until nothing is in flight, calling done(). 0, or -ETIMEDOUT after @ms. */
int disk_drain(struct disk *d, unsigned ms);
bool disk_has_uring(const struct disk *d);

#endif
