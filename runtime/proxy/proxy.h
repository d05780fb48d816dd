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
 * Stages of the proxy's life. On its inherited descriptor 3, from the husk that started it:
 *
 *	PROXY_SETUP   namespaces to make, or whose to join       no reply
 *	PROXY_MOUNT   one mount of its mount table, any number  no reply
 *	PROXY_SYNC    (when hooks are to find all that in place)   reply
 *	PROXY_STREAM  one descriptor beyond the three that the process is to have   no reply
 *	PROXY_SOCKET  one socket of the host that the container is to have, O_PATH; in the order of their numbers   no reply
 *	PROXY_IDS     ids of the host that the container has, if it has a user namespace: it connects to those sockets as nobody
 *	              else; any number   no reply
 *	PROXY_FOLLOW  one source whose later mounts the container is to have (follow.h): a detached slave copy; in the order of
 *	              their numbers   no reply
 *	PROXY_FOLLOW_BEGIN  behind the last of them: the follower's end of its connection   no reply
 *	PROXY_ATTACH  the mount table is entered and every privilege given up; then the agent is spoken
 *	              to and the container or the exec is made    reply, perhaps after seconds
 *	PROXY_COMMIT  from here on the end of the connection means nothing   reply
 *
 * Before PROXY_COMMIT or PROXY_START the end of the connection (husk was killed) ends the proxy, and with it what it
 * made. Every later command may come on descriptor 3 or on a connection to the listening socket:
 * PROXY_START, PROXY_SIGNAL, PROXY_RESIZE, PROXY_PS, PROXY_STATUS, PROXY_PAUSE, PROXY_RESUME,
 * PROXY_STATS, PROXY_WATCH, PROXY_UPDATE, PROXY_DISKS, PROXY_HOST; each is answered once but PROXY_PS.
 *
 * /proc/PID/stat tells the stage at one read: the proxy's name is PROXY_COMM_NEW until the
 * container exists and has not been started, PROXY_COMM_RUN while its process runs, PROXY_COMM_HELD instead of
 * either while the container is paused, PROXY_COMM_END when it has ended, PROXY_COMM_AWAY when the guest is
 * clearing it away, and writes back what its files hold. A husk that is
 * killed in the middle of a command changes nothing about that.
 */
#ifndef RUNTIME_PROXY_PROXY_H
#define RUNTIME_PROXY_PROXY_H

#include <stdint.h>
#include <sys/types.h>

#include "agent-proto/proto/stats.h"

#define PROXY_VERSION 1
#define PROXY_MAX_PS  4096

#define PROXY_COMM "husk-proxy:" /* what all of them begin with */
#define PROXY_COMM_NEW "husk-proxy:new"
#define PROXY_COMM_RUN "husk-proxy:run"
#define PROXY_COMM_HELD "husk-proxy:held"
#define PROXY_COMM_END "husk-proxy:end"
#define PROXY_COMM_AWAY "husk-proxy:away"

enum proxy_cmd {
	PROXY_SETUP = 1,
	PROXY_ATTACH = 2,
	PROXY_START = 3,
	PROXY_SIGNAL = 4,
	PROXY_RESIZE = 5,
	PROXY_PS = 6, /* answered by one reply packet a process, then one with more = 0 */
	PROXY_STATUS = 7,
	PROXY_EXITED = 8, /* event to the first client, just before the process ends */
	PROXY_MOUNT = 9,
	PROXY_COMMIT = 10,
	PROXY_PAUSE = 11,
	PROXY_RESUME = 12,
	PROXY_STATS = 13, /* answered by a struct proxy_stats */
	PROXY_WATCH = 14, /* answered at once; then PROXY_OOM, as often as it happens */
	PROXY_OOM = 15, /* event, a struct proxy_reply */
	PROXY_STREAM = 16,
	PROXY_UPDATE = 17,
	PROXY_SYNC = 50, /* before PROXY_ATTACH: answered when all before it is done */
	PROXY_SOCKET = 80,
	PROXY_HOST = 90, /* the machine has come into the group that this proxy is in */
	PROXY_FOLLOW = 91,
	PROXY_FOLLOW_BEGIN = 92,
	PROXY_DISKS = 101, /* a struct proxy_update with a packed UpdateDisksRequest */
	PROXY_IDS = 102,
};

struct proxy_hdr {
	uint32_t version;
	uint32_t cmd;
	int32_t rc; /* replies: 0 or -errno */
	uint32_t size; /* of the whole packet */
};

/* The answer to every command without one of its own, and the event PROXY_EXITED. */
struct proxy_reply {
	struct proxy_hdr hdr;
	uint32_t state; /* enum proxy_state */
	uint32_t exit_status; /* PROXY_ST_ENDED: 0 … 255 */
	uint64_t stamp[8]; /* enum proxy_stamp, CLOCK_MONOTONIC ns, 0: not reached */
	char text[500]; /* rc < 0: one line; came from the guest perhaps: printable, escaped */
};

enum proxy_state { PROXY_ST_NEW, PROXY_ST_CREATED, PROXY_ST_RUNNING, PROXY_ST_ENDED };

enum proxy_stamp {
	PROXY_T_BEGIN, /* main() */
	PROXY_T_SETUP, /* namespaces and mounts stand, privileges are gone */
	PROXY_T_READY, /* the agent has dialled */
	PROXY_T_HELLO, /* and answered */
	PROXY_T_CREATED, /* container or exec made */
	PROXY_T_STARTED,
	PROXY_T_EXITED, /* the agent told the status */
	PROXY_T_TORN_DOWN, /* container deleted, shares dropped, machine told to quit */
};

/* Descriptors follow in this order, those whose flag is set. */
enum proxy_setup_flags {
	PROXY_SETUP_LOG = 1u << 0, /* for log lines, JSON or text; without: nothing is logged */
	PROXY_SETUP_LISTEN = 1u << 1, /* the listening socket for later commands */
	PROXY_SETUP_PEER = 1u << 2, /* pidfd: join its net, uts, ipc and mount namespaces (exec) */
	PROXY_SETUP_MEMORY = 1u << 3, /* memory.max of the group that the proxy is in, for writing: see
				       * session_tell_oom() */
	PROXY_SETUP_NETNS = 1u << 4, /* the network namespace to join, */
	PROXY_SETUP_IPCNS = 1u << 5, /* that of shared memory, */
	PROXY_SETUP_UTSNS = 1u << 6, /* and that of the host's name */
	PROXY_SETUP_LOG_JSON = 1u << 16, /* no descriptor */
	PROXY_SETUP_DEBUG = 1u << 17,
	PROXY_SETUP_CTTY = 1u << 18, /* descriptor 0 is a terminal of the proxy's own: make it the
					* controlling one */
	PROXY_SETUP_UNIT = 1u << 19, /* its group is a unit of systemd's, which goes when it is empty */
};
#define PROXY_SETUP_MAX_FDS 7

struct proxy_setup {
	struct proxy_hdr hdr;
	uint32_t flags; /* enum proxy_setup_flags */
	uint32_t new_ns; /* CLONE_NEWNET, CLONE_NEWUTS, CLONE_NEWIPC to make */
};

/* + one descriptor: a detached mount tree. The first is the root ("/"); the others' destinations
 * are looked up below it, never leaving it; one that is not there is made. */
struct proxy_mount {
	struct proxy_hdr hdr;
	uint32_t is_file;
	uint32_t pad;
	char dst[4096];
};

#define PROXY_MAX_EXTRA 16
#define PROXY_MAX_SOCKETS 64

/* AGENT_MAX_ID_MAPPINGS of users and as many of groups. */
struct proxy_ids {
	struct proxy_hdr hdr;
	uint32_t groups; /* not users */
	uint32_t first, n;
	uint32_t pad;
};

/* + one descriptor. */
struct proxy_follow {
	struct proxy_hdr hdr;
	uint32_t readonly; /* PROXY_FOLLOW: all that comes below it is */
	uint32_t pad;
};

enum proxy_stream_kind {
	PROXY_STREAM_IN = 1, /* a pipe to read from, for the process */
	PROXY_STREAM_OUT = 2, /* a pipe to write to */
	PROXY_STREAM_SOCKET = 3, /* a connected stream socket */
	PROXY_STREAM_LISTEN = 4, /* a listening one */
};

/* + one descriptor, the host's end. */
struct proxy_stream {
	struct proxy_hdr hdr;
	uint32_t kind; /* enum proxy_stream_kind */
	uint32_t pad;
	uint64_t token;
};

enum proxy_attach_flags {
	PROXY_ATTACH_EXEC = 1u << 0, /* an exec, not the container itself */
	PROXY_ATTACH_TERMINAL = 1u << 1, /* one stream both ways, descriptors 0 and 1 a terminal */
	PROXY_ATTACH_LIFELINE = 1u << 2, /* the connection to the machine is one, and is left at the end */
	PROXY_ATTACH_READY = 1u << 3, /* a third descriptor comes: wait for it to be readable */
	PROXY_ATTACH_PATIENT = 1u << 4, /* an exec that may have to wait for a paused container */
	PROXY_ATTACH_NET = 1u << 5, /* the last descriptor is the connection to husk-net (runtime/net/wire.h) */
	PROXY_ATTACH_HOSTED = 1u << 6, /* the machine is in another container's group, until PROXY_HOST */
	PROXY_ATTACH_FOLLOW = 1u << 7, /* a descriptor before that one: husk's end of the follower's connection */
};
#define PROXY_MAX_SHARES 250
#define PROXY_STARVED_TIMES 5

/* Descriptors: a connected client of the machine's control socket (native.h); a memfd with the packed
 * CreateContainerRequest or ExecRequest; with PROXY_ATTACH_READY the ready socket; with PROXY_ATTACH_NET the
 * connection to husk-net.
 * The shares called SHARE_PREFIX0 to nshares - 1 are removed at the end (not by an exec). */
struct proxy_attach {
	struct proxy_hdr hdr;
	uint32_t flags; /* enum proxy_attach_flags */
	uint32_t nshares;
	uint32_t request_len;
	uint32_t timeout_ms; /* for all of it */
	uint32_t start_timeout_ms; /* for PROXY_START; 0: the agent protocol's, UINT32_MAX: none */
	uint32_t nfollowed; /* shares of mounts that the follower has told of, by slot; also removed at the end */
	/* With PROXY_ATTACH_READY: a machine that had less than @machine_cpu_ms of processor time, and runs, is waited for
	 * longer than @timeout_ms, up to PROXY_STARVED_TIMES as long. 0: unknown. */
	uint32_t machine_pid, machine_cpu_ms;
	uint64_t token[3]; /* of stdin, stdout, stderr; 0: the process gets /dev/null */
	char container_id[1025];
	char exec_id[129];
	char fs_device[32];
	char share_prefix[24];
};

struct proxy_signal {
	struct proxy_hdr hdr;
	uint32_t signo;
	uint32_t all; /* every process of the container */
};

/* A packed UpdateRequest or UpdateDisksRequest, for this container. */
#define PROXY_MAX_UPDATE 16384
struct proxy_update {
	struct proxy_hdr hdr;
	uint32_t len;
	uint8_t request[PROXY_MAX_UPDATE];
};

struct proxy_resize {
	struct proxy_hdr hdr;
	uint16_t rows, columns;
	uint32_t pad;
};

/* Every command that needs no more: PROXY_START, PROXY_PS, PROXY_PAUSE, PROXY_STATS … */
struct proxy_simple {
	struct proxy_hdr hdr;
};

/* Answers to PROXY_PS: one each, @more = 1, then one with @more = 0 that holds no process. All of it
 * is the guest's word; text is printable. */
struct proxy_ps {
	struct proxy_hdr hdr;
	uint32_t more;
	uint32_t pid, ppid, uid;
	uint64_t start_ns, cpu_ns;
	uint64_t now_ns; /* the host's clock since the guest's boot, about */
	uint64_t virtual_bytes, resident_bytes;
	uint32_t resident_permille, threads;
	char state[8];
	char name[72];
	char tty[32];
	char command[1024];
};

struct proxy_stats {
	struct proxy_hdr hdr;
	char text[232]; /* hdr.rc < 0: one printable line */
	struct agent_stats s; /* the guest's word */
};

#endif
