// SPDX-License-Identifier: Apache-2.0
#include "vmm/backend/disk_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

void disk_complete(struct disk *d, struct disk_io *io)
{
	bug_on(d->in_flight == 0);
	d->in_flight--;
	if (d->done)
		d->done(d->arg, io);
}

static void collect(struct disk *d)
{
	disk_ring_collect(d);
	disk_threads_collect(d);
	if (d->done)
		d->done(d->arg, NULL);
}

static void take_count(struct disk *d)
{
	uint64_t n;

	if (read(d->ready.fd, &n, sizeof(n)) < 0)
		return; /* nothing new: somebody else took it */
}

static void on_ready(struct evsrc *src, uint32_t events)
{
	struct disk *d = container_of(src, struct disk, ready);

	(void)events;
	take_count(d);
	collect(d);
	if (d->left && !d->in_flight)
		disk_leave(d, d->memory);
}

int disk_new(struct disk **ret, struct evloop *loop, const struct disk_cfg *cfg,
	     void (*done)(void *arg, struct disk_io *io), void *arg, struct err *e)
{
	struct disk *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, ENOMEM, "disk: out of memory");
	*d = (struct disk){ .loop = loop, .done = done, .arg = arg, .fd = -1, .align = cfg->align };
	disk_threads_init(d);
	d->ready = (struct evsrc){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				   .fn = on_ready,
				   .name = "disk" };
	rc = d->ready.fd < 0 ? -errno : evloop_add(loop, &d->ready, EPOLLIN);
	if (rc < 0) {
		disk_free(d);
		return err_errno(e, -rc, "disk: eventfd");
	}
	d->fd = cfg->fd;
	if (!cfg->no_uring)
		disk_ring_init(d);
	*ret = d;
	return 0;
}

void disk_free(struct disk *d)
{
	if (!d)
		return;
	d->done = NULL;
	while (d->in_flight)
		disk_drain(d, 1000);
	disk_threads_done(d);
	disk_ring_done(d);
	evloop_cancel(d->loop, d);
	evloop_del(&d->ready);
	close_and_reset(&d->ready.fd);
	close_and_reset(&d->fd);
	free(d);
}

void disk_leave(struct disk *d, void *memory)
{
	if (d) {
		d->done = NULL;
		d->memory = memory;
		collect(d);
		d->left = d->in_flight > 0;
		if (d->left)
			return;
	}
	disk_free(d);
	free(memory);
}

void disk_submit(struct disk *d, struct disk_io *io)
{
	bug_on(d->in_flight == DISK_DEPTH_MAX);
	d->in_flight++;
	io->rc = 0;
	if (!disk_ring_submit(d, io))
		disk_threads_submit(d, io);
}

void disk_push(struct disk *d)
{
	if (disk_ring_push(d))
		disk_ring_collect(d);
}

int disk_drain(struct disk *d, unsigned ms)
{
	uint64_t until = io_now_ns() + (uint64_t)ms * 1000000u;

	disk_push(d);
	for (;;) {
		struct pollfd p = { .fd = d->ready.fd, .events = POLLIN };
		struct timespec ts = { .tv_sec = 0 };
		uint64_t now;

		collect(d);
		if (!d->in_flight)
			return 0;
		now = io_now_ns();
		if (now >= until)
			return -ETIMEDOUT;
		ts.tv_sec = (time_t)((until - now) / 1000000000u);
		ts.tv_nsec = (long)((until - now) % 1000000000u);
		if (ppoll(&p, 1, &ts, NULL) > 0)
			take_count(d);
	}
}

bool disk_has_uring(const struct disk *d)
{
	return d->has_ring;
}
