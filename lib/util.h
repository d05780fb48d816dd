/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that every program needs: sizes, alignment, arithmetic that cannot overflow
 * unseen, and the one way our own bugs end a process. Any thread, any program.
 */
#ifndef LIB_UTIL_H
#define LIB_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define max_t(type, a, b) ((type)(a) > (type)(b) ? (type)(a) : (type)(b))
#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define __printf_like(f, a) __attribute__((format(printf, f, a)))
#define __must_use __attribute__((warn_unused_result))

/* @align must be a power of two. align_up64() of a value within @align of 2^64 wraps: callers
 * bound @v first. */
static inline uint64_t align_up64(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline uint64_t align_down64(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline bool is_pow2_64(uint64_t v)
{
	return v && !(v & (v - 1));
}

/* true when [@off, @off + @len) lies within [0, @size); never overflows. */
static inline bool range_within(uint64_t off, uint64_t len, uint64_t size)
{
	return len <= size && off <= size - len;
}

/* An invariant of ours is broken: print where and abort. Never for input, a guest's or a caller's. */
__attribute__((noreturn, cold)) void bug_at(const char *file, int line, const char *what);
#define bug_on(cond)                                          \
	do {                                                  \
		if (__builtin_expect(!!(cond), 0))            \
			bug_at(__FILE__, __LINE__, #cond);    \
	} while (0)

#endif
