/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of the machine that come into a container, or leave it, while it runs. What may wait for a disk, for the kernel or for
 * a file system of the container is done by forks of the agent, one step each, within AGENT_PLUG_MS:
 *
 *	come:   find them (the bus is looked over, a partition table is read) - make their nodes, in the container
 *	leave:  remove their nodes - let go of the devices
 *
 * In between, and at the end of coming, the agent has the group's device filter follow.
 */
#ifndef AGENT_PROTO_AGENT_DISKPLUG_H
#define AGENT_PROTO_AGENT_DISKPLUG_H

#include <sys/types.h>

#include "agent-proto/agent/rootfs.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/ttrpc/server.h"
#include "lib/evloop.h"

typedef Husk__Agent__V1__UpdateDisksRequest pb_disks;
struct container;

/* What a step says when it is over. */
struct plug_result {
	int32_t rc;
	char text[AGENT_MAX_ERROR_TEXT];
	struct {
		uint32_t major, minor;
	} dev[AGENT_MAX_DISKS]; /* of a find, in the order of the request */
};

struct diskplug {
	struct container *ct;
	struct ttrpc_call *call; /* whose request is being done; NULL: none is */
	pb_disks *req;
	struct ttrpc_call *next_call; /* of one who waits for that to be over; NULL: nobody does */
	pb_disks *next_req;
	bool leaving, left; /* with the container: what it had is given back, or has been */
	unsigned step;
	pid_t pid; /* of the fork that does it */
	struct evsrc result;
	struct evtimer late;
	struct plug_result found, failed; /* of coming: where they are; why it is being undone */
	struct devices_made nodes; /* for a user namespace, or a file system without */
};

void diskplug_init(struct diskplug *p, struct container *ct);
/* @req is checked (check_disks()). Answers @call now or later; one more may wait, as after a command that was killed. */
void diskplug_update(struct diskplug *p, const pb_disks *req, struct ttrpc_call *call);
/* A call is under way. When it is over, a container that goes has its retry timer set. */
bool diskplug_busy(const struct diskplug *p);
/* The container ends, and others of the machine live on: the kernel is to let go of its disks. True: that is over; false:
 * the container's retry timer goes off when it is. */
bool diskplug_let_go(struct diskplug *p);
/* With the container's end: what is under way is given up, and its call answered. */
void diskplug_done(struct diskplug *p);

/* ---- the steps, each in a fork (diskplug_steps.c) ---- */
struct plug_step {
	struct container *ct;
	const pb_disks *req;
	const struct plug_result *found;
	const int *trees; /* nodes made outside, NULL: they are to be made inside */
};
int plug_find(const struct plug_step *s, struct plug_result *r, struct err *e);
int plug_place(const struct plug_step *s, struct plug_result *r, struct err *e); /* all or none */
int plug_unplace(const struct plug_step *s, struct plug_result *r, struct err *e);
int plug_eject(const struct plug_step *s, struct plug_result *r, struct err *e);

#endif
