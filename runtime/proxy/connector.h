/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process beside the proxy that connects to sockets of the host which the container has by a bind mount. It keeps the
 * right to do that as any user, which the proxy gives up, and no other; so it reads nothing that a guest wrote: it is
 * asked in structs of fixed size, answers with a connected descriptor, and never reads from one. It ends when the proxy does.
 */
#ifndef RUNTIME_PROXY_CONNECTOR_H
#define RUNTIME_PROXY_CONNECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "agent-proto/proto/limits.h"
#include "lib/err.h"

struct connector_ask {
	uint32_t socket; /* number in the list given to connector_start() */
	uint32_t uid, gid; /* as whom; what this process may not become it does not, unless bound to be (below) */
	uint32_t ngroups;  /* supplementary ones; those that it may not have are left out */
	uint32_t groups[AGENT_MAX_PEER_GROUPS];
};

/* As whom it may be asked to connect. Ids are the host's, which the guest's kernel, too, has outside of the container's user
 * namespace: the container's own never come here. Nobody at all: as anybody, for a container without a user namespace. */
struct connector_ids {
	size_t n_uids, n_gids;
	struct connector_range {
		uint32_t first, n;
	} uids[AGENT_MAX_ID_MAPPINGS], gids[AGENT_MAX_ID_MAPPINGS];
};

/* + the descriptor when rc is 0. */
struct connector_answer {
	int32_t rc; /* 0 or -errno; -EPERM: as nobody whom the container has, or not with this process's rights */
	int32_t datagram; /* it is for datagrams */
};

/* @proc: the host's /proc, opened when it could be; @fds: O_PATH descriptors of the sockets; all stay the caller's. With @ids it
 * connects as one of them or not at all.
 * *ret_sock, SOCK_SEQPACKET: one answer to each question, in order. Before privileges are given up. */
int connector_start(int proc, const int *fds, size_t n, const struct connector_ids *ids, int *ret_sock, struct err *e);

#endif
