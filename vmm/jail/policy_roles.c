// SPDX-License-Identifier: Apache-2.0
/* What the control, io and vcpu threads do besides. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/if_tun.h>

#include "vmm/hv/hv.h"
#include "vmm/jail/policy.h"

/* The C library keeps the first two real-time signals for itself: SIGRTMIN is no constant. */
#define KICK (34 + HV_KICK_SIGNAL)

const struct jail_rule jail_rules_control[] = {
	{ "recvmsg", "commands, with descriptors", {}, 0 },
	{ "sendmsg", "replies and events, with descriptors", {}, 0 },
	{ "accept4", "clients of a listening socket that was given", {}, 0 },
	{ "getsockopt", "is a new client's descriptor the socket it should be", {}, 0 },
	{ "fcntl", "non-blocking", { ARG32(1, F_SETFL) }, 0 },
	{ "fcntl", "non-blocking", { ARG32(1, F_GETFL) }, 0 },
	{ "tgkill", "a vcpu leaves the guest", { ARG32(2, KICK) }, 0 },
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
	{ NULL, NULL, {}, 0 },
};

const struct jail_rule jail_rules_vcpu[] = {
	{ "tgkill", "a vcpu that ends the machine stops the others", { ARG32(2, KICK) }, 0 },
	{ NULL, NULL, {}, 0 },
};
