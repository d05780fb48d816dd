// SPDX-License-Identifier: Apache-2.0
/* Names: which unit, which slice, which bus. */
#include "runtime/systemd/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define FIELD "linux.cgroupsPath"

/* What systemd takes in the name of a unit. */
static const char valid[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

int systemd_expand_slice(const char *slice, char *out, size_t size)
{
	size_t stem = strlen(slice), len = 0;

	if (!ends_with(slice, ".slice") || strspn(slice, valid) != stem || size == 0)
		return -EINVAL;
	stem -= strlen(".slice");
	out[0] = 0;
	if (stem == 1 && slice[0] == '-')
		return 0;
	for (size_t end = 0; end <= stem; end++) {
		if (end < stem && slice[end] != '-')
			continue;
		/* "a--b", "-a", "a-" and ".slice" name no parent. */
		if (end == 0 || slice[end - 1] == '-')
			return -EINVAL;
		len += (size_t)snprintf(out + len, size - len, "/%.*s.slice", (int)end, slice);
		if (len >= size)
			return -ENAMETOOLONG;
	}
	return 0;
}

static int check_slice(const char *slice, struct err *e)
{
	char path[4096];

	if (systemd_expand_slice(slice, path, sizeof(path)) < 0)
		return err_set(e, EINVAL, FIELD ": invalid slice name: %.200s", slice);
	return 0;
}

static int set_name(struct systemd_unit *u, const char *prefix, size_t prefix_len, const char *name,
		    struct err *e)
{
	int n = snprintf(u->name, sizeof(u->name), "%.*s-%s.scope", (int)prefix_len, prefix, name);

	if (!*name)
		return err_set(e, EINVAL, FIELD ": no name behind \"slice:prefix:\"");
	/* runc makes a slice of it, which then can have no process. */
	if (ends_with(name, ".slice"))
		return err_set(e, EINVAL, FIELD ": %.200s: a container cannot be a slice", name);
	if (n >= (int)sizeof(u->name))
		return err_set(e, ENAMETOOLONG, FIELD ": the name of the unit has more than %d bytes",
			       SYSTEMD_UNIT_MAX - 1);
	n = (int)strspn(u->name, valid);
	if (u->name[n])
		return err_set(e, EINVAL, FIELD ": \"%c\" cannot be in the name of a unit: %s",
			       u->name[n], u->name);
	return 0;
}

int systemd_unit(const char *cgroups_path, const char *id, bool user, struct systemd_unit *ret,
		 struct err *e)
{
	const char *slice = cgroups_path, *prefix, *name;
	struct systemd_unit u;
	size_t len;
	int rc;

	snprintf(u.slice, sizeof(u.slice), "%s", user ? "user.slice" : "system.slice");
	if (!*cgroups_path) {
		rc = set_name(&u, "husk", 4, id, e);
		if (rc == 0)
			*ret = u;
		return rc;
	}
	prefix = strchr(slice, ':');
	name = prefix ? strchr(prefix + 1, ':') : NULL;
	if (!name || strchr(name + 1, ':'))
		return err_set(e, EINVAL,
			       FIELD ": expected cgroupsPath to be of format \"slice:prefix:name\" for "
			       "systemd cgroups, got \"%.200s\" instead",
			       cgroups_path);
	len = (size_t)(prefix++ - slice);
	if (len >= sizeof(u.slice))
		return err_set(e, ENAMETOOLONG, FIELD ": invalid slice name: too long");
	if (len)
		snprintf(u.slice, sizeof(u.slice), "%.*s", (int)len, slice);
	rc = check_slice(u.slice, e);
	if (rc == 0)
		rc = set_name(&u, prefix, (size_t)(name - prefix), name + 1, e);
	if (rc == 0)
		*ret = u;
	return rc;
}

bool systemd_is_user(void)
{
	_cleanup_free_ char *map = NULL;
	unsigned long inside, outside, count;

	if (geteuid() != 0)
		return true;
	/* The host's own namespace maps every id to itself. */
	return io_read_file(AT_FDCWD, "/proc/self/uid_map", 65536, &map, NULL) == 0 &&
	       (sscanf(map, "%lu %lu %lu", &inside, &outside, &count) != 3 || inside || outside ||
		count != UINT32_MAX);
}

/* Bytes that stand for themselves in an address; the others become %XX. */
static void append_escaped(char *out, size_t size, const char *s)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_/.";
	size_t n = strlen(out);

	for (; *s && n < size; s++)
		n += (size_t)snprintf(out + n, size - n, strchr(plain, *s) ? "%c" : "%%%02x",
				      (unsigned char)*s);
}

int systemd_user_bus(const char *address, const char *runtime_dir, char *out, size_t size,
		     struct err *e)
{
	static const char too_long[] = "--systemd-cgroup: the address of the user bus is too long";

	if (address && *address) {
		if (strlen(address) >= size)
			return err_set(e, ENAMETOOLONG, too_long);
		strcpy(out, address);
		return 0;
	}
	if (!runtime_dir || *runtime_dir != '/')
		return err_set(e, ENOENT,
			       "--systemd-cgroup: no user bus: neither DBUS_SESSION_BUS_ADDRESS nor "
			       "XDG_RUNTIME_DIR is set");
	if (3 * strlen(runtime_dir) + sizeof("unix:path=/bus") > size)
		return err_set(e, ENAMETOOLONG, too_long);
	strcpy(out, "unix:path=");
	append_escaped(out, size, runtime_dir);
	strcat(out, "/bus");
	return 0;
}
