/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for one unpacked message, with a hard cap: a few bytes on the wire can ask protobuf-c for a
 * hundred times their size. Everything goes at once with arena_free(); single frees do nothing.
 */
#ifndef AGENT_PROTO_TTRPC_ARENA_H
#define AGENT_PROTO_TTRPC_ARENA_H

#include <protobuf-c/protobuf-c.h>

#include "lib/util.h"

struct arena_chunk;

struct arena {
	ProtobufCAllocator pb; /* hand &arena.pb to *_unpack() */
	struct arena_chunk *chunks;
	size_t used; /* bytes taken from the system */
	size_t cap;
};

void arena_init(struct arena *a, size_t cap);
/* NULL at the cap or without memory. Aligned for any object. */
void *arena_alloc(struct arena *a, size_t size);
/* Accepts a zeroed one; leaves an empty usable arena. */
void arena_free(struct arena *a);

#endif
