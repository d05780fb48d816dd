/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a container between two commands: <root>/<id>/state.json, replaced by rename.
 *
 *	<root>/<id>/            0700, locked with flock(2) by create and delete
 *	    state.json          this
 *	    proxy.sock          the proxy's listening socket
 *	<root>/@sandbox/<id>/   the virtual machine (runtime/sandbox); '@' occurs in no container's id
 *
 * The status is never stored: it is the proxy's word (runtime/proxy/proxy.h) as long as it lives.
 *
 *	creating --> created --> running --> stopped
 *	    \_________\_\________|_\___________^
 *	               paused <--+ (and back to what it was)
 *
 * A state file is written once with no pid (so that whatever a killed `create` leaves can be found: all
 * that it makes has a name derived from what stands there) and once when the container exists.
 */
#ifndef RUNTIME_CONTAINER_STATE_H
#define RUNTIME_CONTAINER_STATE_H

#include "lib/json.h"
#include "runtime/host/proc.h"
#include "runtime/oci/field.h"

#define CONTAINER_STATE_VERSION 1
#define CONTAINER_STATE_MAX     (4u << 20) /* bytes of state.json */
#define CONTAINER_PROXY_SOCK    "proxy.sock"
#define CONTAINER_SHARES_MAX    12 /* of what the names of its shares begin with, and a NUL */

enum container_status {
	CONTAINER_CREATING,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_STOPPED
};
const char *container_status_name(enum container_status s);
/* Whether it has a process: created, running or paused. */
bool container_status_lives(enum container_status s);

struct container_state {
	struct json *doc; /* owner of the strings when loaded, else NULL and they are the maker's */
	const char *id, *oci_version, *bundle, *rootfs, *created;
	const char *sandbox; /* name below @sandbox */
	const char *cgroup; /* below /sys/fs/cgroup, "" for none */
	uint32_t cgroup_ours; /* 1: it was made for this container; 0 in older files */
	const char *shares; /* what the names of its shares begin with; "" in older files: "s" */
	const char *unit; /* systemd's scope for it, "": none */
	const char *bus; /* of the user's manager whose unit that is, "": the system's */
	uint32_t owner; /* uid */
	struct proc_id proxy; /* pid 0: still being created */
	struct proc_id net; /* husk-net, where an older husk noted it here; else pid 0 (runtime/sandbox/record.h) */
	struct oci_pair *annotations;
	size_t n_annotations;
	struct oci_hooks hooks; /* what later commands run; config.json may change or go */
	struct oci_pool pool; /* of the hooks when loaded */
	enum container_status status; /* when container_find() looked; not saved */
};

/* The folder of all containers. @make: with its parents. */
int container_root_open(const char *path, bool make, int *ret_fd, struct err *e);

/* -ENOENT with runc's words when there is no such container. */
int container_state_load(int dir, struct container_state *ret, struct err *e);
int container_state_parse(const char *text, size_t len, struct container_state *ret, struct err *e);
/* -EINVAL for one that container_state_load() would not take: nothing is written then. */
int container_state_save(int dir, const struct container_state *s, struct err *e);
void container_state_done(struct container_state *s);

/* @dir: tells a creating container from one that a killed husk left, by the lock; -1 when the caller
 * holds it (then one without a proxy is stopped). An error when it cannot be told: that is not "stopped". */
int container_status(int dir, const struct container_state *s, enum container_status *ret, struct err *e);

/* The text of `husk state` and of an element of `husk list`: runc's fields in runc's order. */
void container_state_print(struct json_w *w, const struct container_state *s,
			   enum container_status status, const char *owner);

/* The folder and the state of container @id, which is checked first, with its status. Both are the caller's (close,
 * container_state_done()) on success. */
int container_find(int root, const char *id, int *ret_dir, struct container_state *ret, struct err *e);
/* Opens the folder of container @id. @lock: and takes its lock, for which it waits half a
 * minute: -EBUSY. -ENOENT with runc's words. */
int container_open(int root, const char *id, bool lock, int *ret_dir, struct err *e);
typedef int container_each_fn(void *arg, int root, const char *id, struct err *e);
/* Calls @fn with each name below @root that a container may have, until that returns something else than 0, which is returned. An
 * error, too, when not all of them could be read: whoever asks takes what is not told for gone. */
int container_each(int root, container_each_fn *fn, void *arg, struct err *e);
/* Makes and locks the folder. One that only a killed command left is handed over, with
 * *ret_leftover set: the caller clears it. -EEXIST with runc's words. */
int container_make(int root, const char *id, int *ret_dir, bool *ret_leftover, struct err *e);
/* Removes the folder and what is in it; the caller holds the lock @dir. */
int container_remove_dir(int root, const char *id, int dir, struct err *e);

/* "2026-01-02T03:04:05.678Z" of now. */
void container_now(char *out, size_t size);

#endif
