// SPDX-License-Identifier: Apache-2.0
/* Ids, signal names, state files and /proc/PID/stat: what is read back from places that somebody else
 * may have written to. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/container/id.h"
#include "runtime/container/signame.h"
#include "runtime/container/state.h"

/* ---- ids -------------------------------------------------------------------------------------- */

static void test_ids(void **state)
{
	static const struct {
		const char *why, *id, *text; /* text NULL: accepted */
	} rows[] = {
		{ "plain", "web-1", NULL },
		{ "every kind of character", "aZ09._+-", NULL },
		{ "dots inside", "a..b", NULL },
		{ "three dots are a name", "...", NULL },
		{ "begins with a dot", ".a", NULL },
		{ "begins with a dash", "-x", NULL },
		{ "empty", "", "container id cannot be empty" },
		{ "this folder", ".", "invalid container ID format" },
		{ "the folder above", "..", "invalid container ID format" },
		{ "climbs", "../x", "invalid container ID format" },
		{ "a path", "a/b", "invalid container ID format" },
		{ "the sandboxes' folder", "@sandbox", "invalid container ID format" },
		{ "space", "a b", "invalid container ID format" },
		{ "newline at the end", "a\n", "invalid container ID format" },
		{ "not ASCII", "b\xc3\xa4", "invalid container ID format" },
	};
	char longest[CONTAINER_ID_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		int rc = container_id_check(rows[i].id, &e);

		if ((rc == 0) != !rows[i].text || strcmp(e.msg, rows[i].text ? rows[i].text : ""))
			fail_msg("%s: %d %s", rows[i].why, rc, e.msg);
	}
	memset(longest, 'x', sizeof(longest));
	longest[CONTAINER_ID_MAX] = 0;
	assert_int_equal(container_id_check(longest, NULL), 0);
	longest[CONTAINER_ID_MAX] = 'x';
	longest[CONTAINER_ID_MAX + 1] = 0;
	assert_int_equal(container_id_check(longest, NULL), -EINVAL);
}

/* ---- signals ---------------------------------------------------------------------------------- */

static void test_signals(void **state)
{
	static const struct {
		const char *why, *name;
		int signo; /* -1: refused */
	} rows[] = {
		{ "number", "15", SIGTERM },
		{ "name", "TERM", SIGTERM },
		{ "with SIG", "SIGTERM", SIGTERM },
		{ "lower case", "sigkill", SIGKILL },
		{ "a second name", "CLD", SIGCHLD },
		{ "zero asks only", "0", 0 },
		{ "last number", "64", 64 },
		{ "first real-time", "RTMIN", 34 },
		{ "real-time", "SIGRTMIN+3", 37 },
		{ "real-time from the end", "RTMAX-1", 63 },
		{ "last real-time", "RTMAX", 64 },
		{ "number too large", "65", -1 },
		{ "number much too large", "99999999999999999999", -1 },
		{ "number with a tail", "9x", -1 },
		{ "negative", "-9", -1 },
		{ "empty", "", -1 },
		{ "SIG alone", "SIG", -1 },
		{ "unknown", "FROB", -1 },
		{ "below real-time", "RTMIN-1", -1 },
		{ "above real-time", "RTMAX+1", -1 },
		{ "past the end", "RTMIN+31", -1 },
		{ "no number behind the sign", "RTMIN+", -1 },
		{ "two signs", "RTMIN+-1", -1 },
		{ "huge offset", "RTMIN+4294967299", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		int rc = signal_by_name(rows[i].name, &e);

		if (rows[i].signo < 0 ? rc != -EINVAL || !strstr(e.msg, "unknown signal")
				      : rc != rows[i].signo)
			fail_msg("%s: %d %s", rows[i].why, rc, e.msg);
	}
}

/* ---- /proc/PID/stat --------------------------------------------------------------------------- */

#define TAIL " 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0\n"

static void test_stat(void **state)
{
	static const struct {
		const char *why, *line;
		int rc;
		const char *comm;
	} rows[] = {
		{ "plain", "17 (cat) S 1" TAIL, 0, "cat" },
		{ "a name made to mislead", "17 (a) Z 9 (b) S 1" TAIL, 0, "a) Z 9 (b" },
		{ "empty name", "17 () S 1" TAIL, 0, "" },
		{ "cut before the start time", "17 (cat) S 1 0 0", -EBADMSG, NULL },
		{ "cut behind the name", "17 (cat)", -EBADMSG, NULL },
		{ "no name", "17 S 1" TAIL, -EBADMSG, NULL },
		{ "no pid", "(cat) S 1" TAIL, -EBADMSG, NULL },
		{ "pid zero", "0 (cat) S 1" TAIL, -EBADMSG, NULL },
		{ "parent is no number", "17 (cat) S x" TAIL, -EBADMSG, NULL },
		{ "empty", "", -EBADMSG, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proc_info p = { .state = 0 };
		int rc = proc_parse_stat(rows[i].line, strlen(rows[i].line), &p);

		if (rc != rows[i].rc ||
		    (rc == 0 && (strcmp(p.comm, rows[i].comm) || p.id.pid != 17 ||
				 p.id.start != 4242 || p.ppid != 1)))
			fail_msg("%s: %d \"%s\" pid %d start %llu", rows[i].why, rc, p.comm,
				 p.id.pid, (unsigned long long)p.id.start);
	}
}

static enum container_status status_of(int dir, const struct container_state *s)
{
	enum container_status status = CONTAINER_RUNNING;

	assert_int_equal(container_status(dir, s, &status, NULL), 0);
	return status;
}

/* Without a descriptor to look with, nothing is said to have stopped. */
static void test_process_unknown(void **state)
{
	struct container_state s = { .id = "c" };
	enum container_status status;
	struct rlimit was, none;
	struct proc_info self;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proc_read(getpid(), &self), 0);
	s.proxy = self.id;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(proc_alive(&self.id, NULL), -EMFILE);
	assert_int_equal(container_status(-1, &s, &status, &e), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_non_null(strstr(e.msg, "cannot tell whether the container lives"));
}

static void test_process_identity(void **state)
{
	struct proc_info self;
	struct proc_id other;
	pid_t child;

	(void)state;
	assert_int_equal(proc_read(getpid(), &self), 0);
	assert_int_equal(proc_alive(&self.id, NULL), 1);
	other = self.id;
	other.start++;
	assert_int_equal(proc_alive(&other, NULL), 0);
	assert_int_equal(proc_open(&other), -ESRCH);
	other.pid = 0;
	assert_int_equal(proc_open(&other), -ESRCH);
	assert_int_equal(proc_kill(&other, 100), 0);

	/* One that has gone and whose number is still a session's. */
	child = fork();
	if (child == 0) {
		setsid();
		if (fork() == 0)
			pause();
		_exit(0);
	}
	other.pid = child;
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(proc_open(&other), -ESRCH);
	assert_int_equal(proc_kill(&other, 100), 0);
	kill(-child, SIGKILL);

	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(proc_read(child, &self), 0);
	assert_int_equal(proc_kill(&self.id, 5000), 0);
	assert_int_equal(proc_alive(&self.id, NULL), 0); /* a zombie is not alive */
	waitpid(child, NULL, 0);
}

/* ---- state.json ------------------------------------------------------------------------------- */

#define GOOD(version, id, sandbox, cgroup, pid)                                                    \
	"{\"version\":" version ",\"id\":" id ",\"ociVersion\":\"1.0.2\",\"bundle\":\"/b\","       \
	"\"rootfs\":\"/b/rootfs\",\"created\":\"now\",\"sandbox\":" sandbox ",\"cgroup\":" cgroup  \
	",\"owner\":0,\"proxyPid\":" pid ",\"proxyStart\":7}"

static void test_state_malformed(void **state)
{
	static const struct {
		const char *why, *text;
		int rc;
	} rows[] = {
		{ "good", GOOD("1", "\"x\"", "\"x\"", "\"/a/x\"", "9"), 0 },
		{ "good, no cgroup", GOOD("1", "\"x\"", "\"x\"", "\"\"", "0"), 0 },
		{ "a newer version", GOOD("2", "\"x\"", "\"x\"", "\"/a/x\"", "9"),
		  -EPROTONOSUPPORT },
		{ "version is no number", GOOD("\"1\"", "\"x\"", "\"x\"", "\"/a\"", "9"), -EINVAL },
		{ "id climbs", GOOD("1", "\"../x\"", "\"x\"", "\"/a\"", "9"), -EINVAL },
		{ "id is a number", GOOD("1", "7", "\"x\"", "\"/a\"", "9"), -EINVAL },
		{ "id holds a zero byte", GOOD("1", "\"x\\u0000y\"", "\"x\"", "\"/a\"", "9"),
		  -EINVAL },
		{ "sandbox climbs", GOOD("1", "\"x\"", "\"..\"", "\"/a\"", "9"), -EINVAL },
		{ "cgroup is relative", GOOD("1", "\"x\"", "\"x\"", "\"a\"", "9"), -EINVAL },
		{ "cgroup climbs", GOOD("1", "\"x\"", "\"x\"", "\"/a/../../etc\"", "9"), -EINVAL },
		{ "cgroup climbs at its end", GOOD("1", "\"x\"", "\"x\"", "\"/a/..\"", "9"), -EINVAL },
		{ "a group's name that begins with two dots", GOOD("1", "\"x\"", "\"x\"", "\"/a/..b/...\"", "9"), 0 },
		{ "names that begin with a dot", GOOD("1", "\".a\"", "\".a@2\"", "\"/.a\"", "9"), 0 },
		{ "sandbox is the folder of all", GOOD("1", "\"x\"", "\".\"", "\"/a\"", "9"), -EINVAL },
		{ "negative pid", GOOD("1", "\"x\"", "\"x\"", "\"/a\"", "-1"), -EINVAL },
		{ "pid too large", GOOD("1", "\"x\"", "\"x\"", "\"/a\"", "4294967297"), -EINVAL },
		{ "pid is a fraction", GOOD("1", "\"x\"", "\"x\"", "\"/a\"", "1.5"), -EINVAL },
		{ "empty object", "{}", -EINVAL },
		{ "an array", "[]", -EINVAL },
		{ "nothing", "", -EINVAL },
		{ "cut short", "{\"version\":1,\"id\":\"x", -EINVAL },
		{ "a path as the unit",
		  "{\"version\":1,\"id\":\"x\",\"ociVersion\":\"1\",\"bundle\":\"\",\"rootfs\":"
		  "\"\",\"unit\":\"a/b\","
		  "\"created\":\"\",\"sandbox\":\"x\",\"cgroup\":\"\",\"owner\":0,"
		  "\"proxyPid\":0,\"proxyStart\":0}",
		  -EINVAL },
		{ "written by a husk that knew no units",
		  "{\"version\":1,\"id\":\"x\",\"ociVersion\":\"1\",\"bundle\":\"\",\"rootfs\":"
		  "\"\","
		  "\"created\":\"\",\"sandbox\":\"x\",\"cgroup\":\"\",\"owner\":0,"
		  "\"proxyPid\":0,\"proxyStart\":0}",
		  0 },
		{ "annotations are no object",
		  "{\"version\":1,\"id\":\"x\",\"ociVersion\":\"1\",\"bundle\":\"\",\"rootfs\":"
		  "\"\","
		  "\"created\":\"\",\"sandbox\":\"x\",\"cgroup\":\"\",\"owner\":0,"
		  "\"proxyPid\":0,\"proxyStart\":0,\"annotations\":[1]}",
		  -EINVAL },
		{ "a hook without a path",
		  "{\"version\":1,\"id\":\"x\",\"ociVersion\":\"1\",\"bundle\":\"\",\"rootfs\":"
		  "\"\","
		  "\"created\":\"\",\"sandbox\":\"x\",\"cgroup\":\"\",\"owner\":0,"
		  "\"proxyPid\":0,\"proxyStart\":0,\"hooks\":{\"poststop\":[{\"path\":\"/a\"},{}]}}",
		  -EINVAL },
		{ "an annotation is no string",
		  "{\"version\":1,\"id\":\"x\",\"ociVersion\":\"1\",\"bundle\":\"\",\"rootfs\":"
		  "\"\","
		  "\"created\":\"\",\"sandbox\":\"x\",\"cgroup\":\"\",\"owner\":0,"
		  "\"proxyPid\":0,\"proxyStart\":0,\"annotations\":{\"a\":\"b\",\"c\":1}}",
		  -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct container_state s = { .doc = NULL };
		struct err e = ERR_INIT;
		int rc = container_state_parse(rows[i].text, strlen(rows[i].text), &s, &e);

		if (rc != rows[i].rc || (rc < 0 && strncmp(e.msg, "state.json: ", 12)))
			fail_msg("%s: %d %s", rows[i].why, rc, e.msg);
		container_state_done(&s);
	}
}

struct folder {
	char path[64];
	int fd;
};

static int make_folder(void **state)
{
	static struct folder f;

	snprintf(f.path, sizeof(f.path), "/tmp/husk-test-XXXXXX");
	assert_non_null(mkdtemp(f.path));
	assert_int_equal(container_root_open(f.path, false, &f.fd, NULL), 0);
	*state = &f;
	return 0;
}

static int drop_folder(void **state)
{
	struct folder *f = *state;

	close(f->fd);
	return rmdir(f->path); /* fails the test when anything was left */
}

static void test_state_round_trip(void **state)
{
	struct folder *f = *state;
	struct oci_pair notes[] = { { "a", "1" }, { "quote\"", "tab\t" } };
	struct container_state s = { .id = "x",
				     .oci_version = "1.1.0",
				     .bundle = "/b \"q\"",
				     .rootfs = "/b/r",
				     .created = "then",
				     .sandbox = "x",
				     .cgroup = "/g/x",
				     .cgroup_ours = 1,
				     .unit = "p-x.scope",
				     .bus = "unix:path=/b",
				     .owner = 1000,
				     .proxy = { 4711, 1ull << 40 },
				     .annotations = notes,
				     .n_annotations = 2 };
	const char *words[] = { "stop", "A=\"b\"" };
	struct oci_hook hooks[] = {
		{ .path = "/a", .args = { words, 2 }, .env = { words + 1, 1 }, .has_env = true, .timeout = 9 },
		{ .path = "/b" },
		{ .path = "/c", .has_env = true },
	};
	struct container_state got = { .doc = NULL };

	s.hooks.of[OCI_POSTSTOP] = (struct oci_hook_list){ hooks, 3 };
	assert_int_equal(container_state_save(f->fd, &s, NULL), 0);
	assert_int_equal(container_state_load(f->fd, &got, NULL), 0);
	assert_string_equal(got.bundle, s.bundle);
	assert_string_equal(got.cgroup, s.cgroup);
	assert_int_equal(got.cgroup_ours, 1);
	assert_string_equal(got.unit, s.unit);
	assert_string_equal(got.bus, s.bus);
	assert_int_equal(got.owner, 1000);
	assert_int_equal(got.proxy.pid, 4711);
	assert_true(got.proxy.start == 1ull << 40);
	assert_int_equal(got.n_annotations, 2);
	assert_string_equal(got.annotations[1].key, "quote\"");
	assert_string_equal(got.annotations[1].value, "tab\t");
	assert_int_equal(got.hooks.of[OCI_POSTSTART].n, 0);
	assert_int_equal(got.hooks.of[OCI_POSTSTOP].n, 3);
	assert_string_equal(got.hooks.of[OCI_POSTSTOP].v[0].args.v[0], "stop");
	assert_string_equal(got.hooks.of[OCI_POSTSTOP].v[0].env.v[0], words[1]);
	assert_int_equal(got.hooks.of[OCI_POSTSTOP].v[0].timeout, 9);
	assert_string_equal(got.hooks.of[OCI_POSTSTOP].v[1].path, "/b");
	assert_int_equal(got.hooks.of[OCI_POSTSTOP].v[1].args.n, 0);
	/* An environment of nothing is another one than none. */
	assert_true(got.hooks.of[OCI_POSTSTOP].v[0].has_env);
	assert_false(got.hooks.of[OCI_POSTSTOP].v[1].has_env);
	assert_true(got.hooks.of[OCI_POSTSTOP].v[2].has_env);
	assert_int_equal(got.hooks.of[OCI_POSTSTOP].v[2].env.n, 0);
	container_state_done(&got);
	assert_int_equal(unlinkat(f->fd, "state.json", 0), 0);
	assert_int_equal(container_state_load(f->fd, &got, NULL), -ENOENT);
}

/* Else there would be a container that no command finds. */
static void test_state_unreadable(void **state)
{
	struct folder *f = *state;
	static const char *words[400];
	static struct oci_hook hooks[256];
	struct container_state got, s = { .id = "x",
					  .oci_version = "1",
					  .bundle = "/",
					  .rootfs = "/",
					  .created = "",
					  .sandbox = "x",
					  .cgroup = "" };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = "a";
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		hooks[i] = (struct oci_hook){ .path = "/a", .args = { words, ARRAY_SIZE(words) } };
	s.hooks.of[OCI_POSTSTOP] = (struct oci_hook_list){ hooks, ARRAY_SIZE(hooks) };
	assert_true(container_state_save(f->fd, &s, &e) < 0);
	assert_memory_equal(e.msg, "the container's state could not be read again: state.json: ", 59);
	assert_int_equal(container_state_load(f->fd, &got, NULL), -ENOENT);
	s.hooks.of[OCI_POSTSTOP].n = 0;
	s.sandbox = "@";
	assert_int_equal(container_state_save(f->fd, &s, NULL), -EINVAL);
	assert_int_equal(container_state_load(f->fd, &got, NULL), -ENOENT);
}

/* ---- folders ---------------------------------------------------------------------------------- */

static void test_folder_twice(void **state)
{
	struct folder *f = *state;
	struct container_state s = { .id = "c",
				     .oci_version = "1",
				     .bundle = "/",
				     .rootfs = "/",
				     .created = "",
				     .sandbox = "c",
				     .cgroup = "",
				     .proxy = { getpid(), 1 } };
	struct err e = ERR_INIT;
	bool leftover;
	int dir, other;

	assert_int_equal(container_make(f->fd, "c", &dir, &leftover, NULL), 0);
	assert_false(leftover);
	/* Somebody is at it: locked. */
	assert_int_equal(container_make(f->fd, "c", &other, &leftover, &e), -EEXIST);
	assert_string_equal(e.msg, "container with given ID already exists");
	assert_int_equal(container_state_save(dir, &s, NULL), 0);
	close(dir);
	/* Nobody is, but it was made whole. */
	assert_int_equal(container_make(f->fd, "c", &other, &leftover, &e), -EEXIST);
	assert_int_equal(container_open(f->fd, "c", true, &dir, NULL), 0);
	assert_int_equal(container_remove_dir(f->fd, "c", dir, NULL), 0);
	close(dir);
	assert_int_equal(container_open(f->fd, "c", true, &dir, &e), -ENOENT);
	assert_string_equal(e.msg, "container does not exist");
}

/* Whoever changes it is waited for, but not for ever. */
static void test_folder_locked(void **state)
{
	struct folder *f = *state;
	struct err e = ERR_INIT;
	bool leftover;
	int dir, other;
	pid_t child;

	assert_int_equal(container_make(f->fd, "c", &dir, &leftover, NULL), 0);
	child = fork();
	if (child == 0) {
		usleep(300000);
		_exit(0);
	}
	close(dir); /* the child has the lock */
	assert_int_equal(container_open(f->fd, "c", true, &dir, &e), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(container_open(f->fd, "c", true, &other, &e), -EBUSY);
	assert_string_equal(e.msg, "container c is being created or changed by another husk command");
	assert_int_equal(container_remove_dir(f->fd, "c", dir, NULL), 0);
	close(dir);
}

static void test_folder_leftover(void **state)
{
	struct folder *f = *state;
	struct container_state s = { .id = "c",
				     .oci_version = "1",
				     .bundle = "/",
				     .rootfs = "/",
				     .created = "",
				     .sandbox = "c",
				     .cgroup = "" };
	bool leftover;
	int dir;

	/* Killed before the first state was written, */
	assert_int_equal(container_make(f->fd, "c", &dir, &leftover, NULL), 0);
	close(dir);
	assert_int_equal(container_make(f->fd, "c", &dir, &leftover, NULL), 0);
	assert_true(leftover);
	/* and before the second. */
	assert_int_equal(container_state_save(dir, &s, NULL), 0);
	assert_int_equal(status_of(dir, &s), CONTAINER_STOPPED);
	close(dir);
	assert_int_equal(container_make(f->fd, "c", &dir, &leftover, NULL), 0);
	assert_true(leftover);
	assert_int_equal(io_write_file(dir, "half.tmp", "x", 1, 0600), 0);
	assert_int_equal(container_remove_dir(f->fd, "c", dir, NULL), 0);
	close(dir);
}

static void test_folder_garbage(void **state)
{
	struct folder *f = *state;
	bool leftover;
	int dir, other;

	assert_int_equal(container_make(f->fd, "c", &dir, &leftover, NULL), 0);
	assert_int_equal(io_write_file(dir, "state.json", "{", 1, 0600), 0);
	close(dir);
	/* What cannot be read may be in use. */
	assert_int_equal(container_make(f->fd, "c", &other, &leftover, NULL), -EEXIST);
	assert_int_equal(container_open(f->fd, "c", true, &dir, NULL), 0);
	assert_int_equal(container_remove_dir(f->fd, "c", dir, NULL), 0);
	close(dir);
	/* A link to somewhere else is no container. */
	assert_int_equal(symlinkat("/etc", f->fd, "c"), 0);
	assert_true(container_open(f->fd, "c", true, &dir, NULL) < 0);
	assert_true(container_make(f->fd, "c", &dir, &leftover, NULL) < 0);
	assert_int_equal(unlinkat(f->fd, "c", 0), 0);
}

static void test_status_creating(void **state)
{
	struct folder *f = *state;
	struct container_state s = { .proxy = { 0, 0 } };
	bool leftover;
	int mine, theirs;

	assert_int_equal(container_make(f->fd, "c", &mine, &leftover, NULL), 0);
	assert_int_equal(container_open(f->fd, "c", false, &theirs, NULL), 0);
	assert_int_equal(status_of(theirs, &s), CONTAINER_CREATING);
	flock(mine, LOCK_UN);
	assert_int_equal(status_of(theirs, &s), CONTAINER_STOPPED);
	/* A process that lives, but under another name than a proxy's. */
	s.proxy.pid = getpid();
	assert_int_equal(status_of(theirs, &s), CONTAINER_STOPPED);
	close(theirs);
	assert_int_equal(container_remove_dir(f->fd, "c", mine, NULL), 0);
	close(mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_process_identity),
		cmocka_unit_test(test_process_unknown),
		cmocka_unit_test(test_state_malformed),
		cmocka_unit_test_setup_teardown(test_state_round_trip, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_state_unreadable, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_folder_twice, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_folder_locked, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_folder_leftover, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_folder_garbage, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_status_creating, make_folder, drop_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
