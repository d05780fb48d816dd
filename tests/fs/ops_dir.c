// SPDX-License-Identifier: Apache-2.0
/*
 * Reading directories. The order of names is the file system's own: lists are sorted before they
 * are said.
 */
#include "tests/fs/conform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRS 4

static DIR *dirs[DIRS];
static long places[DIRS];

static char type_of(unsigned char t)
{
	static const char letter[] = {
		[DT_UNKNOWN] = '?', [DT_FIFO] = 'p', [DT_CHR] = 'c', [DT_DIR] = 'd',
		[DT_BLK] = 'b',     [DT_REG] = '-',  [DT_LNK] = 'l', [DT_SOCK] = 's'
	};

	return t < sizeof(letter) && letter[t] ? letter[t] : '?';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* ls PATH: types and names, dot entries too */
static void op_ls(struct ctx *c)
{
	struct dirent **list;
	int n = scandir(arg(c, 1), &list, NULL, by_name);

	if (n < 0) {
		say_rc(c, n);
		return;
	}
	say(c, "[");
	for (int i = 0; i < n; i++) {
		if (i < 30) {
			say(c, "%s%c", i ? "," : "", type_of(list[i]->d_type));
			say_bytes(c, list[i]->d_name, strlen(list[i]->d_name));
		}
		free(list[i]);
	}
	say(c, "]%d", n);
	free(list);
}

/* inodes PATH: is each entry's inode number stat's? */
static void op_inodes(struct ctx *c)
{
	DIR *d = opendir(arg(c, 1));
	const struct dirent *e;
	struct stat st;
	int same = 0, other = 0;

	if (!d) {
		say_rc(c, -1);
		return;
	}
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".."))
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_ino == e->d_ino)
			same++;
		else
			other++;
	}
	closedir(d);
	say(c, "%d,%d", same, other);
}

/* many PATH N [FIRST]: so many files with long names */
static void op_many(struct ctx *c)
{
	int64_t first = has(c, 3) ? num(c, 3) : 0, n = num(c, 2);
	char path[300];
	int fd = 0;

	for (int64_t i = first; i < first + n && fd >= 0; i++) {
		snprintf(path, sizeof(path), "%s/a-file-with-a-name-%05lld", arg(c, 1),
			 (long long)i);
		fd = open(path, O_WRONLY | O_CREAT, 0644);
		if (fd >= 0)
			close(fd);
	}
	say_rc(c, fd < 0 ? -1 : 0);
}

static DIR **dir(const struct ctx *c)
{
	int64_t n = num(c, 1);

	if (n < 0 || n >= DIRS)
		bad_case("%s: no directory stream %lld", c->argv[0], (long long)n);
	return &dirs[n];
}

/* opendir D PATH */
static void op_opendir(struct ctx *c)
{
	*dir(c) = opendir(arg(c, 2));
	say_rc(c, *dir(c) ? 0 : -1);
}

static void op_closedir(struct ctx *c)
{
	say_rc(c, closedir(*dir(c)));
}

static void op_rewinddir(struct ctx *c)
{
	rewinddir(*dir(c));
	say(c, "0");
}

/* next D N: how many of the next N entries there are (all: a big number) */
static void op_next(struct ctx *c)
{
	int64_t n = num(c, 2), i = 0;

	errno = 0;
	while (i < n && readdir(*dir(c)))
		i++;
	if (errno)
		say_rc(c, -1);
	else
		say_rc(c, i);
}

/* telldir D: remembers the place and the name that comes there */
static char place_name[DIRS][256];

static void op_telldir(struct ctx *c)
{
	const struct dirent *e;
	int64_t n = num(c, 1);

	places[n] = telldir(*dir(c));
	e = readdir(*dir(c));
	snprintf(place_name[n], sizeof(place_name[n]), "%s", e ? e->d_name : "");
	say(c, "%s", e ? "name" : "end");
}

/* seekdir D: back there; is it the same name? */
static void op_seekdir(struct ctx *c)
{
	const struct dirent *e;
	int64_t n = num(c, 1);

	seekdir(*dir(c), places[n]);
	e = readdir(*dir(c));
	say(c, "%s", !strcmp(e ? e->d_name : "", place_name[n]) ? "same" : "other");
}

/* sweep PATH: removes while it reads; how many it saw and how many are left */
static void op_sweep(struct ctx *c)
{
	DIR *d = opendir(arg(c, 1));
	int seen = 0, failed = 0, left = 0;
	const struct dirent *e;

	if (!d) {
		say_rc(c, -1);
		return;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		seen++;
		failed += unlinkat(dirfd(d), e->d_name, 0) < 0;
	}
	rewinddir(d);
	while ((e = readdir(d)))
		left += e->d_name[0] != '.';
	closedir(d);
	say(c, "%d,%d,%d", seen, failed, left);
}

/* deep N: so many directories one in the other, the working directory last */
static void op_deep(struct ctx *c)
{
	static const char name[] =
		"a-directory-whose-name-is-not-short-at-all-so-that-paths-get-long";

	for (int64_t i = num(c, 1); i > 0; i--)
		if (mkdir(name, 0755) < 0 || chdir(name) < 0) {
			say_rc(c, -1);
			return;
		}
	say(c, "0");
}

const struct op ops_dir[] = {
	{ "ls", 1, op_ls },
	{ "inodes", 1, op_inodes },
	{ "many", 2, op_many },
	{ "opendir", 2, op_opendir },
	{ "closedir", 1, op_closedir },
	{ "rewinddir", 1, op_rewinddir },
	{ "next", 2, op_next },
	{ "telldir", 1, op_telldir },
	{ "seekdir", 1, op_seekdir },
	{ "sweep", 1, op_sweep },
	{ "deep", 1, op_deep },
	{ 0 },
};
