// SPDX-License-Identifier: Apache-2.0
/*
 * One operation: its text to arguments, arguments to values, values to answers.
 */
#include "tests/fs/conform.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct op *const tables[] = { ops_file, ops_data, ops_name, ops_attr, ops_xattr,
					   ops_lock, ops_map,  ops_dir,  ops_event };

void say(struct ctx *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(c->answer + c->used, sizeof(c->answer) - c->used, fmt, ap);
	va_end(ap);
	c->used = min_t(size_t, c->used + (size_t)n, sizeof(c->answer) - 1);
}

void say_rc(struct ctx *c, long rc)
{
	if (rc < 0)
		say(c, "%s", strerrorname_np(errno));
	else
		say(c, "%ld", rc);
}

void say_bytes(struct ctx *c, const void *p, size_t n)
{
	const unsigned char *b = p;
	uint32_t sum = 2166136261u;

	if (n > 64) {
		for (size_t i = 0; i < n; i++)
			sum = (sum ^ b[i]) * 16777619u;
		say(c, "%zu:%08x", n, sum);
		return;
	}
	say(c, "'");
	for (size_t i = 0; i < n; i++) {
		if (isgraph(b[i]))
			say(c, "%c", b[i]);
		else
			say(c, "\\x%02x", b[i]);
	}
	say(c, "'");
}

bool has(const struct ctx *c, int i)
{
	return i < c->argc;
}

const char *arg(const struct ctx *c, int i)
{
	if (!has(c, i))
		bad_case("%s: too few arguments", c->argv[0]);
	return c->argv[i];
}

int64_t num(const struct ctx *c, int i)
{
	const char *s = arg(c, i);
	char *end;
	int64_t n;

	errno = 0;
	n = (int64_t)strtoll(s, &end, 0);
	if (*end == 'k')
		n *= 1024;
	else if (*end == 'm')
		n *= 1 << 20;
	else if (*end == 'g')
		n *= 1 << 30;
	else if (*end)
		bad_case("%s: not a number: %s", c->argv[0], s);
	return n;
}

mode_t octal(const struct ctx *c, int i)
{
	char *end;
	unsigned long m = strtoul(arg(c, i), &end, 8);

	if (*end)
		bad_case("%s: not a mode: %s", c->argv[0], c->argv[i]);
	return (mode_t)m;
}

uint64_t words(const struct ctx *c, int i, const struct word *table)
{
	const char *s = arg(c, i);
	uint64_t all = 0;

	while (*s && strcmp(s, "-")) {
		size_t n = strcspn(s, ",");
		const struct word *w = table;

		while (w->name && (strlen(w->name) != n || strncmp(w->name, s, n) != 0))
			w++;
		if (!w->name)
			bad_case("%s: unknown word in %s", c->argv[0], c->argv[i]);
		all |= w->value;
		s += n + (s[n] == ',');
	}
	return all;
}

int file(const struct ctx *c, int i)
{
	int64_t n;

	if (!strcmp(arg(c, i), "-"))
		return AT_FDCWD;
	n = num(c, i);
	if (n < 0 || n >= FILES_MAX)
		bad_case("%s: no file %s", c->argv[0], c->argv[i]);
	return c->file[n];
}

void file_set(struct ctx *c, int i, int fd)
{
	int64_t n = num(c, i);

	if (n < 0 || n >= FILES_MAX)
		bad_case("%s: no file %s", c->argv[0], c->argv[i]);
	c->file[n] = fd;
}

/* --- decoding ------------------------------------------------------------------------ */
static char pool[2 * ARG_MAX_LEN];
static size_t pool_used;

static void put(char ch)
{
	if (pool_used == sizeof(pool))
		bad_case("arguments too long");
	pool[pool_used++] = ch;
}

static unsigned hex(const char *s)
{
	char two[3] = { s[0], s[0] ? s[1] : '\0', '\0' }, *end;
	unsigned long v = strtoul(two, &end, 16);

	if (end != two + 2)
		bad_case("bad escape");
	return (unsigned)v;
}

/* {TEXT*N} */
static const char *repeated(const char *s)
{
	const char *star = strchr(s, '*'), *close = strchr(s, '}');
	unsigned long n;

	if (!star || !close || star > close)
		bad_case("bad repetition %s", s);
	for (n = strtoul(star + 1, NULL, 10); n > 0; n--)
		for (const char *p = s + 1; p < star; p++)
			put(*p);
	return close + 1;
}

static const char *decode(const char *s)
{
	if (!strncmp(s, "''", 2))
		return s + 2;
	while (*s && *s != ' ') {
		if (*s == '\\' && s[1] == 'x') {
			put((char)hex(s + 2));
			s += 4;
		} else if (*s == '{') {
			s = repeated(s);
		} else {
			put(*s++);
		}
	}
	return s;
}

void run_op(struct ctx *c, const char *text)
{
	c->argc = 0;
	c->used = 0;
	c->answer[0] = '\0';
	pool_used = 0;
	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		if (c->argc == ARGS_MAX)
			bad_case("too many arguments");
		c->argv[c->argc] = pool + pool_used;
		text = decode(text);
		c->len[c->argc] = (size_t)(pool + pool_used - c->argv[c->argc]);
		put('\0');
		c->argc++;
	}
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (const struct op *o = tables[t]; o->name; o++) {
			if (strcmp(o->name, c->argv[0]) != 0)
				continue;
			if (c->argc <= o->min_args)
				bad_case("%s: too few arguments", o->name);
			o->run(c);
			return;
		}
	}
	bad_case("unknown operation %s", c->argv[0]);
}
