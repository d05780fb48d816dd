// SPDX-License-Identifier: Apache-2.0
/*
 * Requests by an io_uring. The ring is made disabled, restricted, and only then enabled: it has one file,
 * takes no other, and does nothing but read, write and flush that. So whoever can reach it can do no more
 * than the descriptor allows already, and the filters need not see what goes through it.
 */
#include "vmm/backend/disk_internal.h"

#include <string.h>

#include "lib/log.h"

static int restrict_ring(struct io_uring *ring)
{
	struct io_uring_restriction r[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE },
	};

	return io_uring_register_restrictions(ring, r, ARRAY_SIZE(r));
}

void disk_ring_init(struct disk *d)
{
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	int rc = io_uring_queue_init_params(DISK_DEPTH_MAX, &d->ring, &p);

	if (rc == 0) {
		rc = io_uring_register_files(&d->ring, &d->fd, 1);
		if (rc == 0)
			rc = io_uring_register_eventfd(&d->ring, d->ready.fd);
		if (rc == 0)
			rc = restrict_ring(&d->ring);
		if (rc == 0)
			rc = io_uring_enable_rings(&d->ring);
		if (rc < 0)
			io_uring_queue_exit(&d->ring);
	}
	d->has_ring = rc == 0;
	if (rc < 0)
		log_debug("disk: no io_uring here: %s", strerror(-rc));
}

void disk_ring_done(struct disk *d)
{
	if (d->has_ring)
		io_uring_queue_exit(&d->ring);
	d->has_ring = false;
}

bool disk_ring_submit(struct disk *d, struct disk_io *io)
{
	struct io_uring_sqe *sqe;

	if (!d->has_ring || io->op > DISK_FLUSH || (io->op != DISK_FLUSH && !disk_aligned(d, io)))
		return false;
	sqe = io_uring_get_sqe(&d->ring);
	if (!sqe)
		return false; /* the kernel takes none at the moment */
	if (io->op == DISK_READ) {
		io_uring_prep_readv(sqe, 0, io->iov, (unsigned)io->niov, io->off);
	} else if (io->op == DISK_WRITE) {
		io_uring_prep_writev(sqe, 0, io->iov, (unsigned)io->niov, io->off);
		sqe->rw_flags = io->sync ? RWF_DSYNC : 0;
	} else {
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
	}
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, io);
	d->ring_queued++;
	return true;
}

static void push_again(void *arg)
{
	disk_ring_push(arg);
}

bool disk_ring_push(struct disk *d)
{
	bool some = false;

	if (!d->has_ring)
		return false;
	while (d->ring_queued) {
		int n = io_uring_submit(&d->ring);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		d->ring_queued -= (unsigned)n;
		d->ring_flying += (unsigned)n;
		some = true;
	}
	/* The host is short of memory. What comes back brings us here again; if nothing will, the loop. */
	if (d->ring_queued && !d->ring_flying)
		evloop_post(d->loop, push_again, d);
	return some;
}

static void one_done(struct disk *d, struct disk_io *io, int res)
{
	if (res == -EAGAIN || res == -EINTR) {
		disk_threads_submit(d, io);
		return;
	}
	if (res < 0) {
		io->rc = res;
	} else if (io->op != DISK_FLUSH && (uint64_t)res < io->len) {
		/* In part, or nothing at the end of a file that is shorter than it was: the thread's call
		 * tells. */
		disk_advance(io, (size_t)res);
		disk_threads_submit(d, io);
		return;
	}
	disk_complete(d, io);
}

void disk_ring_collect(struct disk *d)
{
	struct io_uring_cqe *cqe;

	if (!d->has_ring)
		return;
	while (io_uring_peek_cqe(&d->ring, &cqe) == 0) {
		struct disk_io *io = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&d->ring, cqe);
		d->ring_flying--;
		one_done(d, io, res);
	}
	disk_ring_push(d);
}
