// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/cli/cli.h"

struct values {
	const char *bundle;
	bool rootless;
};

static const struct cli_option options[] = {
	{ "bundle", "b", CLI_STRING, offsetof(struct values, bundle),
	  "path to the root of the bundle directory" },
	{ "rootless", NULL, CLI_BOOL, offsetof(struct values, rootless),
	  "generate a configuration for a rootless container" },
	{ .name = NULL },
};

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	const char *dir = v->bundle && *v->bundle ? v->bundle : ".";
	struct buf text = BUF_INIT(1 << 20);
	_cleanup_close_ int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	int rc;

	(void)g;
	(void)args;
	(void)nargs;
	if (dirfd < 0)
		return err_errno(e, errno, "chdir %s", dir);
	fd = openat(dirfd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return err_set(e, EEXIST, "File config.json exists. Remove it first");
	if (fd < 0)
		return err_errno(e, errno, "config.json");
	rc = oci_default_spec(&text, v->rootless);
	if (rc == 0)
		rc = io_write_full(fd, text.data, text.len);
	buf_free(&text);
	if (rc < 0) {
		unlinkat(dirfd, "config.json", 0);
		return err_errno(e, -rc, "cannot write config.json");
	}
	return 0;
}

const struct cli_command cli_spec = {
	.name = "spec",
	.usage = "",
	.summary = "create a new specification file",
	.description = "   The spec command writes a config.json to start from into the bundle: a "
		       "shell in the root\n"
		       "file system \"rootfs\" beside it.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 0,
	.max_args = 0,
	.failure = 1,
	.run = run,
};
