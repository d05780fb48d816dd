/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine: assembly, threads, run states, and the reason of its end. Knows no client and no
 * packet (commands.c translates), so tests drive it with a fake hypervisor.
 *
 * Threads: `control` runs the loop given to machine_new(); every function here is called on it (or before
 * it runs), and every callback comes on it. The machine's own threads, made by machine_boot(): one a
 * vCPU; `io` for vsock, console, rng, balloon, memory and legacy ports; `fs` when there is a file server; `disk` when
 * there are disks.
 */
#ifndef VMM_CORE_MACHINE_H
#define VMM_CORE_MACHINE_H

#include "lib/evloop.h"
#include "vmm/core/config.h"
#include "vmm/hv/hv.h"

struct machine;

struct machine_ops {
	void (*state)(void *arg, enum nc_state s);
	/* Once, after the last vCPU has stopped and what the guest wrote before has left. */
	void (*ended)(void *arg, enum nc_end why, const char *text);
	void (*ready)(void *arg);
	/* The guest wants a connection to a port of the host: answered by machine_host_port(). */
	void (*host_port)(void *arg, uint32_t port, uint64_t token);
};

struct machine_setup {
	struct evloop *control;
	struct hv *hv;           /* the machine's from now on, also on failure */
	int proc_fd;             /* for the file server, see struct fs_server_cfg; likewise */
	bool jail;               /* threads bind themselves to their roles */
	const struct machine_ops *ops;
	void *arg;
};

/* Builds a machine in state CREATED. @cfg becomes the machine's on success. */
int machine_new(struct machine **ret, const struct machine_setup *s, struct machine_config *cfg,
		struct err *e);
/* Stops all threads, without callbacks. NULL is fine. */
void machine_free(struct machine *m);

/* Starts the threads, locks them and the calling one in, lets the guest run. */
int machine_boot(struct machine *m, struct err *e);
/* Returns at once; @done(@arg, rc) follows when every vCPU has stopped and every device is quiet. */
int machine_pause(struct machine *m, void (*done)(void *arg, int rc), void *arg, struct err *e);
int machine_resume(struct machine *m, struct err *e);
int machine_power_button(struct machine *m, struct err *e);

/* The guest says that its kernel panicked: the machine ends when the guest ends it, or soon, so that what it still writes on its
 * console is had. Called on the control thread or a vCPU's. */
void machine_panicked(struct machine *m);

/* The first reason counts, and of a guest that panicked, that. Called on the control thread or a vCPU's, as no other may kick
 * vCPUs; ops->ended follows. */
void machine_end(struct machine *m, enum nc_end why, const char *fmt, ...) __printf_like(3, 4);

/* @done as vsock_connect()'s, but on the control thread. */
int machine_connect(struct machine *m, uint32_t port, uint64_t timeout_ns,
		    void (*done)(void *arg, int rc, int fd), void *arg, struct err *e);
/* Answers ops->host_port: @fd is the machine's when @rc is 0. */
int machine_host_port(struct machine *m, uint64_t token, int rc, int fd, struct err *e);
/* @fd is the machine's on success. */
int machine_share_add(struct machine *m, const char *device, const char *name, int fd,
		      unsigned flags, uint32_t common, struct err *e);
int machine_share_remove(struct machine *m, const char *device, const char *name, struct err *e);

/* A further device, in a slot of the bus that is told. The guest has to look for it. Of @fds those that
 * the machine took are set to -1, whatever comes of it. -ENOTSUP: of a type that cannot come and go. */
int machine_device_add(struct machine *m, const struct nc_device *dev, int *fds, size_t nfds,
		       unsigned *ret_slot, struct err *e);
int machine_device_remove(struct machine *m, const char *id, struct err *e);
/* Network devices: see vmm/virtio/net.h. @fds are the machine's on success. */
int machine_net_attach(struct machine *m, const struct nc_net_attach *a, const int *fds, size_t nfds,
		       struct err *e);
int machine_net_detach(struct machine *m, const char *device, struct err *e);
int machine_net_link(struct machine *m, const char *device, bool up, struct err *e);
/* All but the header. */
int machine_net_info(struct machine *m, const char *device, struct nc_net_info *ret, struct err *e);
void machine_memory(struct machine *m, struct nc_memory_reply *ret); /* all but the header */
/* Resizes (@size NC_BALLOON_KEEP: does not), and fills in all but the header. */
int machine_balloon(struct machine *m, const char *device, uint64_t size, struct nc_balloon_reply *ret,
		    struct err *e);

enum nc_state machine_state(const struct machine *m);
void machine_info(const struct machine *m, struct nc_info_reply *ret); /* all but the header */
/* Last output of all consoles, printable. Returns its length. */
size_t machine_console_tail(const struct machine *m, char *dst, size_t size);
/* console_attach() of the first console; -ENODEV without one. */
int machine_console_attach(struct machine *m, int out, int in, bool once, struct err *e);

#endif
