// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/group.h"
#include "runtime/container/hooks.h"
#include "runtime/container/id.h"
#include "runtime/container/join.h"
#include "runtime/host/sock.h"
#include "runtime/proxy/client.h"

#define KILL_TIMEOUT_MS  10000
/* For the agent to end a container in good order. */
#define ORDER_TIMEOUT_MS 4000
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

int container_program_status(int rc)
{
	return rc == -ENOENT ? 127 : rc == -EACCES ? 126 : 0;
}

int container_destroy(const struct container_host *h, int dir, const char *id,
		      const struct container_state *s, struct err *e)
{
	const char *name = s->sandbox ? s->sandbox : id;
	_cleanup_close_ int lock = -1;
	int rc = proc_kill(&s->proxy, KILL_TIMEOUT_MS);

	if (rc < 0)
		return err_errno(e, -rc, "husk-proxy (process %d) does not end", s->proxy.pid);
	rc = sandbox_end_net(&s->net, e);
	if (rc == 0)
		rc = join_leave(h, id, name, s, &lock, e);
	if (rc == 0)
		rc = sandbox_remove(h->root, name, lock, KILL_TIMEOUT_MS, e);
	if (rc >= 0)
		rc = group_remove(s, id, KILL_TIMEOUT_MS, e);
	return rc < 0 ? rc : container_remove_dir(h->root, id, dir, e);
}

/* The guest writes back: without the proxy its machine would end in the middle of that. */
static bool is_writing(const struct container_state *s)
{
	struct proc_info info;

	return proc_alive(&s->proxy, &info) > 0 && strcmp(info.comm, PROXY_COMM_AWAY) == 0;
}

/* Asks for a SIGKILL by the ordinary way, and waits for the ordinary end. */
static void end_in_order(int dir, const struct container_state *s, enum container_status status)
{
	_cleanup_close_ int pidfd = proc_open(&s->proxy);
	_cleanup_close_ int sock = -1;
	struct err e = ERR_INIT;

	if (pidfd < 0)
		return;
	if (status != CONTAINER_STOPPED &&
	    (container_proxy(dir, &sock, &e) < 0 ||
	     proxy_signal(sock, SIGKILL, true, ORDER_TIMEOUT_MS, &e) < 0)) {
		log_debug("%s", e.msg);
		return;
	}
	if (proc_wait_end(pidfd, ORDER_TIMEOUT_MS) < 0 &&
	    (!is_writing(s) || proc_wait_end(pidfd, AWAY_TIMEOUT_MS) < 0))
		log_debug("husk-proxy does not end by itself");
}

int container_delete(const struct container_host *h, const char *id, bool force, struct err *e)
{
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	enum container_status status;
	int rc = container_id_check(id, e);

	if (rc == 0)
		rc = container_open(h->root, id, true, &dir, e);
	if (rc == -ENOENT && force)
		return 0;
	if (rc < 0)
		return rc;
	rc = container_state_load(dir, &s, e);
	/* As with runc, a folder in which nothing was noted yet goes, and is no container all the same. */
	if (rc == -ENOENT && !force) {
		rc = container_destroy(h, dir, id, &s, e);
		return rc < 0 ? rc : err_set(e, ENOENT, "container does not exist");
	}
	/* A killed command left a folder without a state, or something else wrote into it. Without it a container's group and
	 * machine are not found: only where there is none to be had. */
	if (rc < 0 && (!force || io_may_work_later(rc)))
		return rc;
	rc = container_status(-1, &s, &status, e);
	if (rc < 0) /* what cannot be told lives, and is ended where that is wanted */
		status = CONTAINER_RUNNING;
	else if ((status == CONTAINER_RUNNING || status == CONTAINER_PAUSED) && !force)
		rc = err_set(e, EBUSY, "cannot delete container %s that is not stopped: %s", id,
			     container_status_name(status));
	if (rc == 0 || force) {
		end_in_order(dir, &s, status);
		rc = container_destroy(h, dir, id, &s, e);
		if (rc == 0)
			hooks_poststop(&s);
	}
	container_state_done(&s);
	return rc;
}
