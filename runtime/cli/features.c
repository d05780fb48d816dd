// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/cli/cli.h"
#include "runtime/oci/features.h"

struct values {
	bool table;
};

static const struct cli_option options[] = {
	{ "table", NULL, CLI_BOOL, offsetof(struct values, table),
	  "instead, a table in Markdown of what becomes of each field of config.json" },
	{ .name = NULL },
};

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	struct buf out = BUF_INIT(1u << 20);
	int rc = v->table ? oci_features_markdown(&out) : oci_features_json(&out);

	(void)g;
	(void)args;
	(void)nargs;
	if (rc == 0)
		rc = io_write_full(STDOUT_FILENO, out.data, out.len);
	buf_free(&out);
	return rc < 0 ? err_errno(e, -rc, "cannot write the features") : 0;
}

const struct cli_command cli_features = {
	.name = "features",
	.usage = "",
	.summary = "show what is supported",
	.description = "   Writes the features document of the specification (features.md) as JSON. It holds "
		       "for any host; what\n"
		       "   this host can do is told by husk doctor.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 0,
	.max_args = 0,
	.failure = 1,
	.run = run,
};
