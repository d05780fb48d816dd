/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of "key=value,key=value" as Cloud Hypervisor's options take them, by tables. Each key appears at
 * most once. A comma within [brackets] belongs to the value. Errors name option and key.
 */
#ifndef VMM_FRONT_KEYVAL_H
#define VMM_FRONT_KEYVAL_H

#include "lib/err.h"

enum kv_type {
	KV_STR,         /* char *, allocated; not empty */
	KV_UINT,        /* uint64_t, decimal or 0x…, min … max */
	KV_SIZE,        /* uint64_t bytes: digits and K, M, G or T; min … max */
	KV_BOOL,        /* bool: on|off|true|false */
	KV_UNSUPPORTED, /* Cloud Hypervisor knows it, we do not: refused by name */
};

struct kv_key {
	const char *name;
	enum kv_type type;
	size_t off; /* of the field in the destination */
	uint64_t min, max;
	bool required;
};

/* @dst holds defaults; on failure it may be half-filled. @keys ends with a NULL name. */
int kv_parse(const char *option, const char *text, const struct kv_key *keys, void *dst,
	     struct err *e);
/* One value of a type, for options that are no list. */
int kv_value(const char *option, const char *key, const char *text, const struct kv_key *k,
	     void *field, struct err *e);

#endif
