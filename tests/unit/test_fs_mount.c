// SPDX-License-Identifier: Apache-2.0
/*
 * Real programs on a share, behind this machine's own kernel instead of a guest's: /dev/fuse as
 * carrier. Several threads, a handful of descriptors.
 */
#include "tests/unit/fs_setup.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/fusemount.h"

/* Each must exit 0 with nothing on its standard output but what is said. */
static const char *const scripts[] = {
	"cp -a /usr/include/linux x && diff -r /usr/include/linux x",
	"tar -C /usr/include -cf - asm-generic | tar -xpf - && diff -r /usr/include/asm-generic "
	"asm-generic",
	"mkdir -p d/e/f && mv d g && echo hi > g/e/f/h && test $(cat g/e/f/h) = hi && rm -r g && ! "
	"test -e g",
	"mkfifo p && (echo x > p &) && test $(cat p) = x && test -p p && rm p",
	"mknod n c 1 5 && test -c n && test \"$(stat -c %t:%T n)\" = 1:5 && rm n",
	"ln -s /etc/passwd l && test \"$(readlink l)\" = /etc/passwd && echo a > f && ln f k && "
	"test $(stat -c %h f) = 2",
	"exec 9> locked && flock 9 && ! flock -n locked true && flock -u 9 && flock -n locked true",
	"cp /bin/true t && ./t && chmod 4755 t && test $(stat -c %a t) = 4755",
	"(exec 8<> gone && rm gone && echo still >&8 && test $(stat -L -c %h /proc/self/fd/8) = 0)",
	"for i in $(seq 300); do echo $i > many$i; done; test $(ls | grep -c ^many) = 300 && rm "
	"many*",
	"umask 077 && mkdir m && test $(stat -c %a m) = 700 && touch m/f && test $(stat -c %a m/f) "
	"= 600",
	"truncate -s 1M s && test $(stat -c %b s) = 0 && dd if=/dev/zero of=s bs=4k count=1 "
	"conv=notrunc,fsync "
	"status=none && test $(stat -c %s s) = 1048576",
	"for i in 1 2 3 4; do (for k in 1 2 3; do cp -r x y$i; mv y$i z$i; rm -r z$i; done) & "
	"done; wait; "
	"! ls -d y* z* 2>/dev/null",
};

static int run(const char *where, const char *script)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		umask(022);
		if (chdir(where) < 0)
			_exit(125);
		execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(126);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void programs(void **state)
{
	const struct fs_server_cfg cfg = { .max_nodes = 100000,
					   .max_handles = 1000,
					   .max_fds = 6,
					   .attr_timeout = 1,
					   .entry_timeout = 1,
					   .proc_fd = -1 };
	char where[192], share[200];
	struct fusemount m;
	struct fsfix f;
	int rc;

	(void)state;
	fsfix_init(&f, NULL, &cfg, 0);
	fs_server_reset(f.c.s); /* the kernel's INIT comes */
	snprintf(where, sizeof(where), "%s/mnt", f.base);
	snprintf(share, sizeof(share), "%s/s", where);
	assert_int_equal(mkdir(where, 0755), 0);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    (rc = fusemount_start(&m, f.c.s, where, 4)) < 0) {
		print_message("no mount by /dev/fuse here\n");
		fsfix_done(&f);
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		rc = run(share, scripts[i]);
		if (rc) {
			fusemount_stop(&m, where);
			fail_msg("exit %d of: %s", rc, scripts[i]);
		}
	}
	fusemount_stop(&m, where);
	assert_true(fsfix_outside_intact(&f));
	fsfix_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(programs) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
