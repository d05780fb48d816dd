/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the disk backend share. */
#ifndef VMM_BACKEND_DISK_INTERNAL_H
#define VMM_BACKEND_DISK_INTERNAL_H

#include <liburing.h>
#include <pthread.h>

#include "vmm/backend/disk.h"

struct disk_list {
	struct disk_io *head, **tail;
};

struct disk {
	struct evloop *loop;
	struct evsrc ready; /* an eventfd: something is done, by the ring or by a thread */
	void (*done)(void *arg, struct disk_io *io);
	void *arg;
	int fd;
	unsigned align;
	unsigned in_flight; /* all of them */
	bool left;          /* by its owner: it ends with the last of them, */
	void *memory;       /* and this with it */

	struct io_uring ring;
	bool has_ring;
	unsigned ring_queued, ring_flying; /* not yet, and already, the kernel's */

	unsigned nthreads;
	pthread_t thread[DISK_THREADS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct disk_list todo, finished; /* under lock, as are the next two */
	unsigned running;
	bool stop;
};

static inline void disk_list_init(struct disk_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static inline void disk_list_add(struct disk_list *l, struct disk_io *io)
{
	io->next = NULL;
	*l->tail = io;
	l->tail = &io->next;
}

static inline struct disk_io *disk_list_take(struct disk_list *l)
{
	struct disk_io *io = l->head;

	if (io) {
		l->head = io->next;
		if (!l->head)
			l->tail = &l->head;
	}
	return io;
}

/* disk.c: @io is done; on the loop's thread. */
void disk_complete(struct disk *d, struct disk_io *io);

/* disk_work.c: does it, waiting for the disk. Any thread. */
void disk_work(const struct disk *d, struct disk_io *io);
bool disk_aligned(const struct disk *d, const struct disk_io *io); /* as O_DIRECT wants memory */
/* The first @n bytes are done. */
void disk_advance(struct disk_io *io, size_t n);

/* disk_threads.c */
void disk_threads_init(struct disk *d);
void disk_threads_done(struct disk *d); /* nothing is queued */
void disk_threads_submit(struct disk *d, struct disk_io *io);
void disk_threads_collect(struct disk *d);

/* disk_ring.c. Without a ring all but the first do nothing. */
void disk_ring_init(struct disk *d);
void disk_ring_done(struct disk *d);
bool disk_ring_submit(struct disk *d, struct disk_io *io); /* false: not one for the ring */
/* Whether requests went to the kernel: some of them may be over already. */
bool disk_ring_push(struct disk *d);
void disk_ring_collect(struct disk *d);

#endif
