/* SPDX-License-Identifier: Apache-2.0 */
/* The host's end of the agent protocol before an agent that says whatever a test writes for it. */
#ifndef TESTS_LIB_AGENTLIAR_H
#define TESTS_LIB_AGENTLIAR_H

#include "agent-proto/client/client.h"

struct agentliar {
	struct evloop *l;
	struct agent_client *c;
	int guest; /* the lying agent's end, -1: closed */
	unsigned replies, dead;
	struct agent_reply last;
	struct err why; /* of the death */
	bool free_in_reply;
};

void liar_new(struct agentliar *w);
void liar_free(struct agentliar *w);
/* Some turns of the loop: what was said is heard. */
void liar_turn(struct agentliar *w);
/* A reply for the calls of client.h: counts, keeps the last. */
void liar_reply(void *arg, const struct agent_reply *r);

/* An answer on @stream with @payload; @code other than 0 refuses, with @text. At most 4096 bytes of each. */
void liar_say(struct agentliar *w, uint32_t stream, int32_t code, const char *text, const void *payload, size_t len);
/* The same as bytes: returns their number. */
size_t liar_frame(uint8_t *at, uint32_t stream, int32_t code, const char *text, const void *payload, size_t len);
/* A header alone. */
void liar_head(struct agentliar *w, uint32_t len, uint32_t stream, uint8_t type);

#endif
