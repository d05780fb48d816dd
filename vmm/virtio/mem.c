// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/mem.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 16

enum { F_ACPI_PXM = 0, F_UNPLUGGED_INACCESSIBLE = 1 };
enum { TAG_BASE = 1, TAG_SIZE, TAG_PLUGGED };

/* Section 5.15.6. */
enum request { REQ_PLUG, REQ_UNPLUG, REQ_UNPLUG_ALL, REQ_STATE };
enum response { RESP_ACK, RESP_NACK, RESP_BUSY, RESP_ERROR }; /* we are never busy: what is saved serves no requests */
enum state { STATE_PLUGGED, STATE_UNPLUGGED, STATE_MIXED };

struct req {
	uint16_t type, pad[3];
	uint64_t addr;
	uint16_t blocks, pad2[3];
};

struct resp {
	uint16_t type, pad[3];
	uint16_t state;
} __attribute__((packed));

struct config {
	uint64_t block_size;
	uint16_t node_id, pad[3]; /* of a feature that is not offered */
	uint64_t addr, region_size, usable_region_size, plugged_size, requested_size;
};

_Static_assert(sizeof(struct req) == 24 && sizeof(struct resp) == 10 && sizeof(struct config) == 56, "section 5.15");

struct mem {
	struct vdev d;
	struct mem_cfg cfg;
	_Atomic uint64_t plugged; /* bytes; written by the loop's thread alone */
	size_t nblocks;
	uint8_t *bitmap; /* a bit a block: plugged. Loop thread */
	struct vq_chain chain;
};

static struct mem *to_mem(struct vdev *d)
{
	return container_of(d, struct mem, d);
}

static size_t bitmap_len(const struct mem *m)
{
	return (m->nblocks + 7) / 8;
}

static bool is_plugged(const struct mem *m, size_t block)
{
	return m->bitmap[block / 8] & 1u << block % 8;
}

/* ---- requests ------------------------------------------------------------------------------------------ */

/* Blocks of the region that a request names. */
struct range {
	size_t first, n;
};

static bool range_of(const struct mem *m, const struct req *r, struct range *ret)
{
	uint64_t off = r->addr - m->cfg.base.v, len = r->blocks * MEM_BLOCK;

	/* A wrapped difference is larger than any region. */
	if (!len || off % MEM_BLOCK || !range_within(off, len, m->cfg.size))
		return false;
	*ret = (struct range){ .first = off / MEM_BLOCK, .n = r->blocks };
	return true;
}

static size_t count_plugged(const struct mem *m, const struct range *r)
{
	size_t n = 0;

	for (size_t i = r->first; i < r->first + r->n; i++)
		n += is_plugged(m, i);
	return n;
}

static void mark(struct mem *m, const struct range *r, bool plugged)
{
	for (size_t i = r->first; i < r->first + r->n; i++) {
		if (plugged)
			m->bitmap[i / 8] |= (uint8_t)(1u << i % 8);
		else
			m->bitmap[i / 8] &= (uint8_t)~(1u << i % 8);
	}
}

static enum response plug(struct mem *m, const struct req *req)
{
	uint64_t plugged = atomic_load(&m->plugged);
	struct range r;

	if (!range_of(m, req, &r))
		return RESP_ERROR;
	if (!range_within(plugged, r.n * MEM_BLOCK, m->cfg.requested))
		return RESP_NACK;
	if (count_plugged(m, &r))
		return RESP_ERROR;
	mark(m, &r, true);
	atomic_store(&m->plugged, plugged + r.n * MEM_BLOCK);
	return RESP_ACK;
}

static void give_back(const struct mem *m, const struct range *r)
{
	bug_on(gmem_discard(m->d.mem, gpa(m->cfg.base.v + r->first * MEM_BLOCK), r->n * MEM_BLOCK) < 0);
}

static enum response unplug(struct mem *m, const struct req *req)
{
	struct range r;

	if (!range_of(m, req, &r) || count_plugged(m, &r) != r.n)
		return RESP_ERROR;
	mark(m, &r, false);
	atomic_fetch_sub(&m->plugged, r.n * MEM_BLOCK);
	give_back(m, &r);
	return RESP_ACK;
}

/* Also what a driver begins with that finds blocks plugged by the one before. */
static enum response unplug_all(struct mem *m)
{
	const struct range all = { .first = 0, .n = m->nblocks };

	mark(m, &all, false);
	atomic_store(&m->plugged, 0);
	give_back(m, &all);
	return RESP_ACK;
}

static struct resp state_of(const struct mem *m, const struct req *req)
{
	struct range r;
	size_t n;

	if (!range_of(m, req, &r))
		return (struct resp){ .type = RESP_ERROR };
	n = count_plugged(m, &r);
	return (struct resp){ .type = RESP_ACK,
			      .state = n == 0 ? STATE_UNPLUGGED : n == r.n ? STATE_PLUGGED : STATE_MIXED };
}

static struct resp answer(struct mem *m, const struct req *req)
{
	switch (req->type) {
	case REQ_PLUG:
		return (struct resp){ .type = plug(m, req) };
	case REQ_UNPLUG:
		return (struct resp){ .type = unplug(m, req) };
	case REQ_UNPLUG_ALL:
		return (struct resp){ .type = unplug_all(m) };
	case REQ_STATE:
		return state_of(m, req);
	default:
		return (struct resp){ .type = RESP_ERROR };
	}
}

static void serve_one(struct vdev *d, unsigned qi)
{
	struct mem *m = to_mem(d);
	struct vq *q = &d->vq[qi];
	struct resp resp = { .type = RESP_ERROR };
	struct req req;

	if (vq_chain_read(&m->chain, 0, &req, sizeof(req)) == sizeof(req))
		resp = answer(m, &req);
	/* Where there is no room for an answer the driver does without. */
	vq_push(q, m->chain.head, (uint32_t)vq_chain_write(q, &m->chain, 0, &resp, sizeof(resp)));
}

static int mem_kick(struct vdev *d, unsigned qi)
{
	return vdev_serve(d, qi, &to_mem(d)->chain, serve_one);
}

/* ---- the device ------------------------------------------------------------------------------------------ */

static int mem_create(struct vdev *d, const void *cfg_arg, struct err *e)
{
	struct mem *m = to_mem(d);

	m->cfg = *(const struct mem_cfg *)cfg_arg;
	if (!m->cfg.size || m->cfg.size % MEM_BLOCK || m->cfg.base.v % MEM_BLOCK ||
	    !gmem_ptr(d->mem, m->cfg.base, m->cfg.size))
		return err_set(e, EINVAL, "memory device: %llu bytes at %#llx are not whole blocks of the machine's memory",
			       (unsigned long long)m->cfg.size, (unsigned long long)m->cfg.base.v);
	if (m->cfg.requested % MEM_BLOCK || m->cfg.requested > m->cfg.size)
		return err_set(e, EINVAL, "memory device: %llu bytes asked for are not whole blocks up to %llu",
			       (unsigned long long)m->cfg.requested, (unsigned long long)m->cfg.size);
	m->nblocks = m->cfg.size / MEM_BLOCK;
	m->bitmap = calloc(1, bitmap_len(m));
	if (!m->bitmap)
		return err_set(e, ENOMEM, "memory device: out of memory");
	d->nqueues = 1;
	return 0;
}

static void mem_destroy(struct vdev *d)
{
	free(to_mem(d)->bitmap);
}

/* There is no reset(): blocks stay plugged (section 5.15.5.2), since a driver that resets the device lives on in them. */

static void mem_config_read(const struct vdev *d, uint32_t off, void *dst, size_t len)
{
	const struct mem *m = (const struct mem *)(const void *)d;
	struct config c = {
		.block_size = MEM_BLOCK,
		.addr = m->cfg.base.v,
		.region_size = m->cfg.size,
		.usable_region_size = m->cfg.size,
		.plugged_size = atomic_load(&m->plugged),
		.requested_size = m->cfg.requested,
	};

	memcpy(dst, (const uint8_t *)&c + off, len);
}

static int mem_save(const struct vdev *d, struct snap_w *w, struct err *e)
{
	const struct mem *m = (const struct mem *)(const void *)d;

	(void)e;
	snap_w_u64(w, TAG_BASE, m->cfg.base.v);
	snap_w_u64(w, TAG_SIZE, m->cfg.size);
	snap_w_bytes(w, TAG_PLUGGED, m->bitmap, bitmap_len(m));
	return 0;
}

static int mem_load(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e)
{
	const struct range all = { .first = 0, .n = to_mem(d)->nblocks };
	struct mem *m = to_mem(d);
	uint64_t base, size;
	const void *bits;
	size_t len;

	(void)ver;
	if (snap_r_u64(r, TAG_BASE, &base) < 0 || snap_r_u64(r, TAG_SIZE, &size) < 0 ||
	    snap_r_bytes(r, TAG_PLUGGED, &bits, &len, bitmap_len(m)) < 0 || len != bitmap_len(m))
		return err_set(e, EBADMSG, "memory device: state is incomplete");
	if (base != m->cfg.base.v || size != m->cfg.size)
		return err_set(e, EINVAL, "memory device: state of a region of %llu bytes at %#llx",
			       (unsigned long long)size, (unsigned long long)base);
	if (m->nblocks % 8 && ((const uint8_t *)bits)[len - 1] >> m->nblocks % 8)
		return err_set(e, EBADMSG, "memory device: state has blocks beyond the region");
	memcpy(m->bitmap, bits, len);
	atomic_store(&m->plugged, count_plugged(m, &all) * MEM_BLOCK);
	return 0;
}

uint64_t mem_plugged(const struct vdev *d)
{
	const struct mem *m = (const struct mem *)(const void *)d;

	return atomic_load(&m->plugged);
}

const struct vdev_class mem_class = {
	.name = "mem",
	.device_id = VDEV_MEM,
	.queue_max = QUEUE_MAX,
	.config_len = sizeof(struct config),
	.features = VIRTIO_F_BIT(F_UNPLUGGED_INACCESSIBLE),
	.snap_ver = 1,
	.loop = VDEV_LOOP_IO,
	.rare_kicks = true,
	.size = sizeof(struct mem),
	.create = mem_create,
	.destroy = mem_destroy,
	.kick = mem_kick,
	.config_read = mem_config_read,
	.save = mem_save,
	.load = mem_load,
};
