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

int cgroup_make(const char *path, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = open(CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *all = path;

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
		if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make the cgroup %.*s", (int)(path - all), all);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return err_errno(e, errno, "cannot open the cgroup %s", name);
		close(fd);
		fd = next;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

int cgroup_write(int fd, const struct oci_limits *l, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct oci_limit *v = &l->v[i];
		int rc;

		if (v->unless && faccessat(fd, v->unless, F_OK, 0) == 0)
			continue;
		rc = io_write_str(fd, v->file, v->value);

		if (rc < 0 && !(rc == -ENOENT && v->optional))
			return err_errno(e, -rc, "cannot write %s to the cgroup's %s", v->value,
					 v->file);
	}
	return 0;
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

int cgroup_check_empty(const char *path, struct err *e)
{
	_cleanup_close_ int fd = -1;
	pid_t pid;
	int n;

	if (cgroup_open(path, &fd) < 0)
		return 0;
	n = cgroup_pids(fd, &pid, 1);
	if (n > 0)
		return err_set(e, EBUSY, "container's cgroup is not empty: %d process(es) found",
			       n);
	return 0;
}

static void kill_members(int fd)
{
	pid_t pids[256];
	int n;

	if (io_write_str(fd, "cgroup.kill", "1") == 0)
		return;
	n = cgroup_pids(fd, pids, ARRAY_SIZE(pids));
	for (int i = 0; i < n && i < (int)ARRAY_SIZE(pids); i++)
		kill(pids[i], SIGKILL);
}

int cgroup_remove(const char *path, int timeout_ms, struct err *e)
{
	char full[4096 + sizeof(CGROUP_ROOT)];
	uint64_t end = io_now_ns() + (uint64_t)timeout_ms * 1000000u;
	uint64_t pause_us = 50;
	bool killed = false;

	snprintf(full, sizeof(full), "%s%s", CGROUP_ROOT, path);
	for (;;) {
		if (rmdir(full) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return err_errno(e, errno, "cannot remove the cgroup %s", full);
		if (!killed) {
			_cleanup_close_ int fd = -1;

			if (cgroup_open(path, &fd) == 0)
				kill_members(fd);
			killed = true;
		}
		if (io_now_ns() >= end)
			return err_set(e, EBUSY, "the cgroup %s does not get empty", full);
		/* A member that has just died leaves a moment after its exit is seen. */
		usleep((useconds_t)pause_us);
		pause_us = pause_us * 2 > 20000 ? 20000 : pause_us * 2;
	}
}
