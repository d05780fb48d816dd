/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device waits for requests that come in company.
 *
 * A kick wakes the device's thread, and where the vCPU shares its processor with it, that takes the processor from the vCPU:
 * then requests come one by one, however many the guest has. A thread of SCHED_BATCH takes it from nobody and finds all of
 * them. But one request alone waits longer so: this is tried now and then, and kept as long as requests come in company.
 */
#ifndef VMM_VIRTIO_BATCH_H
#define VMM_VIRTIO_BATCH_H

#include "lib/evloop.h"

/* One turn in so many in which a request came alone is followed by one that waits. */
#define BATCH_TRIAL 64

/* Of one queue or several that one thread serves; begins as zeros. */
struct batch {
	bool on;
	unsigned alone;
};

/* On @l's thread, after a turn that found @got requests. */
void batch_turn(struct batch *b, struct evloop *l, unsigned got);
/* The queues are served no more; before @b is freed. */
void batch_end(struct batch *b, struct evloop *l);

#endif
