// SPDX-License-Identifier: Apache-2.0
/*
 * Names: making, linking, moving, removing them.
 */
#include "tests/fs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct word rename_words[] = {
	{ "noreplace", RENAME_NOREPLACE },
	{ "exchange", RENAME_EXCHANGE },
	{ "whiteout", RENAME_WHITEOUT },
	{ "bad", 0x100 },
	{ 0 },
};

static const struct word type_words[] = {
	{ "reg", S_IFREG }, { "fifo", S_IFIFO }, { "sock", S_IFSOCK },
	{ "chr", S_IFCHR }, { "blk", S_IFBLK },  { "dir", S_IFDIR },
	{ "lnk", S_IFLNK }, { "none", 0 },       { 0 },
};

static void op_mkdir(struct ctx *c)
{
	say_rc(c, mkdir(arg(c, 1), has(c, 2) ? octal(c, 2) : 0755));
}

static void op_mkdirat(struct ctx *c)
{
	say_rc(c, mkdirat(file(c, 1), arg(c, 2), 0755));
}

static void op_rmdir(struct ctx *c)
{
	say_rc(c, rmdir(arg(c, 1)));
}

static void op_unlink(struct ctx *c)
{
	say_rc(c, unlink(arg(c, 1)));
}

/* unlinkat DIR NAME [dir] */
static void op_unlinkat(struct ctx *c)
{
	say_rc(c, unlinkat(file(c, 1), arg(c, 2), has(c, 3) ? AT_REMOVEDIR : 0));
}

/* rename OLD NEW [FLAGS] */
static void op_rename(struct ctx *c)
{
	say_rc(c, renameat2(AT_FDCWD, arg(c, 1), AT_FDCWD, arg(c, 2),
			    has(c, 3) ? (unsigned)words(c, 3, rename_words) : 0));
}

static void op_link(struct ctx *c)
{
	say_rc(c, link(arg(c, 1), arg(c, 2)));
}

/* linkat OLD NEW: follows */
static void op_link_follow(struct ctx *c)
{
	say_rc(c, linkat(AT_FDCWD, arg(c, 1), AT_FDCWD, arg(c, 2), AT_SYMLINK_FOLLOW));
}

/* linkfd N NEW: a file that may have no name */
static void op_linkfd(struct ctx *c)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file(c, 1));
	say_rc(c, linkat(AT_FDCWD, path, AT_FDCWD, arg(c, 2), AT_SYMLINK_FOLLOW));
}

/* linkempty N NEW: the same by AT_EMPTY_PATH */
static void op_linkempty(struct ctx *c)
{
	say_rc(c, linkat(file(c, 1), "", AT_FDCWD, arg(c, 2), AT_EMPTY_PATH));
}

static void op_symlink(struct ctx *c)
{
	say_rc(c, symlink(arg(c, 1), arg(c, 2)));
}

/* readlink PATH [SIZE] */
static void op_readlink(struct ctx *c)
{
	static char buf[8192];
	ssize_t n = readlink(arg(c, 1), buf, has(c, 2) ? (size_t)num(c, 2) : sizeof(buf));

	if (n < 0)
		say_rc(c, n);
	else
		say_bytes(c, buf, (size_t)n);
}

/* mknod PATH TYPE MODE [MAJOR MINOR] */
static void op_mknod(struct ctx *c)
{
	dev_t dev = has(c, 5) ? makedev((unsigned)num(c, 4), (unsigned)num(c, 5)) : 0;

	say_rc(c, mknod(arg(c, 1), (mode_t)words(c, 2, type_words) | octal(c, 3), dev));
}

static void op_umask(struct ctx *c)
{
	say(c, "%o", umask(octal(c, 1)));
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return a;
}

/* bind N PATH: a socket that listens there */
static void op_bind(struct ctx *c)
{
	struct sockaddr_un a = address(arg(c, 2));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    rc = bind(fd, (const void *)&a, sizeof(a));

	say_rc(c, rc);
	if (rc == 0)
		rc = listen(fd, 5);
	if (rc == 0)
		file_set(c, 1, fd);
	else
		close(fd);
}

/* connect PATH */
static void op_connect(struct ctx *c)
{
	struct sockaddr_un a = address(arg(c, 1));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	say_rc(c, connect(fd, (const void *)&a, sizeof(a)));
	close(fd);
}

/* program PATH [MODE]: a copy of this program */
static void op_program(struct ctx *c)
{
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
	    out = open(arg(c, 1), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	static char buf[65536];
	ssize_t n;

	while (out >= 0 && (n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			bad_case("short copy");
	say_rc(c, out < 0 ? -1 : has(c, 2) ? fchmod(out, octal(c, 2)) : 0);
	close(in);
	if (out >= 0)
		close(out);
}

/* exec PATH [WORD…]: its exit status, or why it did not start */
static void op_exec(struct ctx *c)
{
	int status, why[2], err = 0;
	pid_t pid;

	if (pipe2(why, O_CLOEXEC) < 0)
		bad_case("pipe");
	pid = fork();
	if (pid == 0) {
		c->argv[c->argc] = NULL;
		execv(arg(c, 1), c->argv + 1);
		err = errno;
		(void)!write(why[1], &err, sizeof(err));
		_exit(255);
	}
	close(why[1]);
	(void)!read(why[0], &err, sizeof(err));
	close(why[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bad_case("fork");
	errno = err;
	say_rc(c, err ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status));
}

const struct op ops_name[] = {
	{ "mkdir", 1, op_mkdir },
	{ "mkdirat", 2, op_mkdirat },
	{ "rmdir", 1, op_rmdir },
	{ "unlink", 1, op_unlink },
	{ "unlinkat", 2, op_unlinkat },
	{ "rename", 2, op_rename },
	{ "link", 2, op_link },
	{ "linkfollow", 2, op_link_follow },
	{ "linkfd", 2, op_linkfd },
	{ "linkempty", 2, op_linkempty },
	{ "symlink", 2, op_symlink },
	{ "readlink", 1, op_readlink },
	{ "mknod", 3, op_mknod },
	{ "umask", 1, op_umask },
	{ "bind", 2, op_bind },
	{ "connect", 1, op_connect },
	{ "program", 1, op_program },
	{ "exec", 1, op_exec },
	{ 0 },
};
