/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's answers, from packed bytes to checked fixed-size structs. A pure function of its input; for
 * client/ and its tests.
 */
#ifndef AGENT_PROTO_CLIENT_DECODE_H
#define AGENT_PROTO_CLIENT_DECODE_H

#include "agent-proto/client/client.h"

enum agent_method {
	AGENT_HELLO,
	AGENT_CREATE,
	AGENT_START,
	AGENT_EXEC,
	AGENT_SIGNAL,
	AGENT_WAIT,
	AGENT_RESIZE,
	AGENT_LIST,
	AGENT_DELETE,
	AGENT_PAUSE,
	AGENT_RESUME,
	AGENT_STATS,
	AGENT_WAIT_OOM,
	AGENT_UPDATE,
	AGENT_DISKS,
	AGENT_NETWORK,
	AGENT_ACCEPT_SOCKET,
	AGENT_CHANGE_MOUNT,
	AGENT_METHODS
};

/* Fills *ret (rc = 0), or -EPROTO with what is wrong. @each: for AGENT_LIST, called only when the whole answer is
 * good. */
int agent_decode(enum agent_method m, const uint8_t *payload, size_t len, agent_ps_fn *each,
		 void *arg, struct agent_reply *ret, struct err *e);
/* A refusal: @rc and the agent's own words (NUL-terminated). -EPROTO when they are too long. */
int agent_decode_refusal(int rc, const char *message, struct agent_reply *ret, struct err *e);

#endif
