/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device: one const class per type, listed in registry.c, and the part of an instance that
 * the transport shares with it.
 *
 *   created --activate--> active <--resume/quiesce--> quiesced
 *      ^                     |                            |
 *      +-------reset---------+-----------reset------------+      created --destroy--> gone
 *
 * save in `created` or `quiesced`, load in `created`. Every function but config_read runs on the
 * device's loop thread, so a device needs no lock of its own. config_read runs on a vCPU's thread with
 * the transport's lock held: configuration that changes after create() is kept in atomics. What a guest
 * did wrong is -EBADMSG: the transport sets DEVICE_NEEDS_RESET on this device and logs one line.
 *
 * load() of a device that was active: features, queues and d->active are restored before; activate() is
 * not called; the device is left as quiesced, and resume() starts it. resume() is followed by a kick of
 * every ready queue, so a kick that was lost on the way does not matter.
 */
#ifndef VMM_VIRTIO_VDEV_H
#define VMM_VIRTIO_VDEV_H

#include <stdatomic.h>

#include "lib/evloop.h"
#include "vmm/virtio/vq.h"

#define VDEV_MAX_QUEUES 66

/* Device types, VIRTIO 1.2 section 5. */
enum vdev_id {
	VDEV_NET = 1,
	VDEV_BLOCK = 2,
	VDEV_CONSOLE = 3,
	VDEV_RNG = 4,
	VDEV_BALLOON = 5,
	VDEV_VSOCK = 19,
	VDEV_MEM = 24,
	VDEV_FS = 26,
};

#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX     29
#define VIRTIO_F_VERSION_1     32
#define VIRTIO_F_BIT(n)        (1ull << (n))

enum vdev_loop { VDEV_LOOP_IO, VDEV_LOOP_FS, VDEV_LOOP_DISK };

struct vdev;

struct vdev_class {
	const char *name;          /* also the snapshot section's name: never renamed */
	uint16_t device_id;
	uint16_t queue_max;        /* largest ring offered, unless create() narrows d->queue_max */
	uint32_t config_len;       /* bytes of device configuration */
	uint64_t features;         /* device bits; transport bits are added by the transport */
	uint16_t snap_ver;
	enum vdev_loop loop;
	/* Kicked a few times in its life: each comes as an exit, and the start need not wait until the hypervisor has taken
	 * in one more eventfd (a grace period). */
	bool rare_kicks;
	size_t size;               /* of the instance struct whose first member is struct vdev */
	/* @cfg: the class's own config struct (descriptors, never paths); descriptors in it become the
	 * device's on success. Sets d->nqueues (and may narrow d->offered). */
	int (*create)(struct vdev *d, const void *cfg, struct err *e);
	void (*destroy)(struct vdev *d);                 /* accepts a half-created device */
	int (*activate)(struct vdev *d, struct err *e);  /* DRIVER_OK; d->vq[] are validated */
	/* Back to the state after create(), from any, also from a failed activate() or load(). */
	void (*reset)(struct vdev *d);
	/* 0; 1: more is waiting, call again after others had their turn; -EBADMSG: needs reset */
	int (*kick)(struct vdev *d, unsigned q);
	/* Within config_len. Absent: reads zeros, takes no writes. */
	void (*config_read)(const struct vdev *d, uint32_t off, void *dst, size_t len);
	void (*config_write)(struct vdev *d, uint32_t off, const void *src, size_t len);
	/* Idempotent; only of an active device, as is resume. Nothing is in flight on return. */
	int (*quiesce)(struct vdev *d, struct err *e);
	void (*resume)(struct vdev *d);
	/* Field tags 1 … VDEV_TAG_COMMON - 1 are the class's. */
	int (*save)(const struct vdev *d, struct snap_w *w, struct err *e);
	int (*load)(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e);
};

/* What a transport does for a device. Any thread. */
struct vdev_transport {
	void (*irq_queue)(struct vdev *d, unsigned q);
	void (*irq_config)(struct vdev *d);
	void (*needs_reset)(struct vdev *d, const char *why);
	/* The device's loop alone; both may be NULL. The descriptor that queue @q's kicks come by, for
	 * whoever serves the queue in our place: the loop does not look at it until it is reclaimed, to be
	 * listened to again at once or when the queues are started the next time. */
	int (*lend_kicks)(struct vdev *d, unsigned q);
	void (*reclaim_kicks)(struct vdev *d, unsigned q, bool listen);
	/* The device's loop; both may be NULL. Who writes to the eventfd @fd interrupts the driver for queue @q as irq_queue()
	 * does, without us, until it is reclaimed. 0, or -ENOTSUP where that cannot be. @fallback is called, by any thread and
	 * with locks held, when it cannot be any more: @fd is to be read and passed on by whoever owns it. */
	int (*lend_irq)(struct vdev *d, unsigned q, int fd, void (*fallback)(void *arg), void *arg);
	void (*reclaim_irq)(struct vdev *d, unsigned q);
};

struct vdev {
	const struct vdev_class *cls;
	char id[32];                   /* "_vsock0": names it in logs, events and snapshots */
	uint64_t offered, acked;       /* feature bits; acked is frozen at FEATURES_OK */
	uint16_t queue_max;            /* the class's; create() may make it smaller */
	unsigned nqueues;
	struct vq *vq;                 /* [nqueues]; ready ones were set up by the driver */
	const struct gmem *mem;
	struct evloop *loop;
	bool active;                   /* between activate and reset, quiesced or not */
	bool quiesced;
	atomic_bool broken;            /* needs reset: kicks are ignored */
	const struct vdev_transport *transport; /* NULL: signals go nowhere */
	void *transport_priv;
};

extern const struct vdev_class *const vdev_classes[]; /* NULL-terminated, virtio/registry.c */

/* Allocates and creates; @mem and @loop must outlive it. */
int vdev_new(struct vdev **ret, const struct vdev_class *cls, const char *id, const void *cfg,
	     const struct gmem *mem, struct evloop *loop, struct err *e);
void vdev_free(struct vdev *d);

/* A kick of a queue whose chains are each served at once: @one for each, which is in *@chain, then the driver is told. At most
 * one ring's worth; returns as kick() does. */
int vdev_serve(struct vdev *d, unsigned q, struct vq_chain *chain, void (*one)(struct vdev *d, unsigned q));
/* After vq_push(): interrupts the driver if it wants it. */
void vdev_signal(struct vdev *d, unsigned q);
void vdev_config_changed(struct vdev *d);
/* For asynchronous paths that find a malformed ring outside kick(). */
void vdev_needs_reset(struct vdev *d, const char *why);

/* For transports, on the device's loop thread; the state checks are in here, not in the classes. */
#define VDEV_TAG_COMMON    0x1000 /* …: what vdev_save() writes; a transport's own tags: 0x2000 … */
#define VDEV_TAG_TRANSPORT 0x2000
/* d->acked is set and the enabled queues are initialised. After a failure the device is as created,
 * without queues. */
int vdev_activate(struct vdev *d, struct err *e);
void vdev_forget_queues(struct vdev *d); /* of a device that is not active */
void vdev_reset(struct vdev *d); /* in any state; features and queues are forgotten */
/* Ignored unless active, running and ready. 1: call again later, as of the class. */
int vdev_kick(struct vdev *d, unsigned q);
int vdev_quiesce(struct vdev *d, struct err *e);
void vdev_resume(struct vdev *d); /* the transport kicks every ready queue afterwards */
int vdev_save(struct vdev *d, struct snap_w *w, struct err *e);
/* In state created; a failed load leaves it there. Loads features, queues, then the class's part. */
int vdev_load(struct vdev *d, struct snap_r *r, struct err *e);
/* Any offset and length: what lies past the configuration reads as zeros and is not written. */
void vdev_config_read(const struct vdev *d, uint64_t off, void *dst, size_t len);
void vdev_config_write(struct vdev *d, uint64_t off, const void *src, size_t len);

static inline bool vdev_has(const struct vdev *d, unsigned bit)
{
	return d->acked & VIRTIO_F_BIT(bit);
}

#endif
