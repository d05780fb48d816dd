/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rate limiter: two token buckets, one of bytes and one of operations, as Cloud Hypervisor's options
 * describe them. A bucket holds @size tokens and fills from empty in @refill_ms; @burst tokens more are
 * there once, at the beginning, and are spent first.
 *
 * What an operation costs is often known only when it is done (a frame that was received), so one may
 * begin while there is a token at all, and may leave the bucket in debt; the next waits until the debt
 * is paid. The mean rate is exact, the excess at most one operation.
 *
 * Plain arithmetic: time is passed in, nothing waits here. One thread at a time.
 */
#ifndef VMM_BACKEND_RATELIMIT_H
#define VMM_BACKEND_RATELIMIT_H

#include "lib/err.h"

struct rate_bucket_cfg {
	uint64_t size;      /* tokens; 0: no limit, and then the others are 0 too */
	uint64_t burst;     /* tokens beyond it, once */
	uint64_t refill_ms; /* 1 … RATE_MAX_REFILL_MS */
};

struct rate_cfg {
	struct rate_bucket_cfg bytes, ops;
};

#define RATE_MAX_TOKENS    (1ull << 44)
#define RATE_MAX_REFILL_MS 86400000u /* a day */

struct rate_bucket {
	uint64_t size, refill_ns;
	uint64_t burst;
	__int128 level; /* tokens times refill_ns, so that no fraction is ever lost */
};

struct rate_limit {
	uint64_t at; /* when the levels were right */
	struct rate_bucket bytes, ops;
};

/* -EINVAL with a text that says which number is out of range. */
int rate_check(const struct rate_cfg *c, struct err *e);
/* Full buckets. @c passed rate_check(). Times are nanoseconds of any monotonic clock. */
void rate_init(struct rate_limit *r, const struct rate_cfg *c, uint64_t now);
/* Nanoseconds until the next operation may begin; 0: now. */
uint64_t rate_wait(struct rate_limit *r, uint64_t now);
/* One operation of @bytes was begun. */
void rate_charge(struct rate_limit *r, uint64_t bytes);

static inline bool rate_limited(const struct rate_limit *r)
{
	return r->bytes.size || r->ops.size;
}

#endif
