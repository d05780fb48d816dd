/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE protocol as the kernel's header gives it, and what newer kernels (7.39 to 7.41) added to
 * it where the header that we are built with is older. For vmm/fs and its tests only.
 */
#ifndef VMM_FS_FUSE_PROTO_H
#define VMM_FS_FUSE_PROTO_H

#include <linux/fuse.h>
#include <stdint.h>

/* What we speak; a guest that speaks less gets what it knows. */
#define FS_PROTO_MAJOR	   7
#define FS_PROTO_MINOR	   41
#define FS_PROTO_MINOR_MIN 31 /* Linux 5.4, the first with virtio-fs */

#define FS_CREATE_SUPP_GROUP	(1ull << 34)
#define FS_DIRECT_IO_ALLOW_MMAP (1ull << 36)
#define FS_NO_EXPORT_SUPPORT	(1ull << 38)
#define FS_ALLOW_IDMAP		(1ull << 40)

#define FS_EXT_GROUPS 32 /* extension type: struct fs_supp_groups follows its header */

/* All the bytes of a struct fuse_init_out since 7.23. */
_Static_assert(sizeof(struct fuse_init_out) == 64, "fuse_init_out");

enum { FS_OP_STATX = 52 };

/* With the extensions of 7.38. */
struct fs_in_header {
	uint32_t len, opcode;
	uint64_t unique, nodeid;
	uint32_t uid, gid, pid;
	uint16_t total_extlen; /* in units of 8 bytes, at the end of the request */
	uint16_t padding;
};
_Static_assert(sizeof(struct fs_in_header) == sizeof(struct fuse_in_header), "fs_in_header");
_Static_assert(sizeof(struct fs_in_header) == 40, "fs_in_header");

struct fs_ext_header {
	uint32_t size, type;
};

struct fs_supp_groups {
	uint32_t nr_groups;
	uint32_t groups[];
};

struct fs_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};

/* As statx(2) has it. */
struct fs_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct fs_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};

struct fs_statx_in {
	uint32_t getattr_flags, reserved;
	uint64_t fh;
	uint32_t sx_flags, sx_mask;
};

struct fs_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	struct fs_statx stat;
};
_Static_assert(sizeof(struct fs_statx) == 256, "fs_statx");
_Static_assert(sizeof(struct fs_statx_out) == 288, "fs_statx_out");

#endif
