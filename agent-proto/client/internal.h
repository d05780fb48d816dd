/* SPDX-License-Identifier: Apache-2.0 */
/* Between client.c (connection) and calls.c (what can be asked). */
#ifndef AGENT_PROTO_CLIENT_INTERNAL_H
#define AGENT_PROTO_CLIENT_INTERNAL_H

#include <protobuf-c/protobuf-c.h>

#include "agent-proto/client/decode.h"
#include "agent-proto/proto/agent.pb-c.h"

struct agent_ask {
	enum agent_method method;
	unsigned timeout_ms; /* 0: none */
	agent_reply_fn *fn;
	agent_ps_fn *each;
	void *arg;
};

/* decode_stats.c: 0 or -EPROTO. */
int agent_take_stats(const Husk__Agent__V1__StatsResponse *m, struct agent_stats *ret,
		     struct err *e);

/* Sends a request that is packed already. */
int agent_ask_packed(struct agent_client *c, const struct agent_ask *ask, const void *req,
		     size_t len, struct err *e);
int agent_ask_message(struct agent_client *c, const struct agent_ask *ask,
		      const ProtobufCMessage *msg, struct err *e);

#endif
