// SPDX-License-Identifier: Apache-2.0
/*
 * Contents: reads, writes, sizes, holes, copies between files.
 */
#include "tests/fs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUF_MAX (4u << 20)

static const struct word whence_words[] = {
	{ "set", SEEK_SET },
	{ "cur", SEEK_CUR },
	{ "end", SEEK_END },
	{ "data", SEEK_DATA },
	{ "hole", SEEK_HOLE },
	{ "bad", 99 },
	{ 0 },
};

static const struct word alloc_words[] = {
	{ "keep", FALLOC_FL_KEEP_SIZE },
	{ "punch", FALLOC_FL_PUNCH_HOLE },
	{ "zero", FALLOC_FL_ZERO_RANGE },
	{ "collapse", FALLOC_FL_COLLAPSE_RANGE },
	{ "insert", FALLOC_FL_INSERT_RANGE },
	{ "unshare", FALLOC_FL_UNSHARE_RANGE },
	{ "bad", 0x4000 },
	{ 0 },
};

static const struct word sync_words[] = {
	{ "wait_before", SYNC_FILE_RANGE_WAIT_BEFORE },
	{ "write", SYNC_FILE_RANGE_WRITE },
	{ "wait_after", SYNC_FILE_RANGE_WAIT_AFTER },
	{ 0 },
};

static const struct word rwf_words[] = {
	{ "append", RWF_APPEND }, { "dsync", RWF_DSYNC }, { "sync", RWF_SYNC },
	{ "nowait", RWF_NOWAIT }, { "hipri", RWF_HIPRI }, { 0 },
};

/* Aligned, for O_DIRECT; never given back. */
static char *buffer(size_t n)
{
	static char *buf;

	if (n > BUF_MAX)
		bad_case("more than %u bytes", BUF_MAX);
	if (!buf && posix_memalign((void **)&buf, 4096, BUF_MAX + 4096))
		bad_case("no memory");
	return buf;
}

/* write N TEXT */
static void op_write(struct ctx *c)
{
	say_rc(c, write(file(c, 1), arg(c, 2), c->len[2]));
}

/* pwrite N OFF TEXT */
static void op_pwrite(struct ctx *c)
{
	say_rc(c, pwrite(file(c, 1), arg(c, 3), c->len[3], num(c, 2)));
}

/* pwritev2 N OFF TEXT FLAGS */
static void op_pwritev2(struct ctx *c)
{
	struct iovec iov = { c->argv[3], c->len[3] };

	say_rc(c, pwritev2(file(c, 1), &iov, 1, num(c, 2), (int)words(c, 4, rwf_words)));
}

/* writev N A B C: three parts at once */
static void op_writev(struct ctx *c)
{
	struct iovec iov[3];

	for (int i = 0; i < 3; i++)
		iov[i] = (struct iovec){ c->argv[2 + i], c->len[2 + i] };
	say_rc(c, writev(file(c, 1), iov, 3));
}

/* fill N OFF LEN CHAR [MISALIGN]: from an aligned buffer */
static void op_fill(struct ctx *c)
{
	size_t len = (size_t)num(c, 3);
	char *buf = buffer(len) + (has(c, 5) ? num(c, 5) : 0);

	memset(buf, arg(c, 4)[0], len);
	for (size_t at = 0; at < len; at += 4096) /* pages can be told apart */
		buf[at] = (char)(at >> 12);
	say_rc(c, pwrite(file(c, 1), buf, len, num(c, 2)));
}

static void got(struct ctx *c, const char *buf, ssize_t n)
{
	if (n < 0)
		say_rc(c, n);
	else
		say_bytes(c, buf, (size_t)n);
}

/* read N LEN */
static void op_read(struct ctx *c)
{
	size_t len = (size_t)num(c, 2);
	char *buf = buffer(len);

	got(c, buf, read(file(c, 1), buf, len));
}

/* pread N OFF LEN [MISALIGN] */
static void op_pread(struct ctx *c)
{
	size_t len = (size_t)num(c, 3);
	char *buf = buffer(len) + (has(c, 4) ? num(c, 4) : 0);

	got(c, buf, pread(file(c, 1), buf, len, num(c, 2)));
}

/* cat PATH: the whole file */
static void op_cat(struct ctx *c)
{
	char *buf = buffer(BUF_MAX);
	int fd = open(arg(c, 1), O_RDONLY | O_NONBLOCK);

	if (fd < 0) {
		say_rc(c, fd);
		return;
	}
	got(c, buf, read(fd, buf, BUF_MAX));
	close(fd);
}

/* put PATH TEXT: as a shell's > would */
static void op_put(struct ctx *c)
{
	int fd = open(arg(c, 1), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0) {
		say_rc(c, fd);
		return;
	}
	say_rc(c, write(fd, arg(c, 2), c->len[2]));
	close(fd);
}

/* seek N OFF WHENCE */
static void op_seek(struct ctx *c)
{
	say_rc(c, lseek(file(c, 1), num(c, 2), (int)words(c, 3, whence_words)));
}

static void op_truncate(struct ctx *c)
{
	say_rc(c, truncate(arg(c, 1), num(c, 2)));
}

static void op_ftruncate(struct ctx *c)
{
	say_rc(c, ftruncate(file(c, 1), num(c, 2)));
}

/* falloc N MODE OFF LEN */
static void op_falloc(struct ctx *c)
{
	say_rc(c, fallocate(file(c, 1), (int)words(c, 2, alloc_words), num(c, 3), num(c, 4)));
}

/* copy FROM OFF TO OFF LEN [FLAGS] */
static void op_copy(struct ctx *c)
{
	off_t in = num(c, 2), out = num(c, 4);
	ssize_t n = copy_file_range(file(c, 1), &in, file(c, 3), &out, (size_t)num(c, 5),
				    has(c, 6) ? (unsigned)num(c, 6) : 0);

	say_rc(c, n);
	if (n > 0)
		say(c, "@%lld,%lld", (long long)in, (long long)out);
}

/* sendfile TO FROM OFF LEN */
static void op_sendfile(struct ctx *c)
{
	off_t off = num(c, 3);

	say_rc(c, sendfile(file(c, 1), file(c, 2), &off, (size_t)num(c, 4)));
}

/* splice FROM TO LEN: through a pipe */
static void op_splice(struct ctx *c)
{
	int pipe_fd[2];
	ssize_t n;

	if (pipe(pipe_fd) < 0)
		bad_case("pipe");
	n = splice(file(c, 1), NULL, pipe_fd[1], NULL, (size_t)num(c, 3), 0);
	say_rc(c, n);
	if (n > 0) {
		say(c, ">");
		say_rc(c, splice(pipe_fd[0], NULL, file(c, 2), NULL, (size_t)n, 0));
	}
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void op_fsync(struct ctx *c)
{
	say_rc(c, fsync(file(c, 1)));
}

static void op_fdatasync(struct ctx *c)
{
	say_rc(c, fdatasync(file(c, 1)));
}

static void op_syncfs(struct ctx *c)
{
	say_rc(c, syncfs(file(c, 1)));
}

/* sync_range N OFF LEN FLAGS */
static void op_sync_range(struct ctx *c)
{
	say_rc(c, sync_file_range(file(c, 1), num(c, 2), num(c, 3),
				  (unsigned)words(c, 4, sync_words)));
}

/* advise N OFF LEN NUMBER */
static void op_advise(struct ctx *c)
{
	int rc = posix_fadvise(file(c, 1), num(c, 2), num(c, 3), (int)num(c, 4));

	errno = rc;
	say_rc(c, rc ? -1 : 0);
}

/* limit BYTES: RLIMIT_FSIZE; the signal is ignored */
static void op_limit(struct ctx *c)
{
	struct rlimit l = { (rlim_t)num(c, 1), RLIM_INFINITY };

	say_rc(c, setrlimit(RLIMIT_FSIZE, &l));
}

const struct op ops_data[] = {
	{ "write", 2, op_write },
	{ "pwrite", 3, op_pwrite },
	{ "pwritev2", 4, op_pwritev2 },
	{ "writev", 4, op_writev },
	{ "fill", 4, op_fill },
	{ "read", 2, op_read },
	{ "pread", 3, op_pread },
	{ "cat", 1, op_cat },
	{ "put", 2, op_put },
	{ "seek", 3, op_seek },
	{ "truncate", 2, op_truncate },
	{ "ftruncate", 2, op_ftruncate },
	{ "falloc", 4, op_falloc },
	{ "copy", 5, op_copy },
	{ "sendfile", 4, op_sendfile },
	{ "splice", 3, op_splice },
	{ "fsync", 1, op_fsync },
	{ "fdatasync", 1, op_fdatasync },
	{ "syncfs", 1, op_syncfs },
	{ "sync_range", 4, op_sync_range },
	{ "advise", 4, op_advise },
	{ "limit", 1, op_limit },
	{ 0 },
};
