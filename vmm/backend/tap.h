/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a network device sends frames to and gets them from: one descriptor a queue pair, a frame a call,
 * each behind a header of TAP_HEADER bytes (VIRTIO 1.2, section 5.1.6, as the kernel's tap takes it).
 * The descriptors come open and attached; nothing here needs a privilege.
 *
 * The header of a frame that is sent is the guest's, unseen by us: the kernel checks it and refuses what
 * is wrong. Functions are called on the device's loop. An ops of their own is how tests put something
 * else in a tap's place.
 */
#ifndef VMM_BACKEND_TAP_H
#define VMM_BACKEND_TAP_H

#include <sys/types.h>
#include <sys/uio.h>
#include "lib/err.h"

#define TAP_HEADER 12

/* What the other side may hand over unfinished: the kernel's TUN_F_… bits. */
enum {
	TAP_CSUM = 0x01,
	TAP_TSO4 = 0x02,
	TAP_TSO6 = 0x04,
	TAP_TSO_ECN = 0x08,
	TAP_UFO = 0x10,
	TAP_USO4 = 0x20,
	TAP_USO6 = 0x40,
};

struct tap_ops {
	/* Once a descriptor: checks that it is a tap with the header, sets the header's size and
	 * O_NONBLOCK. *ret_offloads: what set_offloads() would take. -EINVAL with a text. */
	int (*prepare)(int fd, unsigned *ret_offloads, struct err *e);
	/* What we take unfinished from it; a device's queues share that, so one of them is told. */
	int (*set_offloads)(int fd, unsigned offloads);
	/* A queue of several that is off gets no frames, and takes none. */
	int (*set_queue)(int fd, bool on);
	/* As readv(2) and writev(2), of one frame; negative errno. -EBADFD: the tap has gone. */
	ssize_t (*readv)(int fd, const struct iovec *iov, int n);
	ssize_t (*writev)(int fd, const struct iovec *iov, int n);
};

extern const struct tap_ops tap_ops;

#endif
