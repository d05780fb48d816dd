/* SPDX-License-Identifier: Apache-2.0 */
/* One control connection of the host's. */
#ifndef AGENT_PROTO_AGENT_CONN_H
#define AGENT_PROTO_AGENT_CONN_H

#include "agent-proto/ttrpc/server.h"

struct agent;
struct conn;

/* Takes @fd in any case; closes it when there are too many or no memory. */
void conn_accept(struct agent *a, int fd);
/* Ends it and what it made. */
void conn_close(struct conn *c);
struct agent *conn_agent(const struct conn *c);

/* The calls (service.c); their context is the struct conn. */
extern const struct ttrpc_method agent_methods[];

#endif
