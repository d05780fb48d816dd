/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's husk-net (runtime/net/net.h): started here, spoken to until the machine has its taps, then the proxy's.
 */
#ifndef RUNTIME_CONTAINER_NETWORK_H
#define RUNTIME_CONTAINER_NETWORK_H

#include "runtime/container/create.h"
#include "runtime/sandbox/sandbox.h"

struct network {
	struct proc_id proc; /* pid 0: not started */
	int sock;      /* its descriptor 3, our end */
	int proxy_end; /* for PROXY_ATTACH */
};
#define NETWORK_INIT { .proc = { 0, 0 }, .sock = -1, .proxy_end = -1 }

/* Starts it in the network namespace @netns (stays the caller's): it moves the devices that @spec names there, lists the
 * links and makes taps, while the caller does something else. Its socket for further containers is in @vm's folder. */
int network_start(struct network *n, const struct container_host *h, const char *id, int netns, struct sandbox *vm,
		  const struct oci_spec *spec, struct err *e);
/* Waits until it has done so. An error that it reports names the interface. */
int network_started(struct network *n, struct err *e);
/* Gives it the machine @s, which exists: its links become devices of that. */
int network_plug(struct network *n, struct sandbox *s, struct err *e);
/* Lets go. @failed: and ends it, having waited for what it takes away. */
void network_done(struct network *n, bool failed);

#endif
