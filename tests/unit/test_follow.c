// SPDX-License-Identifier: Apache-2.0
/* Mounts of the host that come and go below a source: what is told of them, and what the follower makes of the kernel's. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/proxy/follow_table.h"

/* ---- the difference ------------------------------------------------------------------------------ */

#define ROOT "10 1 0:1 / / rw - tmpfs t rw\n"
#define BIND "11 10 0:2 / /0 rw master:1 - ext4 d rw\n"
#define NEXT "12 10 0:2 / /1 rw master:1 - ext4 d rw\n"

static void what_is_new(void **state)
{
	static const struct {
		const char *why, *known, *now;
		const char *want; /* bind parent path … */
	} rows[] = {
		{ "nothing but the sources", "", ROOT BIND NEXT, "" },
		{ "one mount", "", ROOT BIND NEXT "20 11 0:9 / /0/a/b rw - tmpfs t rw\n", "0 0 a/b;" },
		{ "in the second one", "", ROOT BIND NEXT "20 12 0:9 / /1/a rw - tmpfs t rw\n", "1 0 a;" },
		{ "on all of a source", "", ROOT BIND "20 11 0:9 / /0 rw - tmpfs t rw\n", "0 0 ;" },
		{ "known", "20 11 0:9 / /0/a rw - tmpfs t rw\n", ROOT BIND "20 11 0:9 / /0/a rw - tmpfs t rw\n", "" },
		{ "in a known one", "20 11 0:9 / /0/a rw - tmpfs t rw\n",
		  ROOT BIND "20 11 0:9 / /0/a rw - tmpfs t rw\n21 20 0:8 / /0/a/b rw - tmpfs t rw\n", "0 1 b;" },
		{ "on all of a known one", "20 11 0:9 / /0/a rw - tmpfs t rw\n",
		  ROOT BIND "20 11 0:9 / /0/a rw - tmpfs t rw\n21 20 0:8 / /0/a rw - tmpfs t rw\n", "0 1 ;" },
		{ "in an unknown one: it has to come first", "",
		  ROOT BIND "21 20 0:8 / /0/a/b rw - tmpfs t rw\n20 11 0:9 / /0/a rw - tmpfs t rw\n", "0 0 a;" },
		{ "in one that is not told of: where that is", "-20 11 0:9 / /0/a rw - autofs t rw\n",
		  ROOT BIND "20 11 0:9 / /0/a rw - autofs t rw\n21 20 0:8 / /0/a/b rw - tmpfs t rw\n", "0 0 a/b through;" },
		{ "its number is another mount's now", "20 11 0:9 / /0/a rw - tmpfs t rw\n",
		  ROOT BIND "20 11 0:8 / /0/a rw - tmpfs t rw\n", "0 0 a;" },
		{ "a part of the same file system", "20 11 0:9 / /0/a rw - tmpfs t rw\n",
		  ROOT BIND "20 11 0:9 /x /0/a rw - tmpfs t rw\n", "0 0 a;" },
		{ "no source of that number", "",
		  ROOT "20 10 0:9 / /99 rw - tmpfs t rw\n21 20 0:8 / /99/a rw - tmpfs t rw\n", "" },
		{ "no number", "", ROOT "20 10 0:9 / /0x rw - tmpfs t rw\n21 20 0:8 / /0x/a rw - tmpfs t rw\n", "" },
		{ "a loop of parents", "", ROOT "20 21 0:9 / /0/a rw - tmpfs t rw\n21 20 0:8 / /0/a/b rw - tmpfs t rw\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct follow_table t = { .n = 0 };
		struct mountinfo known, now;
		struct follow_place p;
		char got[256] = "";
		size_t from = 0;

		assert_int_equal(mountinfo_parse(&known, strdup(rows[i].known + (rows[i].known[0] == '-'))), 0);
		assert_int_equal(mountinfo_parse(&now, strdup(rows[i].now)), 0);
		for (size_t k = 0; k < known.n; k++)
			assert_int_equal(follow_table_add(&t, &known.rows[k], 0,
							  rows[i].known[0] == '-' ? FOLLOW_NO_SLOT : follow_free_slot(&t)), 0);
		while (follow_next_new(&t, &now, &from, &p))
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%u %u %s%s;", p.bind, p.parent, p.path,
				 p.through ? " through" : "");
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].why, got, rows[i].want);
		follow_table_free(&t);
		mountinfo_free(&known);
		mountinfo_free(&now);
	}
}

static void what_has_gone(void **state)
{
	static const char first[] = ROOT BIND "20 11 0:9 / /0/a rw - tmpfs t rw\n21 20 0:8 / /0/a/b rw - tmpfs t rw\n";
	static const struct {
		const char *why, *now;
		ssize_t want;
	} rows[] = {
		{ "none", ROOT BIND "21 20 0:8 / /0/a/b rw - tmpfs t rw\n20 11 0:9 / /0/a rw - tmpfs t rw\n", -1 },
		{ "the upper one", ROOT BIND "20 11 0:9 / /0/a rw - tmpfs t rw\n", 1 },
		{ "both: the later one is told first", ROOT BIND, 1 },
		{ "moved with the folder",
		  ROOT BIND "20 11 0:9 / /0/x rw - tmpfs t rw\n21 20 0:8 / /0/a/b rw - tmpfs t rw\n", 0 },
		{ "another one in its place",
		  ROOT BIND "20 11 0:9 / /0/a rw - tmpfs t rw\n21 20 0:7 / /0/a/b rw - tmpfs t rw\n", 1 },
	};
	struct follow_table t = { .n = 0 };
	struct mountinfo m;

	(void)state;
	assert_int_equal(mountinfo_parse(&m, strdup(first)), 0);
	assert_int_equal(follow_table_add(&t, &m.rows[2], 0, 0), 0);
	assert_int_equal(follow_table_add(&t, &m.rows[3], 0, 1), 0);
	assert_int_equal(follow_free_slot(&t), 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct mountinfo now;

		assert_int_equal(mountinfo_parse(&now, strdup(rows[i].now)), 0);
		check_row(rows[i].why, follow_next_gone(&t, &now) == rows[i].want);
		mountinfo_free(&now);
	}
	follow_table_remove(&t, 0);
	assert_int_equal(follow_free_slot(&t), 0);
	follow_table_free(&t);
	mountinfo_free(&m);
}

static void slots_run_out(void **state)
{
	struct follow_table t = { .n = 0 };
	struct mountinfo m;

	(void)state;
	assert_int_equal(mountinfo_parse(&m, strdup(ROOT)), 0);
	for (int i = 0; i < FOLLOW_MAX_MOUNTS; i++) {
		assert_int_equal(follow_free_slot(&t), i);
		assert_int_equal(follow_table_add(&t, &m.rows[0], 0, i), 0);
	}
	assert_int_equal(follow_free_slot(&t), FOLLOW_NO_SLOT);
	follow_table_free(&t);
	mountinfo_free(&m);
}

/* ---- the follower --------------------------------------------------------------------------------- */

static char dir[64];
static int sock = -1, pidfd = -1;

static const char *in_dir(const char *name)
{
	static char path[2][4096];
	static unsigned i;

	snprintf(path[++i % 2], sizeof(path[0]), "%s/%s", dir, name);
	return path[i % 2];
}

static void sh(const char *format)
{
	char command[1024];

	snprintf(command, sizeof(command), "cd %s && { %s; }", dir, format);
	check_row(command, system(command) == 0);
}

/* Two sources, d and r, of which what comes to the second is read-only; in the first a mount is there already. */
static void begin(uint32_t readonly)
{
	struct mount_attr slave = { .propagation = MS_SLAVE };
	struct err e = ERR_INIT;
	int trees[2], pair[2], proc = open("/proc", O_PATH | O_CLOEXEC);
	const char *names[] = { "d", "r" };

	for (int i = 0; i < 2; i++) {
		trees[i] = open_tree(AT_FDCWD, in_dir(names[i]), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		assert_true(trees[i] >= 0);
		assert_int_equal(mount_setattr(trees[i], "", AT_EMPTY_PATH | AT_RECURSIVE, &slave, sizeof(slave)), 0);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	check_row(e.msg, follower_start(proc, trees, 2, readonly, pair[1], &pidfd, &e) == 0);
	signal(SIGCHLD, SIG_DFL); /* for system(3) */
	close(pair[1]);
	close(trees[0]);
	close(trees[1]);
	close(proc);
	sock = pair[0];
}

static void end(void)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	close(sock);
	assert_int_equal(poll(&p, 1, 5000), 1);
	close(pidfd);
}

/* The next event, in words; *ret_fd: its descriptor. */
static const char *hear(struct follow_event *ev, int *ret_fd)
{
	static const char *const kinds[] = { "?", "here", "gone", "end", "full" };
	static char words[300];
	struct pollfd p = { .fd = sock, .events = POLLIN };
	size_t n = 1;

	*ret_fd = -1;
	if (poll(&p, 1, 5000) != 1)
		return "nothing";
	if (io_recv_fds(sock, ev, sizeof(*ev), ret_fd, &n, 0) != sizeof(*ev))
		return "the end";
	if (!n)
		*ret_fd = -1;
	snprintf(words, sizeof(words), ev->kind == FOLLOW_HERE ? "%s %u bind %u parent %u %s%s" : "%s %u",
		 kinds[ev->kind % 5], ev->slot, ev->bind, ev->parent, ev->path, ev->is_file ? " file" : "");
	return words;
}

/* The kind of the next event, whatever it is about; answered where it wants to be. */
static uint32_t heard(void)
{
	struct follow_event ev;
	struct follow_answer a = { .rc = 0 };
	int fd;

	check_row("an event", strcmp(hear(&ev, &fd), "nothing") != 0);
	if (fd >= 0)
		close(fd);
	a.slot = ev.slot;
	if (ev.kind != FOLLOW_FULL)
		assert_true(io_send_fds(sock, &a, sizeof(a), NULL, 0) >= 0);
	return ev.kind;
}

static int expect(const char *want, int rc)
{
	struct follow_event ev;
	int fd;
	const char *got = hear(&ev, &fd);
	struct follow_answer a = { .slot = ev.slot, .rc = rc };

	if (strcmp(got, want) != 0)
		fail_msg("\"%s\" instead of \"%s\"", got, want);
	if (rc <= 0)
		assert_true(io_send_fds(sock, &a, sizeof(a), NULL, 0) >= 0);
	return fd;
}

static void expect_nothing(void)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 200), 0);
}

#define AT_BEGINNING 1 /* is not answered */

static bool has(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, 0) == 0;
}

static void mounts_come_and_go(void **state)
{
	int fd;

	(void)state;
	sh("mkdir d/old d/new d/over r/x && mount -t tmpfs old d/old && touch d/old/f");
	begin(2);
	fd = expect("here 0 bind 0 parent 0 old", AT_BEGINNING);
	assert_true(has(fd, "f"));
	close(fd);
	assert_int_equal(expect("end 0", AT_BEGINNING), -1);
	expect_nothing();

	sh("mount -t tmpfs -o nosuid new d/new && touch d/new/g && mkdir d/new/in");
	fd = expect("here 1 bind 0 parent 0 new", 0);
	check_row("its files", has(fd, "g"));
	check_row("which can be written", faccessat(fd, ".", W_OK, 0) == 0);
	close(fd);
	sh("mount -t tmpfs in d/new/in");
	close(expect("here 2 bind 0 parent 2 in", 0));
	sh("mount -t tmpfs over d/new/in");
	close(expect("here 3 bind 0 parent 3 ", 0));
	sh("umount d/new/in");
	expect("gone 3", 0);
	sh("umount -l d/new");
	expect("gone 2", 0);
	expect("gone 1", 0);

	sh("touch d/file f && mount --bind f d/file");
	close(expect("here 1 bind 0 parent 0 file file", -EIO));
	sh("mount -t tmpfs ro r/x && touch r/x/h");
	fd = expect("here 2 bind 1 parent 0 x", 0);
	check_row("read-only, the copy is", faccessat(fd, ".", W_OK, 0) == -1 && errno == EROFS);
	close(fd);
	sh("umount d/file d/old");
	expect("gone 1", 0);
	expect("gone 0", 0);
	sh("mount -t tmpfs all d");
	close(expect("here 0 bind 0 parent 0 ", 0));
	sh("umount d");
	expect("gone 0", 0);
	sh("umount r/x");
	expect("gone 2", 0);
	end();
}

/* Names that lead elsewhere, what is covered before anybody looked, what is no file. */
static void what_is_not_told(void **state)
{
	(void)state;
	sh("mkdir -p d/k d/p d/c d/l && ln -s / d/link && mkfifo fifo && touch d/fifo");
	begin(0);
	expect("end 0", AT_BEGINNING);
	sh("mount -t proc proc d/p && mount --bind fifo d/fifo");
	expect_nothing();
	sh("mount -t tmpfs a d/c; mount -t tmpfs b d/c");
	/* The first one may have been seen alone. */
	{
		struct follow_event ev;
		struct follow_answer a = { .rc = 0 };
		int fd;
		const char *got = hear(&ev, &fd);

		check_row(got, !strcmp(got, "here 0 bind 0 parent 0 c"));
		close(fd);
		assert_true(io_send_fds(sock, &a, sizeof(a), NULL, 0) >= 0);
	}
	sh("umount d/p d/fifo");
	end();
	sh("umount d/c && umount d/c");
}

/* One over the other, both before anybody looks: the upper one is seen, and when that goes the lower one. */
static void one_over_the_other(void **state)
{
	int fd;

	(void)state;
	sh("mkdir -p d/o && mount -t tmpfs low d/o && touch d/o/low && mount -t tmpfs high d/o && touch d/o/high");
	begin(0);
	fd = expect("here 0 bind 0 parent 0 o", AT_BEGINNING);
	check_row("the upper one", has(fd, "high") && !has(fd, "low"));
	close(fd);
	expect("end 0", AT_BEGINNING);
	expect_nothing();
	sh("mkdir d/o/in && mount -t tmpfs in d/o/in");
	close(expect("here 1 bind 0 parent 1 in", 0));
	sh("umount d/o/in d/o");
	expect("gone 1", 0);
	expect("gone 0", 0);
	fd = expect("here 0 bind 0 parent 0 o", 0);
	check_row("the lower one", has(fd, "low"));
	close(fd);
	sh("umount d/o");
	expect("gone 0", 0);
	end();
}

static void a_burst(void **state)
{
	unsigned here = 0, gone = 0, full = 0;

	(void)state;
	sh("mkdir -p d/b && cd d/b && seq 200 | xargs mkdir");
	begin(0);
	expect("end 0", AT_BEGINNING);
	sh("cd d/b && for i in $(seq 200); do mount -t tmpfs t $i || exit; done");
	while (!full) {
		uint32_t kind = heard();

		here += kind == FOLLOW_HERE;
		full += kind == FOLLOW_FULL;
	}
	assert_int_equal(here, FOLLOW_MAX_MOUNTS);
	expect_nothing();
	sh("cd d/b && seq 200 | xargs umount");
	while (gone < here) {
		uint32_t kind = heard();

		gone += kind == FOLLOW_GONE;
		here += kind == FOLLOW_HERE;
	}
	expect_nothing();
	end();
}

/* More than can be told apart are there at the beginning: none is told, and what comes later is. */
static void too_many_at_first(void **state)
{
	(void)state;
	sh("mkdir -p d/b d/late && cd d/b && seq 129 | xargs mkdir -p && "
	   "for i in $(seq 129); do mount -t tmpfs t $i || exit; done");
	begin(0);
	expect("full 0", AT_BEGINNING);
	expect("end 0", AT_BEGINNING);
	sh("mkdir d/b/7/in && mount -t tmpfs t d/late && umount d/b/9");
	close(expect("here 0 bind 0 parent 0 late", 0));
	sh("mount -t tmpfs t d/b/7/in");
	close(expect("here 1 bind 0 parent 0 b/7/in", 0));
	expect_nothing();
	end();
}

static void nobody_hears(void **state)
{
	struct follow_answer wrong = { .slot = 77 };
	struct follow_event ev;
	int fd;

	(void)state;
	sh("mkdir -p d/n");
	begin(0);
	expect("end 0", AT_BEGINNING);
	end();
	begin(0);
	expect("end 0", AT_BEGINNING);
	sh("mount -t tmpfs t d/n");
	hear(&ev, &fd);
	close(fd);
	assert_true(io_send_fds(sock, &wrong, sizeof(wrong), NULL, 0) >= 0);
	assert_string_equal(hear(&ev, &fd), "the end");
	sh("umount d/n");
	end();
}

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/husk-follow-%d", getpid());
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mkdir(dir, 0700) < 0 ||
	    mount("tmpfs", dir, "tmpfs", 0, NULL) < 0)
		return -1;
	/* As most hosts have it. */
	sh("mkdir d r && mount -t tmpfs d d && mount --bind r r && mount --make-shared d && mount --make-shared r");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	umount2(dir, MNT_DETACH);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_new),	     cmocka_unit_test(what_has_gone),	 cmocka_unit_test(slots_run_out),
		cmocka_unit_test(mounts_come_and_go), cmocka_unit_test(what_is_not_told), cmocka_unit_test(a_burst),
		cmocka_unit_test(one_over_the_other),
		cmocka_unit_test(nobody_hears),	     cmocka_unit_test(too_many_at_first),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
