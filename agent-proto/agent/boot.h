/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's own world, made by PID 1 as fast as it can be, and its end. */
#ifndef AGENT_PROTO_AGENT_BOOT_H
#define AGENT_PROTO_AGENT_BOOT_H

#include <time.h>

#include "lib/err.h"

#define BOOT_SHARES "/run/shares"
#define BOOT_ROOTFS "/run/rootfs"
#define BOOT_IMAGE  "/run/image" /* for a moment, see image.c */
#define BOOT_CGROUP "/run/cgroup"
#define BOOT_FUSE   "/run/fuse"
#define BOOT_SYS    "/run/sys"
#define BOOT_SOCKETS "/run/sockets"
#define BOOT_COMMON "/run/common"

/* A root that can be pivoted from, proc, dev, cgroup2. */
int boot_world(struct err *e);
/* What a CPU keeps aside of freed pages, an eighth of all memory by default, is not reported to the host: little, then. */
void boot_memory(void);
/* What the kernel has bounded by the memory of the start is bounded by all that the machine can have. */
void boot_tables(void);
/* The virtio-fs device "husk" on BOOT_SHARES. */
int boot_shares(struct err *e);
/* A sysfs on BOOT_SYS. */
int boot_sysfs(struct err *e);
/* With that: looks at the PCI bus for devices that have come; lets go of an interface's. */
void boot_find_devices(void);
void boot_remove_device(const char *interface);
void boot_remove_disk(const char *name);
/* A tmpfs on BOOT_SOCKETS. */
int boot_sockets(struct err *e);
int boot_common(struct err *e); /* likewise on BOOT_COMMON */
/* The kernel has no request to that device under way. */
bool boot_shares_quiet(void);
int boot_loopback(struct err *e);
/* A listening vsock socket; descriptor or -errno. */
int boot_listen(unsigned port, struct err *e);
/* Tells the host's AGENT_PORT_READY that the agent is up. */
int boot_ready(struct err *e);
/* The peer of a vsock connection is the host. */
bool boot_is_host(int fd);

int boot_set_clock(const struct timespec *now);
int boot_add_entropy(const void *data, size_t len);

/* The descriptor of an input device that has the power button, or -ENOENT. */
int boot_power_button(void);
/* Reads the button's events; true: it was pressed. */
bool boot_power_pressed(int fd);

_Noreturn void boot_power_off(void);
/* One line on the console, then power off. */
_Noreturn void boot_fatal(const char *what);

#endif
