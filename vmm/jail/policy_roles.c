// SPDX-License-Identifier: Apache-2.0
/* What the control, io, disk and vcpu threads do besides. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/vhost.h>

#include "vmm/hv/hv.h"
#include "vmm/jail/policy.h"

/* evloop_batch(). */
#define BATCH \
	{ "sched_getscheduler", "whether its policy is to be chosen here", {}, 0 }, \
	{ "sched_setscheduler", "requests in company are waited for", { ARG32(0, 0), ARG32(1, SCHED_BATCH) }, 0 }, \
	{ "sched_setscheduler", "a request alone is not", { ARG32(0, 0), ARG32(1, SCHED_OTHER) }, 0 }

const struct jail_rule jail_rules_control[] = {
	{ "recvmsg", "commands, with descriptors", {}, 0 },
	{ "sendmsg", "replies and events, with descriptors", {}, 0 },
	{ "accept4", "clients of a listening socket that was given", {}, 0 },
	{ "getsockopt", "is a new client's descriptor the socket it should be; its room", {}, 0 },
	{ "ioctl", "events that a client has not read", { ARG32(1, SIOCOUTQ) }, 0 },
	{ "fcntl", "non-blocking", { ARG32(1, F_SETFL) }, 0 },
	{ "fcntl", "non-blocking", { ARG32(1, F_GETFL) }, 0 },
	{ "mincore", "what the guest used of its memory, to look for its last words", {}, 0 },
	{ "tgkill", "a vcpu leaves the guest", { ARG32(2, HV_KICK_SIGNAL) }, 0 },
	{ "statx", "what a new share is", {}, 0 },
	{ "fstatfs", "what a new share lies on", {}, 0 },
	{ NULL, NULL, {}, 0 },
};

const struct jail_rule jail_rules_io[] = {
	{ "readv", "a stream into guest memory", {}, 0 },
	{ "writev", "guest memory into a stream", {}, 0 },
	{ "recvfrom", "a stream into guest memory", {}, 0 },
	{ "sendto", "a buffer into a stream that is connected; no address",
	  { { .arg = 4, .mask = ~0ull, .value = 0 } }, 0 },
	{ "recvmsg", "a stream into guest memory", {}, 0 },
	{ "sendmsg", "guest memory into a stream", {}, 0 },
	{ "shutdown", "half-closed streams", {}, 0 },
	{ "socketpair", "host end of a connection to the guest", { ARG32(0, AF_UNIX) }, 0 },
	{ "getsockopt", "is a descriptor a socket; its error", {}, 0 },
	{ "fcntl", "non-blocking", { ARG32(1, F_SETFL) }, 0 },
	{ "fcntl", "non-blocking", { ARG32(1, F_GETFL) }, 0 },
	{ "ioctl", "bytes waiting in a stream", { ARG32(1, FIONREAD) }, 0 },
	{ "ioctl", "is a descriptor that was given a tap", { ARG32(1, TUNGETIFF) }, 0 },
	{ "ioctl", "a tap's frames have virtio's header", { ARG32(1, TUNSETVNETHDRSZ) }, 0 },
	{ "ioctl", "what the guest takes unfinished from a tap", { ARG32(1, TUNSETOFFLOAD) }, 0 },
	{ "ioctl", "queues of a tap that the guest does not use", { ARG32(1, TUNSETQUEUE) }, 0 },
	{ "ioctl", "is a descriptor that was given vhost-net", { ARG32(1, VHOST_GET_FEATURES) }, 0 },
	{ "ioctl", "vhost-net works on this process's memory", { ARG32(1, VHOST_SET_OWNER) }, 0 },
	{ "ioctl", "what the guest took of vhost-net", { ARG32(1, VHOST_SET_FEATURES) }, 0 },
	{ "ioctl", "guest memory for vhost-net", { ARG32(1, VHOST_SET_MEM_TABLE) }, 0 },
	{ "ioctl", "a ring for vhost-net", { ARG32(1, VHOST_SET_VRING_NUM) }, 0 },
	{ "ioctl", "how far a ring came", { ARG32(1, VHOST_SET_VRING_BASE) }, 0 },
	{ "ioctl", "where a ring is", { ARG32(1, VHOST_SET_VRING_ADDR) }, 0 },
	{ "ioctl", "a ring's doorbell", { ARG32(1, VHOST_SET_VRING_KICK) }, 0 },
	{ "ioctl", "a ring's interrupt", { ARG32(1, VHOST_SET_VRING_CALL) }, 0 },
	{ "ioctl", "a ring found malformed", { ARG32(1, VHOST_SET_VRING_ERR) }, 0 },
	{ "ioctl", "a ring's tap, or none", { ARG32(1, VHOST_NET_SET_BACKEND) }, 0 },
	{ "ioctl", "how far vhost-net came", { ARG32(1, VHOST_GET_VRING_BASE) }, 0 },
	BATCH,
	{ NULL, NULL, {}, 0 },
};

/* Nothing here opens anything: what a disk is came as a descriptor. */
const struct jail_rule jail_rules_disk[] = {
	{ "io_uring_enter", "the ring of a disk, which is restricted to its one file before it is enabled", {}, 0 },
	{ "preadv", "a disk into guest memory", {}, 0 },
	{ "pwritev2", "guest memory onto a disk", {}, 0 },
	{ "pwrite64", "zeros onto a disk that cannot make them itself", {}, 0 },
	{ "fdatasync", "a disk's flush", {}, 0 },
	{ "fallocate", "a disk's discard and zeroing", {}, 0 },
	{ "ppoll", "a disk's last requests, with a deadline", {}, 0 },
	BATCH,
	{ "clone", "threads that wait for disks", { ARG32(0, THREAD_FLAGS) }, 0 },
	{ "clone3", "its flags cannot be seen: the library falls back to clone", {}, 38 /* ENOSYS */ },
	{ NULL, NULL, {}, 0 },
};

const struct jail_rule jail_rules_vcpu[] = {
	{ "tgkill", "a vcpu that ends the machine stops the others", { ARG32(2, HV_KICK_SIGNAL) }, 0 },
	{ NULL, NULL, {}, 0 },
};
