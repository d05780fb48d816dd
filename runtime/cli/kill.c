// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stddef.h>

#include "lib/cleanup.h"
#include "runtime/cli/cli.h"
#include "runtime/container/signame.h"
#include "runtime/proxy/client.h"

#define HURRY_TIMEOUT_MS 1000

struct values {
	bool all;
};

static const struct cli_option options[] = {
	{ "all", "a", CLI_BOOL, offsetof(struct values, all),
	  "send the specified signal to all processes inside the container" },
	{ .name = NULL },
};

static int send_signal(int dir, const struct container_state *s, int signo, bool all, struct err *e)
{
	_cleanup_close_ int sock = -1;
	int rc = container_proxy(dir, &sock, e);

	if (rc < 0)
		return rc;
	if (signo == 0)
		return 0;
	return container_signal(sock, s, signo, all, e);
}

/* Its process has ended, and its proxy may be waiting for a reader who stands still. */
static void hurry(int dir)
{
	_cleanup_close_ int sock = -1;

	if (container_proxy(dir, &sock, NULL) == 0)
		proxy_signal(sock, SIGKILL, false, HURRY_TIMEOUT_MS, NULL);
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	int signo, rc = cli_find(g, args[0], &dir, &s, e);

	if (rc < 0)
		return rc;
	signo = signal_by_name(nargs > 1 && *args[1] ? args[1] : "SIGTERM", e);
	if (signo < 0)
		rc = signo;
	else if (container_status_lives(s.status))
		rc = send_signal(dir, &s, signo, v->all, e);
	/* All of the processes of a container that has none have been told, says runc. */
	else if (!v->all)
		rc = err_set(e, ESRCH, "container not running");
	if (signo == SIGKILL && s.status == CONTAINER_STOPPED)
		hurry(dir);
	container_state_done(&s);
	return rc;
}

const struct cli_command cli_kill = {
	.name = "kill",
	.usage = "<container-id> [signal]",
	.summary = "kill sends the specified signal (default: SIGTERM) to the container's init "
		   "process",
	.description = "   A signal is a name (TERM, SIGTERM, RTMIN+3) or a number.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = 2,
	.failure = 1,
	.run = run,
};
