// SPDX-License-Identifier: Apache-2.0
/* The console of a container's machine. Whoever asks is given a socket; what a guest says is bytes that are passed on. */
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "runtime/container/create_internal.h"

/* A connection to the machine of a container in any state that has one. */
static int find_machine(const struct container_host *h, const char *id, int *ret_sock, struct err *e)
{
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	int rc = container_find(h->root, id, &dir, &s, e);

	if (rc < 0)
		return rc;
	if (s.status == CONTAINER_STOPPED)
		rc = err_set(e, ESRCH, "container not running");
	else
		rc = sandbox_connect(h->root, s.sandbox, ret_sock, e);
	container_state_done(&s);
	return rc;
}

int container_console(const struct container_host *h, const char *id, bool once, bool *input, int *ret_sock, struct err *e)
{
	struct ncl *machine = NULL;
	int sock = -1, pair[2], rc;

	rc = find_machine(h, id, &sock, e);
	if (rc < 0)
		return rc;
	rc = ncl_new(&machine, sock, e);
	if (rc < 0) {
		close(sock);
		return rc;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		rc = err_errno(e, errno, "socketpair");
		ncl_free(machine);
		return rc;
	}
	rc = ncl_console(machine, pair[1], *input ? pair[1] : -1, once, CALL_TIMEOUT_MS, e);
	if (rc == -EEXIST) {
		*input = false;
		rc = ncl_console(machine, pair[1], -1, once, CALL_TIMEOUT_MS, e);
	}
	close(pair[1]);
	ncl_free(machine);
	if (rc < 0)
		close(pair[0]);
	else
		*ret_sock = pair[0];
	return rc;
}
