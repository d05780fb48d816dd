// SPDX-License-Identifier: Apache-2.0
/*
 * fs-mount DIR WHERE COMMAND [ARG…]: mounts the file server's DIR behind this machine's own
 * /dev/fuse, runs the command and unmounts. The suites of this folder can so be tried without a
 * virtual machine: the share is WHERE/s.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/fusemount.h"
#include "lib/util.h"

#define THREADS 8

static int fail(const char *what, int err)
{
	fprintf(stderr, "fs-mount: %s: %s\n", what, strerror(err));
	return 2;
}

static int run(char **argv)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return fail("fork", errno);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct fs_server_cfg cfg = FS_SERVER_CFG_DEFAULT;
	struct fusemount m;
	struct fs_server *s;
	struct err e = { 0 };
	int fd, rc;

	if (argc < 4) {
		fprintf(stderr, "usage: fs-mount DIR WHERE COMMAND [ARG...]\n");
		return 2;
	}
	fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(argv[1], errno);
	if (fs_server_new(&s, &cfg, &e) < 0 || fs_share_add(s, "s", fd, 0, &e) < 0)
		return fail(e.msg, e.code);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail("mount namespace", errno);
	rc = fusemount_start(&m, s, argv[2], THREADS);
	if (rc < 0)
		return fail(argv[2], -rc);
	/* What a container's root has: devices and set-id programs. */
	if (mount(NULL, argv[2], NULL, MS_REMOUNT | MS_BIND, NULL) < 0)
		rc = fail("remount", errno);
	else
		rc = run(argv + 3);
	fusemount_stop(&m, argv[2]);
	fs_server_free(s);
	return rc;
}
