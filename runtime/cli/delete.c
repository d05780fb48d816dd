// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>

#include "runtime/cli/cli.h"

struct values {
	bool force;
};

static const struct cli_option options[] = {
	{ "force", "f", CLI_BOOL, offsetof(struct values, force),
	  "Forcibly deletes the container if it is still running (uses SIGKILL)" },
	{ .name = NULL },
};

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	int rc = cli_open_root(g, false, e);

	(void)nargs;
	if (rc == 0)
		return container_delete(&g->host, args[0], v->force, e);
	return rc == -ENOENT && v->force ? 0 : rc;
}

const struct cli_command cli_delete = {
	.name = "delete",
	.usage = "<container-id>",
	.summary = "delete any resources held by the container often used with detached container",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = run,
};
