/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between husk (or the shim) and husk-proxy: SOCK_SEQPACKET, one fixed-size struct a
 * packet, descriptors by SCM_RIGHTS. The proxy is told everything; it opens nothing by path and finds
 * nothing out by itself.
 *
 * husk keeps the host's privileges and so parses no byte from the guest: the proxy, which has none left
 * by then, speaks to the agent and answers husk in these structs. husk checks sizes and ranges of
 * what it gets all the same.
 *
 * Stages of the proxy's life: PROXY_SETUP (namespaces, cgroup, mounts; then the privileges are given up),
 * PROXY_ATTACH (connections to the machine and the agent; container or exec is created), START, and
 * then commands by any later husk over the listening socket until the guest's process ends.
 */
#ifndef RUNTIME_PROXY_PROXY_H
#define RUNTIME_PROXY_PROXY_H

#include <stdint.h>
#include <sys/types.h>

#define PROXY_VERSION 1
#define PROXY_MAX_PS  1024

enum proxy_cmd {
	PROXY_SETUP = 1,
	PROXY_ATTACH = 2,
	PROXY_START = 3,
	PROXY_SIGNAL = 4,
	PROXY_RESIZE = 5,
	PROXY_PS = 6,     /* answered by one reply packet a process, then one with more = 0 */
	PROXY_STATUS = 7,
	PROXY_EXITED = 8, /* event to the first client, just before the process ends */
};

struct proxy_hdr {
	uint32_t version;
	uint32_t cmd;
	int32_t rc;      /* replies: 0 or -errno */
	uint32_t size;   /* of the whole packet */
};

struct proxy_reply {
	struct proxy_hdr hdr;
	uint32_t state;       /* enum proxy_state */
	uint32_t exit_status;
	char text[500];       /* rc < 0: one line; came from the guest perhaps: printable, escaped */
};

enum proxy_state { PROXY_ST_NEW, PROXY_ST_CREATED, PROXY_ST_RUNNING, PROXY_ST_ENDED };

#endif
