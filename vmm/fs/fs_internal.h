/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the file server share. For the sources of vmm/fs only.
 *
 * Nodes. A node is what the guest may name by a number: an identity (share, mount, device, inode)
 * and the place where it was last seen (parent and name). Its O_PATH descriptor is opened when
 * needed and may be closed again by the LRU: re-opening goes by parent and name with openat2() that
 * cannot leave the directory, and the result must have the same identity. A node without any name
 * (unlinked by the guest, O_TMPFILE) is pinned: its descriptor stays. One that lost the name it was
 * seen by, and has others, is found again by an open file or when the guest looks one of those up.
 *
 *   nlookup  what the guest says that it holds; refs: requests, handles and children hold it.
 *   A node dies when both are 0.
 *
 * Locks, in this order: posix_lock (lock.c), a directory handle's, a share's names, fs_server.lock.
 * The last is held for table work only, never over a system call that can wait. Nothing that takes the
 * lock of one share's names takes that of another's.
 */
#ifndef VMM_FS_FS_INTERNAL_H
#define VMM_FS_FS_INTERNAL_H

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include "lib/util.h"
#include "vmm/fs/fs_chan.h"
#include "vmm/fs/fuse_proto.h"

/* --- tables of things that the guest names by number (slots.c) ----------------------- */
struct fs_slot {
	uint32_t gen, index, next_free;
	bool live;
};

struct fs_slots {
	uint8_t **chunk;
	size_t elem; /* bytes; each element starts with its struct fs_slot */
	uint32_t max, made, count, free_head;
	uint32_t gen;  /* of elements that are made */
	uint32_t hole; /* chunks below this one exist */
};

int fs_slots_init(struct fs_slots *t, size_t elem, uint32_t max);
void fs_slots_done(struct fs_slots *t);
void *fs_slots_alloc(struct fs_slots *t); /* zeroed; NULL: full or no memory */
void fs_slots_free(struct fs_slots *t, void *elem);
/* NULL unless @id names a live element; a number is never used twice (but after 2^32 re-uses). */
void *fs_slots_get(const struct fs_slots *t, uint64_t id);
void *fs_slots_at(const struct fs_slots *t, uint32_t index); /* NULL: not live */
uint64_t fs_slot_id(const void *elem);
/* For saved state: a generation that no element has had; the element of that number (NULL: it is
 * none of ours, is live, or no memory); and, after all of those, what makes the rest usable. */
uint32_t fs_slots_gen(const struct fs_slots *t);
void *fs_slots_restore(struct fs_slots *t, uint64_t id);
void fs_slots_restored(struct fs_slots *t, uint32_t gen);

/* --- nodes (node.c, node_place.c, node_fd.c, node_reopen.c, beneath.c) ------------------------------ */
struct fs_ident {
	uint64_t mnt_id, ino, dev;
	uint64_t btime_s; /* not part of the key; 0 when unknown */
	uint32_t btime_ns;
};

struct fs_cred;
struct statfs;

struct fs_node {
	struct fs_slot slot;
	struct fs_share *share; /* NULL: removed, everything is ESTALE */
	struct fs_node *parent; /* holds a reference; NULL: a share's root, or no name left */
	char *name;
	struct fs_ident id;
	uint32_t type; /* S_IFMT on the host */
	uint32_t refs;
	uint64_t nlookup;
	int fd; /* O_PATH, -1 */
	uint32_t fd_users;
	bool pinned; /* fd may not be closed by the LRU */
	bool hashed;
	bool is_root; /* of its share, in which it is */
	bool saved;   /* state_save.c */
	struct fs_node *hash_next;
	struct fs_node *lru_prev, *lru_next; /* only while fd is open, unused and not pinned */
	struct fs_posix_owner *locks;
	struct fs_handle *handles; /* that are open on it */
	atomic_bool locked; /* somebody has had a POSIX lock on it */
	/* Data as last seen at OPEN, to tell whether the guest's page cache is still good. */
	uint64_t seen_mtime, seen_ctime, seen_size;
	bool seen;
	uint64_t noacl_until; /* ns: no default ACL on this directory */
	/* Read and set without the lock. */
	atomic_bool overlay; /* of overlayfs, where numbers of directories last as long as their inodes and birth times
			      * change. Of the root of a mount in the share it is known once that was opened, so
			      * of what is in it always. */
	atomic_bool cross;   /* root of a mount inside the share */
	atomic_bool special; /* a device, FIFO or socket made by the guest (special.c) */
};

#define FS_LOCK_RANGES 6
struct fs_lock_range {
	int64_t start, end; /* the last byte */
};

/* A process of the guest that has, or had, POSIX locks on a node (lock_owner.c). */
struct fs_posix_owner {
	uint64_t owner, fh; /* fh: the handle that it locked through last */
	int fd;
	bool writable;	/* fd is; if not, what it has locked is noted */
	bool untold;	/* … but there was too much of it, until it has nothing any more */
	unsigned nheld;
	struct fs_lock_range held[FS_LOCK_RANGES];
	struct fs_posix_owner *next;
};

/* A request for a POSIX lock that waits (lock_wait.c). */
struct fs_lock_wait {
	uint64_t unique; /* the request's number; 0: none */
	uint64_t node, owner;
	struct flock want;
};
#define FS_LOCK_WAITS 64

struct fs_share {
	char name[FS_SHARE_NAME];
	char (*also)[FS_SHARE_NAME]; /* its other names */
	unsigned n_also;
	uint32_t common; /* by which others are told to be the same; 0: it is alone */
	unsigned flags;
	bool dying;
	uint32_t users; /* requests that work below it */
	uint32_t slot, serial; /* make its root's number */
	pthread_rwlock_t names; /* held for writing while a name moves or goes, for reading while a node is
				 * re-opened by name, or seen by one and noted there. Readers are never kept
				 * waiting by who waits for writing: one may stand in a host's system call.
				 * So each share has its own: one whose file system hangs stops no other. */
	struct fs_node root;
};

bool fs_share_has_name(const struct fs_share *share, const char *name);

struct fs_handle {
	struct fs_slot slot;
	struct fs_node *node; /* holds a reference */
	struct fs_handle *next, **prev; /* in node->handles, until it is closed */
	int fd;
	int plain_fd; /* of an O_APPEND file, without that flag, for written-back pages; -1 */
	int flags; /* of open(2) */
	bool append, dir, writable;
	bool flocked;  /* has a lock by flock() */
	bool specials; /* a directory that holds special files: types must be looked up */
	bool closing;
	uint32_t refs;
	pthread_mutex_t lock; /* directories: position of the descriptor */
	int64_t pos;
};

struct fs_server {
	struct fs_server_cfg cfg;
	int proc_fd;
	pthread_mutex_t lock;
	pthread_cond_t idle; /* a share's users reached 0 */
	pthread_mutex_t posix_lock;
	struct fs_lock_wait waits[FS_LOCK_WAITS]; /* posix_lock is for them, too */
	struct fs_share *share[FS_MAX_SHARES];
	struct fs_slots nodes, handles;
	struct fs_node **hash;
	uint32_t hash_size; /* power of two */
	uint64_t hash_seed;
	struct fs_node *lru_head, *lru_tail;
	uint32_t serial; /* of the last share */
	uint32_t nfds;	 /* node descriptors that the LRU may close or that are in use now */
	uint32_t nextra; /* pinned descriptors, lock owners, second descriptors: with handles, at
			   * most cfg.max_handles */
	atomic_uint session; /* enum fs_session */
};

/* One request in work. Handlers return 0 or a negative errno and set out_len. */
struct fs_req {
	struct fs_server *s;
	struct fs_in_header h;
	const uint8_t *arg; /* after the header, without extensions */
	size_t arg_len;
	const uint8_t *ext;
	size_t ext_len;
	const struct iovec *payload;
	int npayload;
	size_t payload_len;
	struct fs_reply *r;
	uint8_t *out;	  /* where the reply's fixed part goes */
	size_t out_room;  /* min(guest's room, our buffer) behind the header */
	size_t data_room; /* the guest's alone */
	size_t out_len;
	struct fs_node *node, *node2; /* held until the end of the request */
};

/* Copies a request's fixed arguments; the dispatch table's min_in proved that they are there. */
#define FS_ARG(rq, var) memcpy(&(var), (rq)->arg, sizeof(var))

/* A second node of the request (LINK, RENAME, COPY_FILE_RANGE), of the same share, or -EXDEV,
 * -ESTALE. */
int fs_req_node2(struct fs_req *rq, uint64_t nodeid);
/* Ends the use of a node that kept its share from being removed; NULL is fine. */
void fs_req_node_end(struct fs_server *s, struct fs_node *n);
/* Takes a name off the arguments at *off. -EINVAL, -ENAMETOOLONG. */
int fs_req_name(const struct fs_req *rq, size_t *off, const char **ret);
/* Is it one name, of a file that can be in a directory? */
bool fs_name_ok(const char *name, size_t len);
/* Puts @len bytes behind what the reply has. The table's `out` proved that fixed parts fit. */
void fs_req_put(struct fs_req *rq, const void *p, size_t len);

#define FS_STATX_MASK (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

/* Names in directory @dirfd; *st filled from the host. Never follows a link. */
int fs_stat_name(int dirfd, const char *name, struct statx *st);
int fs_stat_fd(int fd, struct statx *st);
void fs_ident_of(const struct statx *st, struct fs_ident *ret);

/* Finds or makes the node that @st describes, seen as @name in @parent (NULL name: it has none),
 * and counts a lookup when @lookup. *ret is referenced: fs_node_put(). -ENFILE at the cap. */
int fs_node_enter(struct fs_server *s, struct fs_node *parent, const char *name,
		  const struct statx *st, bool lookup, struct fs_node **ret);
/* The node of @st if the guest knows it, referenced; else NULL. */
struct fs_node *fs_node_find(struct fs_server *s, struct fs_share *share, const struct statx *st);
/* For a node of saved state, which has a number and type already: it is what @st describes, @name in
 * @parent. False: another node is that, too. */
bool fs_node_revive_locked(struct fs_server *s, struct fs_node *n, struct fs_node *parent,
			   const char *name, const struct statx *st);
/* What the guest calls it, and what it calls so (or NULL, the table lock is held). */
uint64_t fs_node_id(const struct fs_node *n);
struct fs_node *fs_node_by_id(struct fs_server *s, uint64_t id);
/* Roots are not in the table of nodes, so that a share can be there, or another one, when saved state
 * with its numbers is taken up: they have numbers of their own, with this bit. */
#define FS_ROOT_BIT 0x80000000u
static inline bool fs_node_id_of_root(uint64_t id)
{
	return id & FS_ROOT_BIT;
}
void fs_node_put(struct fs_server *s, struct fs_node *n);
void fs_node_put_locked(struct fs_server *s, struct fs_node *n);
void fs_node_ref_locked(struct fs_node *n);
void fs_node_forget(struct fs_server *s, uint64_t nodeid, uint64_t n);
void fs_node_forget_locked(struct fs_server *s, struct fs_node *n, uint64_t count);
/* After a rename: where @n is now. After an unlink: no more there. */
void fs_node_moved(struct fs_server *s, struct fs_node *n, struct fs_node *parent,
		   const char *name);
void fs_node_unlinked(struct fs_server *s, struct fs_node *n, struct fs_node *parent,
		      const char *name);
bool fs_node_is_at(struct fs_server *s, struct fs_node *n, struct fs_node *parent,
		   const char *name);
/* A name that finds no memory leaves the node where it was. */
void fs_node_place_locked(struct fs_server *s, struct fs_node *n, struct fs_node *parent,
			  const char *name);
void fs_node_lose_name_locked(struct fs_server *s, struct fs_node *n);
bool fs_nodes_full(struct fs_server *s);
/* Takes a node's share, name, descriptor and locks away. */
void fs_node_kill_locked(struct fs_server *s, struct fs_node *n);

/* The node's O_PATH descriptor, opened and verified when it is not; fs_node_fd_put() after use.
 * -ESTALE when it is not where it was. Its share is kept by the caller's request from being removed. */
int fs_node_fd(struct fs_server *s, struct fs_node *n);
void fs_node_fd_put(struct fs_server *s, struct fs_node *n);
/* Its parts. Uses n->fd, which is open; gives it *fd first when it has none (*fd becomes -1). */
int fs_node_hold_locked(struct fs_server *s, struct fs_node *n);
int fs_node_use_locked(struct fs_server *s, struct fs_node *n, int *fd);
/* Opens and uses it; its share's `names` is held. */
int fs_node_reopen(struct fs_server *s, struct fs_node *n);
/* By the kind of file system. */
bool fs_is_overlay(const struct statfs *st);
/* Are these the attributes of what @n is? */
bool fs_node_verify(const struct fs_node *n, const struct statx *st);
/* Keeps the descriptor open from now on; for nodes about to lose their last name. -ESTALE, -ENFILE.
 * fs_node_unpin(): it did not lose it after all. */
int fs_node_pin(struct fs_server *s, struct fs_node *n);
void fs_node_unpin(struct fs_server *s, struct fs_node *n);
void fs_node_unpin_locked(struct fs_server *s, struct fs_node *n);
/* Gives a node an O_PATH descriptor and pins it. Takes @fd on success. */
int fs_node_pin_fd(struct fs_server *s, struct fs_node *n, int fd);
void fs_node_fd_close_locked(struct fs_server *s, struct fs_node *n);
/* Attributes of the node now (special files shown as what they stand for). */
int fs_node_stat(struct fs_server *s, struct fs_node *n, struct statx *st);
/* Opens the file that an O_PATH descriptor stands for. The caller knows that it is a regular
 * file or directory. Closes unused descriptors when there are too many. */
int fs_reopen(struct fs_server *s, int path_fd, int flags);
/* Both, for a node: -ENXIO, -ELOOP when it is not of type S_IFREG or S_IFDIR. */
int fs_node_open(struct fs_server *s, struct fs_node *n, int flags);
/* For a handle: where the host does not let the file be opened with O_NOATIME (somebody else's), without it, and *flags says
 * so. */
int fs_node_open_as(struct fs_server *s, struct fs_node *n, int *flags);
/* "123" for paths below proc_fd. */
struct fs_num {
	char s[12];
};
struct fs_num fs_num(int fd);
/* openat2() of one name: never through a link or out of @dirfd; @cross: may be the root of a
 * mount. */
int fs_open_beneath(struct fs_server *s, int dirfd, const char *name, int flags, mode_t mode,
		    bool cross);
/* An open failed with @rc: for want of descriptors or memory, which says nothing of the file? */
static inline bool fs_no_resources(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM;
}
/* Closes up to @n unused node descriptors; how many. */
unsigned fs_fds_shrink(struct fs_server *s, unsigned n);

/* --- handles (handle.c) -------------------------------------------------------------- */
/* Takes @fd on success; *ret is referenced: fs_handle_put(). -ENFILE. */
int fs_handle_new(struct fs_server *s, struct fs_node *n, int fd, int flags, bool dir,
		  struct fs_handle **ret);
/* The same for a handle of saved state with a number, not referenced. -EBADMSG: not a number. */
int fs_handle_restore(struct fs_server *s, struct fs_node *n, int fd, int flags, bool dir,
		      uint64_t id);
/* A referenced handle of @n, or -EBADF. */
int fs_handle_get(struct fs_server *s, struct fs_node *n, uint64_t fh, bool dir,
		  struct fs_handle **ret);
/* Any handle that is open on @n, referenced; NULL: none. Its descriptor serves where the file itself is meant, however it
 * was opened, and spares opening one. */
struct fs_handle *fs_handle_any(struct fs_server *s, struct fs_node *n);
void fs_handle_put(struct fs_server *s, struct fs_handle *h);
void fs_handle_close_locked(struct fs_server *s, struct fs_handle *h);
/* Room for one more descriptor besides handles (nextra)? Counts it when true. */
bool fs_extra_get(struct fs_server *s);
void fs_extra_put(struct fs_server *s);

/* --- replies ------------------------------------------------------------------------- */
struct fs_valid {
	uint64_t s;
	uint32_t ns;
};
struct fs_valid fs_valid_of(const struct fs_share *share, double seconds);
struct fs_valid fs_attr_valid(const struct fs_server *s, const struct fs_node *n,
			      const struct statx *st);
void fs_attr_fill(const struct fs_server *s, struct fuse_attr *a, const struct statx *st,
		  const struct fs_node *n);
void fs_entry_fill(struct fs_server *s, struct fuse_entry_out *e, struct fs_node *n,
		   const struct statx *st);
/* Looks @name up in @parent and counts it. *st as the guest shall see it. */
int fs_lookup(struct fs_server *s, struct fs_node *parent, const char *name, struct statx *st,
	      struct fs_node **ret);
/* Attributes of a name as the host has them, and as the guest shall see them. */
int fs_stat_shown(struct fs_server *s, int dirfd, const char *name, struct statx *host,
		  struct statx *shown);
/* fs_lookup() as a reply. */
int fs_reply_entry(struct fs_req *rq, struct fs_node *parent, const char *name);
/* For what was just made as @c: sees to its owner, too. */
int fs_reply_new(struct fs_req *rq, struct fs_node *parent, const char *name,
		 const struct fs_cred *c, mode_t mode);
int fs_reply_attr(struct fs_req *rq, struct fs_node *n, const struct statx *st);

/* --- special files (special.c) ------------------------------------------------------- */
/* Cheap test on attributes: may be one. */
bool fs_special_maybe(const struct statx *st);
/* Turns *st into the special file's if @path_fd has our attribute. 1: it is one; 0; a negative errno: it cannot
 * be told. */
int fs_special_show(struct fs_server *s, int path_fd, struct statx *st);
/* Makes one. 0 or a negative errno with nothing left behind. */
int fs_special_make(struct fs_server *s, int dirfd, const char *name, mode_t mode, uint32_t rdev);
/* Marks a directory as holding special files. */
void fs_special_mark(struct fs_server *s, int dir_path_fd);
bool fs_special_marked(int dir_fd);
#define FS_XATTR_PREFIX	 "user.husk."
#define FS_XATTR_SPECIAL FS_XATTR_PREFIX "special"

/* --- credentials (cred.c) ------------------------------------------------------------ */
struct fs_cred {
	uint32_t uid, gid;
	bool as_root; /* file system ids are 0 */
};
/* The caller's ids; -EOVERFLOW when the guest knows none. */
int fs_cred_of(struct fs_cred *c, const struct fs_req *rq);
/* Takes them on as this thread's file system ids until fs_cred_leave(). */
void fs_cred_enter(struct fs_cred *c);
void fs_cred_leave(struct fs_cred *c);
/* The mode for a new file: the umask is for directories without a default ACL only; SGID is kept
 * for members of the group only. */
int fs_cred_mode(struct fs_req *rq, struct fs_node *dir, uint32_t mode, uint32_t umask,
		 mode_t *ret);
/* Is what was made as it should be, or did setfsuid() fail, or the kernel know less than the
 * guest? */
bool fs_cred_right(const struct fs_cred *c, uint32_t uid, uint32_t mode, mode_t want);
/* Then: give it to the caller. @fd: O_PATH or not, in directory @dirfd. */
int fs_cred_give(struct fs_server *s, int dirfd, int fd, const struct fs_cred *c, mode_t mode);
/* Clears SUID, and SGID where the group may execute. @fd: not O_PATH. */
int fs_cred_kill(int fd);

/* --- POSIX locks (lock_owner.c, lock_wait.c) ----------------------------------------- */
/* @owner of locks on the file that @h is, which is @make-d if there is none; else NULL then. posix_lock is held. */
int fs_lock_owner(struct fs_server *s, const struct fs_handle *h, uint64_t owner, bool make, struct fs_posix_owner **ret);
/* Locks or unlocks for @o, through @h. posix_lock is held. */
int fs_lock_set(struct fs_server *s, const struct fs_handle *h, struct fs_posix_owner *o, struct flock *fl);
/* What @owner (FLUSH), or whoever locked through handle @fh (RELEASE), holds on @n ends. */
void fs_locks_drop(struct fs_server *s, struct fs_node *n, uint64_t owner);
void fs_locks_drop_handle(struct fs_server *s, struct fs_node *n, uint64_t fh);
void fs_locks_free_locked(struct fs_server *s, struct fs_node *n);
/* A lock that is not free: notes that its owner waits, once. -EDEADLK when that would close a circle.
 * fs_lock_wait_end(): it waits no more; nothing if it did not. posix_lock is held. */
int fs_lock_wait(struct fs_server *s, const struct fs_lock_wait *w);
void fs_lock_wait_end(struct fs_server *s, uint64_t unique);

/* --- the synthetic root (root.c) and the table (dispatch.c) -------------------------- */
typedef int fs_op_fn(struct fs_req *rq);
fs_op_fn fs_root_lookup, fs_root_getattr, fs_root_statx, fs_root_opendir, fs_root_readdir,
	fs_root_readdirplus, fs_root_statfs, fs_root_access, fs_root_syncfs, fs_root_getxattr, fs_root_nothing;
fs_op_fn fs_op_init, fs_op_destroy, fs_op_lookup, fs_op_forget, fs_op_batch_forget, fs_op_getattr,
	fs_op_setattr, fs_op_statx, fs_op_access, fs_op_statfs, fs_op_readlink, fs_op_symlink,
	fs_op_mknod, fs_op_mkdir, fs_op_create, fs_op_tmpfile, fs_op_link, fs_op_unlink,
	fs_op_rmdir, fs_op_rename, fs_op_rename2, fs_op_open, fs_op_release, fs_op_flush,
	fs_op_fsync, fs_op_read, fs_op_write, fs_op_lseek, fs_op_fallocate, fs_op_copy_file_range,
	fs_op_opendir, fs_op_readdir, fs_op_readdirplus, fs_op_releasedir, fs_op_fsyncdir,
	fs_op_syncfs, fs_op_setxattr, fs_op_getxattr, fs_op_listxattr, fs_op_removexattr,
	fs_op_getlk, fs_op_setlk, fs_op_setlkw, fs_op_interrupt, fs_op_ioctl;

/* Everything the guest holds is dropped. */
void fs_server_drop(struct fs_server *s);
uint32_t fs_share_serial(struct fs_server *s); /* a new one; the table lock is held */

#endif
