// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/disks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/container/device_list.h"

const char *disks_access(const struct oci_resources *res, int64_t major, int64_t minor, bool meant)
{
	bool r = false, w = false;

	for (size_t i = 0; i < res->n_devices; i++) {
		const struct oci_device_rule *rule = &res->devices[i];

		/* The last one that matches counts, as for the kernel. */
		if (rule->type == 'c' || (rule->major != -1 && rule->major != major) ||
		    (rule->minor != -1 && rule->minor != minor))
			continue;
		if (rule->allow && !meant && (rule->type != 'b' || rule->major < 0 || rule->minor < 0))
			continue;
		if (strchr(rule->access, 'r'))
			r = rule->allow;
		if (strchr(rule->access, 'w'))
			w = rule->allow;
	}
	return w ? "rw" : r ? "r" : "";
}

/* A mount's "ro" says nothing about a device to the kernel; it does to whoever writes it. */
static const char *mount_access(const struct oci_spec *spec, const struct oci_mount *m)
{
	const char *access = disks_access(&spec->res, m->block.major, m->block.minor, true);

	return *access && (m->flags & MS_RDONLY || m->rec_set & MOUNT_ATTR_RDONLY) ? "r" : access;
}

bool disks_written(const struct oci_spec *spec, int64_t major, int64_t minor)
{
	for (size_t i = 0; i < spec->n_devices; i++) {
		const struct oci_device *d = &spec->devices[i];

		if (d->type == 'b' && d->major == major && d->minor == minor &&
		    strchr(disks_access(&spec->res, major, minor, false), 'w'))
			return true;
	}
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];

		if (m->block.is && m->block.major == major && m->block.minor == minor && strchr(mount_access(spec, m), 'w'))
			return true;
	}
	return false;
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

/* All devices and mounts of these numbers have one disk, so it is as writable as the most writable of them. */
static int open_one(struct sandbox *s, const struct oci_spec *spec, int64_t major, int64_t minor, const char **ret_serial,
		    struct err *e)
{
	bool readonly = !disks_written(spec, major, minor);
	struct diskfile f = { .fd = -1 };
	char path[256];
	struct stat st;
	int rc = name_of(major, minor, path, sizeof(path));

	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	if (rc < 0)
		return err_errno(e, -rc, "block device %lld:%lld", (long long)major, (long long)minor);
	rc = diskfile_open(&f, AT_FDCWD, path, readonly ? DISKFILE_READONLY : 0, e);
	if (rc == -ENOENT || rc == -ENXIO || rc == -ENOMEDIUM || rc == -ENODATA)
		return 0;
	if (rc < 0)
		return rc;
	if (fstat(f.fd, &st) < 0 || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != makedev((unsigned)major, (unsigned)minor)) {
		close(f.fd);
		return err_set(e, ENODEV, "%s is not the block device %lld:%lld", path, (long long)major,
			       (long long)minor);
	}
	rc = sandbox_add_disk(s, &f, readonly, NULL, ret_serial, e);
	if (rc < 0)
		close(f.fd);
	return rc;
}

static int open_devices(struct sandbox *s, struct oci_spec *spec, struct err *e)
{
	for (size_t i = 0; i < spec->n_devices; i++) {
		struct oci_device *d = &spec->devices[i];
		const char *access = d->type == 'b' ? disks_access(&spec->res, d->major, d->minor, false) : "";
		int rc = 0;

		/* One device may have several names. */
		for (size_t k = 0; k < i && *access; k++)
			if (spec->devices[k].type == 'b' && spec->devices[k].major == d->major &&
			    spec->devices[k].minor == d->minor)
				d->disk = spec->devices[k].disk;
		if (*access && !d->disk)
			rc = open_one(s, spec, d->major, d->minor, &d->disk, e);
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

/* ---- sources of bind mounts ----------------------------------------------------------------------------------- */

static size_t find_block_sources(struct oci_spec *spec, int bundle)
{
	size_t n = 0;

	for (size_t i = 0; i < spec->n_mounts; i++) {
		struct oci_mount *m = &spec->mounts[i];
		struct stat st;

		/* What cannot be looked at is refused where shares are opened. */
		if (!m->bind || m->flags & MS_REMOUNT || fstatat(bundle, m->source, &st, 0) < 0 || !S_ISBLK(st.st_mode))
			continue;
		m->block.is = true;
		m->block.major = major(st.st_rdev);
		m->block.minor = minor(st.st_rdev);
		m->block.mode = st.st_mode & 0777;
		m->block.uid = st.st_uid;
		m->block.gid = st.st_gid;
		n++;
	}
	return n;
}

/* The disk of these numbers that is open already, by a device or an earlier mount; NULL: none. */
static const char *opened(const struct oci_spec *spec, size_t mounts, int64_t major, int64_t minor)
{
	for (size_t i = 0; i < spec->n_devices; i++)
		if (spec->devices[i].type == 'b' && spec->devices[i].major == major && spec->devices[i].minor == minor &&
		    spec->devices[i].disk)
			return spec->devices[i].disk;
	for (size_t i = 0; i < mounts; i++)
		if (spec->mounts[i].block.disk && spec->mounts[i].block.major == major && spec->mounts[i].block.minor == minor)
			return spec->mounts[i].block.disk;
	return NULL;
}

static int open_mount(struct sandbox *s, struct oci_spec *spec, size_t i, struct oci_device_rule *rule, struct err *e)
{
	struct oci_mount *m = &spec->mounts[i];
	const char *access = mount_access(spec, m);
	int rc = 0;

	if (!*access)
		return 0;
	m->block.disk = opened(spec, i, m->block.major, m->block.minor);
	if (!m->block.disk)
		rc = open_one(s, spec, m->block.major, m->block.minor, &m->block.disk, e);
	if (rc < 0)
		return err_wrap(e, rc, "config.json: mounts[%zu]", i);
	if (!m->block.disk)
		return 0;
	*rule = (struct oci_device_rule){ .allow = true,
					  .type = 'b',
					  .major = m->block.major,
					  .minor = m->block.minor,
					  .access = access,
					  .disk = m->block.disk };
	return 1;
}

int disks_open(struct sandbox *s, struct oci_spec *spec, int bundle, struct oci_device_rule **ret_rules, struct err *e)
{
	size_t room = find_block_sources(spec, bundle), n = spec->res.n_devices;
	struct oci_device_rule *rules;
	int rc = open_devices(s, spec, e);

	*ret_rules = NULL;
	if (rc < 0 || !room)
		return rc;
	/* In the guest it has other numbers than a rule for its kind names. */
	rules = calloc(n + room, sizeof(*rules));
	if (!rules)
		return err_set(e, ENOMEM, "out of memory");
	if (n)
		memcpy(rules, spec->res.devices, n * sizeof(*rules));
	for (size_t i = 0; rc >= 0 && i < spec->n_mounts; i++) {
		rc = spec->mounts[i].block.is ? open_mount(s, spec, i, &rules[n], e) : 0;
		n += rc > 0;
	}
	spec->res.devices = rules;
	spec->res.n_devices = n;
	*ret_rules = rules;
	return min_t(int, rc, 0);
}

/* ---- the record ------------------------------------------------------------------------------------------------ */

/* One of several entries for a path is made, one by a devious path cannot be named: it stays. */
static int note(struct device_list *l, const char *disk, const char *at, int64_t major, int64_t minor, struct err *e)
{
	char path[PATH_MAX], source[64];
	struct device_entry entry = { .path = path, .source = source, .access = "r", .there = true };

	if (!disk || device_path_check(at, NULL) < 0 || device_list_find(l, at) || l->n == DEVICE_LIST_MAX)
		return 0;
	snprintf(path, sizeof(path), "%s", at);
	snprintf(source, sizeof(source), "%lld:%lld", (long long)major, (long long)minor);
	snprintf(entry.disk, sizeof(entry.disk), "%s", disk);
	return device_list_add(l, &entry, e);
}

int disks_note(const struct oci_spec *spec, int dir, struct err *e)
{
	struct device_list l = { .v = NULL };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < spec->n_devices; i++) {
		const struct oci_device *d = &spec->devices[i];

		rc = note(&l, d->disk, d->path, d->major, d->minor, e);
	}
	for (size_t i = 0; rc == 0 && i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];

		rc = note(&l, m->block.disk, m->destination, m->block.major, m->block.minor, e);
	}
	if (rc == 0 && l.n)
		rc = device_list_save(dir, &l, e);
	device_list_done(&l);
	return rc;
}
