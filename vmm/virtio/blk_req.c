// SPDX-License-Identifier: Apache-2.0
/*
 * One request: from its chain to the disk, and back to its status. Header and ranges are copied once; what
 * is checked is what is used.
 */
#include "vmm/virtio/blk_internal.h"

#include <string.h>

#include "lib/log.h"

struct header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};
_Static_assert(sizeof(struct header) == BLK_HEADER, "header");

/* Of DISCARD and WRITE_ZEROES. */
struct range {
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;
};
#define RANGE_UNMAP 1u

static void finish(struct blk *x, struct blk_job *j, uint8_t status)
{
	struct vq *q = &x->d.vq[j->q];
	uint32_t written = status == BLK_S_OK ? j->data_len : 0;

	if (status == BLK_S_OK && j->io.op == DISK_READ)
		for (unsigned i = 0; i < j->nseg; i++)
			gmem_mark_dirty(q->mem, j->seg[i].at, j->seg[i].len);
	*j->status = status;
	gmem_mark_dirty(q->mem, j->status_at, 1);
	vq_push(q, j->head, written + 1);
	x->signal |= 1ull << j->q;
	if (status != BLK_S_OK)
		x->count.errors++;
	blk_job_put(x, j);
}

static const char *op_name(enum disk_op op)
{
	static const char *const names[] = { "read", "write", "flush", "discard", "zeroing" };

	return names[op];
}

void blk_done(void *arg, struct disk_io *io)
{
	struct blk *x = arg;
	struct blk_job *j;

	if (!io) {
		blk_batch_over(x);
		return;
	}
	j = container_of(io, struct blk_job, io);
	if (j->epoch != x->epoch) { /* the driver has reset the device */
		blk_job_put(x, j);
		return;
	}
	if (io->rc < 0)
		log_guest("%s: %s failed on the host: %s", x->d.id, op_name(io->op), strerror(-io->rc));
	finish(x, j, (uint8_t)(io->rc < 0 ? BLK_S_IOERR : BLK_S_OK));
}

static bool on_disk(const struct blk *x, uint64_t sector, uint64_t sectors)
{
	return sectors <= x->sectors && sector <= x->sectors - sectors;
}

/* The data part as iovecs: readable behind the header, or writable before the status. */
static bool take_data(struct blk *x, struct blk_job *j, bool writable, uint64_t len)
{
	const struct vq_chain *c = &x->chain;
	int n = vq_chain_iov(c, writable, writable ? 0 : BLK_HEADER, len, j->iov, BLK_DATA_SEGS);

	if (n < 0)
		return false; /* more pieces than the driver was told */
	j->io.iov = j->iov;
	j->io.niov = n;
	j->io.len = len;
	j->nseg = 0;
	/* iovecs begin with the segments when the data does. */
	for (int i = 0; writable && i < n; i++) {
		j->seg[i] = c->seg[c->nread + (unsigned)i];
		j->seg[i].len = (uint32_t)j->iov[i].iov_len;
		j->nseg++;
	}
	return true;
}

/* What follows returns a status, or SUBMIT: the disk's turn. */
#define SUBMIT 0xff

/* Without a cache that the driver knows to flush, what it writes is safe when it is done. */
static bool written_through(const struct blk *x)
{
	return vdev_has(&x->d, BLK_F_CONFIG_WCE) ? !atomic_load(&x->writeback) : !vdev_has(&x->d, BLK_F_FLUSH);
}

static uint8_t transfer(struct blk *x, struct blk_job *j, const struct header *h, bool in)
{
	const struct vq_chain *c = &x->chain;
	uint64_t len = in ? c->write_len - 1 : c->read_len - BLK_HEADER;

	if ((in && c->read_len != BLK_HEADER) || (!in && c->write_len != 1))
		return BLK_S_IOERR;
	if (!in && x->readonly)
		return BLK_S_IOERR;
	if (len % BLK_SECTOR || len > UINT32_MAX - 1 || !on_disk(x, h->sector, len / BLK_SECTOR))
		return BLK_S_IOERR;
	if (!take_data(x, j, in, len))
		return BLK_S_IOERR;
	j->io.op = in ? DISK_READ : DISK_WRITE;
	j->io.off = h->sector * BLK_SECTOR;
	if (in) {
		j->data_len = (uint32_t)len;
		x->count.reads++;
		x->count.read_bytes += len;
		return SUBMIT;
	}
	j->io.sync = written_through(x);
	x->count.writes++;
	x->count.written_bytes += len;
	return SUBMIT;
}

static uint8_t flush(struct blk *x, struct blk_job *j)
{
	if (!vdev_has(&x->d, BLK_F_FLUSH))
		return BLK_S_UNSUPP;
	x->count.flushes++;
	j->io.op = DISK_FLUSH;
	return SUBMIT;
}

static uint8_t get_id(struct blk *x, struct blk_job *j)
{
	const struct vq_chain *c = &x->chain;
	char id[BLK_SERIAL_MAX] = { 0 };
	size_t room = (size_t)min_t(uint64_t, c->write_len - 1, sizeof(id));

	memcpy(id, x->serial, strlen(x->serial));
	j->data_len = (uint32_t)vq_chain_write(&x->d.vq[j->q], c, 0, id, room);
	return BLK_S_OK;
}

static uint8_t one_range(struct blk *x, struct blk_job *j, uint32_t type)
{
	const struct vq_chain *c = &x->chain;
	bool zero = type == BLK_T_WRITE_ZEROES;
	struct range r;

	if (!vdev_has(&x->d, zero ? BLK_F_WRITE_ZEROES : BLK_F_DISCARD))
		return BLK_S_UNSUPP;
	if (x->readonly || c->read_len != BLK_HEADER + sizeof(r))
		return BLK_S_IOERR; /* drivers are told that one range is the most */
	vq_chain_read(c, BLK_HEADER, &r, sizeof(r));
	if (r.flags & ~(zero ? RANGE_UNMAP : 0u))
		return BLK_S_UNSUPP;
	if (r.sectors > BLK_RANGE_MAX || !on_disk(x, r.sector, r.sectors))
		return BLK_S_IOERR;
	j->io.op = zero ? DISK_ZERO : DISK_DISCARD;
	j->io.unmap = r.flags & RANGE_UNMAP;
	j->io.sync = zero && written_through(x);
	j->io.off = r.sector * BLK_SECTOR;
	j->io.len = (uint64_t)r.sectors * BLK_SECTOR;
	return r.sectors ? SUBMIT : BLK_S_OK;
}

static uint8_t begin(struct blk *x, struct blk_job *j)
{
	struct header h;

	if (vq_chain_read(&x->chain, 0, &h, sizeof(h)) != sizeof(h))
		return BLK_S_IOERR;
	switch (h.type) {
	case BLK_T_IN:
		return transfer(x, j, &h, true);
	case BLK_T_OUT:
		return transfer(x, j, &h, false);
	case BLK_T_FLUSH:
		return flush(x, j);
	case BLK_T_GET_ID:
		return get_id(x, j);
	case BLK_T_DISCARD:
	case BLK_T_WRITE_ZEROES:
		return one_range(x, j, h.type);
	default: /* secure erase among them */
		return BLK_S_UNSUPP;
	}
}

int blk_begin(struct blk *x, struct blk_job *j, unsigned q)
{
	const struct vq_chain *c = &x->chain;
	const struct vq_seg *last;
	uint8_t status;

	if (!c->nwrite)
		return -EBADMSG;
	last = &c->seg[c->nread + c->nwrite - 1];
	j->epoch = x->epoch;
	j->q = q;
	j->head = c->head;
	j->data_len = 0;
	j->nseg = 0;
	j->status = (uint8_t *)last->base + last->len - 1;
	j->status_at = gpa(last->at.v + last->len - 1);
	j->io = (struct disk_io){ .op = DISK_FLUSH };
	status = begin(x, j);
	rate_charge(&x->rate, status == SUBMIT && j->io.op <= DISK_WRITE ? j->io.len : 0);
	if (status == SUBMIT)
		disk_submit(x->disk, &j->io);
	else
		finish(x, j, status);
	return 0;
}
