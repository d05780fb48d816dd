/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device: one const class per type, listed in registry.c, and the part of an instance that
 * the transport shares with it.
 *
 *   created --activate--> active <--resume/quiesce--> quiesced
 *      ^                     |                            |
 *      +-------reset---------+-----------reset------------+      created --destroy--> gone
 *
 * save/load only in `created` (load) or `quiesced`. Every function but config_read/config_write runs
 * on the device's loop thread; those two run there as well or with the transport's lock held, so a
 * device needs no lock of its own. What a guest did wrong is -EBADMSG: the transport sets
 * DEVICE_NEEDS_RESET on this device and logs one line.
 */
#ifndef VMM_VIRTIO_VDEV_H
#define VMM_VIRTIO_VDEV_H

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
	VDEV_FS = 26,
};

#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX     29
#define VIRTIO_F_VERSION_1     32
#define VIRTIO_F_BIT(n)        (1ull << (n))

enum vdev_loop { VDEV_LOOP_IO, VDEV_LOOP_FS };

struct vdev;

struct vdev_class {
	const char *name;          /* also the snapshot section's name: never renamed */
	uint16_t device_id;
	uint16_t queue_max;        /* largest ring offered */
	uint32_t config_len;       /* bytes of device configuration */
	uint64_t features;         /* device bits; transport bits are added by the transport */
	uint16_t snap_ver;
	enum vdev_loop loop;
	size_t size;               /* of the instance struct whose first member is struct vdev */
	/* @cfg: the class's own config struct (descriptors, never paths); descriptors in it become the
	 * device's on success. Sets d->nqueues (and may narrow d->features). */
	int (*create)(struct vdev *d, const void *cfg, struct err *e);
	void (*destroy)(struct vdev *d);                 /* accepts a half-created device */
	int (*activate)(struct vdev *d, struct err *e);  /* DRIVER_OK; d->vq[] are validated */
	void (*reset)(struct vdev *d);                   /* back to the state after create() */
	int (*kick)(struct vdev *d, unsigned q);         /* 0, or -EBADMSG: needs reset */
	void (*config_read)(const struct vdev *d, uint32_t off, void *dst, size_t len);
	void (*config_write)(struct vdev *d, uint32_t off, const void *src, size_t len);
	int (*quiesce)(struct vdev *d, struct err *e);   /* idempotent; nothing in flight on return */
	void (*resume)(struct vdev *d);
	int (*save)(const struct vdev *d, struct snap_w *w, struct err *e);
	int (*load)(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e);
};

/* What a transport does for a device. Any thread. */
struct vdev_transport {
	void (*irq_queue)(struct vdev *d, unsigned q);
	void (*irq_config)(struct vdev *d);
	void (*needs_reset)(struct vdev *d, const char *why);
};

struct vdev {
	const struct vdev_class *cls;
	char id[32];                   /* "_vsock0": names it in logs, events and snapshots */
	uint64_t offered, acked;       /* feature bits; acked is frozen at FEATURES_OK */
	unsigned nqueues;
	struct vq *vq;                 /* [nqueues]; ready ones were set up by the driver */
	const struct gmem *mem;
	struct evloop *loop;
	bool active;
	const struct vdev_transport *transport;
	void *transport_priv;
};

extern const struct vdev_class *const vdev_classes[]; /* NULL-terminated, virtio/registry.c */

/* Allocates and creates; @mem and @loop must outlive it. */
int vdev_new(struct vdev **ret, const struct vdev_class *cls, const char *id, const void *cfg,
	     const struct gmem *mem, struct evloop *loop, struct err *e);
void vdev_free(struct vdev *d);

/* After vq_push(): interrupts the driver if it wants it. */
void vdev_signal(struct vdev *d, unsigned q);
void vdev_config_changed(struct vdev *d);
/* For asynchronous paths that find a malformed ring outside kick(). */
void vdev_needs_reset(struct vdev *d, const char *why);
static inline bool vdev_has(const struct vdev *d, unsigned bit)
{
	return d->acked & VIRTIO_F_BIT(bit);
}

#endif
