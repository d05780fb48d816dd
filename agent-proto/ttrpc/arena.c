// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/ttrpc/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define CHUNK_SIZE 16384u

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, off;
	alignas(max_align_t) unsigned char data[];
};

static void *pb_alloc(void *arg, size_t size)
{
	return arena_alloc(arg, size);
}

static void pb_free(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

void arena_init(struct arena *a, size_t cap)
{
	*a = (struct arena){ .pb = { .alloc = pb_alloc, .free = pb_free, .allocator_data = a },
			     .cap = cap };
}

static struct arena_chunk *new_chunk(struct arena *a, size_t size)
{
	struct arena_chunk *c;
	size_t total = size + sizeof(*c);

	if (total > CHUNK_SIZE / 2)
		; /* one of its own */
	else
		total = CHUNK_SIZE;
	if (!range_within(a->used, total, a->cap))
		return NULL;
	c = malloc(total);
	if (!c)
		return NULL;
	c->size = total - sizeof(*c);
	c->off = 0;
	c->next = a->chunks;
	a->chunks = c;
	a->used += total;
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunks;
	void *p;

	if (size > a->cap)
		return NULL;
	size = align_up64(size ? size : 1, alignof(max_align_t));
	if (!c || size > c->size - c->off)
		c = new_chunk(a, size);
	if (!c)
		return NULL;
	p = c->data + c->off;
	c->off += size;
	return p;
}

void arena_free(struct arena *a)
{
	struct arena_chunk *c;

	while ((c = a->chunks)) {
		a->chunks = c->next;
		free(c);
	}
	a->used = 0;
}
