/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as a whole: what it listens to, its containers, its children. One thread, one loop; who may
 * connect and where things lie is told by main.c (in tests, by the test).
 *
 *	agent.c      listeners, connections' table, children
 *	conn.c       one control connection        service.c  the calls and their checks
 *	container.c  life of a container           process.c process_io.c  life of a process in it
 *	child.c      between fork and exec; mounts.c rootfs.c devices.c tty.c creds.c program.c belong to it
 *	stream.c relay.c  standard streams, sockets.c sockets of the host
 *	         cgroup.c update.c freezer.c oom.c stats.c procs.c
 *	devfilter.c  what their names say
 *	look.c       disks that a new container waits for
 *	letgo.c      what a container held, written back
 *	diskplug.c diskplug_steps.c  disks that come and go
 *	network.c rtn.c   interfaces, addresses, routes as the host tells them
 *	boot.c main.c     the guest's world around it
 */
#ifndef AGENT_PROTO_AGENT_AGENT_H
#define AGENT_PROTO_AGENT_AGENT_H

#include <time.h>

#include "agent-proto/agent/disks.h"
#include "agent-proto/agent/forward.h"
#include "agent-proto/agent/network.h"
#include "agent-proto/agent/resolver.h"
#include "agent-proto/agent/udp.h"
#include "agent-proto/proto/limits.h"
#include "lib/err.h"
#include "lib/evloop.h"

struct agent_config {
	int control_fd, stream_fd;     /* listening sockets that do not block; owned by the agent */
	int resolver_fd, forward_fd, udp_fd; /* likewise; -1: none */
	bool (*is_host)(int fd);       /* may this peer connect? NULL: everybody */
	const char *shares_dir;        /* where the shared file system is mounted */
	int (*mount_shares)(struct err *e); /* called once, before the first container; NULL: it is */
	/* Called once, before the first container with a user namespace (in there the kernel lets nobody mount a
	 * sysfs who does not see one already), or when devices come or go. NULL: one is seen. */
	int (*mount_sysfs)(struct err *e);
	/* Of the sysfs that mount_sysfs() mounts: devices that have come are looked for; that of an interface is let go of.
	 * NULL: they come and go by themselves. */
	void (*find_devices)(void);
	void (*remove_device)(const char *interface);
	void (*remove_disk)(const char *name); /* likewise that of a block device */
	int (*find_disk)(const char *serial, struct disk_found *ret, struct err *e); /* NULL: disks_find() */
	const char *sockets_dir;       /* an empty folder for sockets */
	int (*mount_sockets)(struct err *e); /* called once, before the first container that has some; NULL: it is writable */
	const char *common_dir;        /* for what containers have in common (common.h); NULL: they have nothing */
	int (*mount_common)(struct err *e); /* called once, before the first that has something; NULL: it is writable */
	int update_ms; /* how long an Update may write; 0: AGENT_UPDATE_MS */
	bool (*is_quiet)(void); /* no request to it is under way; NULL: it is always so */
	const char *rootfs_dir;        /* an empty folder to mount roots on */
	const char *cgroup_dir;        /* root of the cgroup2 tree for containers */
	int (*set_clock)(const struct timespec *now);        /* 0 or -errno */
	int (*add_entropy)(const void *data, size_t len);    /* 0 or -errno */
};

struct common;
struct conn;
struct container;
struct stream_hub;

struct agent {
	struct agent_config cfg;
	struct evloop *loop;
	struct evsrc control, stream, signals;
	struct stream_hub *streams;
	struct network network;
	struct resolver resolver;
	struct forwards forwards;
	struct udp_ports udp_ports;
	struct conn *conns;
	unsigned nconns;
	struct container *containers;
	unsigned ncontainers;
	int null;      /* /dev/null */
	int own_pidns; /* the agent's own pid namespace, to come back to */
	struct common *common; /* common.h */
	unsigned common_made;
	bool shares_mounted, sysfs_mounted, sockets_mounted, common_mounted;
	uint64_t born_ns; /* CLOCK_BOOTTIME */
	void (*on_term)(struct agent *a); /* SIGTERM, SIGINT, SIGPWR; NULL: passed over */
};

/* Blocks the signals that it takes. Descriptors of @cfg are taken on success only. */
int agent_new(struct agent **ret, struct evloop *l, const struct agent_config *cfg, struct err *e);
/* Kills what is left of the containers, without waiting. */
void agent_free(struct agent *a);

/* Connections of one listener before others on the loop get their turn: a hundred execs at a time are four hundred. */
#define AGENT_ACCEPTS 64
/* The next connection on @listener that comes from the host, not blocking, the caller's; or -1. */
int agent_accept_host(const struct agent *a, struct evsrc *listener);
/* Mounts the sysfs unless it is. */
int agent_need_sysfs(struct agent *a, struct err *e);
/* Likewise what is on cfg.sockets_dir. */
int agent_need_sockets(struct agent *a, struct err *e);

/* The control connection @owner has ended: what it made and did not delete is killed. */
void agent_owner_gone(struct agent *a, const struct conn *owner);

#endif
