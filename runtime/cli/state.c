// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/cli/cli.h"

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	struct buf text = BUF_INIT(2 * CONTAINER_STATE_MAX);
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	struct json_w w;
	int rc = cli_find(g, args[0], &dir, &s, e);

	(void)values;
	(void)nargs;
	if (rc < 0)
		return rc;
	jw_init(&w, &text, true);
	container_state_print(&w, &s, s.status, "");
	rc = jw_done(&w) ? io_write_full(STDOUT_FILENO, text.data, text.len) : -ENOMEM;
	buf_free(&text);
	container_state_done(&s);
	return rc < 0 ? err_errno(e, -rc, "cannot write the state") : 0;
}

const struct cli_command cli_state = {
	.name = "state",
	.usage = "<container-id>",
	.summary = "output the state of a container",
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = run,
};
