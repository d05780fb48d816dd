// SPDX-License-Identifier: Apache-2.0
/* Programs that end well, badly, late or not at all; that read their input or do not; that write too much. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/runprog.h"
#include "tests/unit/check.h"

static char dir[] = "/tmp/runprog-XXXXXX";

static char *text(const char *s)
{
	return (char *)(uintptr_t)s;
}

/* `sh -c @script` with @input. */
static int sh(const char *script, const char *input, unsigned timeout_s, struct err *e)
{
	char *argv[] = { text("sh"), text("-c"), text(script), NULL };
	char *envp[] = { text("PATH=/usr/bin:/bin"), text("A=b"), NULL };
	struct runprog r = { .path = "/bin/sh",
			     .argv = argv,
			     .envp = envp,
			     .input = input,
			     .input_len = strlen(input),
			     .timeout_s = timeout_s };

	return runprog(&r, e);
}

static void ends(void **state)
{
	static const struct {
		const char *why, *script, *input;
		unsigned timeout_s;
		int rc;
		const char *text; /* all of it */
	} rows[] = {
		{ "ends well", "exit 0", "", 0, 0, "" },
		{ "reads all of its input", "[ \"$(cat)\" = word ]", "word", 0, 0, "" },
		{ "exactly its environment", "[ \"$(env | grep -cvE '^(PATH|A|PWD|SHLVL|_|OLDPWD)=')\" = 0 ] && [ $A = b ]",
		  "", 0, 0, "" },
		{ "no other descriptor", "[ \"$(ls /proc/self/fd | wc -l)\" = 4 ]", "", 0, 0, "" },
		{ "a status", "echo o; echo e >&2; exit 3", "", 0, -EIO, "exit status 3, stdout: o, stderr: e" },
		{ "a signal", "kill -9 $$", "", 0, -EIO, "killed by signal 9, stdout: , stderr: " },
		{ "reads nothing of much", "exec <&-; exit 5", "much", 0, -EIO, "exit status 5, stdout: , stderr: " },
		{ "hangs", "echo o; sleep 100", "", 3, -ETIMEDOUT,
		  "ran past its timeout of 3 seconds, stdout: o, stderr: " },
		{ "ends before its timeout", "sleep 0.1", "", 50, 0, "" },
		{ "leaves somebody who holds its output", "sleep 3 & exit 4", "", 0, -EIO,
		  "exit status 4, stdout: , stderr: " },
		{ "more lines than one", "echo a; echo b; echo; exit 1", "", 0, -EIO,
		  "exit status 1, stdout: a b, stderr: " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		int rc = sh(rows[i].script, rows[i].input, rows[i].timeout_s, &e);

		if (rc != rows[i].rc || strcmp(e.msg, rows[i].text))
			fail_msg("%s: %d \"%s\"", rows[i].why, rc, e.msg);
	}
}

/* A megabyte, and the input much larger than a pipe, unread: nobody waits for anybody. */
static void floods(void **state)
{
	struct err e = ERR_INIT;
	char *input = malloc(1u << 20);

	(void)state;
	memset(input, 'i', (1u << 20) - 1);
	input[(1u << 20) - 1] = 0;
	assert_int_equal(sh("head -c 1048576 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 7", input, 20, &e), -EIO);
	assert_non_null(strstr(e.msg, "exit status 7, stdout: , stderr: x"));
	assert_non_null(strstr(e.msg, "xthe end"));
	free(input);
}

static void cannot_be_run(void **state)
{
	char path[64], *argv[] = { path, NULL }, *envp[] = { NULL };
	struct runprog r = { .path = path, .argv = argv, .envp = envp };
	struct err e = ERR_INIT;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(runprog(&r, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "exec /tmp/runprog-"));
	assert_non_null(strstr(e.msg, "No such file or directory"));
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(runprog(&r, &e), -EACCES);
	unlink(path);
}

/* Whoever ignores the ends of children, as a caller's caller may have it, is not told how a program ended. */
static void not_told(void **state)
{
	struct err e = ERR_INIT;
	int rc;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	rc = sh("exit 7", "", 20, &e);
	signal(SIGCHLD, SIG_DFL);
	assert_int_equal(rc, -ECHILD);
}

static int enter(const int *fds, const void *arg)
{
	struct stat a, b;

	/* The descriptors given, under new numbers, and what the caller had is not there. */
	if (fstat(fds[0], &a) < 0 || stat(dir, &b) < 0 || a.st_ino != b.st_ino)
		return -EBADF;
	return chdir(dir) < 0 ? -errno : *(const int *)arg;
}

static void enters(void **state)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *argv[] = { text("sh"), text("-c"), text("[ \"$(pwd)\" = \"$1\" ]"), text("x"), dir, NULL };
	char *envp[] = { NULL };
	int rc = 0;
	struct runprog r = { .path = "/bin/sh",
			     .argv = argv,
			     .envp = envp,
			     .enter = enter,
			     .enter_what = "cannot go there",
			     .arg = &rc,
			     .fds = { fd },
			     .nfds = 1 };
	struct err e = ERR_INIT;

	(void)state;
	if (runprog(&r, &e) < 0)
		fail_msg("%s", e.msg);
	rc = -EPERM;
	assert_int_equal(runprog(&r, &e), -EPERM);
	assert_non_null(strstr(e.msg, "cannot go there: Operation not permitted"));
}

static bool is_written(const char *file)
{
	struct stat st;

	return stat(file, &st) == 0 && st.st_size > 1;
}

static bool gone(const char *file)
{
	for (int i = 0; i < 3000; i++) {
		_cleanup_free_ char *pid = NULL;
		size_t len;

		if (io_read_file(AT_FDCWD, file, 64, &pid, &len) == 0 && kill(atoi(pid), 0) < 0 && errno == ESRCH)
			return true;
		usleep(10000);
	}
	return false;
}

/* The caller is killed: the program, and what it started, goes too. */
static void caller_killed(void **state)
{
	char script[256], a[64], b[64];
	pid_t pid;

	(void)state;
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	snprintf(script, sizeof(script), "sleep 100 & echo $! >%s; echo $$ >%s; wait", a, b);
	pid = fork();
	if (pid == 0) {
		sh(script, "", 0, NULL);
		_exit(0);
	}
	for (int i = 0; i < 3000 && !(is_written(a) && is_written(b)); i++)
		usleep(10000);
	assert_int_equal(kill(pid, SIGKILL), 0);
	waitpid(pid, NULL, 0);
	assert_true(gone(a));
	assert_true(gone(b));
	unlink(a);
	unlink(b);
}

/* A caller in the foreground, with all signals blocked. */
static void interrupted(void **state)
{
	struct err e = ERR_INIT;
	sigset_t all, old;
	pid_t pid;

	(void)state;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = fork();
	if (pid == 0) {
		usleep(200000);
		kill(getppid(), SIGTERM);
		_exit(0);
	}
	assert_int_equal(sh("sleep 100", "", 0, &e), -EINTR);
	assert_non_null(strstr(e.msg, "interrupted by a signal"));
	waitpid(pid, NULL, 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends),		 cmocka_unit_test(floods),
		cmocka_unit_test(cannot_be_run), cmocka_unit_test(enters),
		cmocka_unit_test(not_told),
		cmocka_unit_test(caller_killed), cmocka_unit_test(interrupted),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
