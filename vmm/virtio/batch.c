// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/batch.h"

static void turn(struct batch *b, struct evloop *l, bool on)
{
	if (b->on != on)
		evloop_batch(l, on);
	b->on = on;
}

/* One came alone: whether the next are waited for all the same. */
static bool still(struct batch *b)
{
	if (b->patience && --b->patience)
		return true;
	if (++b->alone < (b->trial ? b->trial : BATCH_TRIAL))
		return false;
	b->alone = 0;
	b->trial = min_t(unsigned, 2 * b->trial, BATCH_TRIAL);
	return true;
}

void batch_turn(struct batch *b, struct evloop *l, unsigned got)
{
	if (got > 1) {
		b->patience = BATCH_PATIENCE;
		b->trial = BATCH_TRIAL_SOON;
		b->alone = 0;
		turn(b, l, true);
	} else if (got) {
		turn(b, l, still(b));
	}
}

void batch_end(struct batch *b, struct evloop *l)
{
	turn(b, l, false);
	*b = (struct batch){ .on = false };
}
