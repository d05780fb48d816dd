/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbered elements in chunks that never move. A number is index + 2 (0 and FUSE's root are never
 * given out) with a generation above it, so that a stale number finds nothing.
 */
#include "vmm/fs/fs_internal.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 256u
#define NONE  UINT32_MAX

int fs_slots_init(struct fs_slots *t, size_t elem, uint32_t max)
{
	*t = (struct fs_slots){ .elem = (elem + 15) & ~(size_t)15, .max = max, .free_head = NONE };
	t->chunk = calloc((max + CHUNK - 1) / CHUNK, sizeof(t->chunk[0]));
	return t->chunk ? 0 : -ENOMEM;
}

void fs_slots_done(struct fs_slots *t)
{
	for (uint32_t i = 0; t->chunk && i * CHUNK < t->made; i++)
		free(t->chunk[i]);
	free(t->chunk);
	*t = (struct fs_slots){ .free_head = NONE };
}

static struct fs_slot *slot_at(const struct fs_slots *t, uint32_t index)
{
	return (struct fs_slot *)(void *)(t->chunk[index / CHUNK] + (index % CHUNK) * t->elem);
}

/* Makes one more element and puts it on the free list. */
static bool grow(struct fs_slots *t)
{
	uint32_t i = t->made;
	struct fs_slot *s;

	if (i == t->max)
		return false;
	if (!t->chunk[i / CHUNK]) {
		t->chunk[i / CHUNK] = calloc(CHUNK, t->elem);
		if (!t->chunk[i / CHUNK])
			return false;
	}
	t->made++;
	s = slot_at(t, i);
	*s = (struct fs_slot){ .gen = 1, .index = i, .next_free = t->free_head };
	t->free_head = i;
	return true;
}

void *fs_slots_alloc(struct fs_slots *t)
{
	struct fs_slot *s, keep;

	if (t->free_head == NONE && !grow(t))
		return NULL;
	s = slot_at(t, t->free_head);
	t->free_head = s->next_free;
	keep = *s;
	memset(s, 0, t->elem);
	s->gen = keep.gen;
	s->index = keep.index;
	s->live = true;
	t->count++;
	return s;
}

void fs_slots_free(struct fs_slots *t, void *elem)
{
	struct fs_slot *s = elem;

	bug_on(!s->live);
	s->live = false;
	if (++s->gen == 0)
		s->gen = 1;
	s->next_free = t->free_head;
	t->free_head = s->index;
	t->count--;
}

void *fs_slots_at(const struct fs_slots *t, uint32_t index)
{
	struct fs_slot *s;

	if (index >= t->made)
		return NULL;
	s = slot_at(t, index);
	return s->live ? s : NULL;
}

void *fs_slots_get(const struct fs_slots *t, uint64_t id)
{
	uint32_t low = (uint32_t)id;
	struct fs_slot *s;

	if (low < 2)
		return NULL;
	s = fs_slots_at(t, low - 2);
	return s && s->gen == (uint32_t)(id >> 32) ? s : NULL;
}

uint64_t fs_slot_id(const void *elem)
{
	const struct fs_slot *s = elem;

	return (uint64_t)s->gen << 32 | (s->index + 2);
}
