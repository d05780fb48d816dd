// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "runtime/cli/cli.h"
#include "runtime/container/timeline.h"

static const struct cli_option options[] = {
	CLI_CREATE_OPTIONS,
	{ "detach", "d", CLI_BOOL, offsetof(struct cli_create_values, detach),
	  "detach from the container's process" },
	{ "keep", NULL, CLI_BOOL, offsetof(struct cli_create_values, keep),
	  "do not delete the container after it exits" },
	{ "no-subreaper", NULL, CLI_BOOL, offsetof(struct cli_create_values, no_subreaper),
	  "accepted without effect: no process of the container runs on the host" },
	{ .name = NULL },
};

/* Waits for it; a machine that was lost is told about, and the status is the proxy's all the same. */
static int attend(struct container_made *made, int *ret_status)
{
	struct err why = ERR_INIT;
	int rc = container_attend(made, ret_status, &why);

	if (why.code)
		log_err("%s", why.msg);
	timeline_mark("husk-proxy ended");
	return rc;
}

/* The state is read again only where a hook needs it. */
static int start(const struct cli_global *g, const char *id, struct container_made *made, struct err *e)
{
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	int rc;

	if (!made->start_hooks)
		return container_start(made->sock, NULL, &made->program, e);
	rc = container_open(g->host.root, id, false, &dir, e);
	if (rc == 0)
		rc = container_state_load(dir, &s, e);
	if (rc == 0)
		rc = container_start(made->sock, &s, &made->program, e);
	container_state_done(&s);
	return rc;
}

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
				       .detach = v->detach };
	struct container_made made = CONTAINER_MADE_INIT;
	int status = 0, rc = preserve_descriptors(&fds, v->preserve_fds, true, e);
	struct err failed = ERR_INIT;

	(void)nargs;
	if (rc == 0)
		rc = cli_open_root(g, true, e);
	if (rc < 0)
		return rc;
	container_block_signals();
	rc = container_create(&r, &made, e);
	if (rc == 0) {
		rc = start(g, r.id, &made, e);
		timeline_mark("started");
		if (rc < 0 && container_delete(&g->host, r.id, true, &failed) < 0)
			log_err("%s", failed.msg);
	}
	if (rc < 0) {
		container_leave(&made);
		if (!made.program)
			return rc;
		log_err("run failed: %s", e->msg);
		return made.program;
	}
	if (v->detach) {
		container_leave(&made);
		return 0;
	}
	rc = attend(&made, &status);
	if (!v->keep && container_delete(&g->host, r.id, true, &failed) < 0)
		log_err("%s", failed.msg);
	timeline_mark("deleted");
	return rc < 0 ? rc : status;
}

const struct cli_command cli_run = {
	.name = "run",
	.usage = "<container-id>",
	.summary = "create and run a container",
	.description = "   The run command does what create and start do, waits for the "
		       "container's process to\n"
		       "end, deletes the container, and ends with the process's exit status (128 "
		       "and its number for a\n"
		       "signal; 127 when there is no such program, 126 when it cannot be run).\n",
	.options = options,
	.values_size = sizeof(struct cli_create_values),
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.prefix = "run failed",
	.run = run,
};
