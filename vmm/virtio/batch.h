/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device waits for requests that come in company.
 *
 * A kick wakes the device's thread, and where the vCPU shares its processor with it, that takes the processor from the vCPU:
 * then requests come one by one, however many the guest has. A thread of SCHED_BATCH takes it from nobody and finds all of
 * them. But one request alone waits longer so: this is tried now and then, and kept as long as requests come in company.
 *
 * That one came alone in between does not say that company has gone: TCP lets no more than about two large frames of a stream
 * into a device's queue at a time, so that a stream is ones and twos by turns. And a thread that does not wait sees none,
 * whatever the guest has. So it goes on waiting until some in a row were alone, and soon tries again where there was company.
 * Where requests stop altogether the loop ends it (evloop.h), as if those in a row had been alone.
 * With processors to spare none of this changes anything: the thread wakes up on another one.
 */
#ifndef VMM_VIRTIO_BATCH_H
#define VMM_VIRTIO_BATCH_H

#include "lib/evloop.h"

/* So many turns in a row in which a request came alone end the waiting. */
#define BATCH_PATIENCE	 4
/* After so many more the next one waits: fewer where there was company lately, twice as many after each time in vain. */
#define BATCH_TRIAL_SOON 8
#define BATCH_TRIAL	 64

/* Of one queue or several that one thread serves; begins as zeros. */
struct batch {
	struct evbatch ev;
	unsigned patience; /* turns that are left of it */
	unsigned alone;    /* turns since that is used up, or since the last trial */
	unsigned trial;    /* when the next one is; 0: BATCH_TRIAL */
};

/* On @l's thread, after a turn that found @got requests. */
void batch_turn(struct batch *b, struct evloop *l, unsigned got);
/* The queues are served no more; before @b is freed. */
void batch_end(struct batch *b, struct evloop *l);

#endif
