// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/host/proc.h"

#define CGROUP2_MAGIC 0x63677270

bool cgroup_is_v2(void)
{
	struct statfs fs;

	return statfs(CGROUP_ROOT, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
}

int cgroup_find(const struct oci_spec *spec, bool limits, const char *id, char *out, size_t size,
		struct err *e)
{
	_cleanup_free_ char *own = NULL;
	int rc;

	if (!cgroup_is_v2()) {
		if (*spec->cgroups_path || limits)
			return err_set(e, ENOTSUP,
				       "%s is not a cgroup version 2 hierarchy, which a cgroupsPath "
				       "or limits need (boot with "
				       "systemd.unified_cgroup_hierarchy=1)",
				       CGROUP_ROOT);
		*out = 0;
		return 0;
	}
	rc = io_read_file(AT_FDCWD, "/proc/self/cgroup", 1 << 16, &own, NULL);
	if (rc < 0)
		return err_errno(e, -rc, "/proc/self/cgroup");
	return cgroup_path(spec->cgroups_path, id, own, out, size, e);
}

/* Hands every controller that engines read or limit by down to the children of @fd. What cannot be
 * handed down (processes in the group itself, say) is missed when a limit needs it, not before. */
static void delegate(int fd)
{
	static const char *const wanted[] = { "cpu", "memory", "pids", "io", "cpuset" };
	_cleanup_free_ char *have = NULL;
	_cleanup_free_ char *on = NULL;
	char line[96] = "";
	size_t n = 0;

	if (io_read_file(fd, "cgroup.controllers", 4096, &have, NULL) < 0 ||
	    io_read_file(fd, "cgroup.subtree_control", 4096, &on, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		char word[16];

		/* No name of these is a part of another, but "cpu" of "cpuset". */
		snprintf(word, sizeof(word), "%s%s", wanted[i], i ? "" : " ");
		if (strstr(have, word) && !strstr(on, word))
			n += (size_t)snprintf(line + n, sizeof(line) - n, "%s+%s", n ? " " : "",
					      wanted[i]);
	}
	if (n && io_write_str(fd, "cgroup.subtree_control", line) < 0)
		for (char *save = NULL, *w = strtok_r(line, " ", &save); w;
		     w = strtok_r(NULL, " ", &save))
			io_write_str(fd, "cgroup.subtree_control", w);
}

int cgroup_make(const char *path, int *ret_fd, bool *ret_made, struct err *e)
{
	_cleanup_close_ int fd = open(CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *all = path;
	bool made = false;

	if (fd < 0)
		return err_errno(e, errno, CGROUP_ROOT);
	while (*path) {
		size_t n = strcspn(++path, "/");
		char name[256];
		int next;

		if (n >= sizeof(name))
			return err_set(e, ENAMETOOLONG, "linux.cgroupsPath: too long");
		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		path += n;
		delegate(fd);
		made = mkdirat(fd, name, 0755) == 0;
		if (!made && errno != EEXIST)
			return err_errno(e, errno, "cannot make the cgroup %.*s", (int)(path - all), all);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0) {
			int why = errno;

			/* Nobody else would know that it was not there before. */
			if (made)
				unlinkat(fd, name, AT_REMOVEDIR);
			return err_errno(e, why, "cannot open the cgroup %s", name);
		}
		close(fd);
		fd = next;
	}
	*ret_fd = steal_fd(&fd);
	*ret_made = made;
	return 0;
}

static int write_one(int fd, const struct oci_limit *v, struct err *e)
{
	int rc;

	if (v->unless && faccessat(fd, v->unless, F_OK, 0) == 0)
		return 0;
	rc = io_write_str(fd, v->file, v->value);
	if (rc < 0 && !(rc == -ENOENT && v->optional))
		return err_errno(e, -rc, "cannot write %s to the cgroup's %s", v->value, v->file);
	return 0;
}

int cgroup_write(int fd, const struct oci_limits *l, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->n; i++)
		rc = write_one(fd, &l->v[i], e);
	return rc;
}

int cgroup_write_back(int fd, const struct oci_limits *l, struct err *e)
{
	int rc = 0;

	for (size_t i = l->n; i > 0; i--) {
		int one = write_one(fd, &l->v[i - 1], rc == 0 ? e : NULL);

		rc = rc == 0 ? one : rc;
	}
	return rc;
}

int cgroup_add(int fd, pid_t pid, struct err *e)
{
	char v[16];
	int rc;

	snprintf(v, sizeof(v), "%d", pid);
	rc = io_write_str(fd, "cgroup.procs", v);
	return rc < 0 ? err_errno(e, -rc, "cannot move process %d into the cgroup", pid) : 0;
}

int cgroup_open(const char *path, int *ret_fd)
{
	char full[4096 + sizeof(CGROUP_ROOT)];
	int fd;

	snprintf(full, sizeof(full), "%s%s", CGROUP_ROOT, path);
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int cgroup_pids(int fd, pid_t *out, size_t max)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int rc = io_read_file(fd, "cgroup.procs", 4u << 20, &text, NULL);

	if (rc < 0)
		return rc;
	for (char *save = NULL, *l = strtok_r(text, "\n", &save); l;
	     l = strtok_r(NULL, "\n", &save)) {
		long pid = strtol(l, NULL, 10);

		if (pid <= 0)
			continue;
		if (n < max)
			out[n] = (pid_t)pid;
		n++;
	}
	return (int)n;
}

/* ---- a group and those below it ------------------------------------------------------------------- */

/* Calls @each with every group right below @fd. */
static void for_each_below(int fd, void (*each)(int fd, const char *name, int below, void *arg), void *arg)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	if (!d && again >= 0)
		close(again);
	while (d && (x = readdir(d))) {
		_cleanup_close_ int below = -1;

		if (x->d_type != DT_DIR || !strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
			continue;
		below = openat(fd, x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			each(fd, x->d_name, below, arg);
	}
	if (d)
		closedir(d);
}

static void add_members(int fd, const char *name, int below, void *arg)
{
	int n = cgroup_pids(below, NULL, 0);

	(void)fd;
	(void)name;
	*(int *)arg += max_t(int, n, 0);
	for_each_below(below, add_members, arg);
}

static void remove_one(int fd, const char *name, int below, void *arg)
{
	for_each_below(below, remove_one, arg);
	unlinkat(fd, name, AT_REMOVEDIR);
}

static void note_one(int fd, const char *name, int below, void *arg)
{
	(void)fd;
	(void)name;
	(void)below;
	*(bool *)arg = true;
}

/* The kernel's word: whether anybody lives in the group or below it. */
static bool is_populated(int fd)
{
	_cleanup_free_ char *text = NULL;

	return io_read_file(fd, "cgroup.events", 4096, &text, NULL) == 0 && strstr(text, "populated 1");
}

int cgroup_check_empty(const char *path, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int n = 0;

	if (cgroup_open(path, &fd) < 0)
		return 0;
	add_members(-1, NULL, fd, &n);
	/* Of a threaded group below it no processes are told. */
	if (n == 0 && is_populated(fd))
		return err_set(e, EBUSY, "container's cgroup is not empty");
	return n ? err_set(e, EBUSY, "container's cgroup is not empty: %d process(es) found", n) : 0;
}

/* Kills what husk put into a group that is not all its own; how many there are. *ret_others: whether there is anybody else. */
static int kill_own(int fd, bool *ret_others)
{
	pid_t pids[1024];
	struct proc_info info;
	int own = 0, n = cgroup_pids(fd, pids, ARRAY_SIZE(pids));

	for (int i = 0; i < n && i < (int)ARRAY_SIZE(pids); i++)
		if (proc_read(pids[i], &info) == 0 && strncmp(info.comm, "husk-", 5) == 0) {
			own++;
			kill(pids[i], SIGKILL);
		}
	*ret_others = n < 0 ? is_populated(fd) : n > own;
	return own;
}

static void kill_all(int fd)
{
	pid_t pids[256];
	int n;

	if (io_write_str(fd, "cgroup.kill", "1") == 0)
		return;
	n = cgroup_pids(fd, pids, ARRAY_SIZE(pids));
	for (int i = 0; i < n && i < (int)ARRAY_SIZE(pids); i++)
		kill(pids[i], SIGKILL);
}

/* One that is not ours stays where somebody else uses it. Who is dying is listed no more, and makes it populated until its memory
 * is given back: a machine's is much, and is waited for. */
static bool may_stay(int fd, int *ret_own)
{
	bool has_below = false, others;

	*ret_own = kill_own(fd, &others);
	if (*ret_own > 0)
		return false;
	for_each_below(fd, note_one, &has_below);
	return has_below || others;
}

int cgroup_remove(const char *path, bool ours, int timeout_ms, struct err *e)
{
	char full[4096 + sizeof(CGROUP_ROOT)];
	uint64_t end = io_now_ns() + (uint64_t)timeout_ms * 1000000u;
	uint64_t pause_us = 50;
	bool killed = false;
	struct stat st;
	int rc, own = 0;

	snprintf(full, sizeof(full), "%s%s", CGROUP_ROOT, path);
	for (;;) {
		_cleanup_close_ int fd = -1;

		rc = rmdir(full) == 0 ? 0 : -errno;
		if (rc == 0 || rc == -ENOENT)
			return 0;
		/* A hierarchy that cannot be written says so before it looks. */
		if (rc != -EBUSY && stat(full, &st) < 0 && errno == ENOENT)
			return 0;
		if (rc != -EBUSY)
			return ours ? err_errno(e, -rc, "cannot remove the cgroup %s", full) : 0;
		if (cgroup_open(path, &fd) == 0) {
			if (!ours && may_stay(fd, &own))
				return 0;
			if (ours && !killed)
				kill_all(fd);
			killed = true;
			if (ours)
				for_each_below(fd, remove_one, NULL);
		}
		if (io_now_ns() >= end)
			return ours || own ? err_set(e, EBUSY, "the cgroup %s does not get empty", full) : 0;
		/* A member that has just died leaves a moment after its exit is seen. */
		usleep((useconds_t)pause_us);
		pause_us = pause_us * 2 > 20000 ? 20000 : pause_us * 2;
	}
}
