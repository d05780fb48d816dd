/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's disks, which the host names by their serials: what they are in this guest. */
#ifndef AGENT_PROTO_AGENT_DISKS_H
#define AGENT_PROTO_AGENT_DISKS_H

#include <sys/types.h>

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

struct disk_found {
	char path[48]; /* "/dev/vda" */
	dev_t dev;
};
/* -ENOENT: none has it. */
int disks_find(const char *serial, struct disk_found *ret, struct err *e);
/* Devices, and rules for them, that stand for a disk get its numbers in the place of the host's. */
int disks_resolve(const Husk__Agent__V1__Container *ct, struct err *e);

#endif
