// SPDX-License-Identifier: Apache-2.0
/*
 * Attributes: mode, owner, times, what stat and its relatives say.
 */
#include "tests/fs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS  4000000 /* how often to look whether the clock of time stamps has moved on */
#define LOOKS_MAX 5000

static void op_chmod(struct ctx *c)
{
	say_rc(c, chmod(arg(c, 1), octal(c, 2)));
}

static void op_fchmod(struct ctx *c)
{
	say_rc(c, fchmod(file(c, 1), octal(c, 2)));
}

static void op_chown(struct ctx *c)
{
	say_rc(c, chown(arg(c, 1), (uid_t)num(c, 2), (gid_t)num(c, 3)));
}

static void op_lchown(struct ctx *c)
{
	say_rc(c, lchown(arg(c, 1), (uid_t)num(c, 2), (gid_t)num(c, 3)));
}

static void op_fchown(struct ctx *c)
{
	say_rc(c, fchown(file(c, 1), (uid_t)num(c, 2), (gid_t)num(c, 3)));
}

static char type_letter(mode_t m)
{
	switch (m & S_IFMT) {
	case S_IFREG:
		return '-';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	default:
		return '?';
	}
}

/* One letter for each field that is wanted: m mode, n links, o owner, s size, b blocks, r device,
 * z block size. */
static void say_stat(struct ctx *c, int rc, const struct stat *st, const char *fields)
{
	if (rc < 0) {
		say_rc(c, rc);
		return;
	}
	for (const char *f = fields; *f; f++) {
		if (f != fields)
			say(c, ",");
		switch (*f) {
		case 'm':
			say(c, "%c%04o", type_letter(st->st_mode), st->st_mode & 07777);
			break;
		case 'n':
			say(c, "n%lu", (unsigned long)st->st_nlink);
			break;
		case 'o':
			say(c, "%u:%u", st->st_uid, st->st_gid);
			break;
		case 's':
			say(c, "s%lld", (long long)st->st_size);
			break;
		case 'b':
			say(c, "b%lld", (long long)st->st_blocks);
			break;
		case 'r':
			say(c, "r%u:%u", major(st->st_rdev), minor(st->st_rdev));
			break;
		case 'z':
			say(c, "z%ld", (long)st->st_blksize);
			break;
		default:
			bad_case("no field %c", *f);
		}
	}
}

static const char *fields(const struct ctx *c)
{
	return has(c, 2) ? arg(c, 2) : "m";
}

static void op_stat(struct ctx *c)
{
	struct stat st;

	say_stat(c, stat(arg(c, 1), &st), &st, fields(c));
}

static void op_lstat(struct ctx *c)
{
	struct stat st;

	say_stat(c, lstat(arg(c, 1), &st), &st, fields(c));
}

static void op_fstat(struct ctx *c)
{
	struct stat st;

	say_stat(c, fstat(file(c, 1), &st), &st, fields(c));
}

/* same A B: one file? */
static void op_same(struct ctx *c)
{
	struct stat a, b;
	int rc = lstat(arg(c, 1), &a);

	if (rc == 0)
		rc = lstat(arg(c, 2), &b);
	if (rc < 0)
		say_rc(c, rc);
	else
		say(c, "%s", a.st_ino == b.st_ino && a.st_dev == b.st_dev ? "same" : "other");
}

/* statx PATH MASK: which of it the file system gives */
static void op_statx(struct ctx *c)
{
	struct statx st;
	int rc = statx(AT_FDCWD, arg(c, 1), AT_SYMLINK_NOFOLLOW, (unsigned)num(c, 2), &st);

	if (rc < 0)
		say_rc(c, rc);
	else
		say(c, "%x", st.stx_mask & (STATX_BASIC_STATS | STATX_BTIME) & (unsigned)num(c, 2));
}

/* born A B: is B's time of birth not before A's, and no later than its change? */
static void op_born(struct ctx *c)
{
	struct statx a, b;
	int rc = statx(AT_FDCWD, arg(c, 1), 0, STATX_BTIME, &a);

	if (rc == 0)
		rc = statx(AT_FDCWD, arg(c, 2), 0, STATX_BTIME | STATX_CTIME, &b);
	if (rc < 0)
		say_rc(c, rc);
	else
		say(c, "%d%d", b.stx_btime.tv_sec >= a.stx_btime.tv_sec,
		    b.stx_btime.tv_sec <= b.stx_ctime.tv_sec && b.stx_btime.tv_sec > 0);
}

/* --- times ----------------------------------------------------------------------------- */
/* "now", "omit", or SECONDS.NANOSECONDS */
static struct timespec a_time(const struct ctx *c, int i)
{
	const char *s = arg(c, i);
	char *end;
	struct timespec t = { .tv_sec = (time_t)strtoll(s, &end, 10) };

	if (!strcmp(s, "now"))
		t.tv_nsec = UTIME_NOW;
	else if (!strcmp(s, "omit"))
		t.tv_nsec = UTIME_OMIT;
	else if (*end == '.')
		t.tv_nsec = strtol(end + 1, NULL, 10);
	return t;
}

/* utime PATH ATIME MTIME [nofollow] */
static void op_utime(struct ctx *c)
{
	struct timespec t[2] = { a_time(c, 2), a_time(c, 3) };

	say_rc(c, utimensat(AT_FDCWD, arg(c, 1), t, has(c, 4) ? AT_SYMLINK_NOFOLLOW : 0));
}

static void op_futime(struct ctx *c)
{
	struct timespec t[2] = { a_time(c, 2), a_time(c, 3) };

	say_rc(c, futimens(file(c, 1), t));
}

/* touch PATH: utimensat() without times */
static void op_touch(struct ctx *c)
{
	say_rc(c, utimensat(AT_FDCWD, arg(c, 1), NULL, 0));
}

/* times PATH: access and modification, exactly */
static void op_times(struct ctx *c)
{
	struct stat st;
	int rc = lstat(arg(c, 1), &st);

	if (rc < 0)
		say_rc(c, rc);
	else
		say(c, "%lld.%09ld,%lld.%09ld", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
		    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static struct stat marked;

static int clock_file = -1;

void mark_prepare(const char *base)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/clock", base);
	clock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (clock_file < 0 || fchmod(clock_file, 0666) < 0)
		bad_case("%s: %s", path, strerror(errno));
}

static bool differ(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

/* What time stamps are made of: the kernel's coarse clock here, and who gives the files' theirs. */
static void stamps(struct timespec *here, struct timespec *there)
{
	struct stat st;

	if (futimens(clock_file, NULL) < 0 || fstat(clock_file, &st) < 0 ||
	    clock_gettime(CLOCK_REALTIME_COARSE, here) < 0)
		bad_case("the clock: %s", strerror(errno));
	*there = st.st_mtim;
}

/* mark PATH: remembers its times, and lets the clocks move on */
static void op_mark(struct ctx *c)
{
	const struct timespec tick = { .tv_nsec = TICK_NS };
	struct timespec here, there, here_now, there_now;
	unsigned looks = 0;

	say_rc(c, lstat(arg(c, 1), &marked));
	stamps(&here, &there);
	do {
		nanosleep(&tick, NULL);
		stamps(&here_now, &there_now);
		if (++looks > LOOKS_MAX)
			bad_case("the clock of time stamps stands still");
	} while (!differ(here, here_now) || !differ(there, there_now));
}

/* moved PATH [WHICH]: which times are not what they were: a, m, c */
static void op_moved(struct ctx *c)
{
	const char *which = has(c, 2) ? arg(c, 2) : "mc";
	struct stat st;

	if (lstat(arg(c, 1), &st) < 0) {
		say_rc(c, -1);
		return;
	}
	say(c, "moved:");
	if (strchr(which, 'a') && differ(st.st_atim, marked.st_atim))
		say(c, "a");
	if (strchr(which, 'm') && differ(st.st_mtim, marked.st_mtim))
		say(c, "m");
	if (strchr(which, 'c') && differ(st.st_ctim, marked.st_ctim))
		say(c, "c");
}

/* recent PATH: are all its times of the last minute? */
static void op_recent(struct ctx *c)
{
	time_t now = time(NULL);
	struct stat st;

	if (lstat(arg(c, 1), &st) < 0)
		say_rc(c, -1);
	else
		say(c, "%d%d%d", labs(now - st.st_atim.tv_sec) < 60,
		    labs(now - st.st_mtim.tv_sec) < 60, labs(now - st.st_ctim.tv_sec) < 60);
}

/* --- the rest ---------------------------------------------------------------------------- */
/* access PATH rwxf [FLAGS]: "e" by effective ids, "l" the link itself */
static void op_access(struct ctx *c)
{
	int mode = 0, flags = 0;

	for (const char *s = arg(c, 2); *s; s++)
		mode |= *s == 'r' ? R_OK : *s == 'w' ? W_OK : *s == 'x' ? X_OK : F_OK;
	for (const char *s = has(c, 3) ? arg(c, 3) : ""; *s; s++)
		flags |= *s == 'e' ? AT_EACCESS : AT_SYMLINK_NOFOLLOW;
	say_rc(c, syscall(SYS_faccessat2, AT_FDCWD, arg(c, 1), mode, flags));
}

/* statfs PATH: names' length, block sizes, and that there are more blocks than free ones */
static void op_statfs(struct ctx *c)
{
	struct statvfs v;
	int rc = statvfs(arg(c, 1), &v);

	if (rc < 0)
		say_rc(c, rc);
	else
		say(c, "%lu,%lu,%lu,%d%d%d", v.f_namemax, v.f_bsize, v.f_frsize,
		    v.f_blocks > v.f_bfree, v.f_bfree >= v.f_bavail, v.f_files > v.f_ffree);
}

/* cwd: the last name of the working directory */
static void op_cwd(struct ctx *c)
{
	char buf[8192], *slash;

	if (!getcwd(buf, sizeof(buf))) {
		say_rc(c, -1);
		return;
	}
	slash = strrchr(buf, '/');
	say_bytes(c, slash + 1, strlen(slash + 1));
}

const struct op ops_attr[] = {
	{ "chmod", 2, op_chmod },   { "fchmod", 2, op_fchmod },
	{ "chown", 3, op_chown },   { "lchown", 3, op_lchown },
	{ "fchown", 3, op_fchown }, { "stat", 1, op_stat },
	{ "lstat", 1, op_lstat },   { "fstat", 1, op_fstat },
	{ "same", 2, op_same },     { "statx", 2, op_statx },
	{ "born", 2, op_born },     { "utime", 3, op_utime },
	{ "futime", 3, op_futime }, { "touch", 1, op_touch },
	{ "times", 1, op_times },   { "mark", 1, op_mark },
	{ "moved", 1, op_moved },   { "recent", 1, op_recent },
	{ "access", 2, op_access }, { "statfs", 1, op_statfs },
	{ "cwd", 0, op_cwd },       { 0 },
};
