// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/cli/cli.h"
#include "runtime/container/id.h"
#include "runtime/host/cgroup.h"
#include "runtime/proxy/client.h"
#include "runtime/sandbox/sandbox.h"

#define ANSWER_TIMEOUT_MS 10000
#define MAX_HOST_PIDS     4096

struct values {
	const char *format;
};

static const struct cli_option options[] = {
	{ "format", "f", CLI_STRING, offsetof(struct values, format),
	  "select one of: table or json (default: \"table\")" },
	{ .name = NULL },
};

/* ---- table: the guest's processes ------------------------------------------------------------- */

static void print_start(const struct proxy_ps *p, char *out, size_t size)
{
	time_t now = time(NULL);
	uint64_t age = p->now_ns > p->start_ns ? (p->now_ns - p->start_ns) / 1000000000u : 0;
	time_t at = now - (time_t)min_t(uint64_t, age, INT32_MAX);
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(out, size, age < 86400 ? "%H:%M" : "%b%d", &tm);
}

static void print_row(void *arg, const struct proxy_ps *p)
{
	uint64_t age = p->now_ns > p->start_ns ? p->now_ns - p->start_ns : 1;
	uint64_t cpu = p->cpu_ns / 1000000000u;
	char user[16], start[16];

	(void)arg;
	snprintf(user, sizeof(user), "%" PRIu32, p->uid);
	print_start(p, start, sizeof(start));
	printf("%-8s %7" PRIu32 " %7" PRIu32 " %2u %5s %-8s %02u:%02u:%02u %s\n",
	       p->uid ? user : "root", p->pid, p->ppid,
	       (unsigned)min_t(uint64_t, p->cpu_ns / (age / 100 + 1), 99), start,
	       p->tty[0] ? p->tty : "?", (unsigned)min_t(uint64_t, cpu / 3600, 9999),
	       (unsigned)(cpu / 60 % 60), (unsigned)(cpu % 60), p->command);
}

static int print_table(int dir, bool lives, struct err *e)
{
	_cleanup_close_ int sock = -1;
	int rc;

	if (lives) {
		rc = container_proxy(dir, &sock, e);
		if (rc < 0)
			return rc;
	}
	printf("UID          PID    PPID  C STIME TTY          TIME CMD\n");
	return lives ? proxy_ps(sock, print_row, NULL, ANSWER_TIMEOUT_MS, e) : 0;
}

/* ---- json: the processes on the host that stand for them --------------------------------------- */

static void print_json(const struct cli_global *g, const struct container_state *s, bool lives)
{
	static pid_t pids[MAX_HOST_PIDS];
	struct proc_id machine = { 0, 0 };
	_cleanup_close_ int fd = -1;
	int n = 0;

	if (!lives) {
		puts("null");
		return;
	}
	sandbox_machine(g->host.root, s->sandbox, &machine, NULL);
	if (*s->cgroup && cgroup_open(s->cgroup, &fd) == 0)
		n = cgroup_pids(fd, pids, MAX_HOST_PIDS);
	printf("[%d", s->proxy.pid);
	for (int i = 0; i < n && i < MAX_HOST_PIDS; i++)
		if (pids[i] != s->proxy.pid && pids[i] != machine.pid)
			printf(",%d", pids[i]);
	printf("]\n");
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	const char *format = v->format ? v->format : "table";
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	enum container_status status;
	int rc = container_id_check(args[0], e);

	if (rc == 0)
		rc = cli_open_root(g, false, e);
	if (rc == 0)
		rc = container_open(g->host.root, args[0], false, &dir, e);
	if (rc == 0)
		rc = container_state_load(dir, &s, e);
	if (rc < 0)
		return rc;
	status = container_status(dir, &s);
	if (!strcmp(format, "json"))
		print_json(g, &s, container_status_lives(status));
	else if (strcmp(format, "table"))
		rc = err_set(e, EINVAL, "invalid format option");
	else if (nargs > 1 && strcmp(args[1], "-ef"))
		rc = err_set(e, ENOTSUP,
			     "ps option \"%s\" is not supported: the processes are those of "
			     "the guest",
			     args[1]);
	else
		rc = print_table(dir, container_status_lives(status), e);
	container_state_done(&s);
	return rc;
}

const struct cli_command cli_ps = {
	.name = "ps",
	.usage = "<container-id> [-ef]",
	.summary = "ps displays the processes running inside a container",
	.description =
		"   The table is the guest's view, with the guest's process ids. The json list "
		"holds the\n"
		"processes on the host that stand for those which were started from the host.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = -1,
	.failure = 1,
	.run = run,
};
