/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest device with everything in it, to test what all devices share. Queue 0 copies what it
 * reads into what it may write; queue 1 keeps its chains until queue 0 gets a request that starts with
 * ECHO_RELEASE. Configuration: u32 requests served, 4 bytes that the driver may write.
 */
#ifndef TESTS_LIB_ECHODEV_H
#define TESTS_LIB_ECHODEV_H

#include "vmm/virtio/vdev.h"

#define ECHO_QUEUES     3 /* the last is never served */
#define ECHO_CONFIG_LEN 8
#define ECHO_QUEUE_MAX  128
#define ECHO_RELEASE    0xeeu
#define ECHO_F_LOUD     0 /* device feature bits: a config change interrupt at each request */
#define ECHO_F_QUIET    5

extern const struct vdev_class echo_class; /* cfg: none */

/* For tests of the transport: the next activate() fails. */
void echo_fail_activate(struct vdev *d);
unsigned echo_held(const struct vdev *d);

#endif
