// SPDX-License-Identifier: Apache-2.0
#include "lib/cleanup.h"
#include "runtime/cli/cli.h"

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int sock = -1;
	int program, rc = cli_find(g, args[0], &dir, &s, e);

	(void)values;
	(void)nargs;
	if (rc < 0)
		return rc;
	switch (s.status) {
	case CONTAINER_CREATED:
		rc = container_proxy(dir, &sock, e);
		if (rc == 0)
			rc = container_start(sock, &s, &program, e);
		break;
	case CONTAINER_STOPPED:
		rc = err_set(e, ESRCH, "cannot start a container that has stopped");
		break;
	case CONTAINER_RUNNING:
		rc = err_set(e, EBUSY, "cannot start an already running container");
		break;
	case CONTAINER_PAUSED:
	case CONTAINER_CREATING:
		rc = err_set(e, EBUSY, "cannot start a container in the %s state",
			     container_status_name(s.status));
		break;
	}
	container_state_done(&s);
	return rc;
}

const struct cli_command cli_start = {
	.name = "start",
	.usage = "<container-id>",
	.summary = "executes the user defined process in a created container",
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = run,
};
