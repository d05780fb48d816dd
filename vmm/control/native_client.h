/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of the native control protocol (native.h): what husk, husk-proxy and husk-vmm
 * drive a husk-machine with. Depends on lib/ alone.
 *
 * Calls are synchronous: one request is sent and its reply awaited, at most @timeout_ms (-1: for ever).
 * Events that arrive meanwhile are kept for ncl_event(). One thread at a time. ncl_connect_begin() alone does not wait.
 *
 * Errors of every call, besides those of the machine itself (whose text is handed on):
 *   -ETIMEDOUT   no reply in time; a late one is ignored, the client stays usable
 *   -EPIPE       the machine closed the connection (it has ended, or its process died)
 *   -EPROTO      a reply that is not one; the connection is of no use any more
 * What is received is checked for size, version, id and number of descriptors; strings are
 * NUL-terminated on return.
 */
#ifndef VMM_CONTROL_NATIVE_CLIENT_H
#define VMM_CONTROL_NATIVE_CLIENT_H

#include "lib/err.h"
#include "vmm/control/native.h"

struct ncl;

/* @sock: a connected SEQPACKET socket, the client's on success. */
int ncl_new(struct ncl **ret, int sock, struct err *e);
void ncl_free(struct ncl *c); /* closes; NULL is fine */
/* Readable (poll) when an event may have arrived: see ncl_event(). Stays the client's. */
int ncl_fd(const struct ncl *c);

/* Versions agree, or -EPROTONOSUPPORT. *ret_mask (may be NULL): what this client may do. */
int ncl_hello(struct ncl *c, uint32_t *ret_mask, int timeout_ms, struct err *e);

/* A machine's description while it is put together. Zeroed and set up by ncl_desc_init(); the
 * descriptors stay the caller's. About 20 KiB: not for small stacks. */
struct ncl_desc {
	struct nc_create m;
	int fds[NC_MAX_FDS];
	size_t nfds;
};
void ncl_desc_init(struct ncl_desc *d);
/* *ret_ref: what nc_create's fields want for @fd. -1 gives -1. -ENOSPC with a text beyond NC_MAX_FDS. */
int ncl_desc_fd(struct ncl_desc *d, int fd, nc_fd *ret_ref, struct err *e);
/* Type, id and slot -1; all descriptors of it -1. */
void ncl_device_init(struct nc_device *dev, enum nc_dev_type type, const char *id);
/* The next free device, so set up. NULL: no room. */
struct nc_device *ncl_desc_device(struct ncl_desc *d, enum nc_dev_type type, const char *id);

int ncl_create(struct ncl *c, struct ncl_desc *d, int timeout_ms, struct err *e);
int ncl_boot(struct ncl *c, int timeout_ms, struct err *e);
/* A vsock connection to the guest's @port. The machine gives up after @timeout_ms itself, with
 * -ETIMEDOUT; -ECONNREFUSED when nobody listens there. *ret_fd is the caller's. */
int ncl_connect(struct ncl *c, uint32_t port, uint32_t timeout_ms, int *ret_fd, struct err *e);
/* The same without waiting. Embedded in its owner; zeros, but for @done, until it is begun. */
struct ncl_connecting {
	/* Called by ncl_look(), once; @fd is the callee's, -1 when @rc is not 0 (-ETIMEDOUT a while after the machine should
	 * have). May begin or cancel others, and free this one. */
	void (*done)(struct ncl_connecting *k, int rc, int fd);
	/* the client's */
	struct ncl_connecting *next;
	uint32_t id;
	uint64_t deadline_ns;
	bool answered;
	int rc, fd;
};
int ncl_connect_begin(struct ncl *c, uint32_t port, uint32_t timeout_ms, struct ncl_connecting *k, struct err *e);
/* An answer that comes, or came, is dropped. No-op for one that is not under way. */
void ncl_connect_cancel(struct ncl *c, struct ncl_connecting *k);
/* Takes what answers there are and gives up what is late or, where the machine has gone, all. To be called when ncl_fd() is
 * readable while any is under way, and at ncl_connect_deadline(). Not from within @done. */
void ncl_look(struct ncl *c);
/* By io_now_ns(): when ncl_look() would give the first one up. 0: none is under way. */
uint64_t ncl_connect_deadline(const struct ncl *c);
/* Another call may take an answer from the socket, which is not readable for it any more: then @kept is called, and is to see
 * to it that ncl_look() is, but later. */
void ncl_on_kept(struct ncl *c, void (*kept)(void *arg), void *arg);
/* @fd: O_PATH descriptor of a dissolved mount (lib/mounttree.h); stays the caller's, who must close it
 * for the share to be free of it. @flags: enum fs_share_flags. */
int ncl_share_add(struct ncl *c, const char *device, const char *name, int fd, uint32_t flags, uint32_t common,
		  int timeout_ms, struct err *e);
int ncl_share_remove(struct ncl *c, const char *device, const char *name, int timeout_ms,
		     struct err *e);
/* NC_PAUSE, NC_RESUME, NC_QUIT, NC_POWER_BUTTON, NC_SUBSCRIBE. */
int ncl_command(struct ncl *c, enum nc_cmd cmd, int timeout_ms, struct err *e);
/* @taps (with NC_NET_ATTACH_VHOST: and behind them as many of vhost-net) stay the caller's, who may close
 * them. @mac NULL, @mtu 0: as described. @flags: NC_NET_ATTACH_… */
int ncl_net_attach(struct ncl *c, const char *device, const int *taps, size_t ntaps,
		   const uint8_t *mac, uint16_t mtu, uint32_t flags, int timeout_ms, struct err *e);
int ncl_net_detach(struct ncl *c, const char *device, int timeout_ms, struct err *e);
int ncl_net_link(struct ncl *c, const char *device, bool up, int timeout_ms, struct err *e);
int ncl_net_info(struct ncl *c, const char *device, struct nc_net_info *ret, int timeout_ms,
		 struct err *e);
/* @dev as ncl_device_init() makes it, its descriptors indices into @fds, which stay the caller's. *ret_slot
 * (may be NULL): where it is on bus 0. */
int ncl_device_add(struct ncl *c, const struct nc_device *dev, const int *fds, size_t nfds,
		   unsigned *ret_slot, int timeout_ms, struct err *e);
/* The guest should have let go of it before. */
int ncl_device_remove(struct ncl *c, const char *device, int timeout_ms, struct err *e);
int ncl_info(struct ncl *c, struct nc_info_reply *ret, int timeout_ms, struct err *e);
/* What the machine has and can have. One that is older than the command has what it began with. */
int ncl_memory(struct ncl *c, struct nc_memory_reply *ret, int timeout_ms, struct err *e);
/* Resizes the balloon to @size bytes (NC_BALLOON_KEEP: does not); *ret (may be NULL): what is known of it. */
int ncl_balloon(struct ncl *c, const char *device, uint64_t size, struct nc_balloon_reply *ret,
		int timeout_ms, struct err *e);
/* This client is a lifeline no more; *ret_left: how many others are. With none the machine ends. */
int ncl_leave(struct ncl *c, unsigned *ret_left, int timeout_ms, struct err *e);
/* Another client with @mask (enum nc_class, at most what this one has); @sock stays the caller's. */
int ncl_client_add(struct ncl *c, int sock, uint32_t mask, bool listening, int timeout_ms,
		   struct err *e);

/* What the machine's first console has kept and, unless @once, then says goes to @out, a stream socket's end; what comes from @in
 * (a descriptor of a stream socket, may be @out; -1: none) is its input. They stay the caller's. -EBUSY: others watch
 * already; -EEXIST: another one has its input. */
int ncl_console(struct ncl *c, int out, int in, bool once, int timeout_ms, struct err *e);

/* Answers an NC_EV_HOST_PORT: @sock connected (it stays the caller's) and @error 0, or -1 and a negative
 * errno. */
int ncl_host_port(struct ncl *c, uint64_t token, int sock, int error, int timeout_ms,
		  struct err *e);

/* 1: an event; 0: none within @timeout_ms (0: do not wait); or a negative errno. The end of a
 * machine always comes as NC_EV_END before -EPIPE, unless its process was killed. */
int ncl_event(struct ncl *c, struct nc_event *ret, int timeout_ms, struct err *e);

/* "guest panic" and the like, for messages. */
const char *nc_end_name(uint32_t end);

#endif
