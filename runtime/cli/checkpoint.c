// SPDX-License-Identifier: Apache-2.0
/* What runc does with CRIU. The options are read, so that a caller learns that the command, not its spelling, is
 * what there is not. */
#include <stddef.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/cli/cli.h"

/* Nothing is kept of any of them. */
struct values {
	const char *text;
	bool flag;
	int number;
};

#define TEXT(name)   { name, NULL, CLI_STRING, offsetof(struct values, text), "read, without effect" }
#define FLAG(name)   { name, NULL, CLI_BOOL, offsetof(struct values, flag), "read, without effect" }
#define NUMBER(name) { name, NULL, CLI_INT, offsetof(struct values, number), "read, without effect" }

static const struct cli_option checkpoint_options[] = {
	TEXT("image-path"),	 TEXT("work-path"),	  TEXT("parent-path"),
	FLAG("leave-running"),	 FLAG("tcp-established"), FLAG("ext-unix-sk"),
	FLAG("shell-job"),	 FLAG("lazy-pages"),	  NUMBER("status-fd"),
	TEXT("page-server"),	 FLAG("file-locks"),	  FLAG("pre-dump"),
	TEXT("manage-cgroups-mode"), TEXT("empty-ns"),	  FLAG("auto-dedup"),
	{ .name = NULL },
};

static const struct cli_option restore_options[] = {
	TEXT("console-socket"),	 TEXT("image-path"),	  TEXT("work-path"),
	FLAG("tcp-established"), FLAG("ext-unix-sk"),	  FLAG("shell-job"),
	FLAG("file-locks"),	 TEXT("manage-cgroups-mode"),
	{ "bundle", "b", CLI_STRING, offsetof(struct values, text), "read, without effect" },
	{ "detach", "d", CLI_BOOL, offsetof(struct values, flag), "read, without effect" },
	TEXT("pid-file"),	 FLAG("no-subreaper"),	  FLAG("no-pivot"),
	TEXT("empty-ns"),	 FLAG("auto-dedup"),	  FLAG("lazy-pages"),
	TEXT("lsm-profile"),	 TEXT("lsm-mount-context"),
	{ .name = NULL },
};

static int checkpoint_run(struct cli_global *g, const void *values, char **args, int nargs,
			  struct err *e)
{
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	int rc = cli_find(g, args[0], &dir, &s, e);

	(void)values;
	(void)nargs;
	if (rc < 0)
		return rc;
	container_state_done(&s);
	return err_set(e, ENOTSUP,
		       "checkpoint is not supported: the processes are in a virtual machine, where "
		       "CRIU does not reach them");
}

static int restore_run(struct cli_global *g, const void *values, char **args, int nargs,
		       struct err *e)
{
	(void)g;
	(void)values;
	(void)args;
	(void)nargs;
	return err_set(e, ENOTSUP,
		       "restore is not supported: a checkpoint of CRIU's holds processes, and no "
		       "virtual machine");
}

const struct cli_command cli_checkpoint = {
	.name = "checkpoint",
	.usage = "<container-id>",
	.summary = "refused: processes in a virtual machine cannot be checkpointed by CRIU",
	.options = checkpoint_options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = checkpoint_run,
};

const struct cli_command cli_restore = {
	.name = "restore",
	.usage = "<container-id>",
	.summary = "refused, as checkpoint is",
	.options = restore_options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = restore_run,
};
