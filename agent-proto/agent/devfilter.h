/* SPDX-License-Identifier: Apache-2.0 */
/* Which device nodes a container's processes may make and open: a BPF program on its cgroup. */
#ifndef AGENT_PROTO_AGENT_DEVFILTER_H
#define AGENT_PROTO_AGENT_DEVFILTER_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* For each kind of access to a device the last rule that names it says; "a" names everything. Before the first rule,
 * and so without any, everything is denied but the devices that every container has, as in runc; of which one that is among
 * the container's own @devices, by its path, is left to the rules.
 * *prog_fd: the program, the caller's; it takes the place of the one that was there before, at once (-1: none was). */
int devfilter_attach(int cgroup, Husk__Agent__V1__DeviceRule *const *rules, size_t n,
		     Husk__Agent__V1__Device *const *devices, size_t n_devices, int *prog_fd, struct err *e);

#endif
