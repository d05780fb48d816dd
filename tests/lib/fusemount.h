/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file server behind this machine's own kernel: a carrier on /dev/fuse, so that real programs
 * can use a share without a virtual machine. In a mount namespace of its own.
 */
#ifndef TESTS_LIB_FUSEMOUNT_H
#define TESTS_LIB_FUSEMOUNT_H

#include <pthread.h>
#include "vmm/fs/fs_chan.h"

struct fusemount {
	struct fs_server *s;
	int fd;
	unsigned nthreads;
	pthread_mutex_t lock; /* of the two below */
	uint64_t interrupted[64];
	unsigned ninterrupted;
	pthread_t thread[8];
};

/* Mounts the server's synthetic root at @where. 0 or a negative errno (-ENODEV and such: no
 * /dev/fuse). */
int fusemount_start(struct fusemount *m, struct fs_server *s, const char *where, unsigned threads);
/* Unmounts; the server stays. */
void fusemount_stop(struct fusemount *m, const char *where);

#endif
