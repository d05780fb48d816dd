// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/net.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/io.h"
#include "vmm/virtio/net_internal.h"

/* Device configuration, section 5.1.4, as far as our features go. */
struct config {
	uint8_t mac[6];
	uint16_t status, max_pairs, mtu;
} __attribute__((packed));

#define ALWAYS                                                                                    \
	(VIRTIO_F_BIT(NET_F_MAC) | VIRTIO_F_BIT(NET_F_MRG_RXBUF) | VIRTIO_F_BIT(NET_F_STATUS) |   \
	 VIRTIO_F_BIT(NET_F_CTRL_VQ) | VIRTIO_F_BIT(NET_F_CTRL_RX) |                              \
	 VIRTIO_F_BIT(NET_F_CTRL_VLAN) | VIRTIO_F_BIT(NET_F_CTRL_RX_EXTRA) |                      \
	 VIRTIO_F_BIT(NET_F_GUEST_ANNOUNCE) | VIRTIO_F_BIT(NET_F_CTRL_MAC_ADDR))

static uint64_t features(const struct net_cfg *cfg)
{
	static const struct {
		uint32_t offload;
		uint64_t bits;
	} tab[] = {
		{ NET_CSUM, VIRTIO_F_BIT(NET_F_CSUM) | VIRTIO_F_BIT(NET_F_GUEST_CSUM) |
				    VIRTIO_F_BIT(NET_F_CTRL_GUEST_OFFLOADS) },
		{ NET_TSO, VIRTIO_F_BIT(NET_F_HOST_TSO4) | VIRTIO_F_BIT(NET_F_HOST_TSO6) |
				   VIRTIO_F_BIT(NET_F_HOST_ECN) | VIRTIO_F_BIT(NET_F_GUEST_TSO4) |
				   VIRTIO_F_BIT(NET_F_GUEST_TSO6) | VIRTIO_F_BIT(NET_F_GUEST_ECN) },
		{ NET_UFO, VIRTIO_F_BIT(NET_F_HOST_UFO) | VIRTIO_F_BIT(NET_F_GUEST_UFO) },
		{ NET_USO, VIRTIO_F_BIT(NET_F_HOST_USO) | VIRTIO_F_BIT(NET_F_GUEST_USO4) |
				   VIRTIO_F_BIT(NET_F_GUEST_USO6) },
	};
	uint64_t f = ALWAYS;

	for (size_t i = 0; i < ARRAY_SIZE(tab); i++)
		if (cfg->offloads & tab[i].offload)
			f |= tab[i].bits;
	f |= cfg->mtu ? VIRTIO_F_BIT(NET_F_MTU) : 0;
	f |= cfg->pairs > 1 ? VIRTIO_F_BIT(NET_F_MQ) : 0;
	return f;
}

static int check_cfg(const struct net_cfg *cfg, struct err *e)
{
	static const uint8_t zero[6];

	if (cfg->pairs < 1 || cfg->pairs > NET_MAX_PAIRS)
		return err_set(e, EINVAL, "%u queue pairs are not 1 to %d", cfg->pairs, NET_MAX_PAIRS);
	if (!is_pow2_64(cfg->queue_size) || cfg->queue_size < 2 || cfg->queue_size > VQ_MAX_SIZE)
		return err_set(e, EINVAL, "queue size %u is not a power of two from 2 to %d",
			       cfg->queue_size, VQ_MAX_SIZE);
	if (cfg->mac[0] & 1 || !memcmp(cfg->mac, zero, 6))
		return err_set(e, EINVAL, "the MAC address is not one of a station");
	if (cfg->mtu && cfg->mtu < 68)
		return err_set(e, EINVAL, "MTU %u is not 68 to 65535", cfg->mtu);
	if (cfg->offloads & ~(uint32_t)NET_OFFLOADS ||
	    (cfg->offloads && !(cfg->offloads & NET_CSUM)))
		return err_set(e, EINVAL, "offloads %#x: segmentation needs checksums", cfg->offloads);
	return rate_check(&cfg->rate, e);
}

static void net_reset(struct vdev *d)
{
	struct net *n = to_net(d);

	net_link_stop(n);
	for (unsigned i = 0; i < n->pairs; i++) {
		net_rx_reset(&n->pair[i]);
		n->pair[i].tx_full = n->pair[i].rx_held = n->pair[i].tx_held = false;
	}
	net_filter_reset(&n->filter);
	n->pairs_used = 1;
	n->guest_offloads = 0;
	n->announce = false;
	n->announces = 0;
	net_announce_acked(n);
	atomic_store(&n->mac, n->base_mac);
}

static int alloc_spills(struct net *n, struct err *e)
{
	for (unsigned i = 0; i < n->pairs; i++) {
		n->pair[i].rx.spill = malloc(NET_MAX_FRAME); /* rarely touched */
		if (!n->pair[i].rx.spill)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int net_create(struct vdev *d, const void *cfg_arg, struct err *e)
{
	const struct net_cfg *cfg = cfg_arg;
	struct net *n = to_net(d);
	int rc;

	n->rate_timer.src.fd = n->announce_timer.src.fd = n->lent_timer.src.fd = -1;
	rc = check_cfg(cfg, e);
	if (rc < 0)
		return rc;
	n->pairs = cfg->pairs;
	n->offloads = cfg->offloads;
	n->ops = cfg->ops ? cfg->ops : &tap_ops;
	memcpy(&n->base_mac, cfg->mac, 6);
	atomic_store(&n->mtu, cfg->mtu);
	d->offered |= features(cfg);
	d->queue_max = cfg->queue_size;
	d->nqueues = 2 * cfg->pairs + 1;
	rate_init(&n->rx_rate, &cfg->rate, io_now_ns());
	rate_init(&n->tx_rate, &cfg->rate, io_now_ns());
	rc = net_link_init(n, e);
	if (rc == 0)
		rc = alloc_spills(n, e);
	if (rc == 0)
		net_reset(d);
	return rc;
}

static void net_destroy(struct vdev *d)
{
	struct net *n = to_net(d);

	net_link_done(n);
	for (unsigned i = 0; i < n->pairs; i++)
		free(n->pair[i].rx.spill);
}

static int net_activate(struct vdev *d, struct err *e)
{
	struct net *n = to_net(d);

	(void)e;
	n->guest_offloads = d->acked & NET_GUEST_OFFLOADS;
	net_link_start(n);
	return 0;
}

static int net_quiesce(struct vdev *d, struct err *e)
{
	struct net *n = to_net(d);

	(void)e;
	net_link_stop(n);
	for (unsigned i = 0; i < n->pairs; i++)
		net_rx_return(&n->pair[i]);
	return 0;
}

static void net_resume(struct vdev *d)
{
	net_link_start(to_net(d));
}

static int net_kick(struct vdev *d, unsigned q)
{
	struct net *n = to_net(d);

	if (q == net_ctrl_queue(n))
		return vdev_has(d, NET_F_CTRL_VQ) ? net_ctrl_run(n) : 0;
	if (q / 2 >= n->pairs)
		return 0;
	return q % 2 ? net_tx_run(&n->pair[q / 2]) : net_rx_run(&n->pair[q / 2]);
}

static void net_config_read(const struct vdev *d, uint32_t off, void *dst, size_t len)
{
	const struct net *n = (const struct net *)(const void *)d;
	uint64_t mac = atomic_load(&n->mac);
	struct config c = { .status = htole16(atomic_load(&n->status)),
			    .max_pairs = htole16((uint16_t)n->pairs),
			    .mtu = htole16(atomic_load(&n->mtu)) };

	memcpy(c.mac, &mac, sizeof(c.mac));
	memcpy(dst, (const uint8_t *)&c + off, len);
}

void net_state(const struct vdev *d, struct net_state *ret)
{
	const struct net *n = (const struct net *)(const void *)d;
	uint64_t mac = atomic_load(&n->mac);

	*ret = (struct net_state){
		.attached = n->attached,
		.link = atomic_load(&n->status) & NET_S_LINK_UP,
		.mtu = atomic_load(&n->mtu),
		.pairs_used = n->pairs_used,
		.counters = { .rx_frames = atomic_load(&n->rx.frames),
			      .rx_bytes = atomic_load(&n->rx.bytes),
			      .rx_dropped = atomic_load(&n->rx.dropped),
			      .tx_frames = atomic_load(&n->tx.frames),
			      .tx_bytes = atomic_load(&n->tx.bytes),
			      .tx_dropped = atomic_load(&n->tx.dropped) },
	};
	memcpy(ret->mac, &mac, sizeof(ret->mac));
}

const struct vdev_class net_class = {
	.name = "net",
	.device_id = VDEV_NET,
	.queue_max = VQ_MAX_SIZE,
	.config_len = sizeof(struct config),
	.snap_ver = 1,
	.loop = VDEV_LOOP_IO,
	.size = sizeof(struct net),
	.create = net_create,
	.destroy = net_destroy,
	.activate = net_activate,
	.reset = net_reset,
	.kick = net_kick,
	.config_read = net_config_read,
	.quiesce = net_quiesce,
	.resume = net_resume,
	.save = net_save,
	.load = net_load,
};
