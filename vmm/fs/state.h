/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file server's state as bytes, little-endian, without padding:
 *
 *   head     u32 generation of new nodes, u32 of new handles, u16 shares, u32 nodes, u32 handles
 *   share    u8 slot, u32 serial, its root as a node's record without parent and name; u8 length, name
 *   node     u64 number, u64 parent's number (0: stale, has no name and no file any more), u64 lookups,
 *            u64 inode, u64 and u32 birth time, u16 type; u8 length, name
 *   handle   u64 number, u64 node's number, u32 flags of open(2), u8 directory
 *
 * Parents come before what is in them. For state_save.c and state_load.c.
 */
#ifndef VMM_FS_STATE_H
#define VMM_FS_STATE_H

#include "vmm/fs/fs_internal.h"

/* What a handle may have been opened with. */
#define FS_STATE_FLAGS ((uint32_t)(O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC | O_NOATIME))

/* "share 's': 'a/b'" with what is not printable as '?'; for messages. The table lock is held. */
#define FS_WHERE_MAX 512
const char *fs_state_where(const struct fs_node *n, char out[FS_WHERE_MAX]);

#endif
