// SPDX-License-Identifier: Apache-2.0
#include "lib/evbatch.h"

#include <sched.h>
#include <time.h>

/* Of a jiffy's resolution, but without a system call or a look at a clock's device: it is asked in each turn. */
static uint64_t about_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void look_later(struct evbatches *l)
{
	l->look_at = about_now() + EVBATCH_IDLE_MS * UINT64_C(1000000);
}

static void set_policy(struct evbatches *l)
{
	const struct sched_param none = { .sched_priority = 0 };
	bool on = l->first;
	int policy;

	if (on == l->batching)
		return;
	l->batching = on;
	policy = sched_getscheduler(0);
	if (policy == SCHED_OTHER || policy == SCHED_BATCH)
		sched_setscheduler(0, on ? SCHED_BATCH : SCHED_OTHER, &none);
}

void evbatches_set(struct evbatches *l, struct evbatch *b, bool on)
{
	struct evbatch **at = &l->first;

	b->used = on;
	if (b->on == on)
		return;
	b->on = on;
	if (on) {
		if (!l->first)
			look_later(l);
		b->next = l->first;
		l->first = b;
	} else {
		while (*at != b)
			at = &(*at)->next;
		*at = b->next;
	}
	set_policy(l);
}

static void end(struct evbatches *l, bool all)
{
	struct evbatch **at = &l->first, *b;

	while ((b = *at)) {
		if (b->used && !all) {
			b->used = false;
			at = &b->next;
		} else {
			b->on = false;
			*at = b->next;
		}
	}
	look_later(l);
	set_policy(l);
}

void evbatches_look(struct evbatches *l)
{
	if (l->first && about_now() >= l->look_at)
		end(l, false);
}

void evbatches_end(struct evbatches *l)
{
	end(l, true);
}
