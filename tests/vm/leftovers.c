// SPDX-License-Identifier: Apache-2.0
/*
 * leftovers processes|groups|mounts: what husk could leave behind on this machine, sorted, a line each: "PID NAME" of
 * its processes, control groups, mounts of this namespace without their ids. One static program, for every test asks
 * before and after, and where machines are emulated a pipeline of four costs as much as a guest's boot.
 */
#include <dirent.h>
#include <err.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

static char **found;
static size_t n_found;

static void add(const char *line)
{
	found = reallocarray(found, n_found + 1, sizeof(*found));
	if (!found || !(found[n_found++] = strdup(line)))
		err(1, "out of memory");
}

static void processes(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	if (!proc)
		err(1, "/proc");
	while ((d = readdir(proc))) {
		char path[sizeof(d->d_name) + 16], name[32] = "", line[64];
		FILE *f;

		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		f = fopen(path, "re");
		if (!f)
			continue; /* it has ended */
		if (fgets(name, sizeof(name), f) && !strncmp(name, "husk-", 5)) {
			name[strcspn(name, "\n")] = '\0';
			snprintf(line, sizeof(line), "%.16s %s", d->d_name, name);
			add(line);
		}
		fclose(f);
	}
	closedir(proc);
}

static int group(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	if (type == FTW_D && at->level)
		add(path);
	return 0;
}

static void groups(void)
{
	nftw("/sys/fs/cgroup", group, 16, FTW_PHYS);
}

static void mounts(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;

	if (!f)
		err(1, "/proc/self/mountinfo");
	while (getline(&line, &room, f) > 0) {
		const char *field = line;

		/* Mount id, parent, device and root differ from one time to the next. */
		for (int i = 0; i < 4 && field; i++) {
			field = strchr(field, ' ');
			field += field ? 1 : 0;
		}
		line[strcspn(line, "\n")] = '\0';
		if (field)
			add(field);
	}
	free(line);
	fclose(f);
}

static int by_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*look)(void);
	} kinds[] = { { "processes", processes }, { "groups", groups }, { "mounts", mounts } };

	for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(argv[1], kinds[i].name))
			continue;
		kinds[i].look();
		if (n_found)
			qsort(found, n_found, sizeof(*found), by_line);
		for (size_t l = 0; l < n_found; l++)
			puts(found[l]);
		return fflush(stdout) ? 1 : 0;
	}
	errx(2, "usage: leftovers processes|groups|mounts");
}
