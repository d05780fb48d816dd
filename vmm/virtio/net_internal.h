/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the network device share. For the device's own sources.
 *
 * Receiving: chains are popped ahead of frames into a stash of segments (net_rx.c), and a frame is read
 * straight into it. A frame that found too little room waits in the pair's spill until there is more.
 */
#ifndef VMM_VIRTIO_NET_INTERNAL_H
#define VMM_VIRTIO_NET_INTERNAL_H

#include "vmm/virtio/batch.h"
#include "vmm/virtio/net.h"

/* Feature bits, section 5.1.3. */
enum {
	NET_F_CSUM = 0,
	NET_F_GUEST_CSUM = 1,
	NET_F_CTRL_GUEST_OFFLOADS = 2,
	NET_F_MTU = 3,
	NET_F_MAC = 5,
	NET_F_GUEST_TSO4 = 7,
	NET_F_GUEST_TSO6 = 8,
	NET_F_GUEST_ECN = 9,
	NET_F_GUEST_UFO = 10,
	NET_F_HOST_TSO4 = 11,
	NET_F_HOST_TSO6 = 12,
	NET_F_HOST_ECN = 13,
	NET_F_HOST_UFO = 14,
	NET_F_MRG_RXBUF = 15,
	NET_F_STATUS = 16,
	NET_F_CTRL_VQ = 17,
	NET_F_CTRL_RX = 18,
	NET_F_CTRL_VLAN = 19,
	NET_F_CTRL_RX_EXTRA = 20,
	NET_F_GUEST_ANNOUNCE = 21,
	NET_F_MQ = 22,
	NET_F_CTRL_MAC_ADDR = 23,
	NET_F_GUEST_USO4 = 54,
	NET_F_GUEST_USO6 = 55,
	NET_F_HOST_USO = 56,
};

/* What the driver takes unfinished: the bits of CTRL_GUEST_OFFLOADS too. */
#define NET_GUEST_OFFLOADS                                                                        \
	(VIRTIO_F_BIT(NET_F_GUEST_CSUM) | VIRTIO_F_BIT(NET_F_GUEST_TSO4) |                        \
	 VIRTIO_F_BIT(NET_F_GUEST_TSO6) | VIRTIO_F_BIT(NET_F_GUEST_ECN) |                         \
	 VIRTIO_F_BIT(NET_F_GUEST_UFO) | VIRTIO_F_BIT(NET_F_GUEST_USO4) |                         \
	 VIRTIO_F_BIT(NET_F_GUEST_USO6))

enum { NET_S_LINK_UP = 1, NET_S_ANNOUNCE = 2 };

/* Ethernet header and one VLAN tag; the largest frame that offloads make. */
#define NET_ETH_HEADER 18
#define NET_MAX_FRAME  (TAP_HEADER + NET_ETH_HEADER + 65536)
/* Filters look at no more than this: header, two addresses, a tag. */
#define NET_PEEK       (TAP_HEADER + 18)

/* A turn of one queue, then other devices have theirs. */
#define NET_TURN_FRAMES 64
#define NET_TURN_BYTES  (512u << 10)

/* One chain of the stash. */
struct net_buf {
	uint16_t head;
	uint16_t nsegs;
	uint32_t len;
};

struct net_rx {
	struct iovec iov[VQ_MAX_SEGS + 1]; /* [first_seg, end_seg) is the stash; one more for the spill */
	gpa_t at[VQ_MAX_SEGS];
	struct net_buf buf[VQ_MAX_SIZE]; /* [first, end) */
	unsigned first_seg, end_seg, first, end;
	uint64_t room;   /* bytes of the stash */
	bool starved;    /* no chains; the tap is not looked at until the driver kicks */
	uint8_t *spill;  /* NET_MAX_FRAME bytes */
	size_t spilled;  /* a frame of that many waits there */
};

/* A ring that the kernel serves. */
struct net_ring {
	struct evsrc call; /* its interrupts; in the loop where the transport cannot take them itself */
	struct net_pair *p;
	unsigned q;
	bool lent, started;
};

struct net_pair {
	struct net *n;
	unsigned index;
	struct evsrc tap; /* fd -1: none */
	uint32_t watched; /* the events it is in the loop for; 0: it is not */
	bool on;          /* the tap's queue is */
	bool tx_full;     /* the tap takes no frame now */
	bool rx_held, tx_held; /* a bucket is empty; the device's timer is set */
	struct batch rx_batch, tx_batch;
	/* The kernel in our place: net_vhost.c. */
	int vhost_fd;             /* -1: none */
	bool lent;                /* the rings are the kernel's now */
	struct net_ring ring[2];  /* to the guest, and from it */
	struct evsrc error;       /* the kernel found one malformed */
	struct net_rx rx;
};

/* Which frames the driver wants to have. Defaults: all. */
#define NET_FILTER_MACS 64
struct net_filter {
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	bool many_uni, many_multi; /* more than fit: all */
	uint16_t nuni, nmulti;
	uint8_t uni[NET_FILTER_MACS][6], multi[NET_FILTER_MACS][6];
	uint8_t vlan[4096 / 8]; /* bit set: wanted */
};

struct net {
	struct vdev d;
	const struct tap_ops *ops;
	unsigned pairs;
	uint32_t offloads;
	unsigned pairs_used; /* 1 until the driver asks for more */
	bool attached, link_wanted;
	bool tap_gone; /* and soon detached */
	bool vhost;            /* while attached */
	uint64_t vhost_features;
	unsigned tap_offloads; /* what the taps can take */
	uint64_t guest_offloads; /* bits of NET_GUEST_OFFLOADS in force */
	bool announce;         /* when the device runs again */
	unsigned announces;    /* that are still to be made */
	struct net_filter filter;
	struct rate_limit rx_rate, tx_rate;
	struct evtimer rate_timer, announce_timer, lent_timer;
	uint64_t rate_at;      /* when the first goes off; 0: not set */
	uint64_t base_mac;     /* the one to go back to at a reset */
	/* What config_read sees: any thread. */
	_Atomic uint64_t mac;
	_Atomic uint16_t status, mtu;
	struct {
		_Atomic uint64_t frames, bytes, dropped;
	} rx, tx;
	struct vq_chain chain;
	struct vq_chain ctrl_chain; /* of its own: a command may make queues run */
	struct iovec iov[VQ_MAX_SEGS];
	struct net_pair pair[NET_MAX_PAIRS]; /* what is not used is never touched */
};

static inline struct net *to_net(struct vdev *d)
{
	return container_of(d, struct net, d);
}

/* Loop thread alone writes counters. */
static inline void net_count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* Whether frames may move: false while quiesced, broken or not started. */
static inline bool net_runs(const struct net *n)
{
	return n->d.active && !n->d.quiesced && !atomic_load(&n->d.broken);
}

/* Whether pair @i's tap can be used. */
static inline bool net_linked(const struct net *n, unsigned i)
{
	return n->attached && !n->tap_gone && i < n->pairs_used && n->pair[i].on;
}

/* net_state.c */
int net_save(const struct vdev *d, struct snap_w *w, struct err *e);
int net_load(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e);

/* net_link.c */
/* Brings what is looked at in the loop in line with the pair's state. */
void net_watch(struct net_pair *p);
void net_unwatch_all(struct net *n);
/* A system call said that the tap is gone. */
void net_lost(struct net *n);
/* Tells the taps which pairs and which offloads are in force. A negative errno: some pair cannot be, and stays off. */
int net_apply_pairs(struct net *n);
void net_apply_offloads(struct net *n);
/* Sets the timer; the caller has marked the pair. */
void net_hold(struct net *n, uint64_t ns);
void net_announce_acked(struct net *n);
int net_link_init(struct net *n, struct err *e);
void net_link_done(struct net *n);
void net_link_start(struct net *n); /* activated or resumed */
void net_link_stop(struct net *n);

/* net_vhost.c */
void net_vhost_init(struct net_pair *p);
int net_vhost_check(struct net *n, const struct net_attachment *a, struct err *e);
/* Hands the rings of a pair that is in use over; does nothing if they are, or there is no vhost. */
void net_vhost_start(struct net_pair *p);
/* Takes them back. @go_on: they are served by us from now on. */
void net_vhost_stop(struct net_pair *p, bool go_on);
void net_vhost_close(struct net_pair *p);

/* net_rx.c. 0: nothing to do until the tap, the driver or the clock says so; 1: more; -EBADMSG. */
int net_rx_run(struct net_pair *p);
void net_rx_return(struct net_pair *p); /* gives the stash back to the ring */
void net_rx_reset(struct net_pair *p);  /* forgets it, and the spill */

/* net_tx.c, likewise. */
int net_tx_run(struct net_pair *p);

/* net_ctrl.c */
int net_ctrl_run(struct net *n);
unsigned net_ctrl_queue(const struct net *n);

/* net_filter.c */
void net_filter_reset(struct net_filter *f);
/* @head: the first NET_PEEK bytes of the frame, or all. */
bool net_filter_wants(const struct net *n, const uint8_t *head, size_t len);

#endif
