/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native control protocol of husk-machine: SOCK_SEQPACKET, one message a packet, fixed-size
 * structs in host byte order (both ends are on one host), descriptors by SCM_RIGHTS. Included by
 * the machine, by its front husk-vmm and by the runtime; it depends on nothing else of the VMM.
 *
 * Every packet starts with struct nc_hdr. A request is answered by exactly one reply with the same cmd
 * (NC_REPLY set) and id; rc 0 or a negative errno. Events come unasked with id 0, to clients that
 * subscribed. A packet whose size is not the one of its command is refused with -EBADMSG. A reply with
 * rc < 0 is always a struct nc_error, whatever the command.
 *
 * A client holds a mask of command classes; inherited descriptor 3 is the first client, holds all and
 * is a lifeline: who starts a machine and dies before handing a lifeline on leaves none behind.
 */
#ifndef VMM_CONTROL_NATIVE_H
#define VMM_CONTROL_NATIVE_H

#include <stdint.h>

#define NC_VERSION     1
#define NC_MAX_MESSAGE 65536
#define NC_MAX_FDS     32

enum nc_cmd {
	NC_HELLO = 1,
	NC_CREATE = 2,      /* describe the machine: nc_create + descriptors */
	NC_BOOT = 3,        /* last stage of the jail, then the first guest instruction */
	NC_CONNECT = 4,     /* vsock connection to a guest port; reply carries one stream descriptor */
	NC_SHARE_ADD = 5,   /* + one descriptor */
	NC_SHARE_REMOVE = 6,
	NC_PAUSE = 7,
	NC_RESUME = 8,
	NC_QUIT = 9,        /* stop the guest at once and exit; the reply is sent first */
	NC_INFO = 10,
	NC_CLIENT_ADD = 11, /* + one SEQPACKET descriptor: a further client with a mask */
	NC_SUBSCRIBE = 12,
	NC_POWER_BUTTON = 13,
	NC_HOST_PORT = 14,  /* answers NC_EV_HOST_PORT; rc 0: + one connected stream socket */
	NC_NET_ATTACH = 15, /* nc_net_attach + the taps: a network device gets its link */
	NC_NET_DETACH = 16, /* nc_named: and loses it; the taps are closed */
	NC_NET_LINK = 17,   /* nc_net_link: up or down while it has taps */
	NC_NET_INFO = 18,   /* nc_named, answered by nc_net_info */
	NC_DEVICE_ADD = 19, /* nc_device_add + its descriptors, answered by nc_device_place */
	NC_DEVICE_REMOVE = 20, /* nc_named */
	NC_BALLOON = 21,    /* resize a balloon, and what is known of it: nc_balloon, answered by nc_balloon_reply */
	NC_MEMORY = 22,     /* what the machine has and can have: answered by nc_memory_reply */
	/* The next free number is 23. */
	NC_CONSOLE = 40,    /* the first console: nc_console + one or two stream sockets */
	NC_LEAVE = 41,      /* of a lifeline, which stops being one; the last one ends the machine as NC_QUIT does.
			     * Answered by nc_leave_reply first */
	NC_EVENT = 64,
};
#define NC_REPLY 0x8000u

enum nc_class {           /* what a client may do */
	NC_MAY_CONNECT = 1u << 0,
	NC_MAY_SHARE = 1u << 1,
	NC_MAY_RUN = 1u << 2,    /* create boot pause resume quit power-button */
	NC_MAY_WATCH = 1u << 3,  /* info subscribe */
	NC_MAY_DELEGATE = 1u << 4,
	NC_LIFELINE = 1u << 5,   /* the machine quits when the last client with this bit is gone */
	NC_MAY_QUIT = 1u << 6,
	NC_MAY_DEVICES = 1u << 7, /* add and remove devices, attach networks */
	NC_MAY_ALL = 0xff & ~(1u << 5),
};

struct nc_hdr {
	uint16_t version;
	uint16_t cmd;
	uint32_t id;
	int32_t rc;    /* replies: 0 or -errno; requests: 0 */
	uint32_t size; /* of the whole packet */
};

/* Index into the descriptors of NC_CREATE, -1: none. Each descriptor is referred to exactly once. */
typedef int32_t nc_fd;

#define NC_MAX_DEVICES 64
enum nc_dev_type {
	NC_DEV_NONE = 0,
	NC_DEV_CONSOLE = 1,
	NC_DEV_RNG = 2,
	NC_DEV_VSOCK = 3,
	NC_DEV_FS = 4,
	NC_DEV_NET = 5,
	NC_DEV_DISK = 8,
	NC_DEV_BALLOON = 9,
	NC_DEV_MEM = 10,
};

/* A token bucket: size tokens at most, filled from empty in refill_ms; burst more are there once, at
 * the beginning. size 0: no limit. */
struct nc_bucket {
	uint64_t size, burst, refill_ms;
};

/* What a guest sees of a network device. Its taps come by NC_NET_ATTACH, before the guest runs or at any
 * time later; without, its link is down. */
struct nc_net {
	uint8_t mac[6];
	uint16_t mtu;            /* 68 …; 0: the guest is told none, and NC_NET_ATTACH cannot tell it one */
	uint32_t pairs;          /* of queues, 1 … 16 */
	uint32_t queue_size;     /* a power of two, 2 … 1024 */
	uint32_t offloads;       /* NC_NET_…; the taps must be able to */
	uint32_t pad;
	struct nc_bucket bytes, frames; /* limits of each direction, all queues together */
};
#define NC_NET_CSUM (1u << 0)            /* checksums; the others need it */
#define NC_NET_TSO  (1u << 1)            /* TCP segmentation, IPv4 and IPv6, with ECN */
#define NC_NET_UFO  (1u << 2)            /* UDP fragmentation */
#define NC_NET_USO  (1u << 3)            /* UDP segmentation; kernels from 6.2 on */

/* A disk over a file or block device that its opener measured and locked (lib/diskfile.h). */
struct nc_disk {
	uint64_t size;                   /* bytes */
	nc_fd file;
	uint32_t flags;                  /* NC_DISK_… */
	uint32_t block_size, phys_size;
	uint32_t queues, queue_size;     /* queue_size: a power of two */
	char serial[20];                 /* filled up with NULs */
	uint32_t pad;
	struct nc_bucket bytes, ops;     /* limits of all queues together */
};
#define NC_DISK_READONLY (1u << 0)
#define NC_DISK_DIRECT   (1u << 1)       /* the descriptor is O_DIRECT */
#define NC_DISK_DISCARD  (1u << 2)       /* the guest may give ranges back */
#define NC_DISK_NO_URING (1u << 3)

#define NC_BALLOON_OOM     (1u << 0)      /* the guest may take from it rather than kill */
#define NC_BALLOON_REPORT  (1u << 1)      /* free pages are reported and given back */
#define NC_BALLOON_STATS   (1u << 2)      /* the guest tells statistics; a queue more to set up */

struct nc_device {
	uint32_t type;       /* enum nc_dev_type */
	int32_t slot;        /* PCI slot, -1: first free */
	char id[32];
	union {
		struct { nc_fd in, out; } console;       /* out -1: output is dropped (and kept in the ring) */
		struct { nc_fd src; } rng;               /* -1: getrandom(2) */
		struct {
			uint64_t cid;                    /* 3 … 2^32-2 */
			nc_fd ready;                     /* stream socket that guest -> host port 1 is bridged to;
							    -1: none */
			uint32_t host_ports;             /* 1: other guest -> host connections are asked for by
							    NC_EV_HOST_PORT; 0: refused */
		} vsock;
		struct { char tag[36]; uint32_t queues; } fs;
		struct nc_net net;
		struct nc_disk disk;
		struct { uint64_t size; uint32_t flags; } balloon; /* bytes; NC_BALLOON_… */
		struct { uint64_t size, requested; } mem; /* bytes, whole NC_MEM_GRANULEs: what can come beyond nc_create's
							   * memory, and how much of it the guest is asked to take */
		uint8_t pad[192];
	};
};

/* There is no "restart on reset" here: a reset ends the machine with NC_END_RESET, and a front that wants
 * another one starts a fresh process with the descriptors it kept. So a reboot leaves nothing of what
 * a guest did to the old process, and the jail need not allow building a machine. */
struct nc_create {
	struct nc_hdr hdr;
	uint32_t vcpus, max_vcpus;
	uint64_t memory;         /* bytes */
	uint32_t flags;
	uint32_t log_level;      /* enum log_level; 0: warnings */
	nc_fd kvm, kernel, initramfs;
	nc_fd log;               /* descriptor for log lines; -1: inherited stderr */
	nc_fd serial_in, serial_out; /* 16550; both -1: no such device */
	nc_fd debug_out;         /* port 0xe9 */
	uint32_t ndevices;
	uint32_t log_json;       /* log lines as JSON objects */
	uint32_t pad;
	char name[64];           /* shown in logs and the process's name */
	char cmdline[4096];
	struct nc_device dev[NC_MAX_DEVICES];
};
#define NC_CREATE_MERGEABLE  (1u << 0)
#define NC_CREATE_THP        (1u << 1)
#define NC_CREATE_NO_JAIL    (1u << 2) /* refused unless built for debugging */
#define NC_CREATE_PVPANIC    (1u << 3) /* PCI device by which a guest kernel reports its panic */
#define NC_CREATE_MAP_FILES  (1u << 4) /* kernel and initramfs are mapped, not copied: machines share their
					* pages. Only for files that are replaced, never written to */
#define NC_CREATE_CFG_MEMORY (1u << 5) /* PCI configuration space is memory that the guest reads without an
					* exit: by ECAM alone, not by ports, and without virtio's window */
#define NC_CREATE_DISKS_COME (1u << 15) /* disks may be added when the guest runs: their thread, which cannot be
					* made any more by then, is there from the start */

struct nc_connect {
	struct nc_hdr hdr;
	uint32_t port;
	uint32_t timeout_ms;
};

struct nc_host_port {
	struct nc_hdr hdr;
	uint64_t token;
	int32_t error;           /* 0: a descriptor is there; else a negative errno and none is */
	uint32_t pad;
};

struct nc_share {
	struct nc_hdr hdr;
	char device[32];         /* id of the fs device */
	char name[64];
	uint32_t flags;          /* enum fs_share_flags */
	uint32_t common;         /* not 0: one with those of this number, flags and file (fs_share_add_common()) */
};

/* Commands that name a device and nothing else. */
struct nc_named {
	struct nc_hdr hdr;
	char device[32];
};

/* Taps (IFF_TAP, IFF_NO_PI, IFF_VNET_HDR; IFF_MULTI_QUEUE where there are several), one descriptor a queue
 * pair. A guest whose driver can is told to announce itself. */
struct nc_net_attach {
	struct nc_hdr hdr;
	char device[32];
	uint32_t flags;          /* NC_NET_ATTACH_… */
	uint8_t mac[6];          /* all 0: stays. A driver at work does not look at it again */
	uint16_t mtu;            /* 0: stays; likewise */
};
#define NC_NET_ATTACH_DOWN  (1u << 0)    /* the guest sees no carrier until NC_NET_LINK */
#define NC_NET_ATTACH_VHOST (1u << 1)    /* as many descriptors of /dev/vhost-net follow: the kernel moves the
					  * frames. No limits, no counters, and no filter but the tap's */

struct nc_net_link {
	struct nc_hdr hdr;
	char device[32];
	uint32_t up;
	uint32_t pad;
};

struct nc_net_info {
	struct nc_hdr hdr;
	uint32_t attached, link; /* link: as the guest is told */
	uint32_t pairs_used;
	uint8_t mac[6];          /* the driver may have changed it */
	uint16_t mtu;
	uint64_t rx_frames, rx_bytes, rx_dropped; /* to the guest */
	uint64_t tx_frames, tx_bytes, tx_dropped; /* from it */
};

/* A device appears on the bus of a machine that is there already: whole, at once, but the guest is to
 * look for it (/sys/bus/pci/rescan). Types that can: net; disk, of a machine made with NC_CREATE_DISKS_COME and up
 * to NC_MAX_DISKS of them, without a ring of its own (NC_DISK_NO_URING), since none can be made any more. It may be
 * removed whether the guest has let go of it or not; the reply to that comes when its descriptors are closed, or,
 * should the host's disk not answer for 10 s, when it is certain that they will be as soon as that disk has answered. */
#define NC_MAX_DISKS 16 /* those from the start count */
struct nc_device_add {
	struct nc_hdr hdr;
	struct nc_device dev;
};
struct nc_device_place {         /* reply */
	struct nc_hdr hdr;
	uint32_t segment, slot;  /* bus 0, function 0 */
};

/* The first descriptor is sent what the console has kept and then all it says; from the second, where there is one, comes its
 * input. -EBUSY: it has all the watchers it can have; -EEXIST: it has an input. */
struct nc_console {
	struct nc_hdr hdr;
	uint32_t once;           /* 1: what it has kept, then the descriptor is closed */
	uint32_t pad;
};

#define NC_BALLOON_KEEP UINT64_MAX
struct nc_balloon {
	struct nc_hdr hdr;
	char device[32];         /* id of the balloon */
	uint64_t size;           /* bytes that the guest is asked for; NC_BALLOON_KEEP: as it is */
};
struct nc_balloon_reply {
	struct nc_hdr hdr;
	uint64_t target, actual; /* bytes; what the guest says that it gave */
	uint64_t inflated, reported; /* bytes given back so far, by the balloon and as free pages */
	uint64_t stat[16];       /* VIRTIO 1.2, 5.5.6.4, as last told; each question brings new ones */
	uint32_t stat_set;       /* bit n: stat[n] is known */
	uint32_t pad;
};

/* There is one such device at most. Its size is cut to what the guest's addresses hold and the host lets be reserved, down to
 * none: then there is no device. */
#define NC_MEM_GRANULE  (128u << 20)
struct nc_memory_reply {
	struct nc_hdr hdr;
	uint64_t boot;           /* bytes that the machine began with */
	uint64_t later, plugged; /* what can come beyond them, and how much of it the guest has taken */
};

struct nc_client_add {
	struct nc_hdr hdr;
	uint32_t mask;           /* enum nc_class */
	uint32_t listening;      /* 1: the descriptor is a listening socket; each connection is a client */
};

struct nc_leave_reply {
	struct nc_hdr hdr;
	uint32_t left;           /* lifelines that there still are */
	uint32_t pad;
};

enum nc_state { NC_STATE_NEW, NC_STATE_CREATED, NC_STATE_RUNNING, NC_STATE_PAUSED, NC_STATE_ENDED };

/* Why a guest ended; also husk-machine's exit status is 0 for POWEROFF, RESET and QUIT, else 1. */
enum nc_end {
	NC_END_NONE,
	NC_END_POWEROFF,
	NC_END_RESET,
	NC_END_TRIPLE_FAULT,
	NC_END_PANIC,        /* the guest kernel said so */
	NC_END_VCPU_ERROR,
	NC_END_QUIT,
	NC_END_HOST_ERROR,
};

struct nc_info_reply {
	struct nc_hdr hdr;
	uint32_t state;          /* enum nc_state */
	uint32_t end;            /* enum nc_end */
	uint32_t vcpus;
	uint32_t ndevices;
	uint64_t memory;
	uint64_t exits;          /* VM exits handled in user space, all vCPUs */
	uint64_t start_ns[8];    /* time line, CLOCK_MONOTONIC: see enum nc_stamp */
};
enum nc_stamp { NC_T_START, NC_T_CREATED, NC_T_JAILED, NC_T_FIRST_RUN, NC_T_READY, NC_T_END };

enum nc_event_kind {
	NC_EV_STATE = 1,     /* value: enum nc_state */
	NC_EV_END = 2,       /* value: enum nc_end; always the last */
	NC_EV_READY = 3,     /* the guest connected to its ready port */
	NC_EV_HOST_PORT = 4, /* value: the port that the guest wants; to subscribers with NC_MAY_RUN, of
			      * which one answers by NC_HOST_PORT with the token, within 10 s. The guest is
			      * refused what is beyond 16 questions without an answer */
};
struct nc_event {
	struct nc_hdr hdr;
	uint32_t kind;
	uint32_t value;
	uint64_t token;          /* NC_EV_HOST_PORT */
	char text[240];          /* one line, what happened; escaped */
	char console[4096];      /* NC_EV_END: the last console bytes, printable, NUL-terminated */
};

struct nc_hello {
	struct nc_hdr hdr;
	uint32_t version;
	uint32_t mask;           /* reply: what this client may do */
};

/* Reply with rc < 0. */
struct nc_error {
	struct nc_hdr hdr;
	char text[500];          /* one printable line, NUL-terminated */
	uint32_t pad;
};

struct nc_simple {               /* every command without arguments, every reply without results */
	struct nc_hdr hdr;
};

#endif
