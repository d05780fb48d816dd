/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of the agent protocol, enforced by both ends before anything is used. The host kills the VM
 * of an agent that breaks one; an agent answers RESOURCE_EXHAUSTED.
 */
#ifndef AGENT_PROTO_PROTO_LIMITS_H
#define AGENT_PROTO_PROTO_LIMITS_H

#define AGENT_VERSION 1

#define AGENT_PORT_READY   1    /* guest dials host: "I am up" */
#define AGENT_PORT_CONTROL 1024 /* host dials guest: ttrpc */
#define AGENT_PORT_RESOLVER 1026 /* host dials guest: questions to name servers (resolver.h) */
#define AGENT_PORT_FORWARD  1027 /* host dials guest: a connection to a port of the container (forward.h) */
#define AGENT_PORT_UDP      1028 /* host dials guest: datagrams to and from ports of the container (udp.h) */
#define AGENT_PORT_STREAM  1025 /* host dials guest: u64 token, then bytes */

#define AGENT_MAX_FRAME       (4u << 20)
#define AGENT_MAX_CONNECTIONS 256 /* one of each container and each exec */
#define AGENT_MAX_FILES       1073741816 /* descriptors of a process: fs.nr_open, as systemd sets it */
#define AGENT_MAX_PROCESSES   4096 /* in one ps reply */
#define AGENT_MAX_CONTAINERS  256
#define AGENT_MAX_EXECS       4096 /* of one container, alive or not yet deleted */
#define AGENT_MAX_ID          1024
#define AGENT_MAX_STRING      4096
#define AGENT_MAX_SERIAL      20 /* of a disk, as virtio has it */
#define AGENT_MAX_DISKS       16 /* in one request */
#define AGENT_MAX_BLOCK_NODES 64 /* among the mounts of a container */
#define AGENT_MAX_ARGS        32768
#define AGENT_MAX_ARG_BYTES   (2u << 20)
#define AGENT_MAX_VALUES      256 /* files of a control group in one request */
#define AGENT_MAX_EXTRA       16 /* streams of a process beyond the three */
#define AGENT_MAX_ACCEPTED    64 /* connections of one listening socket among them, at a time */
#define AGENT_MAX_MOUNTS      4096
#define AGENT_MAX_HOOKS       256
#define AGENT_MAX_GROUPS      65536 /* of a process's user; the kernel's NGROUPS_MAX */
#define AGENT_MAX_DEVICE_RULES 512
#define AGENT_MAX_SUBMOUNTS   1024 /* of one mount */
#define AGENT_MAX_PROPAGATION 64
#define AGENT_MAX_FOLLOWING   32 /* bind mounts of a container that follow the host's mounts, */
#define AGENT_MAX_FOLLOWED    128 /* and those that have come in them, at a time */
#define AGENT_MAX_DATAGRAM    65536 /* bytes of one, on its way to a socket of the host */
#define AGENT_MAX_SOCKETS     64 /* of the host, in one container */
#define AGENT_MAX_PEER_GROUPS 256 /* supplementary ones, of a process that connects to a socket of the host */
#define AGENT_MAX_ERROR_TEXT  400
#define AGENT_MAX_SECCOMP     4096 /* instructions, 8 bytes each; as the kernel's BPF_MAXINSNS */
#define AGENT_MAX_CPU_BYTES   128  /* of a set of CPUs or memory nodes */
#define AGENT_MAX_ID_MAPPINGS 340  /* the kernel's limit */

#define AGENT_MAX_INTERFACES  32
#define AGENT_MAX_ADDRESSES   256 /* of one interface */
#define AGENT_MAX_ROUTES      1024
#define AGENT_MAX_HOPS        64 /* of one route */
#define AGENT_MAX_NEIGHBOURS  1024
#define AGENT_MAX_RULES       256
#define AGENT_MAX_RESOLVERS   4
#define AGENT_DEVICE_MS       5000 /* for a device that was told of to be there */
#define AGENT_PLUG_MS         8000 /* for disks to come into a container, or to be let go of */

#define AGENT_DEADLINE_MS        10000 /* of a call, but Wait */
#define AGENT_CREATE_DEADLINE_MS 60000
#define AGENT_START_DEADLINE_MS  60000 /* husk's: the program is read, where many machines start at a time */
#define AGENT_DELETE_MS          120000 /* of a container's Delete: what its files hold is written back first */
#define AGENT_STREAM_DEADLINE_MS 10000 /* for a stream's connection to arrive */
#define AGENT_UPDATE_MS          30000 /* an Update of limits gives up after this long, and the old ones hold */
#define AGENT_FREEZE_MS          5000  /* a Pause gives up after this long, and all run on */
#define AGENT_DRAIN_MS           10000 /* a Wait answers this long after the end even if output is stuck */

#endif
