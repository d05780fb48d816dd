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
#include "runtime/container/create_internal.h"
#include "runtime/proxy/client.h"

static const char *share_name(struct share_list *l)
{
	return l->names[l->n - 1];
}

/* Takes the descriptor over. */
static void add_share(struct share_list *l, struct source *src)
{
	snprintf(l->names[l->n], SHARE_NAME_MAX, "%s%zu", l->prefix, l->n);
	l->fds[l->n] = steal_fd(&src->fd);
	l->is_file[l->n] = src->pack.is_file;
	l->readonly[l->n] = src->readonly;
	l->nocache[l->n] = src->nocache;
	l->common[l->n] = src->common;
	l->n++;
	src->pack.name = share_name(l);
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
	l->nocache = calloc(shares, sizeof(*l->nocache));
	l->common = calloc(shares, sizeof(*l->common));
	l->sources = calloc(mounts + 1, sizeof(*l->sources));
	l->packed = calloc(mounts + 1, sizeof(*l->packed));
	if (!l->names || !l->fds || !l->readonly || !l->is_file || !l->nocache || !l->common || !l->sources || !l->packed)
		return -ENOMEM;
	for (l->n_sources = 0; l->n_sources < mounts + 1; l->n_sources++)
		l->sources[l->n_sources].fd = l->sources[l->n_sources].sock = -1;
	return 0;
}

static int source_error(const struct oci_mount *m, size_t i, int rc, struct err *e)
{
	return err_wrap(e, rc, "error mounting \"%s\" to rootfs at \"%s\": config.json: mounts[%zu].source", m->source,
			m->destination, i);
}

/* Its number is its name. */
static int add_socket(struct share_list *l, struct source *src, const struct oci_mount *m, size_t i, struct err *e)
{
	if (l->n_sockets == PROXY_MAX_SOCKETS) {
		err_set(e, E2BIG, "more than %d sockets of the host", PROXY_MAX_SOCKETS);
		return source_error(m, i, -E2BIG, e);
	}
	snprintf(src->sub, sizeof(src->sub), "%zu", l->n_sockets++);
	src->pack.name = src->sub;
	return 0;
}

static int send_ids(const struct oci_id_mapping *v, size_t n, bool groups, int proxy, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct proxy_ids m = { .groups = groups, .first = v[i].host_id, .n = v[i].size };

		rc = proxy_send(proxy, PROXY_IDS, &m, sizeof(m), NULL, 0, e);
	}
	return rc;
}

int share_list_sockets(const struct share_list *l, const struct oci_spec *spec, int proxy, struct err *e)
{
	int rc = 0;

	if (l->n_sockets)
		rc = send_ids(spec->uid_mappings, spec->n_uid_mappings, false, proxy, e);
	if (rc == 0 && l->n_sockets)
		rc = send_ids(spec->gid_mappings, spec->n_gid_mappings, true, proxy, e);
	for (size_t i = 0; rc == 0 && i < l->n_sources; i++) {
		struct proxy_simple m;

		if (l->sources[i].sock >= 0)
			rc = proxy_send(proxy, PROXY_SOCKET, &m, sizeof(m), &l->sources[i].sock, 1, e);
	}
	return rc;
}

/* What the follower has told of below mount number @bind. -ENOMEM. */
static int add_followed(struct source *src, const struct follow *f, uint32_t bind)
{
	struct oci_pack_submount *list = calloc(f->n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	src->pack.below = list;
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].bind == bind)
			list[src->pack.n_below++] = f->v[i].pack;
	return 0;
}

/* The mount itself, and the others by themselves. Where that cannot be, all of it is one share, and only what comes later
 * is followed. */
static int open_following(struct share_list *l, struct source *src, const struct oci_mount *m, int bundle, struct follow *f,
			  int number, struct err *e)
{
	struct oci_mount alone = *m;
	struct err why = ERR_INIT;
	int rc = -EINVAL;

	alone.recursive = false;
	if (!f->whole)
		rc = source_open(src, bundle, &alone, &l->mounts, &why);
	if (rc == 0 && add_followed(src, f, (uint32_t)number) < 0)
		return err_set(e, ENOMEM, "out of memory");
	/* Of what an unprivileged namespace may not take apart. */
	if (rc == -EINVAL) {
		follow_forget(f, (uint32_t)number);
		rc = source_open(src, bundle, m, &l->mounts, e);
	} else if (rc < 0 && e) {
		*e = why;
	}
	src->pack.follow = (uint32_t)number + 1;
	return rc;
}

static int open_source(struct share_list *l, const struct oci_spec *spec, size_t i, int bundle, struct follow *f, struct err *e)
{
	const struct oci_mount *m = &spec->mounts[i];
	struct source *src = &l->sources[i + 1];
	int number = follow_number(f, i);
	int rc;

	if (m->flags & MS_REMOUNT)
		return 0;
	if (number >= 0)
		rc = open_following(l, src, m, bundle, f, number, e);
	else
		rc = source_open(src, bundle, m, &l->mounts, e);
	if (rc < 0)
		return source_error(m, i, rc, e);
	if (number >= 0)
		source_alone(src);
	if (src->fd >= 0)
		add_share(l, src);
	return src->sock >= 0 ? add_socket(l, src, m, i, e) : 0;
}

static void take_hooked(struct share_list *l, struct hook_mount *m, size_t i)
{
	struct source *src = &l->sources[i + 1];

	*src = m->src;
	m->src.fd = -1;
	if (src->fd >= 0)
		add_share(l, src);
}

int share_list_open(struct share_list *l, const char *prefix, const struct oci_spec *spec, int bundle,
		    const char *rootfs, struct hook_mounts *hooked, struct follow *follow, struct err *e)
{
	size_t shares = 1 + count_binds(spec), own = spec->n_mounts - hooked->n;
	int rc;

	*l = (struct share_list){ .prefix = prefix };
	if (shares > PROXY_MAX_SHARES)
		return err_set(e, E2BIG, "config.json: mounts: %zu bind mounts, %d are allowed",
			       shares - 1, PROXY_MAX_SHARES - 1);
	if (alloc(l, shares, spec->n_mounts) < 0)
		return err_set(e, ENOMEM, "out of memory");
	/* Mount points are made in it by the agent, so a read-only root is made so in the guest. */
	rc = spec->vm.image ? 0 :
			      source_open_root(&l->sources[0], bundle, rootfs, spec->root_readonly, &l->mounts, e);
	if (rc == 0 && !spec->vm.image)
		add_share(l, &l->sources[0]);
	for (size_t i = 0; rc == 0 && i < own; i++)
		if (spec->mounts[i].bind)
			rc = open_source(l, spec, i, bundle, follow, e);
	for (size_t i = 0; rc == 0 && i < hooked->n; i++)
		take_hooked(l, &hooked->v[i], own + i);
	for (size_t i = 0; rc == 0 && i < l->n_sources; i++)
		l->packed[i] = l->sources[i].pack;
	return rc;
}

void share_list_close(struct share_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		close(l->fds[i]);
	for (size_t i = 0; i < l->n_sources; i++)
		source_done(&l->sources[i]);
	mountinfo_free(&l->mounts);
	free(l->names);
	free(l->fds);
	free(l->readonly);
	free(l->is_file);
	free(l->nocache);
	free(l->common);
	free(l->sources);
	free(l->packed);
	*l = (struct share_list){ .n = 0 };
}

/* A detached copy that follows unmounts on the host, and on which nothing can be run. */
static int open_copy(int dir, const char *path, bool recursive, bool readonly, bool *ret_file, int *ret_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NOEXEC |
					       (readonly ? MOUNT_ATTR_RDONLY : 0u),
				   .propagation = MS_SLAVE };
	_cleanup_close_ int fd =
		open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0u));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	*ret_file = !S_ISDIR(st.st_mode);
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int send_mount(int proxy, int dir, const char *path, const char *dst, bool recursive, bool readonly,
		      struct err *e)
{
	struct proxy_mount m = { .is_file = 0 };
	_cleanup_close_ int fd = -1;
	bool is_file = false;
	int rc = open_copy(dir, path, recursive, readonly, &is_file, &fd);

	if (rc == -EPERM)
		return err_set(e, EPERM,
			       "cannot take a copy of the mounts at %s: husk is neither root nor in a user namespace of its own: "
			       "unshare --user --map-root-user --mount husk ...", path);
	if (rc < 0)
		return err_errno(e, -rc, "cannot take a copy of the mounts at %s", path);
	m.is_file = is_file;
	if ((size_t)snprintf(m.dst, sizeof(m.dst), "%s%s", *dst == '/' ? "" : "/", dst) >=
	    sizeof(m.dst))
		return err_set(e, ENAMETOOLONG, "mount point too long");
	return proxy_send(proxy, PROXY_MOUNT, &m, sizeof(m), &fd, 1, e);
}

/* Where the root is an image, which the host does not look into: a place for the mounts. */
static int send_empty_root(int proxy, struct err *e)
{
	_cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	struct proxy_mount m = { .dst = "/" };
	_cleanup_close_ int fd = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot make an empty root");
	return proxy_send(proxy, PROXY_MOUNT, &m, sizeof(m), &fd, 1, e);
}

int share_list_mounts(const struct oci_spec *spec, int bundle, const char *rootfs, int proxy,
		      struct err *e)
{
	int rc = spec->vm.image ? send_empty_root(proxy, e) : send_mount(proxy, bundle, rootfs, "/", true, false, e);

	for (size_t i = 0; rc == 0 && i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];
		int kind = m->bind ? source_look(bundle, m, e) : 0;

		if (kind < 0)
			return source_error(m, i, kind, e);
		/* Of a remount nothing but its source's being there counts, as with runc. */
		if (kind && !(m->flags & MS_REMOUNT))
			rc = send_mount(proxy, bundle, m->source, m->destination, m->recursive,
					(m->flags & MS_RDONLY) || (m->rec_set & MOUNT_ATTR_RDONLY), e);
	}
	return rc;
}
