// SPDX-License-Identifier: Apache-2.0
/* A few threads that wait for the disk. They start on the loop's thread when they are needed, and so are
 * bound to its system calls. */
#include "vmm/backend/disk_internal.h"

#include <string.h>
#include <unistd.h>

#define STACK_SIZE (256u << 10)

static void *worker(void *arg)
{
	struct disk *d = arg;
	const uint64_t one = 1;
	struct disk_io *io;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		while (!d->todo.head && !d->stop)
			pthread_cond_wait(&d->work, &d->lock);
		io = disk_list_take(&d->todo);
		if (!io)
			break;
		d->running++;
		pthread_mutex_unlock(&d->lock);
		disk_work(d, io);
		pthread_mutex_lock(&d->lock);
		d->running--;
		disk_list_add(&d->finished, io);
		/* The loop adds the counts up; an eventfd that is full has woken it already. */
		if (write(d->ready.fd, &one, sizeof(one)) < 0)
			continue;
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static void grow(struct disk *d)
{
	pthread_attr_t attr;

	if (d->nthreads == DISK_THREADS_MAX || pthread_attr_init(&attr) != 0)
		return;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (pthread_create(&d->thread[d->nthreads], &attr, worker, d) == 0)
		d->nthreads++;
	pthread_attr_destroy(&attr);
}

void disk_threads_submit(struct disk *d, struct disk_io *io)
{
	bool all_busy;

	pthread_mutex_lock(&d->lock);
	all_busy = d->todo.head || d->running == d->nthreads;
	pthread_mutex_unlock(&d->lock);
	if (all_busy)
		grow(d);
	pthread_mutex_lock(&d->lock);
	if (d->nthreads) {
		disk_list_add(&d->todo, io);
		pthread_cond_signal(&d->work);
	} else { /* the host has no room for one: an error of this request, like any other */
		const uint64_t one = 1;

		io->rc = -EAGAIN;
		disk_list_add(&d->finished, io);
		if (write(d->ready.fd, &one, sizeof(one)) < 0)
			io->rc = -EAGAIN; /* it is full, and so it has woken the loop */
	}
	pthread_mutex_unlock(&d->lock);
}

void disk_threads_collect(struct disk *d)
{
	struct disk_io *io;

	do {
		pthread_mutex_lock(&d->lock);
		io = disk_list_take(&d->finished);
		pthread_mutex_unlock(&d->lock);
		if (io)
			disk_complete(d, io);
	} while (io);
}

void disk_threads_init(struct disk *d)
{
	disk_list_init(&d->todo);
	disk_list_init(&d->finished);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->work, NULL);
}

void disk_threads_done(struct disk *d)
{
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_broadcast(&d->work);
	pthread_mutex_unlock(&d->lock);
	while (d->nthreads)
		pthread_join(d->thread[--d->nthreads], NULL);
	pthread_cond_destroy(&d->work);
	pthread_mutex_destroy(&d->lock);
}
