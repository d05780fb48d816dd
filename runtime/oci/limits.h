/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "linux.resources" as files of control groups, version 2: which file of which group gets which value. Pure
 * text; nothing is written here. `create` and `update` use the same two functions.
 *
 *	oci_limits_guest()  the container's own group, in the guest: exactly what was asked for
 *	oci_limits_host()   the group of its machine and proxies, on the host: what bounds the machine as a
 *	                    whole, with its own need added, and what only the host can do
 *
 * Conversions are those of runc on such a host: the ranges of version 1 are mapped to those of version 2,
 * 0 stands for "not set", -1 for "max".
 */
#ifndef RUNTIME_OCI_LIMITS_H
#define RUNTIME_OCI_LIMITS_H

#include "runtime/oci/spec.h"

/* Beside the guest's memory: husk-machine itself, its page tables, the proxies. */
#define OCI_LIMITS_MEMORY MIB(96)
/* Threads of husk-machine and one proxy for each process that was started from the host. */
#define OCI_LIMITS_PIDS   256

struct oci_limit {
	const char *file;   /* "memory.max" */
	const char *value;
	bool optional;      /* a group without this file is fine */
	const char *unless; /* left out where the group has that file; NULL: never */
};

/* To be written in this order. */
struct oci_limits {
	struct oci_limit *v;
	size_t n, room;
	struct oci_pool_item *pool; /* owner of all text */
	bool failed; /* out of memory, seen at the end */
};
#define OCI_LIMITS_INIT { .v = NULL, .n = 0, .room = 0, .pool = NULL, .failed = false }

/* 0, or -EINVAL with the field's name for what contradicts itself, -ENOMEM. *out is for oci_limits_free()
 * in either case. */
int oci_limits_guest(const struct oci_resources *r, struct oci_limits *out, struct err *e);
/* @machine: bytes of memory that the machine has in all. */
int oci_limits_host(const struct oci_resources *r, uint64_t machine, struct oci_limits *out,
		    struct err *e);
/* What the last entry for @file says, NULL for none. */
const char *oci_limits_get(const struct oci_limits *l, const char *file);
void oci_limits_free(struct oci_limits *l);

#endif
