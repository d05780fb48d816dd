// SPDX-License-Identifier: Apache-2.0
/* A container's end, as far as its proxy sees to it: what the guest has not written back yet is lost with the proxy. */
#include <signal.h>
#include <string.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "runtime/container/create_internal.h"
#include "runtime/host/sock.h"
#include "runtime/proxy/client.h"

/* For the agent to end a container in good order, and for its last output to be read. */
#define ORDER_TIMEOUT_MS 4000
/* For a proxy that is to give that output up; it does so at once, where it gets the processor. */
#define GIVE_UP_TIMEOUT_MS 2000
#define LOOK_MS		   10
/* For what its files hold to be written back: the proxy has less, and gives up earlier where the agent does not answer. */
#define AWAY_TIMEOUT_MS (AGENT_DELETE_MS + 15000)

int container_proxy(int dir, int *ret_sock, struct err *e)
{
	int rc = sock_connect(dir, CONTAINER_PROXY_SOCK, ret_sock);

	/* No listener: the proxy has gone, or goes. */
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return err_set(e, ESRCH, "container not running");
	return rc < 0 ? err_errno(e, -rc, "cannot reach husk-proxy") : 0;
}

/* The guest writes back: without the proxy its machine would end in the middle of that. */
static bool is_writing(const struct container_state *s)
{
	struct proc_info info;

	return proc_alive(&s->proxy, &info) > 0 && strcmp(info.comm, PROXY_COMM_AWAY) == 0;
}

/* Its process is to end, if it has not, and after that a reader who stands still is waited for no more. False: there is no
 * hope of either. */
static bool ask(int dir, const struct container_state *s, enum container_status status)
{
	_cleanup_close_ int sock = -1;
	struct err e = ERR_INIT;
	int rc;

	if (is_writing(s))
		return true;
	rc = container_proxy(dir, &sock, &e);
	if (rc == 0)
		rc = proxy_signal(sock, SIGKILL, true, ORDER_TIMEOUT_MS, &e);
	/* ESRCH, EPIPE: it has ended by itself, be it only just now. */
	if (rc == 0 || rc == -ESRCH || rc == -EPIPE || status == CONTAINER_STOPPED)
		return true;
	log_debug("%s", e.msg);
	return false;
}

/* The output that is left is given up now, also where it is being read. True: the guest writes back then, or all is over. */
static bool give_up_output(int pidfd, const struct container_state *s)
{
	proc_signal(pidfd, SIGTERM);
	for (int ms = 0; ms < GIVE_UP_TIMEOUT_MS; ms += LOOK_MS)
		if (is_writing(s) || proc_wait_end(pidfd, LOOK_MS) == 0)
			return true;
	return false;
}

void container_end_in_order(int dir, const struct container_state *s, enum container_status status)
{
	_cleanup_close_ int pidfd = proc_open(&s->proxy);

	if (pidfd < 0 || !ask(dir, s, status))
		return;
	if (proc_wait_end(pidfd, ORDER_TIMEOUT_MS) == 0)
		return;
	if ((!is_writing(s) && !give_up_output(pidfd, s)) || proc_wait_end(pidfd, AWAY_TIMEOUT_MS) < 0)
		log_debug("husk-proxy does not end by itself");
}
