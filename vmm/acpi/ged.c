// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/ged.h"

#include <pthread.h>
#include <stdlib.h>

struct ged {
	struct irq_line *irq;
	pthread_mutex_t lock;
	uint32_t pending;
};

int ged_new(struct ged **ret, struct irq_line *irq, struct err *e)
{
	struct ged *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(e, ENOMEM, "out of memory");
	g->irq = irq;
	pthread_mutex_init(&g->lock, NULL);
	*ret = g;
	return 0;
}

void ged_free(struct ged *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static uint64_t ged_read(void *dev, uint64_t off, unsigned size)
{
	struct ged *g = dev;
	uint32_t v = 0;

	/* Only the whole register is one: a part of it would lose the rest. */
	if (off || size != GED_LEN)
		return 0;
	pthread_mutex_lock(&g->lock);
	v = g->pending;
	g->pending = 0;
	pthread_mutex_unlock(&g->lock);
	return v;
}

static void ged_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	(void)dev;
	(void)off;
	(void)size;
	(void)value;
}

const struct bus_ops ged_ops = { .name = "acpi-ged", .read = ged_read, .write = ged_write };

void ged_raise(struct ged *g, enum ged_event ev)
{
	pthread_mutex_lock(&g->lock);
	g->pending |= ev;
	pthread_mutex_unlock(&g->lock);
	/* An edge for each event: the line itself carries no state. */
	irq_line_set(g->irq, true);
	irq_line_set(g->irq, false);
}

void ged_save(struct ged *g, struct snap_w *w, uint16_t tag)
{
	pthread_mutex_lock(&g->lock);
	snap_w_u32(w, tag, g->pending);
	pthread_mutex_unlock(&g->lock);
}

int ged_load(struct ged *g, struct snap_r *r, uint16_t tag, struct err *e)
{
	uint32_t v = 0;
	int rc = snap_r_u32(r, tag, &v);

	if (rc < 0 && rc != -ENOENT)
		return err_set(e, EBADMSG, "state of the event device is malformed");
	if (v & ~(uint32_t)(GED_POWER_BUTTON | GED_VMGENID))
		return err_set(e, EBADMSG, "unknown pending events %#x", v);
	pthread_mutex_lock(&g->lock);
	g->pending = v;
	pthread_mutex_unlock(&g->lock);
	return 0;
}
