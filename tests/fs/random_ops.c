// SPDX-License-Identifier: Apache-2.0
/*
 * The operations of random sequences, and how often each is taken. Names are few, so that
 * operations meet; files are small, so that the ends of pages and files are met.
 */
#include "tests/fs/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FILE_MAX    70000
#define IO_MAX      20000
#define TIME_BEFORE 1000000000 /* set by a step; the clock's are later */

static int slot[SLOTS] = { -1, -1, -1, -1, -1, -1 };
static char buf[FILE_MAX + IO_MAX];

/* "x", "x/y" or "x/y/z" of four letters each. */
static const char *a_path(struct step *s)
{
	static char paths[2][16];
	static unsigned turn;
	char *p = paths[turn++ % 2];
	static const unsigned depths[] = { 1, 1, 1, 2, 2, 3 };
	unsigned depth = depths[pick(s, ARRAY_SIZE(depths))];

	for (unsigned i = 0; i < depth; i++) {
		p[2 * i] = (char)('a' + (int)pick(s, 4));
		p[2 * i + 1] = i + 1 < depth ? '/' : '\0';
	}
	tell(s, " %s", p);
	return p;
}

/* An open one if there is any. */
static int a_slot(struct step *s)
{
	unsigned i = pick(s, SLOTS);

	for (unsigned n = 0; n < SLOTS && slot[i] < 0; n++)
		i = (i + 1) % SLOTS;
	tell(s, " #%u", i);
	return slot[i];
}

static off_t a_place(struct step *s)
{
	static const unsigned edges[] = { 0, 1, 4095, 4096, 4097, 8192, 16384, 65536 };
	unsigned at = pick(s, 3) ? pick(s, FILE_MAX / 2) : edges[pick(s, ARRAY_SIZE(edges))];

	tell(s, " @%u", at);
	return at;
}

static size_t a_length(struct step *s)
{
	unsigned n = pick(s, 4) ? pick(s, 600) : pick(s, IO_MAX);

	tell(s, " +%u", n);
	return n;
}

static void pattern(struct step *s, size_t n)
{
	unsigned first = pick(s, 256);

	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(first + i * 7 + (i >> 8));
}

static void do_open(struct step *s)
{
	static const int how[] = { O_RDONLY,
				   O_RDWR,
				   O_RDWR | O_CREAT,
				   O_RDWR | O_CREAT,
				   O_RDWR | O_CREAT,
				   O_RDWR | O_CREAT,
				   O_RDWR | O_CREAT | O_EXCL,
				   O_RDWR | O_CREAT | O_TRUNC,
				   O_WRONLY | O_APPEND | O_CREAT,
				   O_RDWR | O_APPEND,
				   O_RDONLY | O_DIRECTORY,
				   O_RDWR | O_NOFOLLOW,
				   O_WRONLY | O_TRUNC };
	unsigned i = pick(s, SLOTS), h = pick(s, ARRAY_SIZE(how));
	int fd;

	tell(s, "open #%u %o", i, (unsigned)how[h]);
	fd = open(a_path(s), how[h] | O_CLOEXEC, 0644);
	result(s, fd < 0 ? -1 : 0);
	if (fd < 0)
		return;
	if (slot[i] >= 0)
		close(slot[i]);
	slot[i] = fd;
}

static void do_close(struct step *s)
{
	unsigned i = pick(s, SLOTS);

	tell(s, "close #%u", i);
	result(s, close(slot[i]));
	slot[i] = -1;
}

static void do_write(struct step *s)
{
	off_t at;
	size_t n;
	int fd;

	tell(s, "write");
	fd = a_slot(s);
	at = a_place(s);
	n = a_length(s);
	pattern(s, n);
	result(s, pick(s, 4) ? pwrite(fd, buf, n, at) : write(fd, buf, n));
}

static void do_read(struct step *s)
{
	off_t at;
	ssize_t n;
	int fd;

	tell(s, "read");
	fd = a_slot(s);
	at = a_place(s);
	n = pick(s, 4) ? pread(fd, buf, a_length(s), at) : read(fd, buf, a_length(s));
	result(s, n);
	if (n > 0)
		tell(s, " %08x", sum_of(buf, (size_t)n));
}

static void do_seek(struct step *s)
{
	static const int whence[] = { SEEK_SET, SEEK_CUR, SEEK_END };
	unsigned w = pick(s, 3);
	struct stat st;
	int fd;

	tell(s, "seek%u", w);
	fd = a_slot(s);
	/* places in a directory are the file system's own */
	result(s,
	       fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : lseek(fd, a_place(s), whence[w]));
}

/* What it finds is not told: what is allocated and not written counts as data while it happens to be
 * in a page cache. The position afterwards is told. */
static void do_hole(struct step *s)
{
	bool data = pick(s, 2);
	off_t at;
	int fd;

	tell(s, data ? "data" : "hole");
	fd = a_slot(s);
	at = a_place(s);
	(void)lseek(fd, at, data ? SEEK_DATA : SEEK_HOLE);
	result(s, lseek(fd, at, SEEK_SET));
}

static void do_truncate(struct step *s)
{
	tell(s, "truncate");
	if (pick(s, 2))
		result(s, truncate(a_path(s), a_place(s)));
	else
		result(s, ftruncate(a_slot(s), a_place(s)));
}

static void do_mkdir(struct step *s)
{
	tell(s, "mkdir");
	result(s, mkdir(a_path(s), pick(s, 8) ? 0755 : 02775));
}

static void do_rmdir(struct step *s)
{
	tell(s, "rmdir");
	result(s, rmdir(a_path(s)));
}

static void do_unlink(struct step *s)
{
	tell(s, "unlink");
	result(s, unlink(a_path(s)));
}

static void do_rename(struct step *s)
{
	static const unsigned flags[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	unsigned f = flags[pick(s, ARRAY_SIZE(flags))];
	const char *from;

	tell(s, "rename%u", f);
	from = a_path(s);
	result(s, renameat2(AT_FDCWD, from, AT_FDCWD, a_path(s), f));
}

static void do_link(struct step *s)
{
	const char *from;

	tell(s, "link");
	from = a_path(s);
	result(s, link(from, a_path(s)));
}

static void do_symlink(struct step *s)
{
	const char *to;

	tell(s, "symlink");
	to = a_path(s);
	result(s, symlink(to, a_path(s)));
}

static void do_readlink(struct step *s)
{
	ssize_t n;

	tell(s, "readlink");
	n = readlink(a_path(s), buf, sizeof(buf));
	result(s, n);
	if (n > 0)
		tell(s, " %.*s", (int)n, buf);
}

static void say_stat(struct step *s, int rc, const struct stat *st)
{
	result(s, rc);
	if (rc < 0)
		return;
	tell(s, " %o n%lu %u:%u", st->st_mode, (unsigned long)st->st_nlink, st->st_uid, st->st_gid);
	if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
		tell(s, " s%lld", (long long)st->st_size);
	if (st->st_mtim.tv_sec < TIME_BEFORE)
		tell(s, " m%lld.%ld", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static void do_stat(struct step *s)
{
	struct stat st = { 0 };
	int rc;

	tell(s, "stat");
	switch (pick(s, 3)) {
	case 0:
		rc = fstat(a_slot(s), &st);
		break;
	case 1:
		rc = lstat(a_path(s), &st);
		break;
	default:
		rc = stat(a_path(s), &st);
		break;
	}
	say_stat(s, rc, &st);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void do_list(struct step *s)
{
	struct dirent **list;
	const char *path;
	int n;

	tell(s, "list");
	path = pick(s, 4) ? a_path(s) : ".";
	n = scandir(path, &list, NULL, by_name);
	result(s, n);
	for (int i = 0; i < n; i++) {
		tell(s, " %s/%d", list[i]->d_name, list[i]->d_type);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static void do_xattr(struct step *s)
{
	unsigned what = pick(s, 4);
	char name[] = "user.x";
	const char *path;
	ssize_t n;

	tell(s, "xattr%u", what);
	name[5] = (char)('a' + (int)pick(s, 4));
	path = a_path(s);
	tell(s, " %s", name);
	switch (what) {
	case 0:
		n = (ssize_t)pick(s, 100);
		pattern(s, (size_t)n);
		result(s, setxattr(path, name, buf, (size_t)n, (int)pick(s, 3)));
		return;
	case 1:
		n = getxattr(path, name, buf, 100);
		result(s, n);
		if (n > 0)
			tell(s, " %08x", sum_of(buf, (size_t)n));
		return;
	case 2:
		result(s, removexattr(path, name));
		return;
	default:
		result(s, listxattr(path, buf, 4096));
		return;
	}
}

static void do_chmod(struct step *s)
{
	static const mode_t modes[] = { 0644, 0755, 0600, 0711, 0750, 0, 0777, 01777 };
	mode_t m = modes[pick(s, ARRAY_SIZE(modes))];

	tell(s, "chmod %o", m);
	if (pick(s, 3))
		result(s, chmod(a_path(s), m));
	else
		result(s, fchmod(a_slot(s), m));
}

static void do_chown(struct step *s)
{
	uid_t u = pick(s, 4) ? pick(s, 3) : (uid_t)-1, g = pick(s, 4) ? pick(s, 3) : (gid_t)-1;

	tell(s, "chown %d:%d", (int)u, (int)g);
	result(s, pick(s, 2) ? lchown(a_path(s), u, g) : chown(a_path(s), u, g));
}

static void do_times(struct step *s)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = pick(s, 500000000) } };

	t[1].tv_nsec = (long)pick(s, 1000000000);
	tell(s, "times %lld.%ld", (long long)t[1].tv_sec, t[1].tv_nsec);
	if (pick(s, 2))
		result(s, utimensat(AT_FDCWD, a_path(s), t, AT_SYMLINK_NOFOLLOW));
	else
		result(s, futimens(a_slot(s), t));
}

static void do_alloc(struct step *s)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	int mode = modes[pick(s, ARRAY_SIZE(modes))], fd;
	off_t at;

	tell(s, "alloc%d", mode);
	fd = a_slot(s);
	at = a_place(s);
	result(s, fallocate(fd, mode, at, (off_t)a_length(s)));
}

static void do_copy(struct step *s)
{
	off_t in, out;
	int from, to;

	tell(s, "copy");
	from = a_slot(s);
	in = a_place(s);
	to = a_slot(s);
	out = a_place(s);
	result(s, copy_file_range(from, &in, to, &out, a_length(s), 0));
}

/* Through a map of the whole file: a write within its size, or a look at it. */
static void do_map(struct step *s)
{
	bool put = pick(s, 2);
	struct stat st = { 0 };
	size_t at, n;
	char *p;
	int fd;

	tell(s, put ? "mapwrite" : "mapread");
	fd = a_slot(s);
	at = (size_t)a_place(s);
	n = a_length(s);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (off_t)(at + n) > st.st_size || n == 0) {
		tell(s, " none");
		return;
	}
	p = mmap(NULL, (size_t)st.st_size, put ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
		 0);
	result(s, p == MAP_FAILED ? -1 : 0);
	if (p == MAP_FAILED)
		return;
	if (put) {
		pattern(s, n);
		memcpy(p + at, buf, n);
		if (pick(s, 2))
			result(s, msync(p, (size_t)st.st_size, MS_SYNC));
	} else {
		tell(s, " %08x", sum_of(p + at, n));
	}
	munmap(p, (size_t)st.st_size);
}

static void do_sync(struct step *s)
{
	tell(s, "sync");
	result(s, pick(s, 2) ? fsync(a_slot(s)) : fdatasync(a_slot(s)));
}

/* A file without a name that gets one. */
static void do_tmpfile(struct step *s)
{
	char path[32];
	int fd, rc;

	tell(s, "tmpfile");
	fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
	result(s, fd < 0 ? -1 : 0);
	if (fd < 0)
		return;
	pattern(s, 300);
	result(s, write(fd, buf, pick(s, 300)));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = linkat(AT_FDCWD, path, AT_FDCWD, a_path(s), AT_SYMLINK_FOLLOW);
	result(s, rc);
	close(fd);
}

static void do_lock(struct step *s)
{
	struct flock l = { .l_whence = SEEK_SET };
	int fd, rc, how = pick(s, 3) ? F_SETLK : F_GETLK;

	tell(s, how == F_SETLK ? "lock" : "getlk");
	fd = a_slot(s);
	l.l_type = (short)(pick(s, 3) ? (pick(s, 2) ? F_RDLCK : F_WRLCK) : F_UNLCK);
	if (how == F_GETLK && l.l_type == F_UNLCK)
		l.l_type = F_WRLCK;
	l.l_start = (off_t)pick(s, 20);
	l.l_len = 1 + (off_t)pick(s, 10);
	tell(s, " %d %d+%d", l.l_type, (int)l.l_start, (int)l.l_len);
	rc = fcntl(fd, how, &l);
	result(s, rc);
	if (rc == 0 && how == F_GETLK)
		tell(s, " %d %d+%d", l.l_type, (int)l.l_start, (int)l.l_len);
}

static const struct {
	unsigned weight;
	void (*run)(struct step *s);
} ops[] = {
	{ 15, do_open },   { 2, do_close },    { 14, do_write },   { 12, do_read },
	{ 3, do_seek },    { 3, do_hole },     { 5, do_truncate }, { 6, do_mkdir },
	{ 1, do_rmdir },   { 3, do_unlink },   { 7, do_rename },   { 3, do_link },
	{ 1, do_symlink }, { 2, do_readlink }, { 10, do_stat },    { 5, do_list },
	{ 6, do_xattr },   { 3, do_chmod },    { 2, do_chown },    { 3, do_times },
	{ 5, do_alloc },   { 4, do_copy },     { 6, do_map },      { 1, do_sync },
	{ 2, do_tmpfile }, { 3, do_lock },
};

void random_step(struct step *s)
{
	unsigned all = 0, n, i = 0;

	for (size_t k = 0; k < ARRAY_SIZE(ops); k++)
		all += ops[k].weight;
	for (n = pick(s, all); n >= ops[i].weight; i++)
		n -= ops[i].weight;
	ops[i].run(s);
}
