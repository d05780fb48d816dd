// SPDX-License-Identifier: Apache-2.0
/*
 * Opening: all flags, openat2, descriptors.
 */
#include "tests/fs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct word open_words[] = {
	{ "r", O_RDONLY },
	{ "w", O_WRONLY },
	{ "rw", O_RDWR },
	{ "acc3", O_ACCMODE },
	{ "creat", O_CREAT },
	{ "excl", O_EXCL },
	{ "trunc", O_TRUNC },
	{ "append", O_APPEND },
	{ "nonblock", O_NONBLOCK },
	{ "sync", O_SYNC },
	{ "dsync", O_DSYNC },
	{ "direct", O_DIRECT },
	{ "directory", O_DIRECTORY },
	{ "nofollow", O_NOFOLLOW },
	{ "noatime", O_NOATIME },
	{ "path", O_PATH },
	{ "tmpfile", O_TMPFILE },
	{ "cloexec", O_CLOEXEC },
	{ "noctty", O_NOCTTY },
	{ 0 },
};

static const struct word resolve_words[] = {
	{ "beneath", RESOLVE_BENEATH },
	{ "in_root", RESOLVE_IN_ROOT },
	{ "no_links", RESOLVE_NO_SYMLINKS },
	{ "no_magic", RESOLVE_NO_MAGICLINKS },
	{ "no_xdev", RESOLVE_NO_XDEV },
	{ "cached", RESOLVE_CACHED },
	{ 0 },
};

static void keep(struct ctx *c, int fd)
{
	say_rc(c, fd < 0 ? -1 : 0);
	if (fd >= 0)
		file_set(c, 1, fd);
}

/* open N PATH FLAGS [MODE] */
static void op_open(struct ctx *c)
{
	keep(c, open(arg(c, 2), (int)words(c, 3, open_words), has(c, 4) ? octal(c, 4) : 0644));
}

/* openat N DIR PATH FLAGS [MODE] */
static void op_openat(struct ctx *c)
{
	keep(c, openat(file(c, 2), arg(c, 3), (int)words(c, 4, open_words),
		       has(c, 5) ? octal(c, 5) : 0644));
}

/* openat2 N DIR PATH FLAGS RESOLVE */
static void op_openat2(struct ctx *c)
{
	struct open_how how = { .flags = words(c, 4, open_words),
				.resolve = words(c, 5, resolve_words) };

	if (how.flags & O_CREAT)
		how.mode = 0644;
	keep(c, (int)syscall(SYS_openat2, file(c, 2), arg(c, 3), &how, sizeof(how)));
}

/* reopen N OLD FLAGS: by /proc/self/fd */
static void op_reopen(struct ctx *c)
{
	char path[64] = "/proc/self/fd/";
	int fd = file(c, 2);
	size_t n = strlen(path);

	if (fd > 99)
		path[n++] = (char)('0' + fd / 100);
	if (fd > 9)
		path[n++] = (char)('0' + fd / 10 % 10);
	path[n++] = (char)('0' + fd % 10);
	path[n] = '\0';
	keep(c, open(path, (int)words(c, 3, open_words), 0644));
}

static void op_close(struct ctx *c)
{
	say_rc(c, close(file(c, 1)));
	file_set(c, 1, -1);
}

static void op_dup(struct ctx *c)
{
	keep(c, dup(file(c, 2)));
}

/* flags N: the status flags that every file system shows alike */
static void op_flags(struct ctx *c)
{
	int fl = fcntl(file(c, 1), F_GETFL);

	if (fl < 0) {
		say_rc(c, fl);
		return;
	}
	say(c, "%o",
	    (unsigned)fl & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DIRECT | O_NOATIME |
			    O_PATH | O_DIRECTORY));
}

/* setflags N FLAGS */
static void op_setflags(struct ctx *c)
{
	say_rc(c, fcntl(file(c, 1), F_SETFL, words(c, 2, open_words)));
}

static void op_fchdir(struct ctx *c)
{
	say_rc(c, fchdir(file(c, 1)));
}

static void op_chdir(struct ctx *c)
{
	say_rc(c, chdir(arg(c, 1)));
}

const struct op ops_file[] = {
	{ "open", 3, op_open },
	{ "openat", 4, op_openat },
	{ "openat2", 5, op_openat2 },
	{ "reopen", 3, op_reopen },
	{ "close", 1, op_close },
	{ "dup", 2, op_dup },
	{ "flags", 1, op_flags },
	{ "setflags", 2, op_setflags },
	{ "fchdir", 1, op_fchdir },
	{ "chdir", 1, op_chdir },
	{ 0 },
};
