/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock (VIRTIO 1.2, section 5.10), stream sockets, served in this process on the device's
 * loop. Every connection's host end is a stream socket: one inherited, one that the front opened, or
 * half of a socket pair made for vsock_connect().
 *
 *   guest -> host, port 1       bridged to vsock_cfg.ready_fd, once in the device's life
 *   guest -> host, other ports  what vsock_ops.open_host_port gives, else refused (RST)
 *   host -> guest               vsock_connect()
 *
 * What the guest wrote before SHUTDOWN or RST reaches the host end, then end of file. SHUTDOWN maps to
 * shutdown(2) one way or both. A packet that breaks a rule resets the connection that it names; a
 * ring that does resets the device.
 *
 * Connections do not survive save and load: their host ends close when the state is loaded, and the
 * guest gets the TRANSPORT_RESET event, upon which it reads the (maybe new) CID again.
 */
#ifndef VMM_VIRTIO_VSOCK_H
#define VMM_VIRTIO_VSOCK_H

#include "vmm/virtio/vdev.h"

#define VSOCK_HOST_CID    2u
#define VSOCK_READY_PORT  1u
#define VSOCK_MAX_CONNS   4096u
#define VSOCK_NO_TIMEOUT  UINT64_MAX

/* What the owner of the device may serve. Both run on the device's loop thread and must not block;
 * either may be NULL. */
struct vsock_ops {
	/* The guest asks for host port @port. 0: *ret_fd is a connected stream socket, the device's
	 * from now on. -EINPROGRESS: vsock_host_opened() follows with @token. Else the guest is
	 * refused. */
	int (*open_host_port)(void *arg, uint32_t port, uint64_t token, int *ret_fd);
	/* The guest has connected to port 1: it is up. Once. */
	void (*ready)(void *arg);
};

struct vsock_cfg {
	uint64_t cid;               /* the guest's: 3 … 2^32-2 */
	int ready_fd;               /* stream socket, -1: port 1 is a port like any other */
	const struct vsock_ops *ops; /* NULL: none; must outlive the device */
	void *ops_arg;
	unsigned max_conns;         /* 0: VSOCK_MAX_CONNS; the guest may open half of them */
};

extern const struct vdev_class vsock_class; /* cfg: struct vsock_cfg */

/* @rc 0: @fd is a connected stream socket (blocking, close-on-exec) and the callee's; else -1. */
typedef void vsock_connected_fn(void *arg, int rc, int fd);

/*
 * Connects to the guest's @port. Any thread, in any state of the device; a guest whose driver is
 * not up yet is waited for, within the time. @done is called exactly once on the loop thread,
 * never from inside this call, if 0 is returned: with 0, -ECONNREFUSED (RST: nobody listens),
 * -ETIMEDOUT, -ECONNRESET (the driver was reset meanwhile), -ENOSPC (too many connections), -EMFILE
 * and the like, or -ECANCELED (the device goes away). @timeout_ns: from now; VSOCK_NO_TIMEOUT.
 * Returns 0 or -ENOMEM.
 */
int vsock_connect(struct vdev *d, uint32_t port, uint64_t timeout_ns, vsock_connected_fn *done,
		  void *arg);

/* Answers open_host_port() with @token: @rc 0 and a socket, which becomes the device's even when the
 * guest has gone away meanwhile, or a negative errno and -1. Loop thread, once per token. */
void vsock_host_opened(struct vdev *d, uint64_t token, int rc, int fd);

struct vsock_stats {
	unsigned conns;             /* open now, in any state */
	uint64_t to_guest, from_guest; /* payload bytes */
	uint64_t resets;            /* RST packets sent */
};
void vsock_get_stats(const struct vdev *d, struct vsock_stats *ret); /* loop thread */

#endif
