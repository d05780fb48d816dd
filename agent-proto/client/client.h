/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of the agent protocol: asks husk-agent over one connected descriptor. Everything
 * that arrives is the guest's word, so only a process that has given up its privileges may use
 * this (husk-proxy, the shim's deprivileged half).
 *
 * All calls are asynchronous on the loop's thread; each gets exactly one callback, never from inside the
 * call itself. Replies are checked against agent-proto/proto/limits.h before they are shown; text is
 * printable ASCII, one line, escaped (\xNN).
 *
 * A connection is either good or dead. It dies, for ever, when
 *   - the agent closes it                                        -EPIPE
 *   - the agent does not answer a call by its deadline           -ETIMEDOUT
 *   - the agent breaks the protocol (unasked, doubled, oversized or malformed reply, a value beyond
 *     a limit)                                                   -EPROTO, "agent broke the protocol: …"
 * Every call in flight then gets its callback with that error, in the order of asking, and at last
 * the dead callback is called, once. Calls made on a dead connection return its error at once.
 *
 * Memory: at most AGENT_MAX_FRAME of input and AGENT_CLIENT_MAX_OUT of output is held, and unpacking
 * a reply may use AGENT_CLIENT_MAX_UNPACK more while its callback runs.
 */
#ifndef AGENT_PROTO_CLIENT_CLIENT_H
#define AGENT_PROTO_CLIENT_CLIENT_H

#include "agent-proto/proto/limits.h"
#include "agent-proto/proto/stats.h"
#include "lib/err.h"
#include "lib/evloop.h"

#define AGENT_CLIENT_MAX_CALLS  64                    /* in flight on one connection */
#define AGENT_CLIENT_MAX_OUT    (2 * AGENT_MAX_FRAME)
#define AGENT_CLIENT_MAX_UNPACK (16u << 20)

struct agent_client;

struct agent_hello_info {
	uint32_t version;            /* AGENT_VERSION - 1 … AGENT_VERSION + 1 */
	uint64_t features;
	uint64_t kernel_to_agent_ns; /* guest's CLOCK_BOOTTIME when the agent began */
	char agent_version[64];
	char kernel_release[80];
};

struct agent_exit_info {
	uint32_t status; /* 0 … 255; 128 + n: signal n */
	bool oom;
	int64_t at_sec;  /* the guest's CLOCK_REALTIME; never negative */
	uint32_t at_nsec;
};

struct agent_ps_info {
	uint32_t pid, ppid, uid;
	bool is_host_started; /* by Create or Exec; exec_id says which */
	uint64_t start_ns;    /* since the guest's boot */
	uint64_t cpu_ns;
	uint64_t virtual_bytes, resident_bytes;
	uint32_t resident_permille, threads; /* 0 … 1000: of the guest's memory */
	char state[8];        /* "Ss" */
	char name[68];
	char exec_id[129];    /* "" for the container's own process and for any other */
	char tty[32];
	char command[1024];
};

struct agent_network_info {
	uint32_t n;
	uint32_t resolver[AGENT_MAX_RESOLVERS]; /* IPv4, network byte order, below 127.0.0.0/8, not 127.0.0.1 */
};

struct agent_socket_info {
	uint32_t socket;   /* below AGENT_MAX_SOCKETS */
	uint32_t uid, gid; /* of the process that connected; the guest's word */
	uint32_t ngroups;  /* supplementary ones */
	uint32_t groups[AGENT_MAX_PEER_GROUPS];
};

struct agent_reply {
	int rc;              /* 0 or -errno, see below */
	struct err err;      /* rc < 0: the text, the agent's own words where it answered */
	union {
		struct agent_hello_info hello;
		uint32_t pid;                /* create, exec: in the guest */
		struct agent_exit_info exit; /* wait */
		struct agent_stats stats;
		uint64_t oom_kills;          /* wait_oom */
		struct agent_network_info network;
		struct agent_socket_info socket; /* accept_socket */
	};
};

/* An answer that says no does not hurt the connection. agent_reply.rc is then
 *   -ENOENT  create, exec, start: the executable is not there (127 to a shell); any: no such container or process
 *   -EACCES  create, exec, start: it may not be executed (126)
 *   -EEXIST  the id is in use          -EINVAL  the agent refused a value
 *   -ESRCH   the process has ended, or is not in a state for this
 *   -ENOSPC  a limit was met           -ENOSYS  the agent does not know the call
 *   -EIO     everything else
 */
typedef void agent_reply_fn(void *arg, const struct agent_reply *r);
typedef void agent_ps_fn(void *arg, const struct agent_ps_info *p);
typedef void agent_dead_fn(void *arg, int rc, const struct err *e);

/* @fd: connected stream socket to AGENT_PORT_CONTROL; made nonblocking; owned by the client on
 * success, the caller's on failure. @dead may be NULL. */
int agent_client_new(struct agent_client **ret, struct evloop *l, int fd, agent_dead_fn *dead,
		     void *arg, struct err *e);
/* No callback is called any more. Allowed in any callback. NULL is fine. */
void agent_client_free(struct agent_client *c);

/* Each returns 0 (the callback will come) or -errno: a dead connection's error, -ENOSPC (too many
 * calls in flight or too much unsent), -EINVAL (a string too long), -ENOMEM. Nothing is sent then. */

/* Sends the host's clock, and 32 bytes of entropy that it takes from getrandom(2) itself. @timeout_ms 0:
 * AGENT_DEADLINE_MS; a guest that has just booted may need longer. */
int agent_hello(struct agent_client *c, unsigned timeout_ms, agent_reply_fn *fn, void *arg, struct err *e);

/* @req/@len: a packed CreateContainerRequest or ExecRequest, sent as it is. @timeout_ms 0:
 * AGENT_CREATE_DEADLINE_MS. Reply: pid. The streams' connections may be made before or after. */
int agent_create(struct agent_client *c, const void *req, size_t len, unsigned timeout_ms,
		 agent_reply_fn *fn, void *arg, struct err *e);
/* As agent_create(). The process runs when the reply comes. */
int agent_exec(struct agent_client *c, const void *req, size_t len, unsigned timeout_ms,
	       agent_reply_fn *fn, void *arg, struct err *e);

/* @exec_id "" (or NULL) means the container's own process, in all of these. */
/* @timeout_ms 0: AGENT_DEADLINE_MS; UINT_MAX: none, for hooks that may take as long as they like. */
int agent_start(struct agent_client *c, const char *container_id, const char *exec_id,
		unsigned timeout_ms, agent_reply_fn *fn, void *arg, struct err *e);
int agent_signal(struct agent_client *c, const char *container_id, const char *exec_id,
		 uint32_t signo, bool all, agent_reply_fn *fn, void *arg, struct err *e);
/* Without deadline. The answer comes when the process has ended and what it wrote has been handed to its streams,
 * or cannot be (a host that does not read: after AGENT_DRAIN_MS). The streams end (EOF) behind the
 * last byte in any case: read them to their end before agent_delete(), which cuts them off. */
int agent_wait(struct agent_client *c, const char *container_id, const char *exec_id,
	       agent_reply_fn *fn, void *arg, struct err *e);
int agent_resize(struct agent_client *c, const char *container_id, const char *exec_id,
		 uint16_t rows, uint16_t columns, agent_reply_fn *fn, void *arg, struct err *e);
/* @each is called for each process (at most AGENT_MAX_PROCESSES), then @fn; on an error @fn alone. */
int agent_list(struct agent_client *c, const char *container_id, agent_ps_fn *each,
	       agent_reply_fn *fn, void *arg, struct err *e);
/* Freezes all of the container, or lets it go on; both as often as one likes. An agent that could not freeze it
 * within AGENT_FREEZE_MS has let it go on (-EIO). */
int agent_pause(struct agent_client *c, const char *container_id, agent_reply_fn *fn, void *arg,
		struct err *e);
int agent_resume(struct agent_client *c, const char *container_id, agent_reply_fn *fn, void *arg,
		 struct err *e);
/* @req/@len: a packed UpdateRequest, sent as it is. */
int agent_update(struct agent_client *c, const void *req, size_t len, agent_reply_fn *fn, void *arg,
		 struct err *e);
/* @req/@len: a packed UpdateDisksRequest, sent as it is. */
int agent_disks(struct agent_client *c, const void *req, size_t len, agent_reply_fn *fn, void *arg, struct err *e);
/* @req/@len: a packed UpdateNetworkRequest, sent as it is. */
int agent_network(struct agent_client *c, const void *req, size_t len, agent_reply_fn *fn, void *arg,
		  struct err *e);
int agent_stats(struct agent_client *c, const char *container_id, agent_reply_fn *fn, void *arg,
		struct err *e);
/* Without deadline: answers when the number of processes that the OOM killer ended is not @seen (UINT64_MAX: at once);
 * -ESRCH when the container has gone. */
int agent_wait_oom(struct agent_client *c, const char *container_id, uint64_t seen,
		   agent_reply_fn *fn, void *arg, struct err *e);
/* Kills what is left of the container (or forgets the ended exec), answers when nothing is held and all is written: has
 * AGENT_DELETE_MS for a container. */
int agent_delete(struct agent_client *c, const char *container_id, const char *exec_id,
		 agent_reply_fn *fn, void *arg, struct err *e);

/* Without deadline: answers when the container has connected to a socket of the host's; the stream with @token is to be
 * connected then. -ESRCH: there will be no more. Of the others -ENOENT, -EINVAL and -ENOSYS are for good. */
int agent_accept_socket(struct agent_client *c, const char *container_id, uint64_t token, agent_reply_fn *fn, void *arg,
			struct err *e);

/* A mount of the host's in a bind mount that follows them: as ChangeMountRequest has it. */
struct agent_mount {
	uint32_t bind, slot, parent;
	uint64_t flags;
	const char *path, *share;
	bool gone, through;
};
/* Without deadline: it is the host's files that are asked for. One at a time. */
int agent_change_mount(struct agent_client *c, const char *container_id, const struct agent_mount *m, agent_reply_fn *fn,
		       void *arg, struct err *e);

#endif
