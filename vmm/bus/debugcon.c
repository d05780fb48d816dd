// SPDX-License-Identifier: Apache-2.0
#include "vmm/bus/debugcon.h"

#include <stdlib.h>
#include "vmm/bus/sink.h"

#define DEBUGCON_MAGIC 0xe9

struct debugcon {
	struct sink out;
};

int debugcon_new(struct debugcon **ret, int out_fd, struct evloop *loop, struct err *e)
{
	struct debugcon *d = malloc(sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, ENOMEM, "out of memory");
	rc = sink_init(&d->out, loop, out_fd, "debug port", e);
	if (rc < 0) {
		free(d);
		return rc;
	}
	*ret = d;
	return 0;
}

void debugcon_free(struct debugcon *d)
{
	if (!d)
		return;
	sink_done(&d->out);
	free(d);
}

static uint64_t debugcon_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	(void)size;
	return DEBUGCON_MAGIC;
}

static void debugcon_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct debugcon *d = dev;

	(void)off;
	(void)size;
	sink_put(&d->out, &(uint8_t){ (uint8_t)value }, 1);
}

const struct bus_ops debugcon_ops = {
	.name = "debugcon", .read = debugcon_read, .write = debugcon_write,
};
