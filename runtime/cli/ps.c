// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/ps_format.h"
#include "runtime/host/cgroup.h"
#include "runtime/host/proc.h"
#include "runtime/proxy/client.h"

#define ANSWER_TIMEOUT_MS 10000
#define MAX_HOST_PIDS     4096

struct values {
	const char *format;
};

static const struct cli_option options[] = {
	{ "format", "f", CLI_WORD, offsetof(struct values, format),
	  "select one of: table or json (default: \"table\")" },
	{ .name = NULL },
};

/* ---- table: the guest's processes ------------------------------------------------------------- */

static void print_row(void *arg, const struct proxy_ps *p)
{
	ps_format_row(arg, p, stdout);
}

static int print_table(int dir, bool lives, struct ps_format *f, struct err *e)
{
	_cleanup_close_ int sock = -1;
	int rc;

	if (lives) {
		rc = container_proxy(dir, &sock, e);
		if (rc < 0)
			return rc;
	}
	ps_format_header(f, stdout);
	return lives ? proxy_ps(sock, print_row, f, ANSWER_TIMEOUT_MS, e) : 0;
}

/* ---- json: the processes on the host that stand for them --------------------------------------- */

/* In the group are also the machine, what brings it its network, and what connects to sockets for it. */
static bool stands_for_a_process(pid_t pid)
{
	struct proc_info info;

	return proc_read(pid, &info) == 0 && !strncmp(info.comm, PROXY_COMM, strlen(PROXY_COMM));
}

static int print_json(const struct container_state *s, bool lives, struct err *e)
{
	static pid_t pids[MAX_HOST_PIDS];
	_cleanup_close_ int fd = -1;
	int n = 0;

	if (!lives) {
		puts("null");
		return 0;
	}
	if (*s->cgroup)
		n = cgroup_open(s->cgroup, &fd);
	if (n == 0 && fd >= 0)
		n = cgroup_pids(fd, pids, MAX_HOST_PIDS);
	/* Without the group it is about to end. */
	if (n < 0 && n != -ENOENT && n != -ENODEV)
		return err_errno(e, -n, "cannot read the cgroup %s", s->cgroup);
	printf("[%d", s->proxy.pid);
	for (int i = 0; i < n && i < MAX_HOST_PIDS; i++)
		if (pids[i] != s->proxy.pid && stands_for_a_process(pids[i]))
			printf(",%d", pids[i]);
	printf("]\n");
	return 0;
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	const char *format = v->format ? v->format : "table";
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	struct ps_format f;
	bool lives;
	int rc = cli_find(g, args[0], &dir, &s, e);

	if (rc < 0)
		return rc;
	lives = container_status_lives(s.status);
	if (!strcmp(format, "json"))
		rc = print_json(&s, lives, e);
	else if (strcmp(format, "table"))
		rc = err_set(e, EINVAL, "invalid format option");
	else
		rc = ps_format_parse(&f, args + 1, nargs - 1, e);
	if (rc == 0 && !strcmp(format, "table"))
		rc = print_table(dir, lives, &f, e);
	container_state_done(&s);
	return rc;
}

const struct cli_command cli_ps = {
	.name = "ps",
	.usage = "<container-id> [ps options]",
	.summary = "ps displays the processes running inside a container",
	.description =
		"   The table is the guest's view, with the guest's process ids. The json list "
		"holds the\n"
		"processes on the host that stand for those which were started from the host. Of ps's "
		"options those\n"
		"that choose columns are understood (-f, u, -o LIST; -ef when there is none); those that "
		"choose\n"
		"processes (-e, -A, a, x) change nothing.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = -1,
	.failure = 1,
	.run = run,
};
