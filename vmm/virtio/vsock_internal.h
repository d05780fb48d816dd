/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the vsock device share; included by vmm/virtio/vsock*.c and nobody else. All of
 * it runs on the device's loop thread, but vsock_connect().
 *
 *   vsock.c        the class: life cycle, draining the guest's queue, waking up
 *   vsock_table.c  the table of connections
 *   vsock_conn.c   one connection's states, its time limits
 *   vsock_tx.c     packets from the guest
 *   vsock_buf.c    bytes on their way to a host end
 *   vsock_rx.c     packets to the guest
 *   vsock_host.c   how host ends come to be
 *
 * A connection:
 *
 *   vsock_connect() -> CONNECTING --RESPONSE--> OPEN <--opened-- OPENING <- REQUEST
 *                          |                     | |
 *     RST, time, reset: freed    host end is gone | | guest end is gone, bytes left for the host
 *                                         CLOSING   FLUSHING
 *                     RST sent or received: freed   all written or host end gone: freed
 *
 * Code changes the facts in a connection (what was shut down, read, written) and then calls
 * vsock_conn_settle(), the one place that derives from them what is to be sent, watched and closed.
 */
#ifndef VMM_VIRTIO_VSOCK_INTERNAL_H
#define VMM_VIRTIO_VSOCK_INTERNAL_H

#include <pthread.h>

#include "vmm/virtio/vsock.h"

enum { VSOCK_RXQ, VSOCK_TXQ, VSOCK_EVQ, VSOCK_NQUEUES };

enum vsock_type { VSOCK_TYPE_STREAM = 1 };

enum vsock_op {
	VSOCK_OP_INVALID,
	VSOCK_OP_REQUEST,
	VSOCK_OP_RESPONSE,
	VSOCK_OP_RST,
	VSOCK_OP_SHUTDOWN,
	VSOCK_OP_RW,
	VSOCK_OP_CREDIT_UPDATE,
	VSOCK_OP_CREDIT_REQUEST,
	VSOCK_OP_COUNT,
};

/* Flags of VSOCK_OP_SHUTDOWN: the sender of the packet will not … any more. */
#define VSOCK_SHUT_RCV  1u
#define VSOCK_SHUT_SEND 2u
#define VSOCK_SHUT_BOTH 3u

#define VSOCK_EVENT_TRANSPORT_RESET 0u

/* As it lies in a buffer, little-endian. vsock_hdr_get() and _put() turn it to host order and back. */
struct vsock_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
} __attribute__((packed));
_Static_assert(sizeof(struct vsock_hdr) == 44, "VIRTIO 1.2, 5.10.6");

/*
 * Credit given to the guest for a connection, and so the most that is ever kept for its host end: a
 * guest that keeps to it never loses a byte for want of a buffer. All buffers together are bounded by
 * giving little to whoever comes when VSOCK_LARGE_MAX connections have much. It stays as it is while a
 * connection lasts: what was given cannot be taken back from packets under way.
 */
#define VSOCK_BUF       (256u << 10)
#define VSOCK_BUF_SMALL (16u << 10) /* little beside what the host end's socket itself holds */
#define VSOCK_LARGE_MAX 64u
#define VSOCK_BUFS_KEPT 2u          /* large ones, for the next that needs one */
/* Of all buffers, when every connection that there may be has a host end that takes nothing. */
#define VSOCK_BUFS_BYTES (VSOCK_LARGE_MAX * VSOCK_BUF + (VSOCK_MAX_CONNS - VSOCK_LARGE_MAX) * VSOCK_BUF_SMALL)
_Static_assert(VSOCK_BUFS_BYTES < 80u << 20, "docs/hostile-cases.md says so");
/* Refusals waiting for a receive buffer; when full, the guest's queue is not read. */
#define VSOCK_RST_MAX   256u
/* Receive buffers filled by one recvmsg(2). */
#define VSOCK_BATCH     16u
/* Work for one event, in each direction; then other sources have their turn. */
#define VSOCK_TURN_BYTES   (256u << 10)
#define VSOCK_TURN_PACKETS 512u
#define VSOCK_LINGER_NS    (10ull * 1000000000ull)
/* For an answer to what was asked about a port of the host's; a guest's connect() has given up long before. */
#define VSOCK_OPENING_NS   (10ull * 1000000000ull)
#define VSOCK_HASH         4096u
#define VSOCK_PORT_FIRST   (1u << 30) /* local ports of vsock_connect(): [first, 2 * first) */

enum vsock_conn_state {
	VSOCK_FREE,
	VSOCK_CONNECTING,
	VSOCK_OPENING,
	VSOCK_OPEN,
	VSOCK_CLOSING,
	VSOCK_FLUSHING,
};

/* Packets that a connection wants to send, in the order in which they go. Data is sent before the
 * last three. */
enum vsock_todo {
	VSOCK_TODO_REQUEST = 1 << 0,
	VSOCK_TODO_RESPONSE = 1 << 1,
	VSOCK_TODO_CREDIT_REQUEST = 1 << 2,
	VSOCK_TODO_CREDIT_UPDATE = 1 << 3,
	VSOCK_TODO_SHUTDOWN = 1 << 4,
	VSOCK_TODO_RST = 1 << 5,
};

struct vsock_link {
	struct vsock_link *next, *prev; /* both NULL: in no list */
};

struct vsock_conn {
	struct evsrc src;              /* src.fd: the host end, -1: none */
	struct vsock *v;
	struct vsock_link rx;          /* in v->rx_list: has something for the guest */
	struct vsock_link timed;       /* in v->timed_list: deadline counts */
	uint64_t deadline;
	uint32_t guest_port, host_port;
	uint32_t gen;                  /* changes when the slot is freed: tokens name it */
	uint16_t hash_next;            /* index + 1; in the free list too */
	uint8_t state;                 /* enum vsock_conn_state */
	uint8_t todo;                  /* enum vsock_todo, several */
	uint8_t burst;                 /* receive buffers to fill at the next read */
	bool hashed;
	bool from_guest;               /* who opened it */
	bool request_sent;
	bool readable;                 /* the host end may have bytes or its end of file */
	bool stuck;                    /* and that was told before: stop watching for it */
	bool hup;                      /* host end is shut both ways; not watched any more */
	bool host_eof;                 /* nothing more comes from the host end */
	bool host_deaf;                /* host end takes no more */
	bool guest_done;               /* guest sends no more: SHUTDOWN(SEND) */
	bool guest_deaf;               /* guest takes no more: SHUTDOWN(RCV) */
	bool wr_shut;                  /* guest_done was passed on by shutdown(2) */
	bool credit_asked;
	uint8_t shut_sent;             /* flags of SHUTDOWN that the guest was told */
	uint32_t mask;                 /* what the loop watches */
	/* To the guest: sent by us, taken by it, its room. Free-running. */
	uint32_t tx_cnt, peer_fwd, peer_alloc;
	/* From the guest: its credit (0: not given yet), received, passed on, last told. */
	uint32_t credit, rx_cnt, fwd_cnt, fwd_told;
	struct vsock_buf *buf;         /* NULL: nothing is waiting for the host end */
	/* CONNECTING */
	int peer_fd;                   /* the caller's half of the pair */
	vsock_connected_fn *done;
	void *done_arg;
};

struct vsock_buf {
	struct vsock_buf *next; /* in v->bufs_kept */
	uint32_t head, len, size; /* size: the connection's credit */
	uint8_t data[];
};

struct vsock_request; /* of vsock_connect(), on its way to the loop */

struct vsock_refusal {
	uint64_t src_cid; /* ours, as the guest addressed it */
	uint32_t host_port, guest_port;
	uint16_t type;
};

struct vsock {
	struct vdev d;
	uint64_t cid;
	int ready_fd;         /* -1 also when it was used */
	bool has_ready;
	const struct vsock_ops *ops;
	void *ops_arg;

	struct evsrc again;   /* eventfd: more work for this turn's end, or vsock_connect() */
	struct evtimer timer;
	bool paused;          /* between quiesce and resume */
	bool event_due;       /* TRANSPORT_RESET is owed */
	bool tx_stopped;      /* the guest's queue waits for room for refusals */
	uint64_t timer_at;    /* 0: not armed */

	pthread_mutex_t lock; /* guards incoming */
	struct vsock_request *incoming, **incoming_end;

	struct vsock_conn *conns;
	unsigned max_conns, nconns, nfrom_guest;
	unsigned conns_used;  /* slots from here on were never used */
	uint16_t free_head;   /* index + 1 */
	uint16_t *hash;       /* index + 1 */
	uint32_t next_port;
	struct vsock_link rx_list, timed_list;

	struct vsock_refusal refused[VSOCK_RST_MAX];
	unsigned refused_head, refused_len;
	struct vsock_buf *bufs_kept;
	unsigned nbufs_kept;
	unsigned nlarge;      /* connections whose credit is VSOCK_BUF */
	uint32_t bufs_bytes;  /* of all buffers, kept ones too */
	struct vsock_stats stats;

	/* Scratch, allocated at once and touched by use. */
	struct vq_chain *chain; /* [VSOCK_BATCH] for rx, one more for tx */
	struct iovec *iov;      /* [VQ_MAX_SEGS] */
};

static inline struct vsock *to_vsock(struct vdev *d)
{
	return container_of(d, struct vsock, d);
}

static inline const struct vsock *to_vsock_const(const struct vdev *d)
{
	return (const struct vsock *)(const void *)d; /* its first member */
}

static inline void vsock_link_init(struct vsock_link *l)
{
	l->next = l->prev = l;
}

static inline void vsock_link_del(struct vsock_link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = l->prev = NULL;
}

/* Puts @l last; moves it when it is in the list. */
static inline void vsock_link_last(struct vsock_link *list, struct vsock_link *l)
{
	vsock_link_del(l);
	l->prev = list->prev;
	l->next = list;
	list->prev->next = l;
	list->prev = l;
}

/* vsock.c: makes the loop call us again soon. Any thread. */
void vsock_wake(struct vsock *v);
/* A ring is malformed: tells the transport; for calls that do not come from it. */
void vsock_broke(struct vsock *v);
/* May rings be touched? */
static inline bool vsock_running(const struct vsock *v)
{
	return v->d.active && !v->paused && !atomic_load(&v->d.broken);
}

/* vsock_table.c */
int vsock_conns_init(struct vsock *v, unsigned max, struct err *e);
void vsock_conns_free(struct vsock *v);
struct vsock_conn *vsock_conn_find(struct vsock *v, uint32_t guest_port, uint32_t host_port);
struct vsock_conn *vsock_conn_new(struct vsock *v, uint32_t guest_port, uint32_t host_port,
				  enum vsock_conn_state state, bool from_guest); /* NULL: full */
struct vsock_conn *vsock_conn_by_token(struct vsock *v, uint64_t token);
uint64_t vsock_conn_token(const struct vsock_conn *c);
uint32_t vsock_port_alloc(struct vsock *v, uint32_t guest_port);
void vsock_conn_unhash(struct vsock_conn *c); /* its ports are free from now on */
/* The host's reader gets what was written and then end of file. */
void vsock_conn_close_host(struct vsock_conn *c);
void vsock_conn_free(struct vsock_conn *c); /* closes the host end */

/* vsock_conn.c */
void vsock_conn_event(struct evsrc *src, uint32_t events);
/* Gives the connection its host end, now OPEN. On failure @fd is closed. */
int vsock_conn_open(struct vsock_conn *c, int fd);
void vsock_conn_settle(struct vsock_conn *c); /* may free it */
/* The guest broke a rule, or the host end failed: it is closed, the guest gets RST. */
void vsock_conn_reset(struct vsock_conn *c);
/* The guest gave the connection up (RST, reset of the device). */
void vsock_conn_guest_gone(struct vsock_conn *c);
/* Tells vsock_connect()'s caller and frees; RST to the guest if it knows of the connection. */
void vsock_conn_fail(struct vsock_conn *c, int rc, bool tell_guest);
void vsock_conn_deadline(struct vsock_conn *c, uint64_t at); /* 0: none */
void vsock_timer_fired(struct evtimer *t);
/* The driver was reset, or state is loaded. */
void vsock_conns_reset(struct vsock *v, bool hard);
void vsock_conns_watch(struct vsock *v, bool on); /* for resume and quiesce */
uint32_t vsock_conn_credit(const struct vsock_conn *c); /* bytes that the guest has room for */
uint32_t vsock_conn_shut(const struct vsock_conn *c);   /* flags of SHUTDOWN as things are */

/* vsock_buf.c */
/* Fixes the credit that the guest has for @c, before the first packet that tells it. */
void vsock_buf_give_credit(struct vsock_conn *c);
void vsock_buf_end_credit(struct vsock_conn *c); /* @c ends: others may have it */
/* Takes @len bytes of the chain's payload for the host end: writes, buffers the rest. */
void vsock_buf_take(struct vsock_conn *c, const struct vq_chain *ch, uint32_t len);
void vsock_buf_flush(struct vsock_conn *c);   /* the host end takes bytes again */
void vsock_buf_drop(struct vsock_conn *c);    /* what waits is lost and counts as passed on */
void vsock_bufs_free(struct vsock *v);
static inline bool vsock_buffered(const struct vsock_conn *c)
{
	return c->buf != NULL;
}

/* vsock_tx.c: one chain of the guest's. 0 or -EBADMSG; *ret_bytes: payload. */
int vsock_packet(struct vsock *v, const struct vq_chain *ch, uint32_t *ret_bytes);

/* vsock_rx.c: sends what is due, as far as buffers, credit and the turn go. 0 or -EBADMSG. */
int vsock_pump(struct vsock *v);
int vsock_send_events(struct vsock *v);
void vsock_refuse(struct vsock *v, const struct vsock_hdr *h); /* RST without a connection */
static inline bool vsock_refusals_full(const struct vsock *v)
{
	return v->refused_len == VSOCK_RST_MAX;
}

/* vsock_host.c */
void vsock_on_request(struct vsock *v, const struct vsock_hdr *h);
void vsock_start_incoming(struct vsock *v);
void vsock_cancel_incoming(struct vsock *v);

#endif
