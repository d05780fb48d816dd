// SPDX-License-Identifier: Apache-2.0
/*
 * Watching, handles, ioctls.
 */
#include "tests/fs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct word event_words[] = {
	{ "access", IN_ACCESS },
	{ "modify", IN_MODIFY },
	{ "attrib", IN_ATTRIB },
	{ "close_write", IN_CLOSE_WRITE },
	{ "close_nowrite", IN_CLOSE_NOWRITE },
	{ "open", IN_OPEN },
	{ "from", IN_MOVED_FROM },
	{ "to", IN_MOVED_TO },
	{ "create", IN_CREATE },
	{ "delete", IN_DELETE },
	{ "delete_self", IN_DELETE_SELF },
	{ "move_self", IN_MOVE_SELF },
	{ "ignored", IN_IGNORED },
	{ "isdir", IN_ISDIR },
	{ "all", IN_ALL_EVENTS },
	{ 0 },
};

/* watch N PATH EVENTS: file number N tells of them */
static void op_watch(struct ctx *c)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	say_rc(c,
	       inotify_add_watch(fd, arg(c, 2), (uint32_t)words(c, 3, event_words)) < 0 ? -1 : 0);
	file_set(c, 1, fd);
}

static void say_event(struct ctx *c, const struct inotify_event *e)
{
	for (const struct word *w = event_words; strcmp(w->name, "all") != 0; w++)
		if (e->mask & w->value)
			say(c, "%s.", w->name);
	if (e->len)
		say(c, "%s", e->name);
	say(c, ",");
}

/* events N: all that have come */
static void op_events(struct ctx *c)
{
	_Alignas(8) char buf[4096];
	ssize_t n;

	say(c, "[");
	while ((n = read(file(c, 1), buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			say_event(c, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	say(c, "]");
}

/* handle PATH: does the file system give handles? */
static void op_handle(struct ctx *c)
{
	struct file_handle *h = calloc(1, sizeof(*h) + MAX_HANDLE_SZ);
	int mount_id, rc;

	if (!h)
		bad_case("no memory");
	h->handle_bytes = MAX_HANDLE_SZ;
	rc = name_to_handle_at(AT_FDCWD, arg(c, 1), h, &mount_id, 0);
	say_rc(c, rc);
	free(h);
}

/* getflags N: FS_IOC_GETFLAGS */
static void op_getflags(struct ctx *c)
{
	int fl = 0, rc = ioctl(file(c, 1), FS_IOC_GETFLAGS, &fl);

	say_rc(c, rc);
}

/* clone FROM TO: FICLONE */
static void op_clone(struct ctx *c)
{
	say_rc(c, ioctl(file(c, 2), FICLONE, file(c, 1)));
}

/* unread N: FIONREAD */
static void op_unread(struct ctx *c)
{
	int n = 0, rc = ioctl(file(c, 1), FIONREAD, &n);

	say_rc(c, rc < 0 ? rc : n);
}

/* ready N: poll() for reading and writing */
static void op_ready(struct ctx *c)
{
	struct pollfd p = { .fd = file(c, 1), .events = POLLIN | POLLOUT };
	int rc = poll(&p, 1, 0);

	say_rc(c, rc < 0 ? rc : p.revents);
}

const struct op ops_event[] = {
	{ "watch", 3, op_watch },   { "events", 1, op_events },
	{ "handle", 1, op_handle }, { "getflags", 1, op_getflags },
	{ "clone", 2, op_clone },   { "unread", 1, op_unread },
	{ "ready", 1, op_ready },   { 0 },
};
