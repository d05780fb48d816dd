/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of the guest's AF_VSOCK, the way Firecracker and Cloud Hypervisor have it. A program
 * connects to the Unix socket PATH and writes "CONNECT PORT\n"; the answer is "OK PORT\n" and then the
 * guest's stream, or the end of file when nobody listens there. The guest's own connections to host
 * port N go to the Unix socket PATH_N.
 */
#ifndef VMM_FRONT_VSOCK_H
#define VMM_FRONT_VSOCK_H

#include "lib/evloop.h"
#include "vmm/control/native_client.h"

struct vsock_front;

/* Makes the socket @path, which must not exist; it goes with vsock_front_free(). */
int vsock_front_new(struct vsock_front **ret, struct evloop *loop, const char *path,
		    struct err *e);
void vsock_front_free(struct vsock_front *v);
/* The machine that connections go to from now on; NULL: none, they are closed. */
void vsock_front_set(struct vsock_front *v, struct ncl *ctl);
/* The guest asked for a host port. */
void vsock_front_host_port(struct vsock_front *v, const struct nc_event *ev);

#endif
