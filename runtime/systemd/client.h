/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking systemd, by husk-systemd-cgroup. Each call starts that program, once, and waits for it.
 */
#ifndef RUNTIME_SYSTEMD_CLIENT_H
#define RUNTIME_SYSTEMD_CLIENT_H

#include "runtime/host/proc.h"
#include "runtime/systemd/wire.h"

/* Keeps a new scope from being empty, and with that from being taken away. */
struct systemd_hold {
	struct proc_id helper;
	int sock;
};
#define SYSTEMD_HOLD_INIT { .helper = { 0, 0 }, .sock = -1 }

/* Which unit, of whose manager; what a state file keeps. */
struct systemd_target {
	const char *unit;
	const char *bus; /* "": the system's */
	const char *id; /* of the container: tells our unit from another's of that name */
};

/* Makes the scope. -EEXIST: there is one of that name. *ret is held until systemd_release(), which takes
 * a zeroed or initial one too. */
int systemd_start(const struct systemd_target *t, const struct buf *properties,
		  struct systemd_hold *ret, struct err *e);
void systemd_release(struct systemd_hold *h);
/* The group of the held scope, as this process sees the hierarchy: below CGROUP_ROOT. */
int systemd_group(const struct systemd_hold *h, char *out, size_t size, struct err *e);

/* Ends all that is in it and the unit itself; one that is not there, or not ours, is fine. */
int systemd_stop(const struct systemd_target *t, struct err *e);
int systemd_attach(const struct systemd_target *t, pid_t pid, struct err *e);
int systemd_set(const struct systemd_target *t, const struct buf *properties, struct err *e);

#endif
