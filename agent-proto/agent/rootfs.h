/* SPDX-License-Identifier: Apache-2.0 */
/* A container's root: devices, hidden paths, and the change into it. Called in the container's own
 * mount namespace, in the order of this file. */
#ifndef AGENT_PROTO_AGENT_ROOTFS_H
#define AGENT_PROTO_AGENT_ROOTFS_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* For a container with a user namespace, which can make no device nodes: in the agent, a detached mount with a node
 * for each of its devices, owned as from inside. */
struct devices_made {
	int *trees; /* of ct->devices; -1: made inside. NULL: all are */
	size_t n;
	unsigned serial; /* of the nodes' names */
};
int devices_make(struct devices_made *m, const Husk__Agent__V1__Container *ct, struct err *e);
/* Closes the trees: the process has them. */
void devices_made_close(struct devices_made *m);
/* Removes the nodes' names, once they are mounted; before that the kernel would not mount them. */
void devices_made_done(struct devices_made *m);

/* Default and extra device nodes and /dev's links, unless the container brings a /dev of its own by a
 * bind mount. A node that the file system refuses becomes a bind mount of the one in @trees, else of the guest's. */
int rootfs_devices(int root, const Husk__Agent__V1__Container *ct, const int *trees, struct err *e);
/* readonlyPaths, then maskedPaths; those that are not there are passed over. */
int rootfs_hide(int root, const Husk__Agent__V1__Container *ct, struct err *e);
/* Namespaced settings, through the guest's own /proc/sys (not the container's). */
int rootfs_sysctl(const Husk__Agent__V1__Container *ct, struct err *e);
/* Makes @root "/" and lets go of everything else. */
int rootfs_enter(int root, const Husk__Agent__V1__Container *ct, struct err *e);

#endif
