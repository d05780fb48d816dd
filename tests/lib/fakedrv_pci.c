// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/fakedrv_pci.h"

#include <string.h>

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64 };

static struct fdv_pci *pci_of(struct fakedrv *f)
{
	return container_of(f, struct fdv_pci, f);
}

uint64_t fdv_pci_read(struct fdv_pci *p, uint64_t addr, unsigned size)
{
	uint64_t v = 0;

	bus_read(p->mmio, addr, &v, size);
	return v;
}

void fdv_pci_write(struct fdv_pci *p, uint64_t addr, unsigned size, uint64_t v)
{
	bus_write(p->mmio, addr, &v, size);
}

uint32_t fdv_pci_cfg_read(struct fdv_pci *p, unsigned slot, unsigned off, unsigned size)
{
	return (uint32_t)fdv_pci_read(p, FDV_ECAM + slot * 0x8000ull + off, size);
}

void fdv_pci_cfg_write(struct fdv_pci *p, unsigned slot, unsigned off, unsigned size, uint32_t v)
{
	fdv_pci_write(p, FDV_ECAM + slot * 0x8000ull + off, size, v);
}

static unsigned reg_size(enum fdv_reg r)
{
	if (r == FDV_R_STATUS || r == FDV_R_GENERATION)
		return 1;
	return r < FDV_R_CONFIG_VECTOR || r >= FDV_R_QUEUE_DESC ? 4 : 2;
}

uint32_t fdv_reg_read(struct fdv_pci *p, enum fdv_reg r)
{
	return (uint32_t)fdv_pci_read(p, p->common + r, reg_size(r));
}

void fdv_reg_write(struct fdv_pci *p, enum fdv_reg r, uint32_t v)
{
	fdv_pci_write(p, p->common + r, reg_size(r), v);
}

static void see_cap(struct fdv_pci *p, unsigned at)
{
	uint64_t where = p->bar + fdv_pci_cfg_read(p, FDV_SLOT, at + 8, 4);

	if (fdv_pci_cfg_read(p, FDV_SLOT, at, 1) == 0x11) {
		p->cap_msix = at;
		p->msix_table = p->bar + (fdv_pci_cfg_read(p, FDV_SLOT, at + 4, 4) & ~7u);
		p->msix_pba = p->bar + (fdv_pci_cfg_read(p, FDV_SLOT, at + 8, 4) & ~7u);
		return;
	}
	switch (fdv_pci_cfg_read(p, FDV_SLOT, at + 3, 1)) {
	case 1:
		p->common = where;
		break;
	case 2:
		p->notify = where;
		p->notify_multiplier = fdv_pci_cfg_read(p, FDV_SLOT, at + 16, 4);
		break;
	case 3:
		p->isr = where;
		break;
	case 4:
		p->device = where;
		p->device_len = fdv_pci_cfg_read(p, FDV_SLOT, at + 12, 4);
		break;
	case 5:
		p->cap_cfg = at;
		break;
	}
}

static void msix_on(struct fdv_pci *p)
{
	unsigned n = (fdv_pci_cfg_read(p, FDV_SLOT, p->cap_msix + 2, 2) & 0x7ff) + 1;

	fdv_pci_cfg_write(p, FDV_SLOT, p->cap_msix + 2, 2, 0xc000); /* on, all masked */
	for (unsigned i = 0; i < n; i++) {
		uint64_t e = p->msix_table + 16ull * i;

		fdv_pci_write(p, e, 4, FDV_MSI_ADDR);
		fdv_pci_write(p, e + 4, 4, 0);
		fdv_pci_write(p, e + 8, 4, i);
		fdv_pci_write(p, e + 12, 4, 0);
	}
	fdv_pci_cfg_write(p, FDV_SLOT, p->cap_msix + 2, 2, 0x8000);
}

void fdv_pci_probe(struct fdv_pci *p)
{
	unsigned at = fdv_pci_cfg_read(p, FDV_SLOT, 0x34, 1);

	p->bar = (fdv_pci_cfg_read(p, FDV_SLOT, 0x10, 4) & ~0xfu) |
		 (uint64_t)fdv_pci_cfg_read(p, FDV_SLOT, 0x14, 4) << 32;
	for (unsigned n = 0; at && n < 48; n++) {
		see_cap(p, at);
		at = fdv_pci_cfg_read(p, FDV_SLOT, at + 1, 1);
	}
	bug_on(!p->common || !p->notify || !p->isr || !p->cap_msix || !p->cap_cfg);
	fdv_pci_cfg_write(p, FDV_SLOT, 0x04, 2, 6);
	msix_on(p);
}

static int pci_create(struct fakedrv *f, const struct vdev_class *cls, const void *cfg,
		      struct err *e)
{
	struct fdv_pci *p = pci_of(f);
	int rc = vdev_new(&f->d, cls, cls->name, cfg, f->mem, f->loop, e);

	if (rc < 0)
		return rc;
	rc = virtio_pci_new(&p->t, p->seg, FDV_SLOT, f->d, p->vm, e);
	bug_on(rc < 0);
	fdv_pci_probe(p);
	return 0;
}

static void pci_destroy(struct fakedrv *f)
{
	virtio_pci_free(pci_of(f)->t);
	pci_of(f)->t = NULL;
}

static int pci_quiesce(struct fakedrv *f, struct err *e)
{
	return virtio_pci_quiesce(pci_of(f)->t, e);
}

static void pci_resume(struct fakedrv *f)
{
	virtio_pci_resume(pci_of(f)->t);
}

static int pci_save(struct fakedrv *f, struct snap_w *w, struct err *e)
{
	return virtio_pci_save(pci_of(f)->t, w, e);
}

static int pci_load(struct fakedrv *f, struct snap_r *r, struct err *e)
{
	return virtio_pci_load(pci_of(f)->t, r, e);
}

bool fdv_pci_negotiate(struct fdv_pci *p, uint64_t features)
{
	fdv_reg_write(p, FDV_R_STATUS, ACKNOWLEDGE);
	fdv_reg_write(p, FDV_R_STATUS, ACKNOWLEDGE | DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		fdv_reg_write(p, FDV_R_DRIVER_FEATURE_SELECT, i);
		fdv_reg_write(p, FDV_R_DRIVER_FEATURE, (uint32_t)(features >> (32 * i)));
	}
	fdv_reg_write(p, FDV_R_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	return fdv_reg_read(p, FDV_R_STATUS) & FEATURES_OK;
}

static void write64(struct fdv_pci *p, enum fdv_reg r, uint64_t v)
{
	fdv_pci_write(p, p->common + r, 4, (uint32_t)v);
	fdv_pci_write(p, p->common + r + 4, 4, v >> 32);
}

void fdv_pci_queues(struct fdv_pci *p)
{
	for (unsigned i = 0; i < p->f.d->nqueues; i++) {
		const struct fdv_queue *q = &p->f.q[i];

		fdv_reg_write(p, FDV_R_QUEUE_SELECT, i);
		fdv_reg_write(p, FDV_R_QUEUE_SIZE, q->size);
		write64(p, FDV_R_QUEUE_DESC, q->desc.v);
		write64(p, FDV_R_QUEUE_AVAIL, q->avail.v);
		write64(p, FDV_R_QUEUE_USED, q->used.v);
		fdv_reg_write(p, FDV_R_QUEUE_VECTOR, i + 1);
		fdv_reg_write(p, FDV_R_QUEUE_ENABLE, 1);
	}
	fdv_reg_write(p, FDV_R_CONFIG_VECTOR, 0);
}

static void pci_start(struct fakedrv *f, uint64_t features)
{
	struct fdv_pci *p = pci_of(f);

	bug_on(!fdv_pci_negotiate(p, features));
	fdv_pci_queues(p);
	fdv_reg_write(p, FDV_R_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	bug_on(!f->d->active);
	evloop_turn(f->loop, 0);
}

static void pci_reset(struct fakedrv *f)
{
	fdv_reg_write(pci_of(f), FDV_R_STATUS, 0);
	bug_on(fdv_reg_read(pci_of(f), FDV_R_STATUS) != 0);
}

static void pci_kick(struct fakedrv *f, unsigned q)
{
	struct fdv_pci *p = pci_of(f);
	uint64_t at = p->notify + (uint64_t)q * p->notify_multiplier;

	/* As the hypervisor does: to whom it may concern, else an exit. */
	if (!fake_ioevent(p->vm, false, at, 2, q))
		fdv_pci_write(p, at, 2, q);
	evloop_turn(f->loop, 0);
	evloop_turn(f->loop, 0);
}

static bool pci_needs_reset(struct fakedrv *f)
{
	return fdv_reg_read(pci_of(f), FDV_R_STATUS) & NEEDS_RESET;
}

static const struct fdv_mode pci_mode = {
	.create = pci_create,
	.destroy = pci_destroy,
	.quiesce = pci_quiesce,
	.resume = pci_resume,
	.save = pci_save,
	.load = pci_load,
	.start = pci_start,
	.reset = pci_reset,
	.kick = pci_kick,
	.needs_reset = pci_needs_reset,
};

void fdv_pci_init(struct fdv_pci *p, const struct fdv_opts *o)
{
	const struct pci_seg_cfg cfg = {
		.ecam_base = FDV_ECAM,
		.mmio32_base = FDV_MMIO32,
		.mmio32_len = FDV_MMIO32_LEN,
		.mmio64_base = FDV_MMIO64,
		.mmio64_len = FDV_MMIO64_LEN,
	};

	memset(p, 0, sizeof(*p));
	fdv_init(&p->f, o);
	p->f.mode = &pci_mode;
	bug_on(hv_fake_open(&p->hv, NULL) < 0);
	bug_on(p->hv->ops->vm_new(p->hv, &p->vm, NULL) < 0);
	bug_on(bus_new(&p->mmio, NULL) < 0 || bus_new(&p->pio, NULL) < 0);
	bug_on(pci_seg_new(&p->seg, &cfg, p->vm, p->mmio, p->pio, NULL) < 0);
}

void fdv_pci_done(struct fdv_pci *p)
{
	fdv_destroy(&p->f);
	pci_seg_free(p->seg);
	bus_free(p->mmio);
	bus_free(p->pio);
	p->hv->ops->vm_free(p->vm);
	p->hv->ops->close(p->hv);
	fdv_done(&p->f);
}

unsigned fdv_pci_msis(struct fdv_pci *p, uint32_t *ret_last)
{
	struct hv_msi got[64];
	unsigned total = 0;
	size_t n;

	while ((n = fake_take_msis(p->vm, got, ARRAY_SIZE(got)))) {
		total += (unsigned)n;
		bug_on(got[n - 1].addr != FDV_MSI_ADDR);
		*ret_last = got[n - 1].data;
	}
	return total;
}
