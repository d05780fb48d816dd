/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories: OPENDIR, READDIR, READDIRPLUS. An offset is the host's cookie: any value that the
 * guest makes up is the host file system's to judge.
 */
#include "vmm/fs/fs_internal.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRY_MAX 280u /* of the host's entries: the header and 255 bytes */
#define ENTRY_MIN 24u /* … one of up to four bytes */
#define CHUNK_MAX 16384u

/* getdents64's record. */
struct host_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

int fs_op_opendir(struct fs_req *rq)
{
	struct fuse_open_out out = { 0 };
	struct fs_handle *h;
	int fd = fs_node_open(rq->s, rq->node, O_RDONLY | O_DIRECTORY), rc;

	if (fd < 0)
		return fd;
	rc = fs_handle_new(rq->s, rq->node, fd, O_RDONLY, true, &h);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	h->specials = fs_special_marked(fd);
	out.fh = fs_slot_id(h);
	fs_handle_put(rq->s, h);
	fs_req_put(rq, &out, sizeof(out));
	return 0;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* Types of special files are not what the directory says. */
static uint32_t true_type(struct fs_req *rq, const struct fs_handle *h, const struct host_dirent *d)
{
	struct statx st;
	uint32_t type = d->type;
	int fd;

	if (!h->specials || d->type != DT_REG || fs_stat_name(h->fd, d->name, &st) < 0 ||
	    !fs_special_maybe(&st))
		return type;
	fd = fs_open_beneath(rq->s, h->fd, d->name, O_PATH, 0, false);
	if (fd < 0)
		return type;
	if (fs_stat_fd(fd, &st) == 0 && fs_special_maybe(&st) && fs_special_show(rq->s, fd, &st) > 0)
		type = IFTODT(st.stx_mode);
	close(fd);
	return type;
}

/* Both kinds of record end alike. @entry NULL: READDIR. Whoever calls made sure of the room. */
static void put_entry(struct fs_req *rq, const struct fuse_entry_out *entry, uint64_t ino,
		      int64_t off, uint32_t type, const char *name)
{
	static const char zero[8];
	size_t len = strlen(name), pad;
	struct fuse_dirent de = {
		.ino = ino,
		.off = (uint64_t)off,
		.namelen = (uint32_t)len,
		.type = type,
	};

	if (entry)
		fs_req_put(rq, entry, sizeof(*entry));
	fs_req_put(rq, &de, FUSE_NAME_OFFSET);
	fs_req_put(rq, name, len);
	pad = FUSE_DIRENT_SIZE(&de) - FUSE_NAME_OFFSET - len;
	fs_req_put(rq, zero, pad);
}

/* Adds one entry. False: no room left. */
static bool add_entry(struct fs_req *rq, const struct fs_handle *h, const struct host_dirent *d,
		      bool plus, size_t room)
{
	size_t need = FUSE_REC_ALIGN(FUSE_NAME_OFFSET + strlen(d->name)) +
		      (plus ? sizeof(struct fuse_entry_out) : 0);
	struct fuse_entry_out entry = { 0 };
	uint32_t type = d->type;
	uint64_t ino = d->ino;
	struct fs_node *n;
	struct statx st;

	if (!range_within(rq->out_len, need, room))
		return false;
	if (rq->node->is_root && !strcmp(d->name, ".."))
		ino = rq->node->id.ino; /* what is above a share is not the guest's to know */
	/* Entries that are gone again or do not fit our table have node 0: the guest looks them
	 * up. */
	if (plus && !is_dot(d->name) && fs_lookup(rq->s, rq->node, d->name, &st, &n) == 0) {
		fs_entry_fill(rq->s, &entry, n, &st);
		type = IFTODT(st.stx_mode);
		fs_node_put(rq->s, n);
	} else if (!plus) {
		type = true_type(rq, h, d);
	}
	put_entry(rq, plus ? &entry : NULL, ino, d->off, type, d->name);
	return true;
}

/* As many bytes of the host's entries as surely fit into @room of the reply, where each takes up to 8
 * bytes more, and its attributes. Reading further and seeking back would be wrong on file systems
 * whose positions are counts of entries (tmpfs before 6.6, many FUSE ones) while others remove some. */
static size_t chunk_for(size_t room, bool plus)
{
	size_t grow = 8 + (plus ? sizeof(struct fuse_entry_out) : 0);

	return min_t(size_t, room / (ENTRY_MIN + grow) * ENTRY_MIN, CHUNK_MAX);
}

/* Fills the reply from the handle's position on; the handle is locked. */
static int fill(struct fs_req *rq, struct fs_handle *h, bool plus, size_t room)
{
	_Alignas(8) char buf[CHUNK_MAX];
	size_t chunk = max_t(size_t, chunk_for(room, plus), ENTRY_MAX);
	bool more = true;
	long n;

	do {
		n = syscall(SYS_getdents64, h->fd, buf, chunk);
		if (n <= 0)
			return n < 0 && rq->out_len == 0 ? -errno : 0;
		for (long at = 0; at < n && more;) {
			const struct host_dirent *d = (const void *)(buf + at);

			more = add_entry(rq, h, d, plus, room);
			if (more)
				h->pos = d->off;
			at += d->reclen;
		}
		chunk = chunk_for(room - rq->out_len, plus);
	} while (more && chunk >= ENTRY_MAX);
	if (!more)
		h->pos = -1; /* a small room: the descriptor is further than the reply */
	return rq->out_len == 0 ? -EINVAL : 0;
}

static int read_dir(struct fs_req *rq, bool plus)
{
	struct fuse_read_in in;
	struct fs_handle *h;
	int rc;

	FS_ARG(rq, in);
	rc = fs_handle_get(rq->s, rq->node, in.fh, true, &h);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&h->lock);
	if (in.offset > INT64_MAX)
		rc = -EINVAL;
	else if (h->pos != (int64_t)in.offset || in.offset == 0)
		rc = lseek(h->fd, (off_t)in.offset, SEEK_SET) < 0 ? -errno : 0;
	h->pos = rc < 0 ? -1 : (int64_t)in.offset;
	if (rc == 0)
		rc = fill(rq, h, plus, min_t(size_t, in.size, rq->out_room));
	pthread_mutex_unlock(&h->lock);
	fs_handle_put(rq->s, h);
	return rc;
}

int fs_op_readdir(struct fs_req *rq)
{
	return read_dir(rq, false);
}

int fs_op_readdirplus(struct fs_req *rq)
{
	return read_dir(rq, true);
}

int fs_op_readlink(struct fs_req *rq)
{
	int fd, rc;
	ssize_t n;

	if (rq->node->type != S_IFLNK)
		return -EINVAL;
	fd = fs_node_fd(rq->s, rq->node);
	if (fd < 0)
		return fd;
	n = readlinkat(fd, "", (char *)rq->out, min_t(size_t, rq->out_room, PATH_MAX));
	rc = n < 0 ? -errno : 0;
	fs_node_fd_put(rq->s, rq->node);
	if (rc == 0)
		rq->out_len = (size_t)n;
	return rc;
}
