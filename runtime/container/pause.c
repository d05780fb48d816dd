// SPDX-License-Identifier: Apache-2.0
/*
 * Pausing. The container's processes are frozen in the guest; the machine's processors are not stopped: an idle guest
 * halts them by itself, and the agent must go on answering kill, ps and delete. That it is paused is
 * the proxy's word (its name), so there is nothing that a husk killed in between could leave half done.
 */
#include "lib/cleanup.h"
#include "runtime/container/create_internal.h"
#include "runtime/proxy/client.h"

static int ask(const struct container_host *h, const char *id, enum proxy_cmd cmd, struct err *e)
{
	static const char none[] = "container not running", running[] = "container not paused";
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int sock = -1;
	enum container_status status;
	struct proc_id proxy;
	int rc = container_find(h->root, id, &dir, &s, e);

	if (rc < 0)
		return rc;
	status = s.status;
	proxy = s.proxy;
	container_state_done(&s);
	if (cmd == PROXY_RESUME && status != CONTAINER_PAUSED)
		return err_set(e, EBUSY, running);
	if (cmd == PROXY_PAUSE && status != CONTAINER_RUNNING && status != CONTAINER_CREATED)
		return err_set(e, EBUSY, none);
	rc = container_proxy(dir, &sock, e);
	if (rc == 0)
		rc = proxy_call(sock, cmd, NULL, CALL_TIMEOUT_MS, e);
	return rc == -EPIPE ? container_hung_up(&proxy, e) : rc;
}

int container_pause(const struct container_host *h, const char *id, struct err *e)
{
	return ask(h, id, PROXY_PAUSE, e);
}

int container_resume(const struct container_host *h, const char *id, struct err *e)
{
	return ask(h, id, PROXY_RESUME, e);
}
