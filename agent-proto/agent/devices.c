// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/rootfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent-proto/agent/mounts.h"
#include "agent-proto/agent/resolve.h"
#include "agent-proto/agent/userns.h"
#include "lib/cleanup.h"

struct node {
	const char *path;
	mode_t mode; /* with its type */
	dev_t dev;
	uid_t uid;
	gid_t gid;
	int tree; /* one made outside; -1: none */
};

static const struct {
	const char *path;
	unsigned major, minor;
} default_nodes[] = {
	{ "/dev/null", 1, 3 },	 { "/dev/zero", 1, 5 },	   { "/dev/full", 1, 7 },
	{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
};

static const struct {
	const char *path, *target;
	bool replace;
} links[] = {
	{ "/dev/fd", "/proc/self/fd", false },	     { "/dev/stdin", "/proc/self/fd/0", false },
	{ "/dev/stdout", "/proc/self/fd/1", false }, { "/dev/stderr", "/proc/self/fd/2", false },
	{ "/dev/ptmx", "pts/ptmx", true },
};

/* Where nodes may not be made (a user namespace, a shared file system without them): show the one that was made for
 * this, or the guest's own. */
static int bind_node(int root, const struct node *n, struct err *e)
{
	_cleanup_close_ int target = -1;
	_cleanup_close_ int tree = -1;
	struct stat st;
	int rc;

	tree = n->tree >= 0 ? fcntl(n->tree, F_DUPFD_CLOEXEC, 3) :
			      open_tree(AT_FDCWD, n->path,
					OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (tree < 0 || fstat(tree, &st) < 0)
		return err_errno(e, errno, "device %s", n->path);
	if ((st.st_mode & S_IFMT) != (n->mode & S_IFMT) || st.st_rdev != n->dev)
		return err_set(e, EPERM, "device %s: cannot be made, and the guest's is another",
			       n->path);
	rc = resolve_make(root, n->path, RESOLVE_FILE, &target, e);
	if (rc < 0)
		return rc;
	rc = mount_put(tree, target);
	return rc < 0 ? err_errno(e, -rc, "device %s", n->path) : 0;
}

static int make_node(int root, const struct node *n, struct err *e)
{
	_cleanup_close_ int parent = -1;
	const char *name;
	struct stat st;
	int rc = resolve_parent(root, n->path, &parent, &name, e);

	if (rc < 0)
		return err_wrap(e, rc, "device");
	if (mknodat(parent, name, n->mode, n->dev) < 0) {
		if (errno == EPERM || errno == EACCES || errno == EOPNOTSUPP)
			return bind_node(root, n, e);
		if (errno != EEXIST)
			return err_errno(e, errno, "device %s", n->path);
		if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(e, errno, "device %s", n->path);
		/* What an image brings under this name is only left when it is this very device. */
		if ((st.st_mode & S_IFMT) != (n->mode & S_IFMT) || st.st_rdev != n->dev)
			return bind_node(root, n, e);
		return 0;
	}
	if (fchownat(parent, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "device %s: owner", n->path);
	return 0;
}

static int make_link(int root, const char *path, const char *target, bool replace, struct err *e)
{
	_cleanup_close_ int parent = -1;
	const char *name;
	int rc = resolve_parent(root, path, &parent, &name, e);

	if (rc < 0)
		return rc;
	if (replace && unlinkat(parent, name, 0) < 0 && errno != ENOENT)
		return err_errno(e, errno, "%s", path);
	if (symlinkat(target, parent, name) < 0 && errno != EEXIST)
		return err_errno(e, errno, "%s", path);
	return 0;
}

static bool brings_dev(const Husk__Agent__V1__Container *ct)
{
	for (size_t i = 0; i < ct->n_mounts; i++) {
		const Husk__Agent__V1__Mount *m = ct->mounts[i];
		size_t len = strlen(m->destination);

		while (len > 1 && m->destination[len - 1] == '/')
			len--;
		if ((strcmp(m->type, "bind") == 0 || strcmp(m->type, "own") == 0) && len == 4 &&
		    strncmp(m->destination, "/dev", 4) == 0)
			return true;
	}
	return false;
}

static mode_t type_bits(const char *type)
{
	switch (type[0]) {
	case 'b':
		return S_IFBLK;
	case 'p':
		return S_IFIFO;
	default:
		return S_IFCHR;
	}
}

/* Its owner as from outside. */
static struct node node_of(const Husk__Agent__V1__Device *d)
{
	struct node n = { .path = d->path,
			  .mode = type_bits(d->type) | (d->mode & 07777),
			  .dev = makedev((unsigned)d->major, (unsigned)d->minor),
			  .uid = d->uid,
			  .gid = d->gid,
			  .tree = -1 };

	if (d->type[0] == 'p')
		n.dev = 0;
	return n;
}

/* runc, too, lets the configuration say what a default node is like. */
static bool names(const Husk__Agent__V1__Container *ct, const char *path)
{
	for (size_t i = 0; i < ct->n_devices; i++)
		if (strcmp(ct->devices[i]->path, path) == 0)
			return true;
	return false;
}

static int make_nodes(int root, const Husk__Agent__V1__Container *ct, const int *trees, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(default_nodes); i++) {
		struct node n = { .path = default_nodes[i].path,
				  .mode = S_IFCHR | 0666,
				  .dev = makedev(default_nodes[i].major, default_nodes[i].minor),
				  .tree = -1 };

		if (!names(ct, n.path))
			rc = make_node(root, &n, e);
	}
	for (size_t i = 0; rc == 0 && i < ct->n_devices; i++) {
		struct node n = node_of(ct->devices[i]);

		if (trees)
			n.tree = trees[i];
		/* A link into the container's own devpts, whatever else is asked for. */
		if (strcmp(n.path, "/dev/ptmx") != 0)
			rc = make_node(root, &n, e);
	}
	return rc;
}

/* ---- outside of a user namespace --------------------------------------------------------------- */

/* In the guest's own devtmpfs. */
static void outside_path(const struct devices_made *m, size_t i, char *path, size_t size)
{
	snprintf(path, size, "/dev/husk.%u.%zu", m->serial, i);
}

static int make_outside(const struct devices_made *m, const Husk__Agent__V1__Container *ct, struct err *e)
{
	const struct node n = node_of(ct->devices[m->n]);
	uint32_t uid = userns_outside(ct->uid_mappings, ct->n_uid_mappings, n.uid);
	uint32_t gid = userns_outside(ct->gid_mappings, ct->n_gid_mappings, n.gid);
	char path[64];
	int tree;

	/* Inside it is nobody's, as under runc the host's device is. */
	if (uid == UINT32_MAX)
		uid = 0;
	if (gid == UINT32_MAX)
		gid = 0;
	outside_path(m, m->n, path, sizeof(path));
	if (mknod(path, n.mode, n.dev) < 0)
		return err_errno(e, errno, "device %s", n.path);
	if (chown(path, uid, gid) < 0 || chmod(path, n.mode & 07777) < 0)
		return err_errno(e, errno, "device %s: owner", n.path);
	tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return tree < 0 ? err_errno(e, errno, "device %s", n.path) : tree;
}

int devices_make(struct devices_made *m, const Husk__Agent__V1__Container *ct, struct err *e)
{
	static unsigned serial;

	*m = (struct devices_made){ .serial = serial++ };
	if (!ct->n_devices)
		return 0;
	m->trees = calloc(ct->n_devices, sizeof(*m->trees));
	if (!m->trees)
		return err_set(e, ENOMEM, "out of memory");
	while (m->n < ct->n_devices) {
		bool inside = ct->devices[m->n]->type[0] == 'p';
		int tree = inside ? -1 : make_outside(m, ct, e);

		m->trees[m->n++] = tree;
		if (tree < 0 && !inside)
			return tree;
	}
	return 0;
}

void devices_made_close(struct devices_made *m)
{
	for (size_t i = 0; m->trees && i < m->n; i++)
		close_and_reset(&m->trees[i]);
	free(m->trees);
	m->trees = NULL;
}

void devices_made_done(struct devices_made *m)
{
	devices_made_close(m);
	for (; m->n; m->n--) {
		char path[64];

		outside_path(m, m->n - 1, path, sizeof(path));
		unlink(path);
	}
}

/* ---- inside ------------------------------------------------------------------------------------ */

int rootfs_devices(int root, const Husk__Agent__V1__Container *ct, const int *trees, struct err *e)
{
	mode_t mask;
	int rc;

	if (brings_dev(ct))
		return 0;
	mask = umask(0);
	rc = make_nodes(root, ct, trees, e);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(links); i++)
		rc = make_link(root, links[i].path, links[i].target, links[i].replace, e);
	if (rc == 0 && access("/proc/kcore", F_OK) == 0)
		rc = make_link(root, "/dev/core", "/proc/kcore", false, e);
	umask(mask);
	return rc;
}
