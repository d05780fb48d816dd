/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a sandbox between two commands, in its folder (sandbox.h):
 *
 *	state.json      its processes, by whom it was made, and in whose control group they are; replaced by rename
 *	netns           a symbolic link that leads nowhere: the network namespace, as "device:inode"
 *	containers/     a file for each container that joined the one that made it; there when one has
 *
 * Whoever joins, leaves, or removes holds the folder's lock.
 */
#ifndef RUNTIME_SANDBOX_RECORD_H
#define RUNTIME_SANDBOX_RECORD_H

#include <limits.h>
#include <stdbool.h>

#include "lib/err.h"
#include "runtime/host/proc.h"

struct sandbox_record {
	struct proc_id machine, net; /* husk-machine; husk-net (pid 0: none) */
	char first[NAME_MAX + 1]; /* the container that made it; "": it has left */
	char host[NAME_MAX + 1]; /* the one in whose control group both processes are */
};

/* -ENOENT, or -EINVAL for a malformed file. */
int sandbox_load(int dir, struct sandbox_record *ret, struct err *e);
int sandbox_save(int dir, const struct sandbox_record *r, struct err *e);
int sandbox_parse(const char *text, size_t len, struct sandbox_record *ret, struct err *e);

/* The folder. @lock: with its lock, which is waited for. -ENOENT. */
int sandbox_open(int root, const char *name, bool lock, int *ret_dir, struct err *e);

/* A name that no sandbox has: @id, or "id@2" and so on while the one that a container of that name once made lives on with
 * others. */
int sandbox_free_name(int root, const char *id, char *out, size_t size, struct err *e);
/* Whether @name can have come from there. */
bool sandbox_is_name(const char *name);

/* Notes the network namespace @netns, by which others find it. */
int sandbox_note_netns(int dir, int netns, struct err *e);
/* The sandbox that has it: 1 with its name (NAME_MAX + 1 bytes), 0: none. */
int sandbox_find(int root, int netns, char *ret_name);

/* @id is in it from now on, and no more; nothing of it being there is fine. */
int sandbox_enroll(int dir, const char *id, struct err *e);
int sandbox_strike(int dir, struct sandbox_record *r, const char *id, struct err *e);
/* Whether @id made it or joined it: a container's may have gone, and what has the name be another's. */
bool sandbox_is_of(int dir, const char *name, const char *id);
/* Whether anybody but the one that made it ever was in it. */
bool sandbox_had_members(int dir);
/* Whether nobody but its maker is noted in it and it has no machine, or one that has ended: what is left of it when whoever was
 * removing it was killed, or what it begins with. */
bool sandbox_is_bare(int dir);
/* Calls @each with every container that is in it, until that returns something else than 0, which is returned.
 * -errno: who is in it cannot be read. */
int sandbox_members(int dir, const struct sandbox_record *r, int (*each)(void *arg, const char *id), void *arg);

#endif
