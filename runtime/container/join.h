/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several containers in one machine: those that share a network namespace (a pod's, and what engines call
 * "--network container:"). Two machines cannot have one network namespace's interfaces, and containers in one reach each other
 * by its loopback; so the namespace, which is the host's word and no tenant's, decides it alone. The machine is the
 * first one's, in its control group; when that one leaves, the machine moves on to another's.
 */
#ifndef RUNTIME_CONTAINER_JOIN_H
#define RUNTIME_CONTAINER_JOIN_H

#include "runtime/container/create.h"
#include "runtime/sandbox/record.h"
#include "runtime/sandbox/sandbox.h"

#define JOIN_KINDS 3 /* pid, ipc, uts */

struct join {
	char sandbox[NAME_MAX + 1]; /* whose machine it is to be; "": one of its own */
	char prefix[CONTAINER_SHARES_MAX]; /* of its shares' names, which nobody else's begin with */
	char owner[JOIN_KINDS][NAME_MAX + 1]; /* whose each namespace is that the configuration names by path; "": nobody's */
};

/* Whether there is a machine for it, by @netns (-1: a new namespace), and whose are the other namespaces that the
 * configuration names by path: noted in @spec, which is good as long as @j is. What such a container cannot have is refused
 * by name. Nothing is changed. */
int join_find(struct join *j, int root, int netns, struct oci_spec *spec, struct err *e);
/* It is in the machine from now on, in good order or not (join_leave()): @vm gets its control connection, a lifeline.
 * @limit: bytes of memory that it may use; UINT64_MAX: as many as it likes. */
int join_enter(const struct join *j, int root, const char *id, uint64_t limit, struct sandbox *vm, struct err *e);
/* The control group of the machine is to hold @now bytes for one of several containers in it where it held @before. What fails
 * is logged. @sandbox: its folder, locked. */
void join_bound(int root, int sandbox, const struct nc_memory_reply *machine, uint64_t before, uint64_t now);

/* The container @id, whose processes are gone, leaves the sandbox @name: its shares go, and the machine moves to another's
 * control group. 1: others are in it, or it is theirs alone; 0: none is, or the machine has ended, and it is to be removed; an
 * error where that cannot be told, or the machine does not answer: nothing that is another's was touched, and it can be done
 * again. *ret_lock (-1: none) is held until that is done. */
int join_leave(const struct container_host *h, const char *id, const char *name, const struct container_state *s, int *ret_lock,
	       struct err *e);

#endif
