/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several containers of a machine have in common: a folder of the host's, or a tmpfs, that the host says is the same
 * one. Each share is a file system of its own here, with inodes of its own; sockets, named pipes, mapped pages and watches
 * are only between those who have the same inode. So it is mounted once, in the agent's own mount namespace below
 * agent_config.common_dir, and each container has a copy of that mount. The host keeps the share as long as one of its names
 * is there. The agent's thread alone, but for common_clone(), which a container's new process calls.
 */
#ifndef AGENT_PROTO_AGENT_COMMON_H
#define AGENT_PROTO_AGENT_COMMON_H

#include "agent-proto/agent/container.h"

struct common;

/* Mounts what @spec has in common with others, unless that is there; @ct is one more who uses it until common_leave().
 * Before its process is made, whose mount namespace is a copy of the agent's. */
int common_take(struct container *ct, const Husk__Agent__V1__Container *spec, struct err *e);
/* In a fork: of what @ct is the last to have, so that leaving it takes no time. */
void common_write_back(const struct container *ct);
/* What it was the last user of is unmounted. */
void common_leave(struct container *ct);
/* A detached copy of what has these words in @list. Descriptor; -ENOENT without a text: none has, or @words is empty. */
int common_clone(const struct common *list, const char *words, struct err *e);

#endif
