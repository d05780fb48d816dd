// SPDX-License-Identifier: Apache-2.0
/* The container's files: each source twice, as a share for the machine and as a mount in the
 * proxy's table. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/mounttree.h"
#include "runtime/container/create_internal.h"
#include "runtime/proxy/client.h"

static int add_share(struct share_list *l, int bundle, const char *path, bool readonly,
		     struct err *e)
{
	bool is_dir;
	int rc = mounttree_open(bundle, path, readonly, &l->fds[l->n], &is_dir, e);

	if (rc < 0)
		return rc;
	snprintf(l->names[l->n], SHARE_NAME_MAX, SHARE_PREFIX "%zu", l->n);
	l->readonly[l->n] = readonly;
	l->is_file[l->n] = !is_dir;
	l->n++;
	return 0;
}

static size_t count_binds(const struct oci_spec *spec)
{
	size_t n = 0;

	for (size_t i = 0; i < spec->n_mounts; i++)
		n += spec->mounts[i].bind;
	return n;
}

static int alloc(struct share_list *l, size_t shares, size_t mounts)
{
	l->names = calloc(shares, sizeof(*l->names));
	l->fds = calloc(shares, sizeof(*l->fds));
	l->readonly = calloc(shares, sizeof(*l->readonly));
	l->is_file = calloc(shares, sizeof(*l->is_file));
	l->of_mount = calloc(mounts + 1, sizeof(*l->of_mount));
	l->file_of_mount = calloc(mounts + 1, sizeof(*l->file_of_mount));
	return l->names && l->fds && l->readonly && l->is_file && l->of_mount && l->file_of_mount
		       ? 0
		       : -ENOMEM;
}

int share_list_open(struct share_list *l, const struct oci_spec *spec, int bundle,
		    const char *rootfs, struct err *e)
{
	size_t shares = 1 + count_binds(spec);
	int rc;

	*l = (struct share_list){ .n = 0 };
	if (shares > PROXY_MAX_SHARES)
		return err_set(e, E2BIG, "config.json: mounts: %zu bind mounts, %d are allowed",
			       shares - 1, PROXY_MAX_SHARES - 1);
	if (alloc(l, shares, spec->n_mounts) < 0)
		return err_set(e, ENOMEM, "out of memory");
	/* Mount points are made in it by the agent, so a read-only root is made so in the guest. */
	rc = add_share(l, bundle, rootfs, false, e);
	for (size_t i = 0; rc == 0 && i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];

		if (!m->bind)
			continue;
		rc = add_share(l, bundle, m->source, m->flags & MS_RDONLY, e);
		if (rc < 0)
			return err_wrap(e, rc, "config.json: mounts[%zu].source", i);
		l->of_mount[i] = l->names[l->n - 1];
		l->file_of_mount[i] = l->is_file[l->n - 1];
	}
	return rc;
}

void share_list_close(struct share_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		close(l->fds[i]);
	free(l->names);
	free(l->fds);
	free(l->readonly);
	free(l->is_file);
	free(l->of_mount);
	free(l->file_of_mount);
	*l = (struct share_list){ .n = 0 };
}

/* A detached copy that follows unmounts on the host, and on which nothing can be run. */
static int open_copy(int dir, const char *path, bool readonly, bool *ret_file, int *ret_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NOEXEC |
					       (readonly ? MOUNT_ATTR_RDONLY : 0u),
				   .propagation = MS_SLAVE };
	_cleanup_close_ int fd =
		open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	*ret_file = !S_ISDIR(st.st_mode);
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int send_mount(int proxy, int dir, const char *path, const char *dst, bool readonly,
		      struct err *e)
{
	struct proxy_mount m = { .is_file = 0 };
	_cleanup_close_ int fd = -1;
	bool is_file = false;
	int rc = open_copy(dir, path, readonly, &is_file, &fd);

	if (rc < 0)
		return err_errno(e, -rc, "cannot take a copy of the mounts at %s", path);
	m.is_file = is_file;
	if ((size_t)snprintf(m.dst, sizeof(m.dst), "%s%s", *dst == '/' ? "" : "/", dst) >=
	    sizeof(m.dst))
		return err_set(e, ENAMETOOLONG, "mount point too long");
	return proxy_send(proxy, PROXY_MOUNT, &m, sizeof(m), &fd, 1, e);
}

int share_list_mounts(const struct oci_spec *spec, int bundle, const char *rootfs, int proxy,
		      struct err *e)
{
	int rc = send_mount(proxy, bundle, rootfs, "/", false, e);

	for (size_t i = 0; rc == 0 && i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];

		if (m->bind)
			rc = send_mount(proxy, bundle, m->source, m->destination,
					m->flags & MS_RDONLY, e);
	}
	return rc;
}
