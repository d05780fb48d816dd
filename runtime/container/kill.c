// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "runtime/container/create_internal.h"
#include "runtime/proxy/client.h"

/* For one that is ending to be gone, or to say by its name that its container is. */
#define END_TIMEOUT_MS 1000

int container_hung_up(const struct proc_id *proxy, struct err *e)
{
	struct container_state s = { .proxy = *proxy };
	_cleanup_close_ int pidfd = proc_open(proxy);
	enum container_status status;
	int rc;

	if (pidfd >= 0)
		proc_wait_end(pidfd, END_TIMEOUT_MS);
	rc = container_status(-1, &s, &status, e);
	if (rc < 0)
		return rc;
	return container_status_lives(status) ? err_set(e, EBUSY, "husk-proxy has as many clients as it takes") :
						err_set(e, ESRCH, "container not running");
}

int container_signal(int sock, const struct container_state *s, int signo, bool all, struct err *e)
{
	int rc = proxy_signal(sock, signo, all, CALL_TIMEOUT_MS, e);

	/* It may have ended while it was being told. In the words that callers know. */
	if (rc == -ESRCH || (rc == -EPIPE && proc_alive(&s->proxy, NULL) == 0))
		return signo == SIGKILL && rc == -EPIPE ? 0 : err_set(e, ESRCH, "container not running");
	if (rc == -EPIPE && signo != SIGKILL)
		return container_hung_up(&s->proxy, e);
	/* One that must not live on does not depend on its guest's goodwill: without its proxy the machine ends. */
	if (rc < 0 && signo == SIGKILL) {
		log_debug("%s; ending the machine", e->msg);
		return proc_kill(&s->proxy, CALL_TIMEOUT_MS);
	}
	return rc;
}
