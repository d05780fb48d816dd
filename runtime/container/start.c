// SPDX-License-Identifier: Apache-2.0
#include <limits.h>
#include <signal.h>

#include "agent-proto/proto/limits.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/hooks.h"
#include "runtime/proxy/client.h"

/* What the proxy waits for the agent, and a bit. */
static int timeout_ms(const struct container_state *s)
{
	uint32_t ms = s ? hooks_start_timeout(&s->hooks) : AGENT_START_DEADLINE_MS;

	return ms > INT_MAX - CALL_TIMEOUT_MS ? INT_MAX : (int)ms + CALL_TIMEOUT_MS;
}

int container_start(int sock, const struct container_state *s, int *ret_program, struct err *e)
{
	struct err ignored = ERR_INIT;
	int rc = proxy_call(sock, PROXY_START, NULL, timeout_ms(s), e);

	*ret_program = container_program_status(rc);
	if (rc == -ESRCH)
		return err_set(e, ESRCH, "cannot start a container that has stopped");
	if (rc < 0 || !s)
		return rc;
	rc = hooks_poststart(s, e);
	/* It is left to be deleted, which runs the poststop hooks. */
	if (rc < 0)
		container_signal(sock, s, SIGKILL, true, &ignored);
	return rc;
}
