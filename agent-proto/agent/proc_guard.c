// SPDX-License-Identifier: Apache-2.0
/* What may be mounted over procfs: what is masked and read-only in it must stay what it is. */
#include "agent-proto/agent/mounts.h"

#include <string.h>

/* Files that lxcfs and its like show better. */
static const char *const allowed[] = {
	"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo",
	"/proc/stat", "/proc/swaps", "/proc/uptime",
	"/proc/loadavg", "/proc/slabinfo", "/proc/net/dev",
	"/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
};

/* The path without "//", "/./" and slashes at its end; ".." as it is: the kernel's answer comes later. */
static void clean(const char *path, char *out, size_t size)
{
	size_t len = 0;

	while (*path) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n && !(n == 1 && *path == '.') && len + n + 2 < size) {
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n;
	}
	out[len] = 0;
}

bool proc_allowed(const char *path)
{
	char tidy[4096];

	clean(path, tidy, sizeof(tidy));
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (strcmp(tidy, allowed[i]) == 0)
			return true;
	return false;
}

int proc_guard(const Husk__Agent__V1__Mount *m, const char *path, struct err *e)
{
	char tidy[4096];

	clean(path, tidy, sizeof(tidy));
	if (strncmp(tidy, "/proc", 5) != 0 || (tidy[5] && tidy[5] != '/'))
		return 0;
	if (!tidy[5]) {
		if (strcmp(m->type, "proc") == 0 ||
		    (strcmp(m->type, "own") == 0 && strcmp(m->source, "proc") == 0 && !*m->subpath))
			return 0;
		return err_set(e, EINVAL, "\"%s\" cannot be mounted because it is not of type proc", tidy);
	}
	if (proc_allowed(tidy))
		return 0;
	return err_set(e, EINVAL, "\"%s\" cannot be mounted because it is inside /proc", tidy);
}
