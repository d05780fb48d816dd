// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/agentliar.h"

#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/proto/ttrpc.pb-c.h"
#include "agent-proto/ttrpc/frame.h"
#include "lib/io.h"
#include "tests/unit/check.h"

#define MAX_SAID 4096

static void on_dead(void *arg, int rc, const struct err *e)
{
	struct agentliar *w = arg;

	assert_int_equal(rc, -e->code);
	w->dead++;
	w->why = *e;
}

void liar_reply(void *arg, const struct agent_reply *r)
{
	struct agentliar *w = arg;

	w->replies++;
	w->last = *r;
	if (w->free_in_reply) {
		agent_client_free(w->c);
		w->c = NULL;
	}
}

void liar_new(struct agentliar *w)
{
	int ends[2];

	memset(w, 0, sizeof(*w));
	assert_int_equal(evloop_new(&w->l, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	w->guest = ends[0];
	assert_int_equal(agent_client_new(&w->c, w->l, ends[1], on_dead, w, NULL), 0);
}

void liar_free(struct agentliar *w)
{
	agent_client_free(w->c);
	evloop_free(w->l);
	if (w->guest >= 0)
		close(w->guest);
}

void liar_turn(struct agentliar *w)
{
	for (int i = 0; i < 5; i++)
		assert_int_equal(evloop_turn(w->l, 5), 0);
}

size_t liar_frame(uint8_t *at, uint32_t stream, int32_t code, const char *text, const void *payload, size_t len)
{
	uint8_t bytes[MAX_SAID];
	char words[MAX_SAID];
	Ttrpc__Response m;
	Ttrpc__Status st;
	size_t n;

	if (len > sizeof(bytes) || strlen(text) >= sizeof(words))
		abort();
	ttrpc__response__init(&m);
	ttrpc__status__init(&st);
	memcpy(bytes, payload, len);
	strcpy(words, text);
	st.code = code;
	st.message = words;
	m.status = &st;
	m.payload.data = bytes;
	m.payload.len = len;
	n = ttrpc__response__pack(&m, at + TTRPC_HEADER);
	ttrpc_put_header(at, (uint32_t)n, stream, TTRPC_RESPONSE, 0);
	return TTRPC_HEADER + n;
}

void liar_say(struct agentliar *w, uint32_t stream, int32_t code, const char *text, const void *payload, size_t len)
{
	uint8_t frame[2 * MAX_SAID + 64];
	size_t n = liar_frame(frame, stream, code, text, payload, len);

	assert_int_equal(io_write_full(w->guest, frame, n), 0);
}

void liar_head(struct agentliar *w, uint32_t len, uint32_t stream, uint8_t type)
{
	uint8_t head[TTRPC_HEADER];

	ttrpc_put_header(head, len, stream, type, 0);
	assert_int_equal(io_write_full(w->guest, head, sizeof(head)), 0);
}
