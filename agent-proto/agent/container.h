/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container: its cgroup, its own process and the execs. It is gone, and nothing of it is held, when all its
 * processes are dead and reaped (with the last one its mount namespace goes) and its cgroup is removed;
 * Delete is answered then. A container whose creation fails goes the same way, and only then is
 * CreateContainer answered, so that the host may take the shares back on either answer.
 */
#ifndef AGENT_PROTO_AGENT_CONTAINER_H
#define AGENT_PROTO_AGENT_CONTAINER_H

#include "agent-proto/agent/cgroup.h"
#include "agent-proto/agent/diskplug.h"
#include "agent-proto/agent/follow.h"
#include "agent-proto/agent/freezer.h"
#include "agent-proto/agent/image.h"
#include "agent-proto/agent/letgo.h"
#include "agent-proto/agent/oom.h"
#include "agent-proto/agent/process.h"
#include "agent-proto/agent/sockets.h"

struct agent;

struct container {
	struct container *next;
	struct agent *agent;
	char *id;
	int ns_flags; /* CLONE_NEW* that it has apart from the agent's, */
	int joined;   /* those of them that are another container's */
	Husk__Agent__V1__Container *kept; /* for its execs (inherit.h) */
	struct cgroup cgroup;
	int devices; /* its device filter (devfilter.h) */
	struct diskplug diskplug;
	struct freezer freezer;
	struct oom oom;
	struct sockets sockets;
	struct process init;
	struct process *execs;
	unsigned nexecs;
	bool going;                  /* to be removed when nothing is left */
	struct ttrpc_call *deleting; /* who is told, if anybody */
	struct evsrc events;         /* cgroup.events, while going */
	struct evtimer retry;
	unsigned retries;
	/* Its mount namespace, held until the file system is quiet: an exiting process may leave requests
	 * behind (a read-ahead that ends in a late release of its file), and the kernel takes a share's
	 * superblock away under them when its last mount goes. -1: none. */
	int mntns;
	int netns; /* its own network namespace; -1: the machine's */
	struct update *update; /* of its limits, that is under way; NULL: none */
	struct follow *follow; /* of mounts that follow the host's; NULL: there are none */
	struct common **common; /* what it has in common with others (common.h) */
	size_t n_common;
	struct letgo letgo;
	struct image image; /* its root, when that is a disk: gone when nobody holds it */
};

/* Checked requests only (check.h). Each keeps or answers @call in any case. */
void container_create(struct agent *a, const Husk__Agent__V1__CreateContainerRequest *req,
		      struct ttrpc_call *call, const struct conn *owner);
void container_exec(struct container *ct, const Husk__Agent__V1__ExecRequest *req,
		    struct ttrpc_call *call, const struct conn *owner);
/* @exec_id "": the container. */
void container_delete(struct container *ct, const char *exec_id, struct ttrpc_call *call);

/* Fills @job's list in: whose namespaces the new container @ct is to join. -ESRCH. */
struct child_job;
int container_joins(const struct container *ct, const Husk__Agent__V1__Container *spec, struct child_job *job, struct err *e);
/* Its process @pid is there, in its namespaces, and waits: interfaces come into a network of the container's own before the
 * process sets what it was told of them (sysctl). */
void container_forked(struct container *ct, pid_t pid);
struct container *container_find(struct agent *a, const char *id);
/* @exec_id "": its own. NULL: no such. */
struct process *container_process(struct container *ct, const char *exec_id);
int container_signal_all(struct container *ct, int sig, struct err *e);

/* A child of the agent has ended; false: it is none of this container's. */
bool container_reaped(struct container *ct, pid_t pid, int wait_status);
void container_owner_gone(struct container *ct, const struct conn *owner);
/* Kills and frees without waiting. */
void container_abandon(struct container *ct);

#endif
