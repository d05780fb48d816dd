/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs (VIRTIO 1.2, section 5.11): the carrier of FUSE messages between the guest and the file
 * server. One high priority queue (0) and cfg.queues request queues (1 …).
 *
 * Requests run inline on the device's loop thread; those that may wait for a disk, and whatever is
 * behind more than a few others, go to a few worker threads. Requests that wait for a lock are put
 * aside and tried again. Only the loop thread touches rings.
 */
#ifndef VMM_VIRTIO_FS_H
#define VMM_VIRTIO_FS_H

#include "vmm/fs/fs_chan.h"
#include "vmm/virtio/vdev.h"

#define FS_DEV_TAG_MAX	  36
#define FS_DEV_QUEUES_MAX 64
#define FS_DEV_THREADS	  2

struct fs_dev_cfg {
	char tag[FS_DEV_TAG_MAX + 1]; /* 1 … 36 bytes and a NUL */
	unsigned queues;	      /* request queues, 1 … FS_DEV_QUEUES_MAX */
	unsigned threads;	      /* workers; 0: FS_DEV_THREADS */
	struct fs_server *server;     /* the caller's; must outlive the device */
};

extern const struct vdev_class fs_dev_class;

#endif
