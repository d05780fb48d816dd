// SPDX-License-Identifier: Apache-2.0
#include <limits.h>

#include "runtime/container/create_internal.h"
#include "runtime/container/hooks.h"
#include "runtime/proxy/client.h"

/* What the proxy waits for the agent, and a bit. */
static int timeout_ms(const struct container_state *s)
{
	uint32_t ms = s ? hooks_start_timeout(&s->hooks) : 0;

	if (!ms)
		return CALL_TIMEOUT_MS;
	return ms > INT_MAX - CALL_TIMEOUT_MS ? INT_MAX : (int)ms + CALL_TIMEOUT_MS;
}

int container_start(int sock, const struct container_state *s, int *ret_program, struct err *e)
{
	int rc = proxy_call(sock, PROXY_START, NULL, timeout_ms(s), e);

	*ret_program = container_program_status(rc);
	if (rc == -ESRCH)
		return err_set(e, ESRCH, "cannot start a container that has stopped");
	if (rc == 0 && s)
		hooks_after(s, OCI_POSTSTART);
	return rc;
}
