/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a loop's thread is of SCHED_BATCH: evloop_batch(), which says why. For evloop.c, on that thread. */
#ifndef LIB_EVBATCH_H
#define LIB_EVBATCH_H

#include "lib/evloop.h"

/* Those that were not asked for again for so long, or up to twice as long, have ended. Longer than the pauses in what comes in
 * company at all, a film's frames among that: each change of the policy is a system call. */
#define EVBATCH_IDLE_MS 50

/* Begins as zeros. */
struct evbatches {
	struct evbatch *first; /* that are on */
	bool batching; /* the policy follows them */
	uint64_t look_at; /* ns; while there is any */
};

void evbatches_set(struct evbatches *l, struct evbatch *b, bool on);
/* After each turn of the loop: ends those that were not asked for again. No system call unless they were the last. */
void evbatches_look(struct evbatches *l);
/* Ends all: nothing came for EVBATCH_IDLE_MS. */
void evbatches_end(struct evbatches *l);

#endif
