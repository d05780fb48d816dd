// SPDX-License-Identifier: Apache-2.0
/*
 * fs-watch DIR: watches each folder in DIR, what lies in these, and DIR, for all that changes; a second
 * time the folders by fanotify. Then, for each line of input, which it runs by the shell in DIR, prints
 * what has been told, one event a line, and "--". What only looks (open, access, close of what was read)
 * is not asked for.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <unistd.h>
#include "lib/util.h"

#define WATCHES 200
#define CHANGES (IN_ALL_EVENTS & ~(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE))

static const struct {
	uint32_t mask;
	const char *name;
} kinds[] = {
	{ IN_MODIFY, "modify" },
	{ IN_ATTRIB, "attrib" },
	{ IN_CLOSE_WRITE, "close_write" },
	{ IN_MOVED_FROM, "from" },
	{ IN_MOVED_TO, "to" },
	{ IN_CREATE, "create" },
	{ IN_DELETE, "delete" },
	{ IN_DELETE_SELF, "delete_self" },
	{ IN_MOVE_SELF, "move_self" },
	{ IN_UNMOUNT, "unmount" },
	{ IN_Q_OVERFLOW, "overflow" },
	{ IN_IGNORED, "ignored" },
};

static char *watched[WATCHES];
static int in, fan;

static void watch(const char *path)
{
	int wd = inotify_add_watch(in, path, CHANGES);

	if (wd < 0 || wd >= WATCHES)
		err(1, "inotify_add_watch %s", path);
	watched[wd] = strdup(path);
}

static void watch_all(void)
{
	char path[PATH_MAX];
	struct dirent *a, *b;
	DIR *top = opendir("."), *dir;

	watch(".");
	while (top && (a = readdir(top))) {
		if (a->d_name[0] == '.')
			continue;
		watch(a->d_name);
		if (fanotify_mark(fan, FAN_MARK_ADD,
				  FAN_MODIFY | FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD, AT_FDCWD,
				  a->d_name) < 0)
			err(1, "fanotify_mark %s", a->d_name);
		dir = opendir(a->d_name);
		while (dir && (b = readdir(dir))) {
			snprintf(path, sizeof(path), "%s/%s", a->d_name, b->d_name);
			if (b->d_name[0] != '.')
				watch(path);
		}
		if (dir)
			closedir(dir);
	}
	if (top)
		closedir(top);
}

static void tell_inotify(void)
{
	_Alignas(8) char buf[65536];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			printf("%s", e->wd >= 0 && e->wd < WATCHES ? watched[e->wd] : "?");
			for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
				if (e->mask & kinds[i].mask)
					printf(" %s", kinds[i].name);
			printf(e->len ? " %s\n" : "\n", e->name);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
}

static void tell_fanotify(void)
{
	struct fanotify_event_metadata buf[100];
	ssize_t n;

	while ((n = read(fan, buf, sizeof(buf))) > 0) {
		for (const struct fanotify_event_metadata *e = buf; FAN_EVENT_OK(e, n);
		     e = FAN_EVENT_NEXT(e, n)) {
			printf("fanotify%s%s\n", e->mask & FAN_MODIFY ? " modify" : "",
			       e->mask & FAN_CLOSE_WRITE ? " close_write" : "");
			if (e->fd >= 0)
				close(e->fd);
		}
	}
}

int main(int argc, char **argv)
{
	char line[1024];

	if (argc != 2 || chdir(argv[1]) < 0)
		errx(1, "usage: fs-watch DIR");
	in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY);
	if (in < 0 || fan < 0)
		err(1, "inotify_init1, fanotify_init");
	watch_all();
	while (fgets(line, sizeof(line), stdin)) {
		if (system(line) != 0)
			printf("failed: %s", line);
		tell_inotify();
		tell_fanotify();
		puts("--");
		fflush(stdout);
	}
	return 0;
}
