/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's half of vsock over the fake driver: keeps receive buffers in place, makes packets, takes
 * them. A struct vg_conn keeps the guest's credit for one connection; vg_send_hdr() sends whatever
 * one likes. For unit tests and fuzz targets, one thread.
 */
#ifndef TESTS_LIB_VSOCK_GUEST_H
#define TESTS_LIB_VSOCK_GUEST_H

#include "tests/lib/fakedrv.h"
#include "vmm/virtio/vsock_internal.h"

#define VG_CID       42u
#define VG_TX_SLOTS  16u
#define VG_TX_MAX    (68u << 10) /* of a packet, with its header */

struct vg_opts {
	uint64_t features;   /* offered to the device; ~0: all */
	unsigned rx_size;    /* of a receive buffer, with the header; 0: 4096 */
	unsigned rx_segs;    /* pieces it is made of; 0: 1 */
	unsigned rx_bufs;    /* how many; 0: 32 */
	unsigned queue_size; /* 0: 128 */
	bool no_decoy;       /* as of fdv_opts */
	bool split_tx;       /* header and payload in pieces of their own, the header in two */
	struct vsock_cfg cfg; /* cid 0: VG_CID */
};

struct vg {
	struct fakedrv f;
	struct vg_opts o;
	gpa_t rx_at[VQ_MAX_SIZE]; /* by head */
	gpa_t rx_slot[VQ_MAX_SIZE];
	unsigned rx_nfree;
	bool rx_hold;             /* do not give buffers back */
	gpa_t tx_slot[VG_TX_SLOTS];
	int tx_head[VG_TX_SLOTS]; /* -1: free */
	uint32_t buf_alloc;       /* what our packets say */
};

struct vg_pkt {
	struct vsock_hdr h;
	uint32_t used;            /* bytes the device says it wrote */
	uint8_t data[VG_TX_MAX];
};

/* 0 or what create() said. Starts the device unless @stopped. */
int vg_init(struct vg *g, const struct vg_opts *o, bool stopped);
void vg_start(struct vg *g); /* lays out rings and buffers, DRIVER_OK */
void vg_done(struct vg *g);
/* Puts back all buffers that are free, and kicks. */
void vg_restock(struct vg *g);
void vg_add_event_buffer(struct vg *g, gpa_t *ret_at);

/* Sends a packet; false when all slots are in flight (the device does not take them). */
bool vg_send_hdr(struct vg *g, const struct vsock_hdr *h, const void *data, uint32_t len);
struct vsock_hdr vg_hdr(const struct vg *g, unsigned op, uint32_t guest_port, uint32_t host_port,
			uint32_t len, uint32_t flags);
bool vg_send(struct vg *g, unsigned op, uint32_t guest_port, uint32_t host_port, uint32_t flags);
/* The next packet of the device's, waiting at most @ms. */
bool vg_recv(struct vg *g, struct vg_pkt *p, unsigned ms);

struct vg_conn {
	uint32_t guest_port, host_port;
	uint32_t rx_cnt, fwd_cnt;                /* from the host; passed on to the application */
	uint32_t tx_cnt, peer_fwd, peer_alloc;   /* to the host */
	uint32_t shut;                           /* flags the host sent */
	bool open, reset;
};

/* Keeps the books for @p; false when it belongs to another connection. */
bool vg_conn_take(struct vg_conn *c, const struct vg_pkt *p);
/* Sends up to @len bytes as credit allows; returns how many. */
uint32_t vg_conn_send(struct vg *g, struct vg_conn *c, const void *data, uint32_t len);
uint32_t vg_conn_credit(const struct vg_conn *c);
bool vg_conn_op(struct vg *g, struct vg_conn *c, unsigned op, uint32_t flags);

#endif
