// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/cli.h"

static int pause_run(struct cli_global *g, const void *values, char **args, int nargs,
		     struct err *e)
{
	int rc = cli_open_root(g, false, e);

	(void)values;
	(void)nargs;
	return rc < 0 ? rc : container_pause(&g->host, args[0], e);
}

static int resume_run(struct cli_global *g, const void *values, char **args, int nargs,
		      struct err *e)
{
	int rc = cli_open_root(g, false, e);

	(void)values;
	(void)nargs;
	return rc < 0 ? rc : container_resume(&g->host, args[0], e);
}

const struct cli_command cli_pause = {
	.name = "pause",
	.usage = "<container-id>",
	.summary = "pause suspends all processes inside the container",
	.description = "   Nothing of the container runs until it is resumed, killed with SIGKILL or "
		       "deleted with\n"
		       "--force; other signals wait for its resumption.\n",
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = pause_run,
};

const struct cli_command cli_resume = {
	.name = "resume",
	.usage = "<container-id>",
	.summary = "resumes all processes that have been previously paused",
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = resume_run,
};
