// SPDX-License-Identifier: Apache-2.0
/*
 * fs-conform [-o] DIR FILE…: runs the cases of the files, each in a directory of its own below DIR,
 * and prints "topic.name answer answer …" for each. -o: only what one unprivileged user can do, as
 * cases of other users need root.
 */
#include "tests/fs/conform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char where[512]; /* the case that runs, for messages */
static bool one_user;

void bad_case(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "fs-conform: %s: ", where);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static void begin(struct ctx *c, const char *base, unsigned n)
{
	char dir[32];

	for (int i = 0; i < FILES_MAX; i++)
		c->file[i] = -1;
	umask(0);
	snprintf(dir, sizeof(dir), "%u", n);
	if (chdir(base) < 0 || mkdir(dir, 0777) < 0 || chdir(dir) < 0)
		bad_case("cannot make a directory: %s", strerror(errno));
	umask(022);
}

static void end(struct ctx *c)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	/* Locks go first: who waits for one may be nothing that a signal ends. */
	for (int i = 0; i < FILES_MAX; i++)
		if (c->file[i] >= 0)
			close(c->file[i]);
	actors_end();
	setrlimit(RLIMIT_FSIZE, &none);
}

/* Cases of other users have a capital letter before the colon's name: see `others`. */
static bool others(const char *script)
{
	for (const char *p = script; *p; p++)
		if (strchr("uvw", *p) && p[1] == '>' && (p == script || strchr("; ", p[-1])))
			return true;
	return false;
}

static void run_case(const char *base, char *line)
{
	static unsigned count;
	static struct ctx c;
	char *script = strchr(line, ':'), *next;

	if (!script)
		bad_case("no colon: %s", line);
	*script++ = '\0';
	snprintf(where + strlen(where), sizeof(where) - strlen(where), ".%s", line);
	if (one_user && others(script))
		return;
	begin(&c, base, count++);
	printf("%s", where);
	for (; script; script = next) {
		next = strchr(script, ';');
		if (next)
			*next++ = '\0';
		script += strspn(script, " ");
		if (!*script)
			continue;
		if (actor_named(script))
			actor_op(&c, script);
		else
			run_op(&c, script);
		printf(" %s", c.used ? c.answer : "-");
	}
	end(&c); /* and its limits: the output may be a file, too */
	putchar('\n');
	fflush(stdout);
}

/* A line that begins with white space goes on with the one before. */
static void run_file(const char *base, const char *path)
{
	char *copy = strdup(path), *all = NULL, *line = NULL;
	size_t room = 0, len = 0;
	FILE *f = fopen(path, "re");
	char topic[64];
	ssize_t n;

	if (!f || !copy)
		bad_case("%s: %s", path, strerror(errno));
	snprintf(topic, sizeof(topic), "%s", basename(copy));
	do {
		n = getline(&line, &room, f);
		if (n > 0 && line[n - 1] == '\n')
			line[--n] = '\0';
		if (n > 0 && line[0] == '#')
			continue;
		if (all && (n < 0 || (n > 0 && line[0] != '\t'))) {
			snprintf(where, sizeof(where), "%s", topic);
			run_case(base, all);
			free(all);
			all = NULL;
		}
		if (n <= 0)
			continue;
		len = all ? strlen(all) : 0;
		all = realloc(all, len + (size_t)n + 2);
		if (!all)
			bad_case("no memory");
		snprintf(all + len, (size_t)n + 2, "%s%s", len ? " " : "", len ? line + 1 : line);
	} while (n >= 0);
	free(line);
	free(copy);
	fclose(f);
}

int main(int argc, char **argv)
{
	char base[512], *dir;
	int i = 1;

	if (argc == 3 && !strcmp(argv[1], "exit")) /* it is its own program to run */
		return atoi(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "ids"))
		return (int)(geteuid() * 7 + getegid()) % 251;
	if (i < argc && !strcmp(argv[i], "-o")) {
		one_user = true;
		i++;
	}
	if (argc - i < 2) {
		fprintf(stderr, "usage: fs-conform [-o] DIR FILE...\n");
		return 2;
	}
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	dir = realpath(argv[i++], NULL);
	if (!dir)
		bad_case("%s", strerror(errno));
	snprintf(base, sizeof(base), "%s", dir);
	mark_prepare(base);
	for (; i < argc; i++) {
		char *path = argv[i][0] == '/' ? realpath(argv[i], NULL) : NULL;

		if (!path)
			bad_case("%s: not an absolute path of a file", argv[i]);
		run_file(base, path);
		free(path);
	}
	free(dir);
	return 0;
}
