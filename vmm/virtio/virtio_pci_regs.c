// SPDX-License-Identifier: Apache-2.0
/*
 * The common configuration structure (section 4.1.4.3) as a table of registers. An access must be of
 * its register's width (64-bit ones are two of 32); any other reads as zero and writes nothing, and so
 * do the registers of a queue that does not exist.
 */
#include "vmm/virtio/virtio_pci_internal.h"

static struct vpci_queue *selected(struct virtio_pci *t)
{
	return t->queue_select < t->d->nqueues ? &t->q[t->queue_select] : NULL;
}

/* Half @sel of a 64-bit feature word; there are no bits beyond. */
static uint32_t half(uint64_t v, uint32_t sel)
{
	return sel > 1 ? 0 : (uint32_t)(v >> (32 * sel));
}

static void set_half(uint64_t *v, uint32_t sel, uint32_t x)
{
	*v = (*v & ~(0xffffffffull << (32 * sel))) | (uint64_t)x << (32 * sel);
}

static uint32_t get_device_feature_select(struct virtio_pci *t)
{
	return t->device_feature_select;
}

static void set_device_feature_select(struct virtio_pci *t, uint32_t v)
{
	t->device_feature_select = v;
}

static uint32_t get_device_feature(struct virtio_pci *t)
{
	return half(t->d->offered, t->device_feature_select);
}

static uint32_t get_driver_feature_select(struct virtio_pci *t)
{
	return t->driver_feature_select;
}

static void set_driver_feature_select(struct virtio_pci *t, uint32_t v)
{
	t->driver_feature_select = v;
}

static uint32_t get_driver_feature(struct virtio_pci *t)
{
	return half(t->driver_features, t->driver_feature_select);
}

static void set_driver_feature(struct virtio_pci *t, uint32_t v)
{
	if (t->driver_feature_select <= 1 && !(t->status & STATUS_FEATURES_OK))
		set_half(&t->driver_features, t->driver_feature_select, v);
}

/* A vector that the device does not have reads back as none: so the driver knows (4.1.5.1.2). */
static unsigned checked_vector(struct virtio_pci *t, uint32_t v)
{
	return v <= t->d->nqueues ? v : NO_VECTOR;
}

static uint32_t get_config_vector(struct virtio_pci *t)
{
	return atomic_load(&t->config_vector);
}

static void set_config_vector(struct virtio_pci *t, uint32_t v)
{
	atomic_store(&t->config_vector, checked_vector(t, v));
}

static uint32_t get_num_queues(struct virtio_pci *t)
{
	return t->d->nqueues;
}

static uint32_t get_status(struct virtio_pci *t)
{
	return vpci_status(t);
}

static void set_status(struct virtio_pci *t, uint32_t v)
{
	vpci_write_status(t, (uint8_t)v);
}

static uint32_t get_generation(struct virtio_pci *t)
{
	return atomic_load(&t->generation) & 0xff;
}

static uint32_t get_queue_select(struct virtio_pci *t)
{
	return t->queue_select;
}

static void set_queue_select(struct virtio_pci *t, uint32_t v)
{
	t->queue_select = (uint16_t)v;
}

static uint32_t get_queue_size(struct virtio_pci *t)
{
	struct vpci_queue *q = selected(t);

	return q ? q->size : 0;
}

/* The selected queue, while its geometry may still be changed. */
static struct vpci_queue *changeable(struct virtio_pci *t)
{
	return t->status & STATUS_DRIVER_OK ? NULL : selected(t);
}

static void set_queue_size(struct virtio_pci *t, uint32_t v)
{
	struct vpci_queue *q = changeable(t);

	if (q && is_pow2_64(v) && v <= t->d->queue_max)
		q->size = (uint16_t)v;
}

static uint32_t get_queue_vector(struct virtio_pci *t)
{
	struct vpci_queue *q = selected(t);

	return q ? atomic_load(&q->vector) : NO_VECTOR;
}

static void set_queue_vector(struct virtio_pci *t, uint32_t v)
{
	struct vpci_queue *q = selected(t);

	if (!q)
		return;
	atomic_store(&q->vector, checked_vector(t, v));
	pci_msix_lent_moved(t->pci, &q->irq);
}

static uint32_t get_queue_enable(struct virtio_pci *t)
{
	struct vpci_queue *q = selected(t);

	return q ? q->enabled : 0;
}

static void set_queue_enable(struct virtio_pci *t, uint32_t v)
{
	struct vpci_queue *q = changeable(t);

	/* Only a reset disables: drivers MUST NOT write 0 (4.1.4.3.2). */
	if (q && v == 1)
		q->enabled = true;
}

static uint32_t get_queue_notify_off(struct virtio_pci *t)
{
	return selected(t) ? t->queue_select : 0;
}

#define QUEUE_ADDR(name)                                                    \
	static uint32_t get_##name##_lo(struct virtio_pci *t)               \
	{                                                                   \
		struct vpci_queue *q = selected(t);                         \
		return q ? half(q->name, 0) : 0;                            \
	}                                                                   \
	static uint32_t get_##name##_hi(struct virtio_pci *t)               \
	{                                                                   \
		struct vpci_queue *q = selected(t);                         \
		return q ? half(q->name, 1) : 0;                            \
	}                                                                   \
	static void set_##name##_lo(struct virtio_pci *t, uint32_t v)       \
	{                                                                   \
		struct vpci_queue *q = changeable(t);                       \
		if (q)                                                      \
			set_half(&q->name, 0, v);                           \
	}                                                                   \
	static void set_##name##_hi(struct virtio_pci *t, uint32_t v)       \
	{                                                                   \
		struct vpci_queue *q = changeable(t);                       \
		if (q)                                                      \
			set_half(&q->name, 1, v);                           \
	}

QUEUE_ADDR(desc)
QUEUE_ADDR(avail)
QUEUE_ADDR(used)

struct reg {
	uint8_t off, size;
	uint32_t (*get)(struct virtio_pci *t);
	void (*set)(struct virtio_pci *t, uint32_t v); /* NULL: read-only */
};

static const struct reg regs[] = {
	{ 0x00, 4, get_device_feature_select, set_device_feature_select },
	{ 0x04, 4, get_device_feature, NULL },
	{ 0x08, 4, get_driver_feature_select, set_driver_feature_select },
	{ 0x0c, 4, get_driver_feature, set_driver_feature },
	{ 0x10, 2, get_config_vector, set_config_vector },
	{ 0x12, 2, get_num_queues, NULL },
	{ 0x14, 1, get_status, set_status },
	{ 0x15, 1, get_generation, NULL },
	{ 0x16, 2, get_queue_select, set_queue_select },
	{ 0x18, 2, get_queue_size, set_queue_size },
	{ 0x1a, 2, get_queue_vector, set_queue_vector },
	{ 0x1c, 2, get_queue_enable, set_queue_enable },
	{ 0x1e, 2, get_queue_notify_off, NULL },
	{ 0x20, 4, get_desc_lo, set_desc_lo },
	{ 0x24, 4, get_desc_hi, set_desc_hi },
	{ 0x28, 4, get_avail_lo, set_avail_lo },
	{ 0x2c, 4, get_avail_hi, set_avail_hi },
	{ 0x30, 4, get_used_lo, set_used_lo },
	{ 0x34, 4, get_used_hi, set_used_hi },
};

static const struct reg *find_reg(uint64_t off, unsigned size)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		if (regs[i].off == off && regs[i].size == size)
			return &regs[i];
	return NULL;
}

uint64_t vpci_common_read(struct virtio_pci *t, uint64_t off, unsigned size)
{
	const struct reg *r = find_reg(off, size);

	return r ? r->get(t) : 0;
}

void vpci_common_write(struct virtio_pci *t, uint64_t off, unsigned size, uint64_t v)
{
	const struct reg *r = find_reg(off, size);

	if (r && r->set)
		r->set(t, (uint32_t)v);
}
