// SPDX-License-Identifier: Apache-2.0
/*
 * A few threads for requests that may wait for a disk. They start when the first such request
 * comes, on the device's loop thread, so that they inherit its system call filter.
 */
#include "vmm/virtio/fs_internal.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE (1u << 20)

void fs_pool_wake(struct fs_dev *x)
{
	const uint64_t one = 1;
	ssize_t rc = write(x->done_src.fd, &one, sizeof(one));

	(void)rc; /* full: it has woken the loop already, which looks at all that is done */
}

static void *worker(void *arg)
{
	struct fs_dev *x = arg;
	struct fs_job *j;

	pthread_mutex_lock(&x->lock);
	for (;;) {
		while (!x->todo.head && !x->stop)
			pthread_cond_wait(&x->work, &x->lock);
		j = fs_jobs_pop(&x->todo);
		if (!j)
			break;
		x->running++;
		pthread_mutex_unlock(&x->lock);
		fs_job_run(x->server, j);
		pthread_mutex_lock(&x->lock);
		x->running--;
		fs_jobs_add(&x->done, j);
		if (!x->running && !x->todo.head)
			pthread_cond_signal(&x->idle);
		/* Whoever wakes takes the lock first. */
		pthread_mutex_unlock(&x->lock);
		fs_pool_wake(x);
		pthread_mutex_lock(&x->lock);
	}
	pthread_mutex_unlock(&x->lock);
	return NULL;
}

/* One more worker, if there may be one. */
static void grow(struct fs_dev *x)
{
	pthread_attr_t attr;

	if (x->nthreads == x->want_threads || pthread_attr_init(&attr) != 0)
		return;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (pthread_create(&x->thread[x->nthreads], &attr, worker, x) == 0)
		x->nthreads++;
	pthread_attr_destroy(&attr);
}

bool fs_pool_submit(struct fs_dev *x, struct fs_job *j)
{
	bool waiting;

	pthread_mutex_lock(&x->lock);
	waiting = x->todo.head || x->running == x->nthreads;
	pthread_mutex_unlock(&x->lock);
	if (waiting)
		grow(x);
	if (!x->nthreads)
		return false;
	pthread_mutex_lock(&x->lock);
	fs_jobs_add(&x->todo, j);
	pthread_mutex_unlock(&x->lock);
	pthread_cond_signal(&x->work); /* whoever wakes takes the lock first */
	return true;
}

void fs_pool_collect(struct fs_dev *x)
{
	struct fs_job *j;

	for (;;) {
		pthread_mutex_lock(&x->lock);
		j = fs_jobs_pop(&x->done);
		pthread_mutex_unlock(&x->lock);
		if (!j)
			return;
		fs_dev_completed(x, j);
	}
}

int fs_pool_drain(struct fs_dev *x, unsigned ms)
{
	struct timespec until;
	struct fs_job *j;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	pthread_mutex_lock(&x->lock);
	while (!ms && (j = fs_jobs_pop(&x->todo)))
		fs_job_put(x, j);
	while (rc == 0 && (x->running || x->todo.head))
		rc = ms ? pthread_cond_timedwait(&x->idle, &x->lock, &until)
			: pthread_cond_wait(&x->idle, &x->lock);
	while (!ms && (j = fs_jobs_pop(&x->done)))
		fs_job_put(x, j);
	pthread_mutex_unlock(&x->lock);
	return -rc;
}

static void done_ready(struct evsrc *src, uint32_t events)
{
	struct fs_dev *x = container_of(src, struct fs_dev, done_src);
	uint64_t n;

	(void)events;
	if (read(src->fd, &n, sizeof(n)) < 0)
		return;
	if (!x->d.active || x->d.quiesced)
		return; /* drained by quiesce() or reset() */
	fs_pool_collect(x);
	fs_dev_serve_starved(x);
}

int fs_pool_init(struct fs_dev *x)
{
	pthread_condattr_t attr;
	int rc;

	fs_jobs_init(&x->todo);
	fs_jobs_init(&x->done);
	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&x->idle, &attr);
	pthread_condattr_destroy(&attr);
	x->done_src = (struct evsrc){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.fn = done_ready,
		.name = "fs-done",
	};
	if (x->done_src.fd < 0)
		return -errno;
	rc = evloop_add(x->d.loop, &x->done_src, EPOLLIN);
	return rc;
}

void fs_pool_done(struct fs_dev *x)
{
	pthread_mutex_lock(&x->lock);
	x->stop = true;
	pthread_cond_broadcast(&x->work);
	pthread_mutex_unlock(&x->lock);
	while (x->nthreads)
		pthread_join(x->thread[--x->nthreads], NULL);
	evloop_del(&x->done_src);
	if (x->done_src.fd >= 0)
		close(x->done_src.fd);
	x->done_src.fd = -1;
	pthread_cond_destroy(&x->idle);
	pthread_cond_destroy(&x->work);
	pthread_mutex_destroy(&x->lock);
}
