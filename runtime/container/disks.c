// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/disks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/container/device_list.h"

const char *disks_access(const struct oci_resources *res, int64_t major, int64_t minor)
{
	bool r = false, w = false;

	for (size_t i = 0; i < res->n_devices; i++) {
		const struct oci_device_rule *rule = &res->devices[i];

		/* The last one that matches counts, as for the kernel. */
		if (rule->type == 'c' || (rule->major != -1 && rule->major != major) ||
		    (rule->minor != -1 && rule->minor != minor))
			continue;
		if (rule->allow && (rule->type != 'b' || rule->major < 0 || rule->minor < 0))
			continue;
		if (strchr(rule->access, 'r'))
			r = rule->allow;
		if (strchr(rule->access, 'w'))
			w = rule->allow;
	}
	return w ? "rw" : r ? "r" : "";
}

/* "/dev/sdb": what the host's kernel calls it. */
static int name_of(int64_t major, int64_t minor, char *out, size_t size)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	const char *name;
	size_t len;
	int rc;

	snprintf(path, sizeof(path), "/sys/dev/block/%lld:%lld/uevent", (long long)major, (long long)minor);
	rc = io_read_file(AT_FDCWD, path, 4096, &text, &len);
	if (rc < 0)
		return rc;
	name = strstr(text, "DEVNAME=");
	if (!name)
		return -ENOENT;
	name += strlen("DEVNAME=");
	if ((size_t)snprintf(out, size, "/dev/%.*s", (int)strcspn(name, "\n"), name) >= size)
		return -ENAMETOOLONG;
	return 0;
}

static int open_one(struct sandbox *s, const struct oci_device *d, bool readonly, const char **ret_serial,
		    struct err *e)
{
	struct diskfile f = { .fd = -1 };
	char path[256];
	struct stat st;
	int rc = name_of(d->major, d->minor, path, sizeof(path));

	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	if (rc < 0)
		return err_errno(e, -rc, "block device %lld:%lld", (long long)d->major, (long long)d->minor);
	rc = diskfile_open(&f, AT_FDCWD, path, readonly ? DISKFILE_READONLY : 0, e);
	if (rc == -ENOENT || rc == -ENXIO || rc == -ENOMEDIUM || rc == -ENODATA)
		return 0;
	if (rc < 0)
		return rc;
	if (fstat(f.fd, &st) < 0 || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != makedev((unsigned)d->major, (unsigned)d->minor)) {
		close(f.fd);
		return err_set(e, ENODEV, "%s is not the block device %lld:%lld", path, (long long)d->major,
			       (long long)d->minor);
	}
	rc = sandbox_add_disk(s, &f, readonly, NULL, ret_serial, e);
	if (rc < 0)
		close(f.fd);
	return rc;
}

int disks_open(struct sandbox *s, struct oci_spec *spec, struct err *e)
{
	for (size_t i = 0; i < spec->n_devices; i++) {
		struct oci_device *d = &spec->devices[i];
		const char *access = d->type == 'b' ? disks_access(&spec->res, d->major, d->minor) : "";
		int rc = 0;

		/* One device may have several names. */
		for (size_t k = 0; k < i && *access; k++)
			if (spec->devices[k].type == 'b' && spec->devices[k].major == d->major &&
			    spec->devices[k].minor == d->minor)
				d->disk = spec->devices[k].disk;
		if (*access && !d->disk)
			rc = open_one(s, d, strcmp(access, "r") == 0, &d->disk, e);
		if (rc < 0)
			return err_wrap(e, rc, "config.json: linux.devices[%zu]", i);
		if (*access && !d->disk)
			log_debug("config.json: linux.devices[%zu]: no such disk here", i);
		for (size_t k = 0; d->disk && k < spec->res.n_devices; k++) {
			struct oci_device_rule *r = &spec->res.devices[k];

			if (r->type == 'b' && r->major == d->major && r->minor == d->minor)
				r->disk = d->disk;
		}
	}
	return 0;
}

int disks_note(const struct oci_spec *spec, int dir, struct err *e)
{
	struct device_list l = { .v = NULL };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < spec->n_devices; i++) {
		const struct oci_device *d = &spec->devices[i];
		char path[PATH_MAX], source[64];
		struct device_entry entry = { .path = path, .source = source, .access = "r", .there = true };

		/* One of several entries for a path is made, one by a devious path cannot be named: it stays. */
		if (!d->disk || device_path_check(d->path, NULL) < 0 || device_list_find(&l, d->path) || l.n == DEVICE_LIST_MAX)
			continue;
		snprintf(path, sizeof(path), "%s", d->path);
		snprintf(source, sizeof(source), "%lld:%lld", (long long)d->major, (long long)d->minor);
		snprintf(entry.disk, sizeof(entry.disk), "%s", d->disk);
		rc = device_list_add(&l, &entry, e);
	}
	if (rc == 0 && l.n)
		rc = device_list_save(dir, &l, e);
	device_list_done(&l);
	return rc;
}
