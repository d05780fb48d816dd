/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. A table says which the guest may have: our own, which make special files,
 * are not there for it; labels belong to the host. The guest's trusted.* are kept as our own ones,
 * since they are between the guest's kernel and its root (overlayfs keeps its books in them) and no
 * word to the host. Only regular files and directories have any, since nothing else is ever opened.
 */
#include "vmm/fs/fs_internal.h"

#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_ACCESS  "system.posix_acl_access"
#define TRUSTED	    "trusted."
#define ORIGIN	    "trusted.overlay.origin"

enum verdict { PASS, KEPT, HIDDEN, REFUSED };

/* First match wins. KEPT: below our own prefix. get: HIDDEN is ENODATA; set: HIDDEN is EPERM, REFUSED
 * EOPNOTSUPP. */
static const struct {
	const char *name;
	bool prefix;
	enum verdict verdict;
} policy[] = {
	{ FS_XATTR_PREFIX, true, HIDDEN },	{ "user.", true, PASS },
	{ "security.capability", false, PASS }, { ACL_ACCESS, false, PASS },
	{ ACL_DEFAULT, false, PASS },		{ TRUSTED, true, KEPT },
	{ "", true, REFUSED },
};

static enum verdict judge(const char *name)
{
	size_t i = 0;

	for (; i < ARRAY_SIZE(policy) - 1; i++)
		if (policy[i].prefix ? !strncmp(name, policy[i].name, strlen(policy[i].name))
				     : !strcmp(name, policy[i].name))
			break;
	return policy[i].verdict;
}

static bool is_acl(const char *name)
{
	return !strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT);
}

/* The host's name for the guest's, in @buf if it is another one. 0, or what @hidden says, or
 * -EOPNOTSUPP, -ERANGE. */
static int host_name(const char **name, char buf[XATTR_NAME_MAX + 1], int hidden)
{
	switch (judge(*name)) {
	case PASS:
		return 0;
	case KEPT:
		if (snprintf(buf, XATTR_NAME_MAX + 1, FS_XATTR_PREFIX "%s", *name) > XATTR_NAME_MAX)
			return -ERANGE;
		*name = buf;
		return 0;
	case HIDDEN:
		return hidden;
	default:
		return -EOPNOTSUPP;
	}
}

/* A name as xattr names are: no NUL missing, 1 to 255 bytes, any character. */
static int xattr_name(const struct fs_req *rq, size_t *off, const char **ret)
{
	size_t n;

	if (*off >= rq->arg_len)
		return -EINVAL;
	*ret = (const char *)rq->arg + *off;
	n = strnlen(*ret, rq->arg_len - *off);
	if (n == rq->arg_len - *off || n == 0)
		return -EINVAL;
	if (n > XATTR_NAME_MAX)
		return -ERANGE;
	*off += n + 1;
	return 0;
}

static bool has_xattrs(const struct fs_node *n)
{
	return n->type == S_IFREG || n->type == S_IFDIR;
}

/* A descriptor to read attributes by: an open file's, held by *ret_h, or one of its own. */
static int attr_fd(struct fs_req *rq, struct fs_handle **ret_h)
{
	*ret_h = fs_handle_any(rq->s, rq->node);
	return *ret_h ? (*ret_h)->fd : fs_node_open(rq->s, rq->node, O_RDONLY | O_NONBLOCK);
}

static void attr_fd_put(struct fs_req *rq, struct fs_handle *h, int fd)
{
	if (h)
		fs_handle_put(rq->s, h);
	else
		close(fd);
}

/* The directory's cached "no default ACL" ends with any change of it. */
static void acl_changed(struct fs_req *rq, const char *name)
{
	if (strcmp(name, ACL_DEFAULT) != 0)
		return;
	pthread_mutex_lock(&rq->s->lock);
	rq->node->noacl_until = 0;
	pthread_mutex_unlock(&rq->s->lock);
}

int fs_op_setxattr(struct fs_req *rq)
{
	char buf[XATTR_NAME_MAX + 1];
	struct fuse_setxattr_in in;
	size_t off = sizeof(in);
	const char *name;
	int fd, rc;

	if (rq->arg_len < sizeof(in) + 2)
		return -EINVAL; /* FUSE_SETXATTR_EXT was negotiated */
	FS_ARG(rq, in);
	rc = xattr_name(rq, &off, &name);
	if (rc < 0)
		return rc;
	if (in.size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (!range_within(off, in.size, rq->arg_len) ||
	    (in.flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)))
		return -EINVAL;
	/* A copied up symbolic link gets this, too, and overlayfs believes that no file can have
	 * attributes if one cannot. It is a hint: without it the link has another inode number. */
	if (!has_xattrs(rq->node) && !strcmp(name, ORIGIN))
		return 0;
	rc = host_name(&name, buf, -EPERM);
	if (rc < 0)
		return rc;
	if (!has_xattrs(rq->node))
		return -EPERM;
	fd = fs_node_open(rq->s, rq->node, O_RDONLY);
	if (fd < 0)
		return fd;
	rc = fsetxattr(fd, name, rq->arg + off, in.size, (int)in.flags) < 0 ? -errno : 0;
	if (rc == 0 && (in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) &&
	    !strcmp(name, ACL_ACCESS)) {
		struct stat st;

		if (fstat(fd, &st) == 0 && (st.st_mode & S_ISGID))
			rc = fchmod(fd, st.st_mode & 07777 & ~(mode_t)S_ISGID) < 0 ? -errno : 0;
	}
	close(fd);
	acl_changed(rq, name);
	return rc;
}

int fs_op_removexattr(struct fs_req *rq)
{
	char buf[XATTR_NAME_MAX + 1];
	const char *name;
	size_t off = 0;
	int fd, rc = xattr_name(rq, &off, &name);

	if (rc == 0)
		rc = host_name(&name, buf, -EPERM);
	if (rc < 0)
		return rc;
	if (!has_xattrs(rq->node))
		return -EPERM;
	fd = fs_node_open(rq->s, rq->node, O_RDONLY);
	if (fd < 0)
		return fd;
	rc = fremovexattr(fd, name) < 0 ? -errno : 0;
	close(fd);
	acl_changed(rq, name);
	return rc;
}

/* A size of 0 asks for the size. */
static int reply_size(struct fs_req *rq, size_t n)
{
	struct fuse_getxattr_out out = { .size = (uint32_t)n };

	if (rq->out_room < sizeof(out))
		return -EINVAL;
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

int fs_op_getxattr(struct fs_req *rq)
{
	struct fuse_getxattr_in in;
	size_t off = sizeof(in), room;
	char buf[XATTR_NAME_MAX + 1];
	struct fs_handle *h;
	const char *name;
	ssize_t n;
	int fd, rc = xattr_name(rq, &off, &name);

	FS_ARG(rq, in);
	if (rc == 0)
		rc = host_name(&name, buf, -ENODATA);
	if (rc < 0)
		return rc;
	if (!has_xattrs(rq->node))
		return -ENODATA;
	fd = attr_fd(rq, &h);
	if (fd < 0)
		return fd;
	room = min_t(size_t, in.size, rq->out_room);
	if (in.size && !room) { /* to the host, no room would be the question for the size */
		attr_fd_put(rq, h, fd);
		return -ERANGE;
	}
	n = fgetxattr(fd, name, in.size ? rq->out : NULL, in.size ? room : 0);
	rc = n < 0 ? -errno : 0;
	attr_fd_put(rq, h, fd);
	/* A file system without access lists has none; the guest's kernel would fail the look-up that asked. */
	if (rc == -EOPNOTSUPP && is_acl(name))
		return -ENODATA;
	if (rc < 0)
		return rc;
	if (!in.size)
		return reply_size(rq, (size_t)n);
	rq->out_len = (size_t)n;
	return 0;
}

/* The guest's name for the host's; NULL when it has none. Trusted ones are for root to
 * see; who does not say who it is (kernels that map ids name the caller when it makes files only) sees
 * them too: names alone, of which the values are root's. */
static const char *guest_name(const char *name, bool root)
{
	const size_t n = strlen(FS_XATTR_PREFIX);

	if (!strncmp(name, FS_XATTR_PREFIX TRUSTED, n + strlen(TRUSTED)))
		return root ? name + n : NULL;
	return judge(name) == PASS ? name : NULL;
}

/* Packs the names that the guest may see to the front; their length. */
static size_t visible(char *list, size_t len, bool root)
{
	size_t keep = 0;

	for (size_t at = 0; at < len;) {
		size_t n = strnlen(list + at, len - at) + 1;
		const char *name = at + n <= len ? guest_name(list + at, root) : NULL;

		at += n;
		if (!name)
			continue;
		n = strlen(name) + 1;
		memmove(list + keep, name, n);
		keep += n;
	}
	return keep;
}

int fs_op_listxattr(struct fs_req *rq)
{
	struct fuse_getxattr_in in;
	char *list;
	size_t len;
	ssize_t n;
	int fd, rc = 0;

	FS_ARG(rq, in);
	if (!has_xattrs(rq->node))
		return in.size ? 0 : reply_size(rq, 0);
	fd = fs_node_open(rq->s, rq->node, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	list = malloc(XATTR_LIST_MAX); /* hidden names take room that the guest did not offer */
	n = list ? flistxattr(fd, list, XATTR_LIST_MAX) : -1;
	rc = n >= 0 ? 0 : list ? -errno : -ENOMEM;
	close(fd);
	if (rc == 0) {
		len = visible(list, (size_t)n, !rq->h.uid || rq->h.uid == UINT32_MAX);
		if (!in.size)
			rc = reply_size(rq, len);
		else if (len > min_t(size_t, in.size, rq->out_room))
			rc = -ERANGE;
		else
			fs_req_put(rq, list, len);
	}
	free(list);
	return rc;
}
