/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's end of the container's network: what the host tells (UpdateNetwork) is made so.
 *
 * Containers are in the machine's own network namespace, which is theirs alone. One with a user namespace has a
 * network namespace that belongs to it, and the interfaces go there.
 *
 * network_set.c does it, on links, addresses, routes and neighbours; this part keeps what was told, and waits for devices
 * that are on their way.
 */
#ifndef AGENT_PROTO_AGENT_NETWORK_H
#define AGENT_PROTO_AGENT_NETWORK_H

#include "agent-proto/agent/rtn.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/ttrpc/server.h"
#include "lib/evloop.h"

struct agent;
struct container;

typedef Husk__Agent__V1__UpdateNetworkRequest pb_network;

#define NETWORK_MAX_WAITING 8

/* What is told while something else is made so. */
struct network_waiting {
	struct network_waiting *next;
	pb_network *m;
	struct ttrpc_call *call;
};

struct network {
	struct agent *agent;
	pb_network *now;   /* as it is; NULL: nothing was told yet */
	pb_network *next;  /* waits for its devices */
	struct ttrpc_call *call;
	struct network_waiting *waiting;
	struct evtimer again;
	uint64_t give_up_ns;
};

int network_init(struct network *n, struct agent *a, struct evloop *l);
void network_done(struct network *n);
/* @req passed network_check(); a copy is kept. Answers @call, perhaps later. */
void network_update(struct network *n, const pb_network *req, struct ttrpc_call *call);
/* A container with a network namespace of its own has come: its interfaces are moved there. */
void network_follow(struct network *n, const struct container *ct);

/* Against limits.h and the fields' ranges; network_check.c. */
int network_check(const pb_network *req, struct err *e);

/* Interfaces whose devices are to go, by the names that they have now, where new devices turn up. */
struct network_gone {
	size_t n;
	char name[AGENT_MAX_INTERFACES][16];
};

/* Makes @next of @was (NULL: nothing). @here: in the namespace that the interfaces are for; @home: where new devices turn
 * up, NULL when that is the same; @netns: of @here, for moving. -EAGAIN: a device is not there yet, and nothing was done. */
int network_set(struct rtn *here, struct rtn *home, int netns, const pb_network *was, const pb_network *next,
		struct network_gone *gone, struct err *e);

#endif
