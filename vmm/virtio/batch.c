// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/batch.h"

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
	/* The loop saw nothing come for a while. */
	if (!b->ev.on)
		b->patience = 0;
	if (got > 1) {
		b->patience = BATCH_PATIENCE;
		b->trial = BATCH_TRIAL_SOON;
		b->alone = 0;
		evloop_batch(l, &b->ev, true);
	} else if (got) {
		evloop_batch(l, &b->ev, still(b));
	}
}

void batch_end(struct batch *b, struct evloop *l)
{
	evloop_batch(l, &b->ev, false);
	*b = (struct batch){ .patience = 0 };
}
