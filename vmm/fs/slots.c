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
	*t = (struct fs_slots){
		.elem = (elem + 15) & ~(size_t)15, .max = max, .free_head = NONE, .gen = 1
	};
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

static bool have_chunk(struct fs_slots *t, uint32_t i)
{
	if (!t->chunk[i])
		t->chunk[i] = calloc(CHUNK, t->elem);
	return t->chunk[i] != NULL;
}

static void add_free(struct fs_slots *t, uint32_t i)
{
	*slot_at(t, i) = (struct fs_slot){ .gen = t->gen, .index = i, .next_free = t->free_head };
	t->free_head = i;
}

/* Puts elements on the free list: those of a chunk that saved state left out, or one more. */
static bool grow(struct fs_slots *t)
{
	for (; t->hole < t->made / CHUNK; t->hole++) {
		if (t->chunk[t->hole])
			continue;
		if (!have_chunk(t, t->hole))
			return false;
		for (uint32_t i = 0; i < CHUNK; i++)
			add_free(t, t->hole * CHUNK + i);
		return true;
	}
	if (t->made == t->max || !have_chunk(t, t->made / CHUNK))
		return false;
	add_free(t, t->made++);
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

	if (index >= t->made || !t->chunk[index / CHUNK])
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

uint32_t fs_slots_gen(const struct fs_slots *t)
{
	uint32_t gen = t->gen;

	for (uint32_t i = 0; i < t->made; i++)
		if (t->chunk[i / CHUNK] && slot_at(t, i)->gen > gen)
			gen = slot_at(t, i)->gen;
	return gen == UINT32_MAX ? 1 : gen;
}

void *fs_slots_restore(struct fs_slots *t, uint64_t id)
{
	uint32_t i = (uint32_t)id - 2, gen = (uint32_t)(id >> 32);
	struct fs_slot *s;

	if ((uint32_t)id < 2 || !gen || i >= t->max || !have_chunk(t, i / CHUNK))
		return NULL;
	s = slot_at(t, i);
	if (s->live)
		return NULL;
	memset(s, 0, t->elem);
	*s = (struct fs_slot){ .gen = gen, .index = i, .live = true };
	t->count++;
	if (t->made <= i)
		t->made = i + 1;
	return s;
}

void fs_slots_restored(struct fs_slots *t, uint32_t gen)
{
	t->gen = gen;
	t->free_head = NONE;
	t->hole = 0;
	for (uint32_t i = t->made; i-- > 0;)
		if (t->chunk[i / CHUNK] && !slot_at(t, i)->live)
			add_free(t, i);
}

uint64_t fs_slot_id(const void *elem)
{
	const struct fs_slot *s = elem;

	return (uint64_t)s->gen << 32 | (s->index + 2);
}
