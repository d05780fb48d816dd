/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file or block device behind a virtual disk: opened, locked and measured by whoever starts a machine.
 * Its content is never looked at: a format is what the caller says it is. Any thread.
 */
#ifndef LIB_DISKFILE_H
#define LIB_DISKFILE_H

#include "lib/err.h"

enum {
	DISKFILE_READONLY = 1u << 0,
	DISKFILE_DIRECT = 1u << 1,  /* O_DIRECT: past the host's page cache */
	DISKFILE_LOCK_RANGE = 1u << 2, /* lock the bytes that there are, not the whole file whatever its size */
};

struct diskfile {
	int fd;
	uint64_t size;      /* bytes */
	uint32_t block_size; /* what transfers are multiples of: 512 … 4096 */
	uint32_t phys_size;  /* what the medium writes at once, from block_size up */
	bool is_block;
};

/* Opens @dirfd/@path. An advisory lock (of the open file description: it lasts as long as any copy of the
 * descriptor) lets one writer, or readers alone, have it. Messages begin with @path.
 *   -EBUSY   somebody else has it, for half a second already
 *   -ENODATA it is empty, or there is no medium
 *   -EINVAL  no file or block device, or a medium whose blocks are larger than 4096 bytes */
int diskfile_open(struct diskfile *ret, int dirfd, const char *path, unsigned flags, struct err *e);
/* The same of what @fd (opened in whatever way; it stays the caller's) is, which messages call @name. */
int diskfile_reopen(struct diskfile *ret, int fd, const char *name, unsigned flags, struct err *e);

#endif
