// SPDX-License-Identifier: Apache-2.0
/*
 * The virtio PCI transport: the PCI function, its BAR, interrupts, and pausing.
 */
#include "vmm/virtio/virtio_pci.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "vmm/virtio/virtio_pci_internal.h"

/* cfg_type of a virtio capability, section 4.1.4. */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI_CFG };
enum {
	CAP_ID_VENDOR = 0x09,
	CAP_LEN = 16,
	/* offsets in the capability */
	CAP_BAR = 4,
	CAP_OFFSET = 8,
	CAP_LENGTH = 12,
	CAP_DATA = 16, /* notify: the multiplier; PCI cfg: the window */
};

static uint32_t isr_read(struct virtio_pci *t, uint64_t off)
{
	return off == 0 ? atomic_exchange(&t->isr, 0) : 0; /* reading clears */
}

static uint64_t device_read(struct virtio_pci *t, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	vdev_config_read(t->d, off, &v, size);
	return v;
}

static uint64_t bar_read(struct pci_dev *p, unsigned bar, uint64_t off, unsigned size)
{
	struct virtio_pci *t = pci_dev_priv(p);
	uint64_t part = off & ~(uint64_t)(VPCI_PART - 1), v = 0;

	(void)bar;
	pthread_mutex_lock(&t->lock);
	switch (part) {
	case AT_COMMON:
		v = vpci_common_read(t, off, size);
		break;
	case AT_ISR:
		v = isr_read(t, off - part);
		break;
	case AT_DEVICE:
		v = device_read(t, off - part, size);
		break;
	}
	pthread_mutex_unlock(&t->lock);
	return v;
}

struct config_write {
	struct vdev *d;
	uint64_t off, v;
	unsigned size;
};

static void config_write_on_loop(void *arg)
{
	struct config_write *w = arg;

	vdev_config_write(w->d, w->off, &w->v, w->size);
}

static void notify_write(struct virtio_pci *t, uint64_t off)
{
	uint64_t q = off / NOTIFY_MULTIPLIER;
	const uint64_t one = 1;
	ssize_t rc;

	/* A device that is not running has nobody who listens; the bell is cleared when it starts. */
	if (q >= t->d->nqueues || !(t->status & STATUS_DRIVER_OK))
		return;
	rc = write(t->q[q].src.fd, &one, sizeof(one));
	(void)rc;
}

static void bar_write(struct pci_dev *p, unsigned bar, uint64_t off, unsigned size, uint64_t v)
{
	struct virtio_pci *t = pci_dev_priv(p);
	uint64_t part = off & ~(uint64_t)(VPCI_PART - 1);
	struct config_write w = { .d = t->d, .off = off - part, .v = v, .size = size };

	(void)bar;
	pthread_mutex_lock(&t->lock);
	switch (part) {
	case AT_COMMON:
		vpci_common_write(t, off, size, v);
		break;
	case AT_DEVICE:
		evloop_call(t->d->loop, config_write_on_loop, &w);
		break;
	case AT_NOTIFY:
		notify_write(t, off - part);
		break;
	}
	pthread_mutex_unlock(&t->lock);
}

/* The configuration access capability (4.1.4.9): the guest put BAR, offset and length there; its data
 * window is an access to that place. False: not a permitted one. */
static bool window(struct virtio_pci *t, unsigned off, unsigned size, uint64_t *ret)
{
	uint32_t at = pci_cfg_peek(t->pci, t->cap_cfg + CAP_OFFSET, 4);
	uint32_t len = pci_cfg_peek(t->pci, t->cap_cfg + CAP_LENGTH, 4);

	*ret = at;
	return off == t->cap_cfg + CAP_DATA && size == len && (len == 1 || len == 2 || len == 4) &&
	       at % len == 0 && range_within(at, len, VPCI_BAR_SIZE) &&
	       pci_cfg_peek(t->pci, t->cap_cfg + CAP_BAR, 1) == VPCI_BAR;
}

static bool in_window(const struct virtio_pci *t, unsigned off)
{
	return t->cap_cfg && off >= t->cap_cfg + CAP_DATA && off < t->cap_cfg + CAP_DATA + 4;
}

static bool cfg_read(struct pci_dev *p, unsigned off, unsigned size, uint32_t *ret)
{
	struct virtio_pci *t = pci_dev_priv(p);
	uint64_t at;

	if (!in_window(t, off))
		return false;
	*ret = window(t, off, size, &at) ? (uint32_t)pci_bar_read(p, VPCI_BAR, at, size) : 0;
	return true;
}

static bool cfg_write(struct pci_dev *p, unsigned off, unsigned size, uint32_t v)
{
	struct virtio_pci *t = pci_dev_priv(p);
	uint64_t at;

	if (!in_window(t, off))
		return false;
	if (window(t, off, size, &at))
		pci_bar_write(p, VPCI_BAR, at, size, v);
	return true;
}

static void bar_moved(struct pci_dev *p, unsigned bar, uint64_t base)
{
	struct virtio_pci *t = pci_dev_priv(p);

	(void)bar;
	pthread_mutex_lock(&t->lock);
	t->bar_base = base;
	vpci_bind(t);
	pthread_mutex_unlock(&t->lock);
}

static const struct pci_ops vpci_ops = {
	.name = "virtio",
	.bar_read = bar_read,
	.bar_write = bar_write,
	.cfg_read = cfg_read,
	.cfg_write = cfg_write,
	.bar_moved = bar_moved,
};

static struct virtio_pci *transport(struct vdev *d)
{
	return d->transport_priv;
}

/* Sets an ISR bit without touching the line when it is set: nobody reads it where MSI-X is used. */
static void set_isr(struct virtio_pci *t, unsigned bit)
{
	if (!(atomic_load(&t->isr) & bit))
		atomic_fetch_or(&t->isr, bit);
}

static void irq_queue(struct vdev *d, unsigned q)
{
	struct virtio_pci *t = transport(d);
	unsigned vector = atomic_load(&t->q[q].vector);

	set_isr(t, ISR_QUEUE);
	if (vector != NO_VECTOR)
		pci_msix_notify(t->pci, vector);
}

/* Nobody reads the ISR where MSI-X is used, and what is lent works with nothing else. */
static int lend_irq(struct vdev *d, unsigned q, int fd, void (*fallback)(void *arg), void *arg)
{
	struct virtio_pci *t = transport(d);

	const struct pci_msix_lender by = { .fd = fd, .vector = &t->q[q].vector, .fallback = fallback, .arg = arg };

	return pci_msix_lend(t->pci, &t->q[q].irq, &by);
}

static void reclaim_irq(struct vdev *d, unsigned q)
{
	struct virtio_pci *t = transport(d);

	pci_msix_reclaim(t->pci, &t->q[q].irq);
}

static void interrupt_config(struct virtio_pci *t)
{
	unsigned vector = atomic_load(&t->config_vector);

	set_isr(t, ISR_CONFIG);
	if (vector != NO_VECTOR)
		pci_msix_notify(t->pci, vector);
}

static void irq_config(struct vdev *d)
{
	atomic_fetch_add(&transport(d)->generation, 1);
	interrupt_config(transport(d));
}

static void needs_reset(struct vdev *d, const char *why)
{
	(void)why; /* logged */
	interrupt_config(transport(d));
}

static const struct vdev_transport vpci_transport = {
	.irq_queue = irq_queue,
	.irq_config = irq_config,
	.needs_reset = needs_reset,
	.lend_kicks = vpci_lend_kicks,
	.reclaim_kicks = vpci_reclaim_kicks,
	.lend_irq = lend_irq,
	.reclaim_irq = reclaim_irq,
};

/* What kind of PCI function a device type is; the driver goes by vendor and device alone. */
static uint32_t class_code(unsigned device_id)
{
	switch (device_id) {
	case VDEV_NET:
		return 0x020000;
	case VDEV_BLOCK:
	case VDEV_FS:
		return 0x018000;
	case VDEV_CONSOLE:
	case VDEV_VSOCK:
		return 0x078000;
	default:
		return 0xff0000;
	}
}

static int add_cap(struct virtio_pci *t, uint8_t type, uint32_t at, uint32_t len, unsigned cap_len,
		   uint32_t data, struct err *e)
{
	uint8_t body[CAP_LEN + 4] = { 0 };

	body[2] = (uint8_t)cap_len;
	body[3] = type;
	body[CAP_BAR] = VPCI_BAR;
	for (unsigned i = 0; i < 4; i++) {
		body[CAP_OFFSET + i] = (uint8_t)(at >> (8 * i));
		body[CAP_LENGTH + i] = (uint8_t)(len >> (8 * i));
		body[CAP_DATA + i] = (uint8_t)(data >> (8 * i));
	}
	return pci_add_cap(t->pci, CAP_ID_VENDOR, body, cap_len, e);
}

static int add_caps(struct virtio_pci *t, struct err *e)
{
	const struct vdev *d = t->d;
	int rc = add_cap(t, CAP_COMMON, AT_COMMON, COMMON_LEN, CAP_LEN, 0, e);

	if (rc >= 0)
		rc = add_cap(t, CAP_NOTIFY, AT_NOTIFY, d->nqueues * NOTIFY_MULTIPLIER, CAP_LEN + 4,
			     NOTIFY_MULTIPLIER, e);
	if (rc >= 0)
		rc = add_cap(t, CAP_ISR, AT_ISR, 1, CAP_LEN, 0, e);
	if (rc >= 0 && d->cls->config_len)
		rc = add_cap(t, CAP_DEVICE, AT_DEVICE, d->cls->config_len, CAP_LEN, 0, e);
	if (rc >= 0 && !pci_dev_cfg_is_memory(t->pci)) {
		rc = add_cap(t, CAP_PCI_CFG, 0, 0, CAP_LEN + 4, 0, e);
		if (rc >= 0) {
			t->cap_cfg = (unsigned)rc;
			pci_cfg_allow(t->pci, t->cap_cfg + CAP_BAR, 1);
			pci_cfg_allow(t->pci, t->cap_cfg + CAP_OFFSET, 8);
		}
	}
	if (rc < 0)
		return rc;
	return pci_add_msix(t->pci, d->nqueues + 1, VPCI_BAR, AT_MSIX_TABLE, AT_MSIX_PBA, e);
}

/* Frees the transport, not the device. */
static void transport_free(struct virtio_pci *t)
{
	pci_dev_remove(t->pci);
	for (unsigned i = 0; i < t->nqueues; i++)
		if (t->q[i].src.fd >= 0)
			close(t->q[i].src.fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int virtio_pci_new(struct virtio_pci **ret, struct pci_seg *seg, int slot, struct vdev *d,
		   struct hv_vm *vm, struct err *e)
{
	const struct pci_ids ids = {
		.vendor = 0x1af4,
		.device = (uint16_t)(0x1040 + d->cls->device_id),
		.sub_vendor = 0x1af4,
		.sub_device = (uint16_t)(0x1040 + d->cls->device_id),
		.class_code = class_code(d->cls->device_id),
		.revision = 1,
	};
	struct virtio_pci *t = calloc(1, sizeof(*t) + d->nqueues * sizeof(t->q[0]));
	int rc = 0;

	bug_on(d->cls->config_len > VPCI_PART);
	if (!t)
		return err_set(e, ENOMEM, "%s: out of memory", d->id);
	t->d = d;
	t->vm = vm;
	t->nqueues = d->nqueues;
	pthread_mutex_init(&t->lock, NULL);
	for (unsigned i = 0; i < d->nqueues; i++) {
		t->q[i].t = t;
		t->q[i].index = i;
		t->q[i].src.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (t->q[i].src.fd < 0)
			rc = err_errno(e, errno, "eventfd");
	}
	vpci_init_regs(t);
	if (rc == 0)
		rc = pci_dev_add_hidden(seg, slot, &ids, &vpci_ops, t, &t->pci, e);
	if (rc == 0)
		rc = pci_add_bar(t->pci, VPCI_BAR, VPCI_BAR_SIZE, true, false, e);
	if (rc == 0)
		rc = add_caps(t, e);
	if (rc < 0) {
		transport_free(t);
		return err_wrap(e, rc, "%s", d->id);
	}
	d->transport = &vpci_transport;
	d->transport_priv = t;
	pci_dev_show(t->pci);
	*ret = t;
	return 0;
}

static void free_on_loop(void *arg)
{
	struct virtio_pci *t = arg;

	vpci_stop_queues(t);
	vdev_free(t->d);
	t->d = NULL;
}

void virtio_pci_free(struct virtio_pci *t)
{
	if (!t)
		return;
	/* First nobody can reach it any more; then it falls silent; then what it interrupted by goes. */
	pci_dev_detach(t->pci);
	/* Without memory to reach the loop, leak rather than pull it from under its feet. */
	if (evloop_call(t->d->loop, free_on_loop, t) == 0)
		transport_free(t);
}

struct vdev *virtio_pci_vdev(struct virtio_pci *t)
{
	return t->d;
}

unsigned virtio_pci_slot(const struct virtio_pci *t)
{
	return pci_dev_slot(t->pci);
}
