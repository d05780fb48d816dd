// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/cgroup.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define MAX_DEPTH 32 /* of groups that a container makes below its own */

void cgroup_done(struct cgroup *cg)
{
	close_and_reset(&cg->fd);
	free(cg->path);
	free(cg->dir);
	cg->path = cg->dir = NULL;
}

/* "memory" of "memory.max"; groups' own files ("cgroup.…") have no controller. */
static size_t controller_len(const char *file)
{
	size_t n = strcspn(file, ".");

	return strncmp(file, "cgroup.", 7) == 0 ? 0 : n;
}

/* Hands down the controllers that count what is used, all of those that there are at once. Without them a container has no
 * figures, and works all the same. */
static void enable_counting(int fd)
{
	static const char *const counting[] = { "cpu", "memory", "pids", "io", "hugetlb" };
	_cleanup_free_ char *have = NULL;
	char text[64] = "", *name, *rest;

	if (io_read_file(fd, "cgroup.controllers", 4096, &have, NULL) < 0)
		return;
	for (name = strtok_r(have, " \n", &rest); name; name = strtok_r(NULL, " \n", &rest))
		for (size_t i = 0; i < ARRAY_SIZE(counting); i++)
			if (strcmp(name, counting[i]) == 0)
				sprintf(text + strlen(text), "+%s ", name);
	if (*text)
		io_write_str(fd, "cgroup.subtree_control", text);
}

/* Hands the controllers that @values need from the group at @fd down to its children. */
static int enable(int fd, Husk__Agent__V1__Container__CgroupValuesEntry *const *values, size_t n,
		  struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = controller_len(values[i]->key);
		char text[64];
		int rc;

		if (!len)
			continue;
		if (i && strncmp(values[i]->key, values[i - 1]->key, len + 1) == 0)
			continue;
		snprintf(text, sizeof(text), "+%.*s", (int)min_t(size_t, len, 60), values[i]->key);
		rc = io_write_str(fd, "cgroup.subtree_control", text);
		if (rc < 0)
			return err_errno(e, -rc, "cgroup controller %s", text + 1);
	}
	return 0;
}

static int write_values(int fd, Husk__Agent__V1__Container__CgroupValuesEntry *const *values,
			size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int rc = io_write_str(fd, values[i]->key, values[i]->value);

		/* Pages of a size that there is none of: within any limit. */
		if (rc == -ENOENT && !strncmp(values[i]->key, "hugetlb.", 8))
			continue;
		if (rc < 0)
			return err_errno(e, -rc, "cgroup: writing \"%s\" to %s", values[i]->value,
					 values[i]->key);
	}
	return 0;
}

/* Goes down @path component by component, making what is missing. */
static int descend(const char *root, const char *path,
		   Husk__Agent__V1__Container__CgroupValuesEntry *const *values, size_t n,
		   int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "%s", root);
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");
		char name[NAME_MAX + 1];
		int next, rc;

		if (len > NAME_MAX)
			return err_set(e, ENAMETOOLONG, "cgroup %.64s…: name is too long", path);
		memcpy(name, p, len);
		name[len] = 0;
		p += len + strspn(p + len, "/");
		if (!len)
			continue;
		enable_counting(fd);
		rc = enable(fd, values, n, e);
		if (rc < 0)
			return rc;
		if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cgroup %s", path);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return err_errno(e, errno, "cgroup %s", path);
		close(fd);
		fd = next;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

int cgroup_make(struct cgroup *cg, const char *root, const char *path,
		Husk__Agent__V1__Container__CgroupValuesEntry *const *values, size_t n,
		struct err *e)
{
	struct cgroup new = CGROUP_NONE;
	int rc;

	path += strspn(path, "/");
	new.path = strdup(path);
	if (!new.path || asprintf(&new.dir, "%s/%s", root, path) < 0) {
		new.dir = NULL;
		rc = err_set(e, ENOMEM, "out of memory");
		goto fail;
	}
	rc = descend(root, path, values, n, &new.fd, e);
	if (rc < 0)
		goto fail;
	if (cgroup_populated(&new) > 0) {
		rc = err_set(e, EBUSY, "cgroup %s: is in use", path);
		goto fail;
	}
	rc = write_values(new.fd, values, n, e);
	if (rc < 0) {
		cgroup_remove(&new, root);
		goto fail;
	}
	*cg = new;
	return 0;
fail:
	cgroup_done(&new);
	return rc;
}

int cgroup_open_below(const struct cgroup *cg, const char *path, struct err *e)
{
	const char *below = path + strspn(path, "/");
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	long fd = syscall(SYS_openat2, cg->fd, *below ? below : ".", &how, sizeof(how));

	if (fd < 0 && errno == EXDEV)
		return err_set(e, EINVAL, "%.200s is not a sub cgroup path", path);
	return fd < 0 ? err_errno(e, errno, "cgroup %.200s", path) : (int)fd;
}

bool cgroup_hands_down(const struct cgroup *cg)
{
	_cleanup_free_ char *text = NULL;

	return io_read_file(cg->fd, "cgroup.subtree_control", 4096, &text, NULL) == 0 && text[strspn(text, " \n")];
}

int cgroup_open_of(const struct cgroup *cg, pid_t pid, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = strlen(cg->path);
	char file[64], *path;
	int rc;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	rc = io_read_file(AT_FDCWD, file, 65536, &text, NULL);
	if (rc < 0)
		return err_errno(e, -rc, "%s", file);
	text[strcspn(text, "\n")] = 0;
	/* The container cannot leave its group, but for being moved by us. */
	path = text + strlen("0::/");
	if (strncmp(text, "0::/", 4) || strncmp(path, cg->path, len) || (path[len] && path[len] != '/'))
		return err_set(e, EINVAL, "%s: not in the container's cgroup", file);
	return cgroup_open_below(cg, path + len, e);
}

int cgroup_kill(const struct cgroup *cg)
{
	return io_write_str(cg->fd, "cgroup.kill", "1");
}

/* The number behind "@key " at the start of a line of @file. */
static int64_t read_key(int fd, const char *file, const char *key)
{
	_cleanup_free_ char *text = NULL;
	size_t len = strlen(key);
	int rc = io_read_file(fd, file, 65536, &text, NULL);

	if (rc < 0)
		return rc;
	for (char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, len) == 0 && p[len] == ' ')
			return strtoll(p + len + 1, NULL, 10);
		if (!*p)
			break;
	}
	return -ENOENT;
}

int cgroup_populated(const struct cgroup *cg)
{
	int64_t v = read_key(cg->fd, "cgroup.events", "populated");

	return v < 0 ? (int)v : v > 0;
}

int cgroup_events(const struct cgroup *cg)
{
	int fd = openat(cg->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

uint64_t cgroup_oom_kills(const struct cgroup *cg)
{
	int64_t v = read_key(cg->fd, "memory.events", "oom_kill");

	return v > 0 ? (uint64_t)v : 0;
}

static int each_pid(int fd, int (*fn)(pid_t pid, void *arg), void *arg)
{
	int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *f = procs < 0 ? NULL : fdopen(procs, "re");
	int pid, rc = 0;

	if (!f) {
		rc = -errno;
		if (procs >= 0)
			close(procs);
		return rc;
	}
	while (rc == 0 && fscanf(f, "%d", &pid) == 1)
		if (pid > 0) /* 0: outside of the reader's pid namespace */
			rc = fn(pid, arg);
	return rc;
}

static int each_below(int fd, unsigned depth, int (*fn)(pid_t pid, void *arg), void *arg)
{
	int rc = each_pid(fd, fn, arg);
	_cleanup_closedir_ DIR *d = NULL;
	struct dirent *de;
	int copy;

	if (rc == -EOPNOTSUPP) /* a threaded group: its processes show in the one above */
		rc = 0;
	if (rc || depth == MAX_DEPTH)
		return rc;
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = copy < 0 ? NULL : fdopendir(copy);
	while (rc == 0 && d && (de = readdir(d))) {
		_cleanup_close_ int sub = -1;

		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		sub = openat(fd, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			rc = each_below(sub, depth + 1, fn, arg);
	}
	return rc;
}

int cgroup_each(const struct cgroup *cg, int (*fn)(pid_t pid, void *arg), void *arg)
{
	return each_below(cg->fd, 0, fn, arg);
}

static int send_signal(pid_t pid, void *arg)
{
	kill(pid, *(int *)arg);
	return 0;
}

int cgroup_signal(const struct cgroup *cg, int sig)
{
	return sig == SIGKILL ? cgroup_kill(cg) : cgroup_each(cg, send_signal, &sig);
}

static void remove_below(int fd, unsigned depth)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		_cleanup_close_ int sub = -1;

		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		sub = openat(fd, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0 && depth < MAX_DEPTH)
			remove_below(sub, depth + 1);
		unlinkat(fd, de->d_name, AT_REMOVEDIR);
	}
}

int cgroup_remove(const struct cgroup *cg, const char *root)
{
	char dir[PATH_MAX];
	size_t base = strlen(root);

	if (strlen(cg->dir) >= sizeof(dir))
		return -ENAMETOOLONG;
	remove_below(cg->fd, 0);
	if (rmdir(cg->dir) < 0 && errno != ENOENT)
		return -errno;
	strcpy(dir, cg->dir);
	for (;;) {
		char *slash = strrchr(dir, '/');

		if (!slash || (size_t)(slash - dir) <= base)
			return 0;
		*slash = 0;
		if (rmdir(dir) < 0)
			return 0;
	}
}
