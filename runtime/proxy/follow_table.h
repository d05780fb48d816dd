/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the follower has told of, and how that differs from what is mounted: functions of their input alone. In its mount
 * namespace the copy of source i is mounted at "/i", upon the root.
 */
#ifndef RUNTIME_PROXY_FOLLOW_TABLE_H
#define RUNTIME_PROXY_FOLLOW_TABLE_H

#include <sys/types.h>

#include "lib/mountinfo.h"
#include "runtime/proxy/follow.h"

#define FOLLOW_NO_SLOT (-1) /* known and not told of */

struct follow_mount {
	uint64_t id, dev; /* as mountinfo has them */
	char *at, *root;
	int slot;
	uint32_t bind;
	bool covered; /* when it was looked at: it may be seen later */
};

/* In the order of telling, so each comes behind the one that it is mounted on. */
struct follow_table {
	struct follow_mount *v;
	size_t n;
	bool used[FOLLOW_MAX_MOUNTS];
};

/* The first free slot; FOLLOW_NO_SLOT when there is none. */
int follow_free_slot(const struct follow_table *t);
/* @slot: free, or FOLLOW_NO_SLOT. -ENOMEM. */
int follow_table_add(struct follow_table *t, const struct mountinfo_row *row, uint32_t bind, int slot);
void follow_table_remove(struct follow_table *t, size_t i);
/* Those that were covered are new again. */
void follow_table_uncover(struct follow_table *t);
void follow_table_free(struct follow_table *t);

/* The last one that is not there any more, as it was; -1: all are. */
ssize_t follow_next_gone(const struct follow_table *t, const struct mountinfo *now);

/* A mount that @t does not know, on one that it knows or on a source's own: where it goes. */
struct follow_place {
	const struct mountinfo_row *row;
	uint32_t bind, parent; /* as in struct follow_event */
	bool through;
	bool covered; /* by another that is mounted on all of it */
	const char *path; /* within @row */
};
/* The next such of @now from row *@from on, which is advanced behind it; false: there is none. One that shows a
 * kernel is told by mountinfo_is_kernel_fs(). */
bool follow_next_new(const struct follow_table *t, const struct mountinfo *now, size_t *from, struct follow_place *ret);

#endif
