/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net (VIRTIO 1.2, section 5.1): queue pairs on taps, a control queue. Which features, how many
 * pairs and how large the rings are is fixed when the device is made; taps come and go (net_attach(),
 * net_detach()): without, the link is down and what the guest sends is dropped.
 *
 * Frames go from guest memory to the tap and back by one system call each, without a copy of ours.
 * Headers are the tap's to check. What neither side takes is dropped and counted.
 */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

#include "vmm/backend/ratelimit.h"
#include "vmm/backend/tap.h"
#include "vmm/virtio/vdev.h"

#define NET_MAX_PAIRS 16

/* What is offered to the driver in both directions. All but the first need the first. */
enum net_offload {
	NET_CSUM = 1u << 0,
	NET_TSO = 1u << 1,
	NET_UFO = 1u << 2,
	NET_USO = 1u << 3,
	NET_OFFLOADS = 15,
};

struct net_cfg {
	uint8_t mac[6];      /* unicast, not 0 */
	uint16_t mtu;        /* 68 …; 0: the guest is told none */
	unsigned pairs;      /* 1 … NET_MAX_PAIRS */
	uint16_t queue_size; /* a power of two, 2 … VQ_MAX_SIZE */
	uint32_t offloads;   /* enum net_offload */
	struct rate_cfg rate;      /* of each direction; all pairs together */
	const struct tap_ops *ops; /* NULL: taps */
};

extern const struct vdev_class net_class; /* cfg: struct net_cfg */

struct net_attachment {
	int fd[NET_MAX_PAIRS]; /* as many as pairs, the device's on success */
	unsigned nfds;
	/* Descriptors of /dev/vhost-net, as many, or vhost false: the kernel serves the queues. Then there are
	 * no limits, counters and filters: whoever is limited cannot have it. */
	int vhost_fd[NET_MAX_PAIRS];
	bool vhost;
	const uint8_t *mac;    /* NULL: stays */
	uint16_t mtu;          /* 0: stays */
	bool link;
};

struct net_counters {
	uint64_t rx_frames, rx_bytes, rx_dropped; /* to the guest */
	uint64_t tx_frames, tx_bytes, tx_dropped; /* from it */
};

struct net_state {
	bool attached, link; /* link: what the guest is told */
	uint8_t mac[6];
	uint16_t mtu;
	unsigned pairs_used;
	struct net_counters counters;
};

/* These run on the device's loop. */

/* -EBUSY: there are taps already; -EINVAL with a text: not as many as pairs, no taps, or a tap that
 * lacks what the guest was promised. A driver that can is told to announce itself. */
int net_attach(struct vdev *d, const struct net_attachment *a, struct err *e);
/* Closes the taps; 0, or -ENOTCONN when there are none. */
int net_detach(struct vdev *d, struct err *e);
void net_set_link(struct vdev *d, bool up);
void net_state(const struct vdev *d, struct net_state *ret);

#endif
