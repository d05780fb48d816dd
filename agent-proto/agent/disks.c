// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/disks.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent-proto/agent/mounts.h"
#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"

/* One line of @block/@name/@file; false: there is none. */
static bool read_line(int block, const char *name, const char *file, char *text, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[300];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", name, file);
	fd = openat(block, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (n < 0)
		return false;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return true;
}

static bool is_it(int block, const char *name, const char *serial, struct disk_found *ret)
{
	unsigned major, minor;
	char text[64];

	if (!read_line(block, name, "serial", text, sizeof(text)) || strcmp(text, serial) != 0 ||
	    !read_line(block, name, "dev", text, sizeof(text)) || sscanf(text, "%u:%u", &major, &minor) != 2)
		return false;
	ret->dev = makedev(major, minor);
	return (size_t)snprintf(ret->path, sizeof(ret->path), "/dev/%s", name) < sizeof(ret->path);
}

int disks_find(const char *serial, struct disk_found *ret, struct err *e)
{
	_cleanup_close_ int sys = mount_new("sysfs", "sysfs", "", MOUNT_ATTR_RDONLY, e);
	int block = sys < 0 ? -1 : openat(sys, "block", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = block < 0 ? NULL : fdopendir(block);
	const struct dirent *at;
	int rc = -ENOENT;

	if (sys < 0)
		return sys;
	if (!d) {
		close_and_reset(&block);
		return err_set(e, ENOENT, "the guest's kernel knows no disks");
	}
	while (rc < 0 && (at = readdir(d)))
		if (at->d_name[0] != '.' && is_it(block, at->d_name, serial, ret))
			rc = 0;
	closedir(d);
	return rc < 0 ? err_set(e, ENOENT, "no disk has the serial %s", serial) : 0;
}

/* Its node in the guest's own devtmpfs; @name (48 bytes): what that is called. */
static int resolve_node(const Husk__Agent__V1__BlockNode *n, char *name, struct err *e)
{
	struct disk_found f;
	int rc = 0;

	if (*n->disk) {
		rc = disks_find(n->disk, &f, e);
	} else {
		snprintf(f.path, sizeof(f.path), "/dev/husk-%u-%u", (unsigned)n->major, (unsigned)n->minor);
		if (mknod(f.path, S_IFBLK, makedev((unsigned)n->major, (unsigned)n->minor)) < 0 && errno != EEXIST)
			rc = err_errno(e, errno, "%s", f.path);
	}
	if (rc == 0 && (chown(f.path, n->uid, n->gid) < 0 || chmod(f.path, n->mode & 0777) < 0))
		rc = err_errno(e, errno, "%s", f.path);
	if (rc == 0)
		memmove(name, f.path + strlen("/dev/"), strlen(f.path) - strlen("/dev/") + 1);
	return rc;
}

static int resolve_mounts(const Husk__Agent__V1__Container *ct, struct err *e)
{
	/* As long as the request, which is done with before the next one comes. */
	static char names[AGENT_MAX_BLOCK_NODES][sizeof(((struct disk_found *)0)->path)];
	size_t used = 0;

	for (size_t i = 0; i < ct->n_mounts; i++) {
		Husk__Agent__V1__Mount *m = ct->mounts[i];
		int rc;

		if (!m->block_node)
			continue;
		bug_on(used == AGENT_MAX_BLOCK_NODES); /* check_create() */
		rc = resolve_node(m->block_node, names[used], e);
		if (rc < 0)
			return err_wrap(e, rc, "mount %s", m->destination);
		m->subpath = names[used++];
	}
	return 0;
}

int disks_resolve(const Husk__Agent__V1__Container *ct, struct err *e)
{
	struct disk_found f;
	int rc = resolve_mounts(ct, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ct->n_devices; i++) {
		Husk__Agent__V1__Device *d = ct->devices[i];

		if (!*d->disk)
			continue;
		rc = disks_find(d->disk, &f, e);
		if (rc < 0)
			return err_wrap(e, rc, "device %s", d->path);
		d->major = major(f.dev);
		d->minor = minor(f.dev);
	}
	for (size_t i = 0; i < ct->n_device_rules; i++) {
		Husk__Agent__V1__DeviceRule *r = ct->device_rules[i];

		if (!*r->disk)
			continue;
		rc = disks_find(r->disk, &f, e);
		if (rc < 0)
			return err_wrap(e, rc, "device rule");
		r->major = major(f.dev);
		r->minor = minor(f.dev);
	}
	return 0;
}
