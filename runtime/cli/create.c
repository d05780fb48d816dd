// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>

#include "runtime/cli/cli.h"
#include "runtime/container/timeline.h"

static const struct cli_option options[] = {
	CLI_CREATE_OPTIONS,
	{ .name = NULL },
};

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct cli_create_values *v = values;
	struct preserved fds;
	struct container_request r = { .host = &g->host,
				       .preserved = &fds,
				       .id = args[0],
				       .bundle = v->bundle,
				       .pid_file = v->pid_file,
				       .console_socket = v->console_socket,
				       .detach = true };
	struct container_made made = CONTAINER_MADE_INIT;
	int rc = preserve_descriptors(&fds, v->preserve_fds, true, e);

	(void)nargs;
	if (rc == 0)
		rc = cli_open_root(g, true, e);
	if (rc == 0)
		rc = container_create(&r, &made, e);
	if (rc == 0)
		container_leave(&made);
	return rc;
}

const struct cli_command cli_create = {
	.name = "create",
	.usage = "<container-id>",
	.summary = "create a container",
	.description = "   The create command starts a virtual machine for the bundle and makes "
		       "the container\n"
		       "in it, up to the start of its process. <container-id> must be unique on "
		       "the host. The\n"
		       "pid written to the pid file is that of the process which stands for the "
		       "container's own on\n"
		       "the host.\n",
	.options = options,
	.values_size = sizeof(struct cli_create_values),
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.prefix = "create failed",
	.run = run,
};
