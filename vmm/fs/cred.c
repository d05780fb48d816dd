/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose files new files are. The guest has checked permissions (default_permissions), so everything
 * runs as user 0 of our namespace, but for making files: there the file system ids of this thread
 * are the caller's, so that owner, quota and SGID come out right at once. setfsuid() reports no
 * failure: what was made is looked at afterwards (fs_cred_right()).
 */
#include "vmm/fs/fs_internal.h"

#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include "lib/io.h"

#define NOACL_NS 1000000000ull

static void set_ids(uint32_t uid, uint32_t gid)
{
	/* The raw calls change this thread alone. The group first: root may, the user may not. */
	if (uid) {
		syscall(SYS_setfsgid, gid);
		syscall(SYS_setfsuid, uid);
	} else {
		syscall(SYS_setfsuid, uid);
		syscall(SYS_setfsgid, gid);
	}
}

int fs_cred_of(struct fs_cred *c, const struct fs_req *rq)
{
	*c = (struct fs_cred){ .uid = rq->h.uid, .gid = rq->h.gid, .as_root = true };
	return c->uid == UINT32_MAX || c->gid == UINT32_MAX ? -EOVERFLOW : 0;
}

void fs_cred_enter(struct fs_cred *c)
{
	if (!c->uid && !c->gid)
		return;
	set_ids(c->uid, c->gid);
	c->as_root = false;
}

void fs_cred_leave(struct fs_cred *c)
{
	if (!c->as_root)
		set_ids(0, 0);
	c->as_root = true;
}

/* Is @gid the caller's group or the one supplementary group that the guest names for this
 * directory? */
static bool caller_in_group(const struct fs_req *rq, uint32_t gid)
{
	size_t off = 0;

	if (rq->h.gid == gid)
		return true;
	while (off + sizeof(struct fs_ext_header) <= rq->ext_len) {
		struct fs_ext_header eh;
		size_t body = off + sizeof(eh);
		uint32_t nr, g;

		memcpy(&eh, rq->ext + off, sizeof(eh));
		if (eh.size < sizeof(eh) || eh.size > rq->ext_len - off)
			return false;
		if (eh.type == FS_EXT_GROUPS && eh.size >= sizeof(eh) + sizeof(nr)) {
			memcpy(&nr, rq->ext + body, sizeof(nr));
			for (uint32_t i = 0; i < nr && (i + 2) * 4ull + sizeof(eh) <= eh.size;
			     i++) {
				memcpy(&g, rq->ext + body + 4 + i * 4, sizeof(g));
				if (g == gid)
					return true;
			}
		}
		off += ((size_t)eh.size + 7) & ~(size_t)7;
	}
	return false;
}

/* A directory without a default ACL is remembered as such for a while. */
static bool has_default_acl(struct fs_server *s, struct fs_node *dir)
{
	uint64_t now = io_now_ns();
	bool has;
	int fd;

	pthread_mutex_lock(&s->lock);
	has = dir->noacl_until <= now;
	pthread_mutex_unlock(&s->lock);
	if (!has)
		return false;
	fd = fs_node_open(s, dir, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return false;
	has = fgetxattr(fd, "system.posix_acl_default", NULL, 0) > 0;
	close(fd);
	if (!has) {
		pthread_mutex_lock(&s->lock);
		dir->noacl_until = now + NOACL_NS;
		pthread_mutex_unlock(&s->lock);
	}
	return has;
}

int fs_cred_mode(struct fs_req *rq, struct fs_node *dir, uint32_t mode, uint32_t umask, mode_t *ret)
{
	struct statx st;
	int rc;

	umask &= 0777;
	if ((mode & umask) && !has_default_acl(rq->s, dir))
		mode &= ~umask;
	if ((mode & S_ISGID) && (mode & S_IXGRP) && !S_ISDIR(mode) && rq->h.uid != 0) {
		rc = fs_node_stat(rq->s, dir, &st);
		if (rc < 0)
			return rc;
		if ((st.stx_mode & S_ISGID) && !caller_in_group(rq, st.stx_gid))
			mode &= ~(uint32_t)S_ISGID;
	}
	*ret = mode;
	return 0;
}

bool fs_cred_right(const struct fs_cred *c, uint32_t uid, uint32_t mode, mode_t want)
{
	if (uid != c->uid)
		return false;
	return !S_ISREG(want) || !S_ISREG(mode) || !(want & (S_ISUID | S_ISGID) & ~mode);
}

int fs_cred_give(struct fs_server *s, int dirfd, int fd, const struct fs_cred *c, mode_t mode)
{
	struct statx dir, st;
	const mode_t ids = mode & (S_ISUID | S_ISGID);
	gid_t gid = c->gid;
	int rc = fs_stat_fd(fd, &st);

	if (rc < 0)
		return rc;
	if (fs_stat_fd(dirfd, &dir) == 0 && (dir.stx_mode & S_ISGID))
		gid = (gid_t)-1; /* the directory's group, as the kernel gave it */
	if (st.stx_uid != c->uid &&
	    fchownat(fd, "", c->uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	/* chown took these away, or the kernel did, which does not know the caller's other
	 * groups. The rest stays as a default ACL has made it. */
	if (ids && S_ISREG(mode) && S_ISREG(st.stx_mode) &&
	    fchmodat(s->proc_fd, fs_num(fd).s, (st.stx_mode & 01777) | ids, 0) < 0)
		return -errno;
	return 0;
}

int fs_cred_kill(int fd)
{
	struct stat st;
	mode_t drop;

	if (fstat(fd, &st) < 0)
		return -errno;
	drop = S_ISUID;
	if (st.st_mode & S_IXGRP)
		drop |= S_ISGID;
	if (S_ISREG(st.st_mode) && (st.st_mode & drop) &&
	    fchmod(fd, st.st_mode & 07777 & ~drop) < 0)
		return -errno;
	return 0;
}
