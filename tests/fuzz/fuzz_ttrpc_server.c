// SPDX-License-Identifier: Apache-2.0
/* The agent's end: requests of any bytes, unpacked and checked as the agent does it. */
#include "agent-proto/agent/check.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/ttrpc/arena.h"
#include "agent-proto/ttrpc/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ttrpc_call *kept;

static void cancel(struct ttrpc_call *call)
{
	ttrpc_reply(call, NULL);
}

static void request(void *ctx, struct ttrpc_call *call, const uint8_t *payload, size_t len)
{
	struct arena a;
	struct err e = ERR_INIT;
	void *m;
	int rc = -EINVAL;

	arena_init(&a, 1u << 20);
	if (*(const char *)ctx == 'e') {
		m = husk__agent__v1__exec_request__unpack(&a.pb, len, payload);
		rc = m ? check_exec(m, &e) : rc;
	} else if (*(const char *)ctx == 'm') {
		m = husk__agent__v1__change_mount_request__unpack(&a.pb, len, payload);
		rc = m ? check_change_mount(m, &e) : rc;
	} else {
		m = husk__agent__v1__create_container_request__unpack(&a.pb, len, payload);
		rc = m ? check_create(m, &e) : rc;
	}
	arena_free(&a);
	if (rc == 0 && !kept) { /* one is answered late, or never */
		kept = call;
		call->cancel = cancel;
	} else if (rc == 0) {
		ttrpc_reply(call, NULL);
	} else {
		ttrpc_reply_err(call, rc, e.msg);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ttrpc_method methods[] = { { "s", "m", request }, { NULL, NULL, NULL } };
	static char kind[4][2] = { "c", "e", "m", "c" };
	struct ttrpc_server_config cfg = { .methods = methods,
					   .ctx = kind[size ? data[0] & 3 : 0],
					   .max_frame = 65536,
					   .max_out = 65536,
					   .max_unpack = 1u << 20,
					   .max_calls = 4 };
	size_t step = size ? (data[0] >> 1) + 1u : 1;
	struct ttrpc_server *s;
	int rc = 0;

	kept = NULL;
	if (ttrpc_server_new(&s, &cfg, NULL) < 0)
		return 0;
	for (size_t at = 1; rc == 0 && at < size; at += step)
		rc = ttrpc_server_input(s, data + at, step < size - at ? step : size - at, NULL);
	ttrpc_server_free(s);
	return 0;
}
