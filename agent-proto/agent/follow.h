/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bind mounts of a container that follow the host's mounts: what the host mounts below their sources after the start, each
 * a share of its own, is mounted in the container's mount namespace, and taken away again. A helper, forked for each change, does
 * that: it may have to wait for files of the host, and the agent never joins a container's namespaces itself.
 *
 * A mount is known by its number and its file system's, told by who made it, and no descriptor of it is kept: the
 * container may move it, cover it or unmount it, as it may with any kernel. The helper finds it by the kernel's list and
 * believes it by those numbers alone; from there it goes down through no link. What a container does to its own mounts meanwhile
 * is its own affair.
 */
#ifndef AGENT_PROTO_AGENT_FOLLOW_H
#define AGENT_PROTO_AGENT_FOLLOW_H

#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/ttrpc/server.h"
#include "lib/err.h"

struct container;
struct mount_env;
struct sync_msg;

struct mount_mark {
	uint64_t id, dev; /* id 0: no mount */
};

/* Of what @fd (O_PATH, a mount's root) is on. 0 or -errno. */
int follow_mark(int fd, struct mount_mark *ret);

/* In a new container's process, when @tree, which @m has made, is in place: mounts what the host had mounted below it, and
 * tells the agent of all of it. */
int follow_first(const struct mount_env *env, const Husk__Agent__V1__Mount *m, int tree, struct err *e);
/* In the agent: it was told. */
void follow_told(struct container *ct, const struct sync_msg *m);

/* A checked request. Answers @call, or keeps it. */
void follow_change(struct container *ct, const Husk__Agent__V1__ChangeMountRequest *req, struct ttrpc_call *call);
/* Something is under way; it is told to end. */
bool follow_busy(struct container *ct);
void follow_done(struct container *ct);

#endif
