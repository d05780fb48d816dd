/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file server's two sides. The server (vmm/fs) knows FUSE messages and descriptors and nothing
 * of rings or guest memory; a carrier (today the virtio-fs device, vmm/virtio/fs.c) moves the
 * messages.
 *
 * A request arrives as one contiguous copy of the guest's bytes (header and arguments), except the
 * payload of WRITE, which is given as iovecs of the guest's pages; a reply leaves through fs_reply
 * in the same two parts. So the server never sees a byte change under it, but for file data, which
 * it only passes to system calls.
 */
#ifndef VMM_FS_FS_CHAN_H
#define VMM_FS_FS_CHAN_H

#include <sys/uio.h>
#include "lib/buf.h"
#include "lib/err.h"

struct fs_server;

#define FS_MAX_SHARES  256
#define FS_SHARE_NAME  64
#define FS_MAX_WRITE   (1u << 20)
/* Largest in-part but payload: two names of 255 bytes, a 64 KiB xattr value and its header. */
#define FS_MAX_REQUEST (128u << 10)
/* Largest reply but for READ's data: what fs_reply.head must hold. */
#define FS_MAX_REPLY   (72u << 10)

struct fs_server_cfg {
	unsigned max_nodes;   /* inodes that the guest may keep looked up; ENFILE/ENOMEM beyond */
	unsigned max_handles; /* open files and directories at a time */
	unsigned max_fds;     /* O_PATH descriptors kept open by the LRU */
	double attr_timeout, entry_timeout; /* seconds */
	/* "/proc/self/fd" of the process that serves, opened by it with open_tree(OPEN_TREE_CLONE)
	 * so that ".." stops there; the server's on success. -1: opened by path in
	 * fs_server_new(), for tools and tests. */
	int proc_fd;
};
/* The descriptors in use never pass max_fds + max_handles + one a share + 8 a thread. */
#define FS_SERVER_CFG_DEFAULT                                                                      \
	{                                                                                          \
		.max_nodes = 1u << 20, .max_handles = 65536, .max_fds = 4096, .attr_timeout = 1.0, \
		.entry_timeout = 1.0, .proc_fd = -1                                                \
	}

enum fs_share_flags {
	FS_SHARE_READONLY = 1u << 0,
	FS_SHARE_NOCACHE = 1u << 1, /* nothing is cached (ConfigMap style volumes) */
	FS_SHARE_FILE = 1u << 2,    /* the share is a single non-directory */
};

/* Thread: fs_server_new and free on the builder's; share calls from the control thread;
 * fs_request on the carrier's, several at a time when the carrier has several threads. */
int fs_server_new(struct fs_server **ret, const struct fs_server_cfg *cfg, struct err *e);
void fs_server_free(struct fs_server *s);
/* @fd: an O_PATH descriptor of a dissolved detached mount (docs/architecture.md); becomes the
 * server's on success. -EEXIST, -ENOSPC, -EINVAL (name). */
int fs_share_add(struct fs_server *s, const char *name, int fd, unsigned flags, struct err *e);
/* The same for what may be there already under other names: of @common, not 0, @flags and file alike the shares are one, with
 * the nodes that the guest has of it, until the last of the names is removed. @fd is not kept then. -ENOSPC: too many names. */
int fs_share_add_common(struct fs_server *s, const char *name, int fd, unsigned flags, uint32_t common, struct err *e);
/* Returns when every descriptor under the share is closed; later requests to its nodes get
 * ESTALE. */
int fs_share_remove(struct fs_server *s, const char *name, struct err *e);

struct fs_reply {
	uint8_t *head; /* caller's buffer: reply header and fixed part, or all data */
	size_t head_size;
	size_t head_len; /* set: bytes to copy into the guest's first reply bytes */
	/* Guest pages behind the first 16 bytes, for READ: the server readv()s straight into them;
	 * NULL when the carrier has none. */
	const struct iovec *data;
	int data_count;
	size_t data_len; /* set: bytes put into data (then head_len is 16) */
};

/* What a carrier must know of a request before it copies the rest. */
struct fs_peek {
	size_t fixed;	/* leading bytes to be copied into one piece: the rest is payload */
	bool slow;	/* may wait for a disk: not on a thread that others depend on */
	bool sync;	/* … for it alone: as quick as nothing where there is no disk */
	bool interrupt; /* FUSE_INTERRUPT: for a request that fs_request() put off */
	bool unlocks;	/* may end a lock: those that were put off have a chance after it */
	bool no_reply;
	uint64_t unique; /* the request's number */
};
#define FS_PEEK_LEN 40 /* a request's header */
/* @in: the first FS_PEEK_LEN bytes; @total: all the guest sent. -EBADMSG: no FUSE request. */
int fs_peek(const void *in, size_t total, struct fs_peek *ret);

/* fs_request() returns this when a lock is held by somebody else: nothing was done and there is
 * no reply. The carrier asks again a little later with the same bytes, or replies
 * fs_reply_error(EINTR) when an interrupt names the request. */
#define FS_AGAIN 1

/* Handles one request: 0 with a complete reply (head_len 0 for FORGET and such, that have none);
 * FS_AGAIN; -EBADMSG when the bytes are no FUSE request at all (shorter than a header) or there is
 * no room for any reply. @in is copied memory that nobody else writes. @payload/@count: the WRITE
 * data. @room: bytes the guest can take. */
int fs_request(struct fs_server *s, const void *in, size_t in_len, const struct iovec *payload,
	       int count, size_t room, struct fs_reply *r);
void fs_reply_error(const void *in, int errnum, struct fs_reply *r);
/* A request that was FS_AGAIN will not be asked again. Any thread. */
void fs_request_dropped(struct fs_server *s, const void *in);
/* The request that a FUSE_INTERRUPT (whole, in one piece) is about; 0: malformed. */
uint64_t fs_interrupt_target(const void *in, size_t in_len);
/* The driver was reset: forget all nodes and close all handles; shares stay. No request in
 * flight. */
void fs_server_reset(struct fs_server *s);
/* Appends what the guest holds, nodes and open files, to @b. Nothing is in flight. -EBUSY, with a line
 * that names the file: one that has no name any more is open, or a lock is held; such cannot be
 * found, or had, again. -ENOSPC, -ENOMEM. */
int fs_server_save(struct fs_server *s, struct buf *b, struct err *e);
/* Takes it up. @s is new, or was reset, and has the shares, by name, that the state names. State is
 * hostile input: -EBADMSG; -ENFILE: more than this server may hold; -ENOENT, -ESTALE: a share, or a
 * file that is open, is not there or is another one. What is just looked up and not there any more
 * is ESTALE to the guest. After a failure: fs_server_reset(). */
int fs_server_load(struct fs_server *s, const void *data, size_t len, struct err *e);
bool fs_server_idle(struct fs_server *s); /* the guest holds nothing */
/* What was agreed upon; 0: nothing yet. Saved beside the state. */
enum fs_session {
	FS_SESSION_ON = 1 << 0,	       /* INIT was answered */
	FS_SESSION_SUBMOUNTS = 1 << 1, /* mounts in a share are mounts in the guest, too */
	FS_SESSION_ALL = 3,
};
unsigned fs_server_session(const struct fs_server *s);
void fs_server_set_session(struct fs_server *s, unsigned session);

#endif
