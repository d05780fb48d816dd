// SPDX-License-Identifier: Apache-2.0
/* Where a container's group lies: pure text, runc's rules. */
#include <stdio.h>
#include <string.h>

#include "runtime/host/cgroup.h"

/* Appends the components of @path to @out (which holds a clean path without trailing '/'), ".." going
 * up but never above "/". */
static int append_clean(char *out, size_t size, const char *path)
{
	size_t len = strlen(out);

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && !memcmp(path, "..", 2)) {
			while (len && out[len - 1] != '/')
				len--;
			if (len)
				len--;
		} else if (n && !(n == 1 && *path == '.')) {
			if (len + 1 + n >= size)
				return -ENAMETOOLONG;
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		out[len] = 0;
		path += n;
		path += *path == '/';
	}
	return 0;
}

/* Drops what a leading ".." of a relative path would climb to: runc cleans such a path at "/" first. */
static int clean_relative(const char *path, char *out, size_t size)
{
	out[0] = 0;
	return append_clean(out, size, path);
}

/* The line "0::/path" of /proc/PID/cgroup. */
static const char *own_path(const char *own, size_t *ret_len)
{
	while (*own) {
		if (!strncmp(own, "0::/", 4)) {
			*ret_len = strcspn(own + 3, "\n");
			return own + 3;
		}
		own += strcspn(own, "\n");
		own += *own == '\n';
	}
	return NULL;
}

int cgroup_of(const char *text, char *out, size_t size, struct err *e)
{
	size_t len = 0;
	const char *path = own_path(text, &len);

	if (!path || len >= size)
		return err_set(e, EINVAL, "/proc/PID/cgroup: no version 2 group");
	snprintf(out, size, "%.*s", (int)len, path);
	return 0;
}

int cgroup_path(const char *cgroups_path, const char *id, const char *own, char *out, size_t size,
		struct err *e)
{
	char rel[4096], base[4096];
	const char *mine;
	size_t len = 0;

	if (clean_relative(*cgroups_path ? cgroups_path : id, rel, sizeof(rel)) < 0)
		return err_set(e, ENAMETOOLONG, "linux.cgroupsPath: too long");
	base[0] = 0;
	if (*cgroups_path != '/') {
		mine = own_path(own, &len);
		if (!mine || len >= sizeof(base))
			return err_set(e, EINVAL, "/proc/self/cgroup: no version 2 group");
		/* The caller's own group has processes, so that it can have no controllers below
		 * it: its parent, as runc does. */
		while (len && mine[len - 1] != '/')
			len--;
		snprintf(base, sizeof(base), "%.*s", (int)len, mine);
	}
	out[0] = 0;
	if (append_clean(out, size, base) < 0 || append_clean(out, size, rel) < 0)
		return err_set(e, ENAMETOOLONG, "linux.cgroupsPath: too long");
	if (!*out)
		return err_set(e, EINVAL, "linux.cgroupsPath: \"%s\" is the root of all groups",
			       cgroups_path);
	return 0;
}
