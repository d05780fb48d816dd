// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>

#include "runtime/cli/cli.h"
#include "runtime/container/timeline.h"

static const struct cli_option options[] = {
	{ "bundle", "b", CLI_STRING, offsetof(struct cli_create_values, bundle),
	  "path to the root of the bundle directory, defaults to the current directory" },
	{ "console-socket", NULL, CLI_STRING, offsetof(struct cli_create_values, console_socket),
	  "path to an AF_UNIX socket which will receive a file descriptor "
	  "referencing the master end of the console's pseudoterminal" },
	{ "pid-file", NULL, CLI_STRING, offsetof(struct cli_create_values, pid_file),
	  "specify the file to write the process id to" },
	{ "no-pivot", NULL, CLI_BOOL, offsetof(struct cli_create_values, no_pivot),
	  "accepted without effect: the container's root is pivoted into inside its machine" },
	{ "no-new-keyring", NULL, CLI_BOOL, offsetof(struct cli_create_values, no_new_keyring),
	  "accepted without effect: the host's keyrings do not reach into the machine" },
	{ "preserve-fds", NULL, CLI_INT, offsetof(struct cli_create_values, preserve_fds),
	  "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total): "
	  "pipes and connected stream sockets (default: 0)" },
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
