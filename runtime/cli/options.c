// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cli/cli.h"

bool cli_is_help(const char *arg)
{
	return !strcmp(arg, "-h") || !strcmp(arg, "--h") || !strcmp(arg, "-help") ||
	       !strcmp(arg, "--help");
}

static const struct cli_option *find(const struct cli_option *table, const char *name, size_t len)
{
	for (const struct cli_option *o = table; o && o->name; o++)
		if ((strlen(o->name) == len && !memcmp(o->name, name, len)) ||
		    (o->letter && len == 1 && *o->letter == *name))
			return o;
	return NULL;
}

static int parse_bool(const char *name, const char *v, bool *ret, struct err *e)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcmp(v, yes[i]) && strcmp(v, no[i]))
			continue;
		*ret = !strcmp(v, yes[i]);
		return 0;
	}
	return err_set(e, EINVAL, "invalid boolean value \"%s\" for -%s: parse error", v, name);
}

static int parse_int(const char *name, const char *v, int *ret, struct err *e)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(v, &end, 0);
	if (!*v || *end || errno || n < INT32_MIN || n > INT32_MAX)
		return err_set(e, EINVAL, "invalid value \"%s\" for flag -%s: parse error", v,
			       name);
	*ret = (int)n;
	return 0;
}

/* As Go writes them: numbers with units, "1h2m3.5s", "100ms"; "0" needs none. */
static int parse_duration(const char *name, const char *v, struct cli_duration *ret,
			  struct err *e)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {
		{ "ns", 1 },  { "us", 1e3 }, { "ms", 1e6 },
		{ "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 },
	};
	bool negative = *v == '-';
	const char *p = v + (*v == '-' || *v == '+');
	double sum = 0;
	size_t i = 0;

	if (!*p)
		goto bad;
	while (strcmp(p, "0") != 0 && *p) {
		size_t digits = strspn(p, "0123456789."), unit = strcspn(p + digits, "0123456789.");
		char number[32];

		if (!digits || digits >= sizeof(number) || p[0] == '.')
			goto bad;
		snprintf(number, sizeof(number), "%.*s", (int)digits, p);
		for (i = 0; i < ARRAY_SIZE(units); i++)
			if (strlen(units[i].name) == unit && !strncmp(p + digits, units[i].name, unit))
				break;
		if (i == ARRAY_SIZE(units) || strchr(number, '.') != strrchr(number, '.'))
			goto bad;
		sum += strtod(number, NULL) * units[i].ns;
		p += digits + unit;
	}
	if (sum >= 9e18)
		goto bad;
	*ret = (struct cli_duration){ .ns = negative ? -(int64_t)sum : (int64_t)sum, .given = true };
	return 0;
bad:
	return err_set(e, EINVAL, "invalid value \"%s\" for flag -%s: parse error", v, name);
}

static int append(struct cli_list *l, const char *v, struct err *e)
{
	const char **more;

	if (l->n == CLI_MAX_LIST)
		return err_set(e, E2BIG, "more than %d values", CLI_MAX_LIST);
	more = realloc(l->v, (l->n + 1) * sizeof(*more));
	if (!more)
		return err_set(e, ENOMEM, "out of memory");
	more[l->n++] = v;
	l->v = more;
	return 0;
}

static int store(const struct cli_option *o, const char *name, const char *v, void *values,
		 struct err *e)
{
	void *at = (char *)values + o->offset;

	switch (o->type) {
	case CLI_BOOL:
		return parse_bool(name, v, at, e);
	case CLI_INT:
		return parse_int(name, v, at, e);
	case CLI_DURATION:
		return parse_duration(name, v, at, e);
	case CLI_STRING:
		*(const char **)at = *v ? v : NULL;
		return 0;
	case CLI_WORD:
		*(const char **)at = v;
		return 0;
	case CLI_LIST:
		return append(at, v, e);
	}
	return -EINVAL;
}

/* "name=value" of @arg, behind its dashes. */
struct word {
	const char *name, *value; /* value NULL: none was given with it */
	size_t len;
	char shown[64]; /* the name, for messages */
};

static int split(const char *arg, struct word *w, struct err *e)
{
	const char *eq;

	w->name = arg + 1 + (arg[1] == '-');
	if (*w->name == '-' || *w->name == '=' || !*w->name)
		return err_set(e, EINVAL, "bad flag syntax: %s", arg);
	eq = strchr(w->name, '=');
	w->value = eq ? eq + 1 : NULL;
	w->len = eq ? (size_t)(eq - w->name) : strlen(w->name);
	snprintf(w->shown, sizeof(w->shown), "%.*s", (int)min_t(size_t, w->len, 63), w->name);
	return 0;
}

int cli_parse_one(const struct cli_option *table, void *values, char **argv, int argc, int *i,
		  struct err *e)
{
	const struct cli_option *o;
	struct word w;
	int rc;

	if (*i >= argc || argv[*i][0] != '-' || !argv[*i][1])
		return 0;
	if (!strcmp(argv[*i], "--")) {
		(*i)++;
		return 0;
	}
	rc = split(argv[*i], &w, e);
	if (rc < 0)
		return rc;
	(*i)++;
	o = find(table, w.name, w.len);
	if (!o)
		return err_set(e, EINVAL, "flag provided but not defined: -%s", w.shown);
	if (!w.value && o->type == CLI_BOOL)
		w.value = "true";
	if (!w.value) {
		if (*i == argc)
			return err_set(e, EINVAL, "flag needs an argument: -%s", w.shown);
		w.value = argv[(*i)++];
	}
	rc = store(o, w.shown, w.value, values, e);
	return rc < 0 ? rc : 1;
}

int cli_parse(const struct cli_option *table, void *values, char **argv, int argc, int *i,
	      struct err *e)
{
	int rc;

	do {
		if (*i < argc && cli_is_help(argv[*i]))
			return 1;
		rc = cli_parse_one(table, values, argv, argc, i, e);
	} while (rc > 0);
	return rc;
}

void cli_free(const struct cli_option *table, void *values)
{
	for (const struct cli_option *o = table; o && o->name; o++)
		if (o->type == CLI_LIST)
			free(((struct cli_list *)(void *)((char *)values + o->offset))->v);
}
