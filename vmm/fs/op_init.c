/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INIT and DESTROY: what the session can do.
 */
#include "vmm/fs/fs_internal.h"

#define MAX_PAGES (FS_MAX_WRITE / 4096)

/* Taken when the guest offers them. Not taken on purpose: WRITEBACK_CACHE (host and guest may both
 * write), EXPORT_SUPPORT (no lookup of ".."), SECURITY_CTX, NO_OPEN_SUPPORT, splice. */
#define WANTED                                                                                     \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |              \
	 FUSE_DONT_MASK | FUSE_FLOCK_LOCKS | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS |          \
	 FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL |          \
	 FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 |         \
	 FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FS_CREATE_SUPP_GROUP | FS_DIRECT_IO_ALLOW_MMAP |      \
	 FS_NO_EXPORT_SUPPORT | FS_ALLOW_IDMAP)

int fs_op_init(struct fs_req *rq)
{
	struct fuse_init_in in = { 0 };
	struct fuse_init_out out = { .major = FS_PROTO_MAJOR, .minor = FS_PROTO_MINOR };
	uint64_t flags;

	memcpy(&in, rq->arg, min_t(size_t, rq->arg_len, sizeof(in)));
	if (rq->s->session || in.major < FS_PROTO_MAJOR)
		return -EPROTO;
	if (in.major > FS_PROTO_MAJOR) { /* it will ask again in our version */
		fs_req_put(rq, &out, sizeof(out));
		return 0;
	}
	if (in.minor < FS_PROTO_MINOR_MIN)
		return -EPROTO;

	flags = in.flags;
	if (in.flags & FUSE_INIT_EXT)
		flags |= (uint64_t)in.flags2 << 32;
	/* FUSE_INIT_EXT is bit 30 and the macros are ints: none of them has bit 31 set. */
	flags &= (uint64_t)WANTED;
	out.minor = min_t(uint32_t, in.minor, FS_PROTO_MINOR);
	out.max_readahead = in.max_readahead;
	out.flags = (uint32_t)flags;
	out.flags2 = (uint32_t)(flags >> 32);
	out.max_background = 64;
	out.congestion_threshold = 48;
	out.max_write = FS_MAX_WRITE;
	out.max_pages = MAX_PAGES;
	out.time_gran = 1;
	fs_req_put(rq, &out, sizeof(out));
	rq->s->session = FS_SESSION_ON | (flags & FUSE_SUBMOUNTS ? FS_SESSION_SUBMOUNTS : 0);
	return 0;
}

int fs_op_destroy(struct fs_req *rq)
{
	fs_server_drop(rq->s);
	return 0;
}
