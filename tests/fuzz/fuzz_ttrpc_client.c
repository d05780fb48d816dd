// SPDX-License-Identifier: Apache-2.0
/* The host parses a guest's ttrpc: bytes in pieces of every size while calls are in flight. The first byte sizes
 * the pieces. */
#include "agent-proto/client/decode.h"
#include "agent-proto/ttrpc/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned open_calls;

static int on_result(void *arg, const struct ttrpc_result *res, struct err *e)
{
	enum agent_method m = (enum agent_method)(uintptr_t)arg;
	struct agent_reply r;

	open_calls--;
	if (res->rc < 0)
		return res->is_local ? 0 : agent_decode_refusal(res->rc, res->message, &r, e);
	return agent_decode(m, res->payload, res->len, NULL, NULL, &r, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ttrpc_client_limits lim = {
		.max_frame = 65536, .max_out = 65536, .max_unpack = 1u << 20, .max_calls = AGENT_METHODS,
	};
	size_t step = size ? data[0] + 1u : 1;
	struct err e = ERR_INIT;
	struct ttrpc_client *c;
	int rc = 0;

	if (ttrpc_client_new(&c, &lim, NULL) < 0)
		return 0;
	open_calls = 0;
	for (uintptr_t m = 0; m < AGENT_METHODS; m++)
		open_calls += ttrpc_client_call(c, "s", "m", NULL, 0, 0, on_result, (void *)m, NULL) == 0;
	for (size_t at = 1; rc == 0 && at < size; at += step)
		rc = ttrpc_client_input(c, data + at, step < size - at ? step : size - at, &e);
	ttrpc_client_fail(c, -EPIPE, "");
	/* Every call has had its one answer. */
	bug_on(open_calls != 0);
	ttrpc_client_free(c);
	return 0;
}
