// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/events.h"

#include <limits.h>
#include <stddef.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/cli/cli.h"
#include "runtime/proxy/client.h"

#define ANSWER_TIMEOUT_MS 10000
#define NS_PER_MS         1000000
#define DEFAULT_INTERVAL  INT64_C(5000000000)

struct values {
	struct cli_duration interval;
	bool stats;
};

static const struct cli_option options[] = {
	{ "interval", NULL, CLI_DURATION, offsetof(struct values, interval),
	  "set the stats collection interval (default: 5s)" },
	{ "stats", NULL, CLI_BOOL, offsetof(struct values, stats),
	  "display the container's stats then exit" },
	{ .name = NULL },
};

/* @s: NULL for an event of the other kind. */
static int print(const char *id, const struct agent_stats *s, struct err *e)
{
	struct buf text = BUF_INIT(1u << 20);
	struct json_w w;
	int rc;

	jw_init(&w, &text, false);
	if (s)
		events_write_stats(&w, id, s);
	else
		events_write_oom(&w, id);
	rc = jw_done(&w) && buf_append(&text, "\n", 1) == 0 ? 0 : -ENOMEM;
	if (rc == 0)
		rc = io_write_full(STDOUT_FILENO, text.data, text.len);
	buf_free(&text);
	return rc < 0 ? err_errno(e, -rc, "cannot write the event") : 0;
}

static int once(int sock, const char *id, struct err *e)
{
	struct agent_stats s;
	int rc = proxy_stats(sock, &s, ANSWER_TIMEOUT_MS, e);

	return rc < 0 ? rc : print(id, &s, e);
}

/* 1: ended, 0: go on, -errno. @due: when figures are wanted next. */
static int turn(int sock, const char *id, uint64_t *due, int64_t interval, struct err *e)
{
	uint64_t now = io_now_ns();
	uint64_t ms = *due > now ? (*due - now) / NS_PER_MS + 1 : 0;
	struct agent_stats s;
	struct err why = ERR_INIT;
	int answer = 0;
	int got = proxy_event(sock, &s, &answer, (int)min_t(uint64_t, ms, INT_MAX), &why);

	if (got == -ETIMEDOUT) {
		if (io_now_ns() < *due)
			return 0;
		*due = io_now_ns() + (uint64_t)interval;
		return proxy_ask_stats(sock, NULL) < 0 ? 1 : 0;
	}
	if (got == -EPIPE)
		return 1;
	if (got < 0) {
		*e = why;
		return got;
	}
	if (got == PROXY_OOM)
		return print(id, NULL, e);
	if (answer == 0)
		return print(id, &s, e);
	log_err("%s", why.msg);
	return 0;
}

static int follow(int sock, const char *id, int64_t interval, struct err *e)
{
	uint64_t due = io_now_ns() + (uint64_t)interval;
	int rc = proxy_watch(sock, ANSWER_TIMEOUT_MS, e);

	while (rc == 0)
		rc = turn(sock, id, &due, interval, e);
	/* It ended: so does what was to be told of it. */
	return rc == 1 || rc == -EPIPE ? 0 : rc;
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	int64_t interval = v->interval.given ? v->interval.ns : DEFAULT_INTERVAL;
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int sock = -1;
	enum container_status status;
	int rc = cli_find(g, args[0], &dir, &s, e);

	(void)nargs;
	if (rc < 0)
		return rc;
	status = s.status;
	container_state_done(&s);
	if (interval <= 0)
		return err_set(e, EINVAL, "duration interval must be greater than 0");
	if (container_status_lives(status))
		rc = container_proxy(dir, &sock, e);
	if (rc < 0 || sock < 0)
		return err_set(e, ESRCH, "container with id %s is not running", args[0]);
	return v->stats ? once(sock, args[0], e) : follow(sock, args[0], interval, e);
}

const struct cli_command cli_events = {
	.name = "events",
	.usage = "<container-id>",
	.summary = "display container events such as OOM notifications, cpu, memory, and IO usage "
		   "statistics",
	.description = "   The events command displays information about the container, one JSON "
		       "object a line. By\n"
		       "default that is once every 5 seconds, until the container ends.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = 1,
	.failure = 1,
	.run = run,
};
