// SPDX-License-Identifier: Apache-2.0
#include "vmm/backend/ratelimit.h"

#include <string.h>

static int check_bucket(const struct rate_bucket_cfg *b, const char *what, struct err *e)
{
	if (b->size == 0)
		return b->burst || b->refill_ms ?
			       err_set(e, EINVAL, "%s: a burst or refill time without a size", what) :
			       0;
	if (b->size > RATE_MAX_TOKENS || b->burst > RATE_MAX_TOKENS)
		return err_set(e, EINVAL, "%s: more than %llu tokens", what,
			       (unsigned long long)RATE_MAX_TOKENS);
	if (b->refill_ms < 1 || b->refill_ms > RATE_MAX_REFILL_MS)
		return err_set(e, EINVAL, "%s: a refill time of %llu ms is not 1 to %u", what,
			       (unsigned long long)b->refill_ms, RATE_MAX_REFILL_MS);
	return 0;
}

int rate_check(const struct rate_cfg *c, struct err *e)
{
	int rc = check_bucket(&c->bytes, "rate of bytes", e);

	return rc < 0 ? rc : check_bucket(&c->ops, "rate of operations", e);
}

static void init_bucket(struct rate_bucket *b, const struct rate_bucket_cfg *c)
{
	*b = (struct rate_bucket){ .size = c->size, .burst = c->burst,
				   .refill_ns = c->refill_ms * 1000000u };
	b->level = (__int128)b->size * b->refill_ns;
}

void rate_init(struct rate_limit *r, const struct rate_cfg *c, uint64_t now)
{
	r->at = now;
	init_bucket(&r->bytes, &c->bytes);
	init_bucket(&r->ops, &c->ops);
}

static void refill(struct rate_bucket *b, uint64_t ns)
{
	const __int128 full = (__int128)b->size * b->refill_ns;

	/* 2^44 tokens, 2^64 ns: far from 2^127, as is the deepest debt that charge() can make. */
	b->level = min_t(__int128, full, b->level + (__int128)b->size * ns);
}

static uint64_t wait_of(const struct rate_bucket *b)
{
	if (!b->size || b->burst || b->level > 0)
		return 0;
	return (uint64_t)min_t(__int128, -b->level / b->size, INT64_MAX) + 1;
}

uint64_t rate_wait(struct rate_limit *r, uint64_t now)
{
	if (!rate_limited(r))
		return 0;
	if (now > r->at) {
		refill(&r->bytes, now - r->at);
		refill(&r->ops, now - r->at);
		r->at = now;
	}
	return max_t(uint64_t, wait_of(&r->bytes), wait_of(&r->ops));
}

static void charge(struct rate_bucket *b, uint64_t n)
{
	uint64_t once;

	n = min_t(uint64_t, n, RATE_MAX_TOKENS);
	once = min_t(uint64_t, n, b->burst);
	b->burst -= once;
	if (b->size)
		b->level -= (__int128)(n - once) * b->refill_ns;
}

void rate_charge(struct rate_limit *r, uint64_t bytes)
{
	if (!rate_limited(r))
		return;
	charge(&r->bytes, bytes);
	charge(&r->ops, 1);
}
