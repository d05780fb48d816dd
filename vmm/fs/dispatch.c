/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of operations; what it says about a request (length, node, reply room, read-only
 * shares) is checked here, before any handler runs.
 */
#include "vmm/fs/fs_internal.h"

#include <string.h>

enum {
	NODE = 1 << 0,	 /* works on h.nodeid */
	DIR_ = 1 << 1,	 /* … which must be a directory */
	WRITES = 1 << 2, /* refused on read-only shares */
	SLOW = 1 << 3,	 /* may wait for a disk */
	NOREPLY = 1 << 4,
	NOINIT = 1 << 5,  /* allowed before INIT */
	UNLOCKS = 1 << 6, /* may end a lock */
	ASKS = 1 << 7,	  /* whether what the guest knows still holds */
	SYNC = 1 << 8,	  /* slow by what the disk has to write alone */
};

struct fs_op {
	uint16_t flags;
	uint16_t min_in; /* bytes behind the header */
	uint16_t out;	 /* fixed bytes of the reply behind its header */
	fs_op_fn *fn;
	fs_op_fn *root; /* on the synthetic root; NULL: EPERM */
};

#define IN(x)  ((uint16_t)sizeof(struct fuse_##x##_in))
#define OUT(x) ((uint16_t)sizeof(struct fuse_##x##_out))

static const struct fs_op ops[] = {
	[FUSE_LOOKUP] = { NODE | DIR_ | ASKS, 2, OUT(entry), fs_op_lookup, fs_root_lookup },
	[FUSE_FORGET] = { NOREPLY, IN(forget), 0, fs_op_forget, NULL },
	[FUSE_GETATTR] = { NODE | ASKS, IN(getattr), OUT(attr), fs_op_getattr, fs_root_getattr },
	[FUSE_SETATTR] = { NODE | WRITES, IN(setattr), OUT(attr), fs_op_setattr, NULL },
	[FUSE_READLINK] = { NODE, 0, 0, fs_op_readlink, NULL },
	[FUSE_SYMLINK] = { NODE | DIR_ | WRITES, 4, OUT(entry), fs_op_symlink, NULL },
	[FUSE_MKNOD] = { NODE | DIR_ | WRITES, IN(mknod) + 2, OUT(entry), fs_op_mknod, NULL },
	[FUSE_MKDIR] = { NODE | DIR_ | WRITES, IN(mkdir) + 2, OUT(entry), fs_op_mkdir, NULL },
	[FUSE_UNLINK] = { NODE | DIR_ | WRITES, 2, 0, fs_op_unlink, NULL },
	[FUSE_RMDIR] = { NODE | DIR_ | WRITES, 2, 0, fs_op_rmdir, NULL },
	[FUSE_RENAME] = { NODE | DIR_ | WRITES, IN(rename) + 4, 0, fs_op_rename, NULL },
	[FUSE_LINK] = { NODE | DIR_ | WRITES, IN(link) + 2, OUT(entry), fs_op_link, NULL },
	[FUSE_OPEN] = { NODE, IN(open), OUT(open), fs_op_open, NULL },
	[FUSE_READ] = { NODE, IN(read), 0, fs_op_read, NULL },
	[FUSE_WRITE] = { NODE | WRITES, IN(write), OUT(write), fs_op_write, NULL },
	[FUSE_STATFS] = { NODE, 0, OUT(statfs), fs_op_statfs, fs_root_statfs },
	[FUSE_RELEASE] = { NODE | UNLOCKS, IN(release), 0, fs_op_release, NULL },
	[FUSE_FSYNC] = { NODE | SLOW | SYNC, IN(fsync), 0, fs_op_fsync, NULL },
	[FUSE_SETXATTR] = { NODE | WRITES, FUSE_COMPAT_SETXATTR_IN_SIZE + 2, 0, fs_op_setxattr,
			    NULL },
	[FUSE_GETXATTR] = { NODE, IN(getxattr) + 2, 0, fs_op_getxattr, fs_root_getxattr },
	[FUSE_LISTXATTR] = { NODE, IN(getxattr), 0, fs_op_listxattr, fs_root_nothing },
	[FUSE_REMOVEXATTR] = { NODE | WRITES, 2, 0, fs_op_removexattr, NULL },
	[FUSE_FLUSH] = { NODE | UNLOCKS, IN(flush), 0, fs_op_flush, NULL },
	[FUSE_INIT] = { NOINIT, 16, OUT(init), fs_op_init, fs_op_init },
	[FUSE_OPENDIR] = { NODE | DIR_, IN(open), OUT(open), fs_op_opendir, fs_root_opendir },
	[FUSE_READDIR] = { NODE | DIR_, IN(read), 0, fs_op_readdir, fs_root_readdir },
	[FUSE_RELEASEDIR] = { NODE, IN(release), 0, fs_op_releasedir, fs_root_access },
	[FUSE_FSYNCDIR] = { NODE | SLOW | SYNC, IN(fsync), 0, fs_op_fsyncdir, fs_root_access },
	[FUSE_GETLK] = { NODE, IN(lk), OUT(lk), fs_op_getlk, NULL },
	[FUSE_SETLK] = { NODE | UNLOCKS, IN(lk), 0, fs_op_setlk, NULL },
	[FUSE_SETLKW] = { NODE, IN(lk), 0, fs_op_setlkw, NULL },
	[FUSE_ACCESS] = { NODE, IN(access), 0, fs_op_access, fs_root_access },
	[FUSE_CREATE] = { NODE | DIR_ | WRITES, IN(create) + 2, OUT(entry) + OUT(open),
			  fs_op_create, NULL },
	[FUSE_INTERRUPT] = { NOREPLY, IN(interrupt), 0, fs_op_interrupt, NULL },
	[FUSE_DESTROY] = { 0, 0, 0, fs_op_destroy, fs_op_destroy },
	[FUSE_IOCTL] = { NODE, 0, 0, fs_op_ioctl, fs_op_ioctl },
	[FUSE_BATCH_FORGET] = { NOREPLY, IN(batch_forget), 0, fs_op_batch_forget, NULL },
	[FUSE_FALLOCATE] = { NODE | WRITES | SLOW, IN(fallocate), 0, fs_op_fallocate, NULL },
	[FUSE_READDIRPLUS] = { NODE | DIR_, IN(read), 0, fs_op_readdirplus, fs_root_readdirplus },
	[FUSE_RENAME2] = { NODE | DIR_ | WRITES, IN(rename2) + 4, 0, fs_op_rename2, NULL },
	[FUSE_LSEEK] = { NODE, IN(lseek), OUT(lseek), fs_op_lseek, NULL },
	[FUSE_COPY_FILE_RANGE] = { NODE | WRITES | SLOW, IN(copy_file_range), OUT(write),
				   fs_op_copy_file_range, NULL },
	[FUSE_SYNCFS] = { NODE | SLOW, IN(syncfs), 0, fs_op_syncfs, fs_root_syncfs },
	[FUSE_TMPFILE] = { NODE | DIR_ | WRITES, IN(create), OUT(entry) + OUT(open), fs_op_tmpfile,
			   NULL },
	[FS_OP_STATX] = { NODE | ASKS, sizeof(struct fs_statx_in), sizeof(struct fs_statx_out),
			  fs_op_statx, fs_root_statx },
};

static const struct fs_op *find_op(uint32_t opcode)
{
	return opcode < ARRAY_SIZE(ops) && ops[opcode].fn ? &ops[opcode] : NULL;
}

int fs_peek(const void *in, size_t total, struct fs_peek *ret)
{
	const struct fs_op *op;
	struct fs_in_header h;

	if (total < sizeof(h))
		return -EBADMSG;
	memcpy(&h, in, sizeof(h));
	op = find_op(h.opcode);
	*ret = (struct fs_peek){
		.fixed = total,
		.slow = op && (op->flags & SLOW),
		.sync = op && (op->flags & SYNC),
		.unlocks = op && (op->flags & UNLOCKS),
		.interrupt = h.opcode == FUSE_INTERRUPT,
		.no_reply = op && (op->flags & NOREPLY),
		.unique = h.unique,
	};
	if (h.opcode == FUSE_WRITE)
		ret->fixed = min_t(size_t, total, sizeof(h) + sizeof(struct fuse_write_in));
	return 0;
}

uint64_t fs_interrupt_target(const void *in, size_t in_len)
{
	struct fuse_interrupt_in a;

	if (in_len < sizeof(struct fs_in_header) + sizeof(a))
		return 0;
	memcpy(&a, (const uint8_t *)in + sizeof(struct fs_in_header), sizeof(a));
	return a.unique;
}

static void set_head(struct fs_reply *r, uint64_t unique, int error, size_t fixed, size_t data)
{
	struct fuse_out_header oh = {
		.len = (uint32_t)(sizeof(oh) + fixed + data),
		.error = error,
		.unique = unique,
	};

	memcpy(r->head, &oh, sizeof(oh));
	r->head_len = sizeof(oh) + fixed;
	r->data_len = data;
}

void fs_reply_error(const void *in, int errnum, struct fs_reply *r)
{
	struct fs_in_header h;

	memcpy(&h, in, sizeof(h));
	set_head(r, h.unique, -errnum, 0, 0);
}

void fs_req_put(struct fs_req *rq, const void *p, size_t len)
{
	bug_on(!range_within(rq->out_len, len, rq->out_room));
	memcpy(rq->out + rq->out_len, p, len);
	rq->out_len += len;
}

bool fs_name_ok(const char *name, size_t len)
{
	return len && len <= NAME_MAX && !memchr(name, '/', len) && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

int fs_req_name(const struct fs_req *rq, size_t *off, const char **ret)
{
	const char *name;
	size_t n;

	if (*off >= rq->arg_len)
		return -EINVAL;
	name = (const char *)rq->arg + *off;
	n = strnlen(name, rq->arg_len - *off);
	if (n == rq->arg_len - *off || n == 0)
		return -EINVAL; /* no NUL, or empty */
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	if (!fs_name_ok(name, n))
		return -EINVAL;
	*off += n + 1;
	*ret = name;
	return 0;
}

/* A node for the length of the request: it keeps the share from being removed under it. */
static int take_node(struct fs_server *s, uint64_t nodeid, const struct fs_share *same,
		     struct fs_node **ret)
{
	struct fs_node *n;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	n = fs_node_by_id(s, nodeid);
	if (!n)
		rc = fs_node_id_of_root(nodeid) ? -ESTALE : -ENOENT; /* a share that went */
	else if (!n->share || n->share->dying)
		rc = -ESTALE;
	else if (same && n->share != same)
		rc = -EXDEV;
	if (rc == 0) {
		fs_node_ref_locked(n);
		n->share->users++;
		*ret = n;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void fs_req_node_end(struct fs_server *s, struct fs_node *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&s->lock);
	bug_on(!n->share || n->share->users == 0);
	if (--n->share->users == 0 && n->share->dying)
		pthread_cond_broadcast(&s->idle);
	fs_node_put_locked(s, n);
	pthread_mutex_unlock(&s->lock);
}

int fs_req_node2(struct fs_req *rq, uint64_t nodeid)
{
	bug_on(rq->node2 != NULL);
	if (nodeid == FUSE_ROOT_ID)
		return -EXDEV;
	return take_node(rq->s, nodeid, rq->node->share, &rq->node2);
}

static int run(struct fs_req *rq, const struct fs_op *op)
{
	int rc;

	if (!rq->s->session && !(op->flags & NOINIT))
		return -EPROTO;
	if (rq->arg_len < op->min_in || rq->out_room < op->out)
		return -EINVAL;
	if (!(op->flags & NODE))
		return op->fn(rq);
	if (rq->h.nodeid == FUSE_ROOT_ID)
		return op->root ? op->root(rq) : op->flags & WRITES ? -EROFS : -EPERM;
	rc = take_node(rq->s, rq->h.nodeid, NULL, &rq->node);
	if (rc < 0)
		return rc;
	if ((op->flags & DIR_) && rq->node->type != S_IFDIR)
		return -ENOTDIR;
	if ((op->flags & WRITES) && (rq->node->share->flags & FS_SHARE_READONLY))
		return -EROFS;
	return op->fn(rq);
}

/* Fills @rq from the bytes. Any length that lies is -EINVAL. */
static int parse(struct fs_req *rq, const void *in, size_t in_len, size_t room)
{
	size_t ext;

	rq->arg = (const uint8_t *)in + sizeof(rq->h);
	rq->arg_len = in_len - sizeof(rq->h);
	rq->out = rq->r->head + sizeof(struct fuse_out_header);
	if (room >= sizeof(struct fuse_out_header)) {
		rq->data_room = room - sizeof(struct fuse_out_header);
		rq->out_room =
			min_t(size_t, room, rq->r->head_size) - sizeof(struct fuse_out_header);
	}
	for (int i = 0; i < rq->npayload; i++)
		if (__builtin_add_overflow(rq->payload_len, rq->payload[i].iov_len,
					   &rq->payload_len))
			return -EINVAL;
	if (rq->h.len != in_len + rq->payload_len)
		return -EINVAL;
	ext = rq->h.total_extlen * 8ul;
	if (ext > rq->arg_len)
		return -EINVAL;
	rq->arg_len -= ext;
	rq->ext = rq->arg + rq->arg_len;
	rq->ext_len = ext;
	return 0;
}

int fs_request(struct fs_server *s, const void *in, size_t in_len, const struct iovec *payload,
	       int count, size_t room, struct fs_reply *r)
{
	struct fs_req rq = { .s = s, .payload = payload, .npayload = count, .r = r };
	const struct fs_op *op;
	int rc;

	bug_on(r->head_size < sizeof(struct fuse_out_header));
	r->head_len = r->data_len = 0;
	if (in_len < sizeof(rq.h))
		return -EBADMSG;
	memcpy(&rq.h, in, sizeof(rq.h));
	op = find_op(rq.h.opcode);
	if (room < sizeof(struct fuse_out_header) && !(op && (op->flags & NOREPLY)))
		return -EBADMSG;
	rc = parse(&rq, in, in_len, room);
	if (rc == 0)
		rc = op ? run(&rq, op) : -ENOSYS;
	/* Linux takes a name for gone, and undoes what is mounted there, on any other error. */
	if ((rc == -EMFILE || rc == -ENFILE) && (op->flags & ASKS))
		rc = -ENOMEM;
	fs_req_node_end(s, rq.node2);
	fs_req_node_end(s, rq.node);
	if (rc == FS_AGAIN || (op && (op->flags & NOREPLY)))
		return rc == FS_AGAIN ? FS_AGAIN : 0;
	if (rc < 0)
		set_head(r, rq.h.unique, rc, 0, 0);
	else
		set_head(r, rq.h.unique, 0, rq.out_len, r->data_len);
	return 0;
}
