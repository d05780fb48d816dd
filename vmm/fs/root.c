/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic root: a directory of the shares, by name. It exists nowhere on the host, nothing
 * can be made in it, and the guest may cache nothing of it, since shares come and go.
 */
#include "vmm/fs/fs_internal.h"

#include <dirent.h>
#include <unistd.h>

#define ROOT_MODE (S_IFDIR | 0755)

int fs_root_nothing(struct fs_req *rq)
{
	(void)rq;
	return -EOPNOTSUPP;
}

/* Whoever is not its owner makes the guest's kernel ask for an access list, and any other answer than "none" is an
 * error of that look-up. */
int fs_root_getxattr(struct fs_req *rq)
{
	(void)rq;
	return -ENODATA;
}

int fs_root_access(struct fs_req *rq)
{
	(void)rq;
	return 0;
}

int fs_root_getattr(struct fs_req *rq)
{
	struct fuse_attr_out out = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = ROOT_MODE, .nlink = 2, .blksize = 4096 },
	};

	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

int fs_root_statx(struct fs_req *rq)
{
	struct fs_statx_out out = {
		.stat = {
			.mask = STATX_BASIC_STATS,
			.ino = FUSE_ROOT_ID,
			.mode = ROOT_MODE,
			.nlink = 2,
			.blksize = 4096,
		},
	};

	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

int fs_root_statfs(struct fs_req *rq)
{
	struct fuse_statfs_out out = {
		.st = { .bsize = 4096, .frsize = 4096, .namelen = NAME_MAX }
	};

	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

/* The root node of the share in @slot, kept alive for the caller like a request's node. */
static struct fs_node *root_of(struct fs_server *s, unsigned slot, const char *name)
{
	struct fs_share *share;
	struct fs_node *n = NULL;

	pthread_mutex_lock(&s->lock);
	share = s->share[slot];
	if (share && !share->dying && (!name || fs_share_has_name(share, name))) {
		n = &share->root;
		fs_node_ref_locked(n);
		share->users++;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Gives rq->node the share's root: dispatch.c ends its use with the request. */
int fs_root_lookup(struct fs_req *rq)
{
	struct fuse_entry_out out;
	struct statx st;
	const char *name;
	size_t off = 0;
	int rc = fs_req_name(rq, &off, &name);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < FS_MAX_SHARES && !rq->node; i++)
		rq->node = root_of(rq->s, i, name);
	if (!rq->node)
		return -ENOENT;
	rc = fs_node_stat(rq->s, rq->node, &st);
	if (rc < 0)
		return rc;
	rq->node->special = rq->node->type == S_IFREG && !S_ISREG(st.stx_mode);
	pthread_mutex_lock(&rq->s->lock);
	if (rq->node->nlookup < UINT64_MAX / 2)
		rq->node->nlookup++;
	pthread_mutex_unlock(&rq->s->lock);
	fs_entry_fill(rq->s, &out, rq->node, &st);
	out.entry_valid = 0;
	out.entry_valid_nsec = 0;
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

int fs_root_opendir(struct fs_req *rq)
{
	struct fuse_open_out out = { 0 };

	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

static bool put_dirent(struct fs_req *rq, bool plus, size_t room, uint64_t off, uint64_t ino,
		       uint32_t type, const char *name)
{
	static const char zero[sizeof(struct fuse_entry_out)];
	struct fuse_dirent de = {
		.ino = ino,
		.off = off,
		.namelen = (uint32_t)strlen(name),
		.type = type,
	};
	size_t need = FUSE_DIRENT_SIZE(&de) + (plus ? sizeof(struct fuse_entry_out) : 0);

	if (!range_within(rq->out_len, need, room))
		return false;
	if (plus)
		fs_req_put(rq, zero, sizeof(struct fuse_entry_out)); /* node 0: look it up */
	fs_req_put(rq, &de, FUSE_NAME_OFFSET);
	fs_req_put(rq, name, de.namelen);
	fs_req_put(rq, zero, FUSE_DIRENT_SIZE(&de) - FUSE_NAME_OFFSET - de.namelen);
	return true;
}

/* Offsets: 1 after ".", 2 after "..", slot + 3 after a share. */
static int list(struct fs_req *rq, bool plus)
{
	struct fuse_read_in in;
	size_t room;
	bool more = true;

	FS_ARG(rq, in);
	room = min_t(size_t, in.size, rq->out_room);
	for (uint64_t at = in.offset; more && at < FS_MAX_SHARES + 2; at++) {
		char name[FS_SHARE_NAME];
		struct fs_share *share;
		uint64_t ino = FUSE_ROOT_ID;
		uint32_t type = DT_DIR;

		if (at < 2) {
			more = put_dirent(rq, plus, room, at + 1, ino, type, at ? ".." : ".");
			continue;
		}
		pthread_mutex_lock(&rq->s->lock);
		share = rq->s->share[at - 2];
		if (share && share->dying)
			share = NULL;
		if (share) {
			strcpy(name, share->name);
			ino = share->root.id.ino;
			type = IFTODT(share->root.type);
		}
		pthread_mutex_unlock(&rq->s->lock);
		if (share)
			more = put_dirent(rq, plus, room, at + 1, ino, type, name);
	}
	return !more && rq->out_len == 0 ? -EINVAL : 0;
}

int fs_root_readdir(struct fs_req *rq)
{
	return list(rq, false);
}

int fs_root_readdirplus(struct fs_req *rq)
{
	return list(rq, true);
}

int fs_root_syncfs(struct fs_req *rq)
{
	int rc = 0;

	for (unsigned i = 0; i < FS_MAX_SHARES; i++) {
		struct fs_node *n = root_of(rq->s, i, NULL);
		int fd;

		if (!n)
			continue;
		fd = fs_node_open(rq->s, n, O_RDONLY);
		if (fd >= 0 && syncfs(fd) < 0)
			rc = -errno;
		if (fd >= 0)
			close(fd);
		fs_req_node_end(rq->s, n);
	}
	return rc;
}
