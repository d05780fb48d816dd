// SPDX-License-Identifier: Apache-2.0
/* husk console: a person at the guest's kernel. Bytes are carried, none is interpreted but the one that ends it. */
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/cli/cli.h"
#include "runtime/io/console.h"

#define LEAVE 0x1d /* Ctrl-], as telnet and virsh have it */

struct values {
	bool dump;
};

static const struct cli_option options[] = {
	{ "dump", NULL, CLI_BOOL, offsetof(struct values, dump),
	  "print what the console has kept, and end" },
	{ .name = NULL },
};

struct carry {
	int sock;
	bool terminal; /* input is a terminal: it has a key to leave by */
	bool input;
};

/* 1: go on; 0: over; -errno. */
static int to_stdout(struct carry *c)
{
	char buf[4096];
	ssize_t n = read(c->sock, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR ? 1 : errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	n = io_write_full(STDOUT_FILENO, buf, (size_t)n);
	return n < 0 ? (int)n : 1;
}

static int from_stdin(struct carry *c)
{
	char buf[1024], *leave = NULL;
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));
	size_t len;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	if (c->terminal)
		leave = memchr(buf, LEAVE, (size_t)n);
	len = leave ? (size_t)(leave - buf) : (size_t)n;
	/* A machine that has gone says so by its output's end. */
	if (len && send(c->sock, buf, len, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		return -errno;
	if (n == 0) {
		shutdown(c->sock, SHUT_WR);
		c->input = false;
	}
	return leave ? 0 : 1;
}

static int carry(struct carry *c)
{
	int rc = 1;

	while (rc > 0) {
		struct pollfd p[] = { { .fd = c->sock, .events = POLLIN },
				      { .fd = c->input ? STDIN_FILENO : -1, .events = POLLIN } };

		if (poll(p, ARRAY_SIZE(p), -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (p[0].revents)
			rc = to_stdout(c);
		if (rc > 0 && p[1].revents)
			rc = from_stdin(c);
	}
	return rc;
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	struct carry c = { .sock = -1, .terminal = !v->dump && isatty(STDIN_FILENO), .input = !v->dump };
	struct console_saved saved = { .fd = -1 };
	int rc = cli_open_root(g, false, e);

	(void)nargs;
	if (rc == 0)
		rc = container_console(&g->host, args[0], v->dump, &c.input, &c.sock, e);
	if (rc < 0)
		return rc;
	if (!v->dump && !c.input)
		log_warn("another husk console has the input; this one shows output only");
	if (c.terminal && console_raw(&saved, NULL) == 0)
		dprintf(STDERR_FILENO, "Ctrl-] leaves the console\r\n");
	rc = carry(&c);
	console_restore(&saved);
	close(c.sock);
	return rc < 0 ? err_errno(e, -rc, "console") : 0;
}

const struct cli_command cli_console = {
	.name = "console",
	.usage = "<container-id>",
	.summary = "attach to the console of the container's virtual machine",
	.description = "   Shows what the guest's kernel and its agent have written (the last 64 KiB) and go "
		       "on to write,\n"
		       "and passes input on to it: the kernel's SysRq keys are Ctrl-O and a letter (first 8: "
		       "show all; then\n"
		       "t: what each task does). Ctrl-] leaves it. What is shown is the guest's, as a "
		       "process's output is.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = run,
};
