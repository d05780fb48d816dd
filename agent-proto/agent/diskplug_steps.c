// SPDX-License-Identifier: Apache-2.0
/* What the agent's forks do about disks that come and go. Paths are the container's: each is resolved beneath its root. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/diskplug.h"
#include "agent-proto/agent/disks.h"
#include "agent-proto/agent/mounts.h"
#include "agent-proto/agent/resolve.h"
#include "agent-proto/agent/userns.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define LOOK_NS 3000000

/* ---- the guest's side ---------------------------------------------------------------------------------------- */

static int look_for(const struct agent_config *cfg, const char *serial, struct disk_found *f, struct err *e)
{
	return cfg->find_disk ? cfg->find_disk(serial, f, e) : disks_find(serial, f, e);
}

static int find_one(const struct agent_config *cfg, const char *serial, uint64_t until, struct disk_found *f, struct err *e)
{
	const struct timespec wait = { .tv_nsec = LOOK_NS };
	int rc;

	do {
		rc = look_for(cfg, serial, f, e);
	} while (rc == -ENOENT && cfg->find_devices && io_now_ns() < until && nanosleep(&wait, NULL) == 0);
	return rc;
}

int plug_find(const struct plug_step *s, struct plug_result *r, struct err *e)
{
	const struct agent_config *cfg = &s->ct->agent->cfg;
	uint64_t until = io_now_ns() + AGENT_DEVICE_MS * UINT64_C(1000000);

	/* The machine tells nobody that it has a device more. */
	if (cfg->find_devices)
		cfg->find_devices();
	for (size_t i = 0; i < s->req->n_add; i++) {
		struct disk_found f;
		int rc = find_one(cfg, s->req->add[i]->disk, until, &f, e);

		if (rc < 0)
			return err_wrap(e, rc, "device %s", s->req->add[i]->path);
		r->dev[i].major = major(f.dev);
		r->dev[i].minor = minor(f.dev);
	}
	return 0;
}

int plug_eject(const struct plug_step *s, struct plug_result *r, struct err *e)
{
	const struct agent_config *cfg = &s->ct->agent->cfg;
	int rc = 0;

	(void)r;
	for (size_t i = 0; i < s->req->n_remove; i++) {
		const char *serial = s->req->remove[i]->disk;
		struct disk_found f;

		if (look_for(cfg, serial, &f, NULL) < 0)
			continue;
		if (cfg->remove_disk)
			cfg->remove_disk(strrchr(f.path, '/') + 1);
		if (look_for(cfg, serial, &f, NULL) == 0)
			rc = err_set(e, EBUSY, "device %s: the kernel has not let go of it", s->req->remove[i]->path);
	}
	return rc;
}

/* ---- in the container ---------------------------------------------------------------------------------------- */

/* From here on "/" is the container's root, and whoever is root in there is what we are. Returns it, O_PATH. */
static int enter(const struct plug_step *s, struct err *e)
{
	const struct container *ct = s->ct;
	bool user = ct->ns_flags & CLONE_NEWUSER;
	int root, rc = user ? setns(ct->init.pidfd, CLONE_NEWUSER | CLONE_NEWNS) : setns(ct->mntns, CLONE_NEWNS);

	if (rc < 0)
		return err_errno(e, errno, "container's namespaces");
	rc = user ? userns_become_root(e) : 0;
	if (rc < 0)
		return rc;
	umask(0);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? err_errno(e, errno, "container's root") : root;
}

static bool is_node(int parent, const char *name, dev_t dev)
{
	struct stat st;

	return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == dev;
}

/* One of the container's making, or another disk's, stays. */
static void unplace_one(int root, const char *path, dev_t dev)
{
	const char *name = strrchr(path, '/') + 1;
	_cleanup_close_ int parent = -1;
	char dir[AGENT_MAX_STRING + 1];
	struct stat st;

	snprintf(dir, sizeof(dir), "%.*s", (int)(name - path), path);
	parent = resolve_open(root, dir, O_PATH | O_DIRECTORY, false);
	if (parent < 0 || !is_node(parent, name, dev) || unlinkat(parent, name, 0) == 0 || errno != EBUSY)
		return;
	/* Mounted over a file: in a user namespace, or by the configuration. */
	if (fchdir(parent) == 0 && umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 &&
	    fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
		unlinkat(parent, name, 0);
}

static int place_one(int root, const Husk__Agent__V1__DiskDevice *d, dev_t dev, int tree, struct err *e)
{
	_cleanup_close_ int parent = -1;
	_cleanup_close_ int target = -1;
	const char *name;
	int rc = resolve_parent(root, d->path, &parent, &name, e);

	if (rc < 0)
		return err_wrap(e, rc, "device");
	if (tree < 0) {
		if (mknodat(parent, name, S_IFBLK | (d->mode & 0777), dev) < 0)
			return err_errno(e, errno, "device %s", d->path);
		if (fchownat(parent, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
		rc = err_errno(e, errno, "device %s: owner", d->path);
		unlinkat(parent, name, 0);
		return rc;
	}
	target = openat(parent, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (target < 0)
		return err_errno(e, errno, "device %s", d->path);
	rc = mount_put(tree, target);
	if (rc == 0)
		return 0;
	unlinkat(parent, name, 0);
	return err_errno(e, -rc, "device %s", d->path);
}

static dev_t dev_of(const struct plug_result *r, size_t i)
{
	return makedev(r->dev[i].major, r->dev[i].minor);
}

int plug_place(const struct plug_step *s, struct plug_result *r, struct err *e)
{
	_cleanup_close_ int root = enter(s, e);
	int rc = root < 0 ? root : 0;
	size_t n = 0;

	(void)r;
	while (rc == 0 && n < s->req->n_add) {
		rc = place_one(root, s->req->add[n], dev_of(s->found, n), s->trees ? s->trees[n] : -1, e);
		n += rc == 0;
	}
	while (rc < 0 && n-- > 0)
		unplace_one(root, s->req->add[n]->path, dev_of(s->found, n));
	return rc;
}

int plug_unplace(const struct plug_step *s, struct plug_result *r, struct err *e)
{
	_cleanup_close_ int root = -1;
	bool there[AGENT_MAX_DISKS] = { false };
	struct disk_found f[AGENT_MAX_DISKS];

	(void)r;
	for (size_t i = 0; i < s->req->n_remove; i++)
		there[i] = look_for(&s->ct->agent->cfg, s->req->remove[i]->disk, &f[i], NULL) == 0;
	root = enter(s, e);
	if (root < 0)
		return root;
	for (size_t i = 0; i < s->req->n_remove; i++)
		if (there[i])
			unplace_one(root, s->req->remove[i]->path, f[i].dev);
	for (size_t i = 0; i < s->req->n_add; i++)
		unplace_one(root, s->req->add[i]->path, dev_of(s->found, i));
	return 0;
}
