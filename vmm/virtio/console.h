/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console (VIRTIO 1.2, section 5.3), one port, no MULTIPORT. Output goes to a descriptor that
 * may be slow or absent: the device never waits for it. What does not fit CONSOLE_OUT_BUF is dropped
 * and counted. The last CONSOLE_TAIL bytes are kept for reports of how a guest ended.
 */
#ifndef VMM_VIRTIO_CONSOLE_H
#define VMM_VIRTIO_CONSOLE_H

#include "vmm/virtio/vdev.h"

#define CONSOLE_TAIL    (64u << 10)
#define CONSOLE_WATCHERS 4
#define CONSOLE_OUT_BUF (64u << 10)

struct console_cfg {
	/* -1: none. Both are made non-blocking, so their open files should not be shared with somebody
	 * who minds. in and out may be the same descriptor number. The process ignores SIGPIPE. */
	int in_fd, out_fd;
	uint16_t cols, rows; /* 0: unknown */
};

extern const struct vdev_class console_class; /* cfg: struct console_cfg */

/* The last output, whole lines as far as they fit, printable ASCII, newline and tab only (escape
 * sequences are left out), NUL-terminated. Returns the length. Any thread, also after the
 * guest's end. */
size_t console_tail(struct vdev *d, char *dst, size_t size);
/* Bytes that a slow or dead out_fd, or a request beyond all measure, lost. Any thread. */
uint64_t console_dropped(struct vdev *d);
/* Shows @out (a connected stream socket) what the ring holds and, unless @once, then all output until it closes or the
 * device ends; what comes from @in (a stream socket, or -1: none) is the console's input until its end. Both are the device's on
 * success. -EBUSY: there are CONSOLE_WATCHERS already; -EEXIST: there is an input. Not on the device's loop. */
int console_attach(struct vdev *d, int out, int in, bool once, struct err *e);
/* New terminal size; the guest is told. Any thread. */
void console_resize(struct vdev *d, uint16_t cols, uint16_t rows);

#endif
