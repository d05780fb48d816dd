// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/cli/cli.h"

struct values {
	const char *format;
	bool quiet;
};

static const struct cli_option options[] = {
	{ "format", "f", CLI_WORD, offsetof(struct values, format),
	  "select one of: table or json (default: \"table\")" },
	{ "quiet", "q", CLI_BOOL, offsetof(struct values, quiet), "display only container IDs" },
	{ .name = NULL },
};

struct row {
	struct container_state s;
	enum container_status status;
	char pid[16], owner[64];
};

struct rows {
	struct row *v;
	size_t n;
};

/* /etc/passwd by hand: getpwuid() of a static program loads libraries. "#UID" when it has none, as
 * runc has it. */
static void owner_name(uint32_t uid, char *out, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/etc/passwd", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		char name[64];
		unsigned long found;

		if (sscanf(line, "%63[^:]:%*[^:]:%lu:", name, &found) == 2 && found == uid) {
			snprintf(out, size, "%s", name);
			return;
		}
	}
	snprintf(out, size, "#%u", uid);
}

/* One whose state is none is named, and the others are listed, as by runc. */
static int add(void *arg, int root, const char *id, struct err *out)
{
	struct rows *all = arg;
	_cleanup_close_ int dir = -1;
	struct err e = ERR_INIT;
	struct row *more, *r;
	bool lives;
	int rc;

	rc = container_open(root, id, false, &dir, &e);
	/* It is being deleted, or a file that is nobody's. */
	if (rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP)
		return 0;
	if (rc < 0)
		return err_set(out, -rc, "container %s: %s", id, e.msg);
	more = realloc(all->v, (all->n + 1) * sizeof(*more));
	if (!more)
		return err_set(out, ENOMEM, "out of memory");
	all->v = more;
	r = &more[all->n];
	*r = (struct row){ .status = CONTAINER_STOPPED };
	if (container_state_load(dir, &r->s, &e) < 0) {
		log_err("load container %s: %s", id, e.msg);
		return 0;
	}
	if (container_status(dir, &r->s, &r->status, &e) < 0) {
		log_err("container %s: %s", id, e.msg);
		container_state_done(&r->s);
		return 0;
	}
	lives = container_status_lives(r->status);
	snprintf(r->pid, sizeof(r->pid), "%d", lives ? r->s.proxy.pid : 0);
	owner_name(r->s.owner, r->owner, sizeof(r->owner));
	all->n++;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->s.id, ((const struct row *)b)->s.id);
}

static int print_json(const struct rows *all, struct err *e)
{
	struct buf text = BUF_INIT(256u << 20);
	struct json_w w;
	int rc;

	if (!all->n) {
		puts("null");
		return 0;
	}
	jw_init(&w, &text, false);
	jw_array(&w, NULL);
	for (size_t i = 0; i < all->n; i++)
		container_state_print(&w, &all->v[i].s, all->v[i].status, all->v[i].owner);
	jw_end_array(&w);
	rc = jw_done(&w) ? io_write_full(STDOUT_FILENO, text.data, text.len) : -ENOMEM;
	buf_free(&text);
	if (rc == 0)
		rc = io_write_full(STDOUT_FILENO, "\n", 1);
	return rc < 0 ? err_errno(e, -rc, "cannot write the list") : 0;
}

/* Columns as Go's tabwriter has them in runc: at least 12 wide, 3 apart. */
static void print_table(const struct rows *all)
{
	static const char *const head[] = { "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER" };
	size_t width[5];

	for (size_t c = 0; c < ARRAY_SIZE(width); c++)
		width[c] = max_t(size_t, strlen(head[c]) + 3, 12);
	for (size_t i = 0; i < all->n; i++) {
		const struct row *r = &all->v[i];
		const char *cell[] = { r->s.id, r->pid, container_status_name(r->status),
				       r->s.bundle, r->s.created };

		for (size_t c = 0; c < ARRAY_SIZE(width); c++)
			width[c] = max_t(size_t, width[c], strlen(cell[c]) + 3);
	}
	for (size_t c = 0; c < ARRAY_SIZE(width); c++)
		printf("%-*s", (int)width[c], head[c]);
	printf("%s\n", head[5]);
	for (size_t i = 0; i < all->n; i++) {
		const struct row *r = &all->v[i];

		printf("%-*s%-*s%-*s%-*s%-*s%s\n", (int)width[0], r->s.id, (int)width[1], r->pid,
		       (int)width[2], container_status_name(r->status), (int)width[3], r->s.bundle,
		       (int)width[4], r->s.created, r->owner);
	}
}

static int collect(struct rows *all, int root, struct err *e)
{
	int rc = container_each(root, add, all, e);

	if (all->n)
		qsort(all->v, all->n, sizeof(*all->v), by_id);
	return rc;
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	const char *format = v->format ? v->format : "table";
	struct rows all = { .v = NULL };
	int rc = cli_open_root(g, false, e);

	(void)args;
	(void)nargs;
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = rc == 0 ? collect(&all, g->host.root, e) : 0;
	if (rc < 0)
		;
	else if (v->quiet)
		for (size_t i = 0; i < all.n; i++)
			puts(all.v[i].s.id);
	else if (!strcmp(format, "table"))
		print_table(&all);
	else if (!strcmp(format, "json"))
		rc = print_json(&all, e);
	else
		rc = err_set(e, EINVAL, "invalid format option");
	for (size_t i = 0; i < all.n; i++)
		container_state_done(&all.v[i].s);
	free(all.v);
	return rc;
}

const struct cli_command cli_list = {
	.name = "list",
	.usage = "",
	.summary = "lists containers started by husk with the given root",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 0,
	.max_args = 0,
	.failure = 1,
	.run = run,
};
