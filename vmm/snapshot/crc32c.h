/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C (Castagnoli, as iSCSI and ext4 use it). Any thread. */
#ifndef VMM_SNAPSHOT_CRC32C_H
#define VMM_SNAPSHOT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of @len bytes more; @crc is 0 for the first. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
