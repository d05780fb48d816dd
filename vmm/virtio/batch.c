// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/batch.h"

static void turn(struct batch *b, struct evloop *l, bool on)
{
	if (b->on != on)
		evloop_batch(l, on);
	b->on = on;
}

void batch_turn(struct batch *b, struct evloop *l, unsigned got)
{
	if (got)
		turn(b, l, got > 1 || ++b->alone % BATCH_TRIAL == 0);
}

void batch_end(struct batch *b, struct evloop *l)
{
	turn(b, l, false);
}
