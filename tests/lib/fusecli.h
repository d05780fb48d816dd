/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's end of the FUSE protocol for tests of the file server: makes requests byte by byte as
 * a guest's kernel does, calls fs_request() and checks that the reply is well-formed. No cmocka
 * here: fuzz targets use it too. A reply that breaks the protocol aborts.
 */
#ifndef TESTS_LIB_FUSECLI_H
#define TESTS_LIB_FUSECLI_H

#include <sys/stat.h>
#include "lib/util.h"
#include "vmm/fs/fs_chan.h"
#include "vmm/fs/fuse_proto.h"

struct fusecli {
	struct fs_server *s;
	uint64_t unique;
	uint32_t uid, gid; /* of the caller */
	size_t room;	   /* what the guest offers for replies; 0: plenty */
	uint8_t req[FS_MAX_REQUEST];
	uint8_t out[FS_MAX_REPLY];
	const uint8_t *body; /* of the last reply, behind its header */
	size_t body_len;
};

/* A part of a request's arguments. */
struct fc_arg {
	const void *p;
	size_t len;
};
#define FC_STR(s)                                                                                  \
	{                                                                                          \
		(s), strlen(s) + 1                                                                 \
	}

/* One request of @n parts: 0, FS_AGAIN, -EBADMSG or the reply's negative errno. */
int fc_call(struct fusecli *c, uint32_t op, uint64_t node, const struct fc_arg *arg, size_t n);
/* The same with one fixed part and a name. Either may be NULL. */
int fc_named(struct fusecli *c, uint32_t op, uint64_t node, const void *fixed, size_t len,
	     const char *name);
#define fc_fixed(c, op, node, var) fc_named(c, op, node, &(var), sizeof(var), NULL)
/* Raw bytes as they are. */
int fc_raw(struct fusecli *c, const void *req, size_t len, const struct iovec *payload, int count);

int fc_init(struct fusecli *c); /* INIT as Linux 6.12 does */
int fc_lookup(struct fusecli *c, uint64_t dir, const char *name, struct fuse_entry_out *e);
/* Looks a path up from the synthetic root on; the last node's number in *ret. */
int fc_walk(struct fusecli *c, const char *path, uint64_t *ret);
void fc_forget(struct fusecli *c, uint64_t node, uint64_t n);
int fc_getattr(struct fusecli *c, uint64_t node, struct fuse_attr *ret);
int fc_setattr(struct fusecli *c, uint64_t node, const struct fuse_setattr_in *in);
int fc_mkdir(struct fusecli *c, uint64_t dir, const char *name, uint32_t mode,
	     struct fuse_entry_out *e);
int fc_mknod(struct fusecli *c, uint64_t dir, const char *name, uint32_t mode, uint32_t rdev,
	     struct fuse_entry_out *e);
int fc_symlink(struct fusecli *c, uint64_t dir, const char *name, const char *target,
	       struct fuse_entry_out *e);
int fc_link(struct fusecli *c, uint64_t dir, const char *name, uint64_t old,
	    struct fuse_entry_out *e);
int fc_rename(struct fusecli *c, uint64_t dir, const char *name, uint64_t to_dir, const char *to,
	      uint32_t flags);
int fc_create(struct fusecli *c, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
	      struct fuse_entry_out *e, uint64_t *fh);
int fc_open(struct fusecli *c, uint64_t node, uint32_t flags, uint64_t *fh);
int fc_opendir(struct fusecli *c, uint64_t node, uint64_t *fh);
int fc_release(struct fusecli *c, uint64_t node, uint64_t fh, bool dir);
/* Bytes or a negative errno. */
ssize_t fc_read(struct fusecli *c, uint64_t node, uint64_t fh, uint64_t off, void *dst, size_t len);
ssize_t fc_write(struct fusecli *c, uint64_t node, uint64_t fh, uint64_t off, const void *src,
		 size_t len, uint32_t write_flags, uint32_t flags);
int fc_setxattr(struct fusecli *c, uint64_t node, const char *name, const void *v, size_t len,
		uint32_t flags);
ssize_t fc_getxattr(struct fusecli *c, uint64_t node, const char *name, void *dst, size_t len);
int fc_lock(struct fusecli *c, uint32_t op, uint64_t node, uint64_t fh, uint64_t owner,
	    uint32_t type, uint64_t start, uint64_t end, uint32_t lk_flags);
/* Calls @fn for each entry of the whole directory. @plus: the entry's, else NULL. */
typedef void fc_dirent_fn(void *arg, const struct fuse_dirent *d, const char *name,
			  const struct fuse_entry_out *plus);
int fc_readdir(struct fusecli *c, uint64_t node, uint64_t fh, bool plus, uint32_t size,
	       fc_dirent_fn *fn, void *arg);

#endif
