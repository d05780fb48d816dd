// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/cli/cli.h"
#include "runtime/doctor/doctor.h"

struct values {
	const char *format, *bundle;
};

static const struct cli_option options[] = {
	{ "bundle", "b", CLI_STRING, offsetof(struct values, bundle),
	  "look at this bundle's config.json instead of the host: what is refused, what has no effect" },
	{ "format", "f", CLI_STRING, offsetof(struct values, format), "select one of: text or json (default: \"text\")" },
	{ .name = NULL },
};

static const char *const verdicts[] = { "ok", "warning", "problem" };

struct report {
	struct json_w *json; /* NULL: text */
	bool problem;
};

static void print(void *arg, const struct doctor_line *l)
{
	struct report *r = arg;

	r->problem |= l->verdict == DOCTOR_PROBLEM;
	if (r->json) {
		jw_object(r->json, NULL);
		jw_str(r->json, "name", l->name);
		jw_str(r->json, "verdict", verdicts[l->verdict]);
		jw_str(r->json, "found", l->found);
		if (*l->advice)
			jw_str(r->json, "advice", l->advice);
		jw_end_object(r->json);
		return;
	}
	printf("%-8s %s: %s%s%s\n", verdicts[l->verdict], l->name, l->found, *l->advice ? "; " : "", l->advice);
}

static int look(const struct cli_global *g, const struct values *v, struct report *r)
{
	if (v->bundle)
		doctor_bundle(v->bundle, print, r);
	else
		doctor_host(g->config, print, r);
	return r->problem ? 1 : 0;
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	struct report r = { .json = NULL };
	struct buf out = BUF_INIT(16u << 20);
	struct json_w w;
	int status, rc;

	(void)args;
	(void)nargs;
	if (v->format && *v->format && strcmp(v->format, "text") && strcmp(v->format, "json"))
		return err_set(e, EINVAL, "invalid format option: %s", v->format);
	if (!v->format || strcmp(v->format, "json"))
		return look(g, v, &r);
	jw_init(&w, &out, true);
	r.json = &w;
	jw_object(&w, NULL);
	jw_array(&w, "checks");
	status = look(g, v, &r);
	jw_end_array(&w);
	jw_bool(&w, "ok", status == 0);
	jw_end_object(&w);
	rc = jw_done(&w) ? io_write_full(STDOUT_FILENO, out.data, out.len) : -ENOSPC;
	buf_free(&out);
	return rc < 0 ? err_errno(e, -rc, "cannot write") : status;
}

const struct cli_command cli_doctor = {
	.name = "doctor",
	.usage = "",
	.summary = "check this host, or what becomes of a bundle's configuration",
	.description = "   One line each: ok, a warning (works, but slower or with less), or a problem "
		       "(containers do not\n"
		       "   start), and what to do about it. Ends with 1 when there is a problem. Run it as the "
		       "user who will\n"
		       "   run containers.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 0,
	.max_args = 0,
	.failure = 1,
	.run = run,
};
