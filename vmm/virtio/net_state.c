// SPDX-License-Identifier: Apache-2.0
/*
 * What a network device saves of itself: what its driver told it. Taps, limits and counters are the
 * machine's that it wakes up in; the driver is told to announce itself there.
 */
#include <string.h>

#include "vmm/virtio/net_internal.h"

enum {
	TAG_MAC = 1,
	TAG_BASE_MAC,
	TAG_MTU,
	TAG_PAIRS,
	TAG_OFFLOADS,
	TAG_MODE,
	TAG_UNI,
	TAG_MULTI,
	TAG_VLAN,
};

static uint8_t pack_mode(const struct net_filter *f)
{
	return (uint8_t)(f->promisc | f->allmulti << 1 | f->alluni << 2 | f->nomulti << 3 |
			 f->nouni << 4 | f->nobcast << 5 | f->many_uni << 6 | f->many_multi << 7);
}

static void unpack_mode(struct net_filter *f, uint8_t v)
{
	f->promisc = v & 1;
	f->allmulti = v >> 1 & 1;
	f->alluni = v >> 2 & 1;
	f->nomulti = v >> 3 & 1;
	f->nouni = v >> 4 & 1;
	f->nobcast = v >> 5 & 1;
	f->many_uni = v >> 6 & 1;
	f->many_multi = v >> 7 & 1;
}

int net_save(const struct vdev *d, struct snap_w *w, struct err *e)
{
	const struct net *n = (const struct net *)(const void *)d;

	(void)e;
	snap_w_u64(w, TAG_MAC, atomic_load(&n->mac));
	snap_w_u64(w, TAG_BASE_MAC, n->base_mac);
	snap_w_u16(w, TAG_MTU, atomic_load(&n->mtu));
	snap_w_u16(w, TAG_PAIRS, (uint16_t)n->pairs_used);
	snap_w_u64(w, TAG_OFFLOADS, n->guest_offloads);
	snap_w_u8(w, TAG_MODE, pack_mode(&n->filter));
	snap_w_bytes(w, TAG_UNI, n->filter.uni, 6u * n->filter.nuni);
	snap_w_bytes(w, TAG_MULTI, n->filter.multi, 6u * n->filter.nmulti);
	snap_w_bytes(w, TAG_VLAN, n->filter.vlan, sizeof(n->filter.vlan));
	return 0;
}

static int load_table(struct snap_r *r, uint16_t tag, uint8_t (*macs)[6], uint16_t *n)
{
	const void *p;
	size_t len;

	if (snap_r_bytes(r, tag, &p, &len, 6 * NET_FILTER_MACS) < 0 || len % 6)
		return -EBADMSG;
	memcpy(macs, p, len);
	*n = (uint16_t)(len / 6);
	return 0;
}

static int load_filter(struct snap_r *r, struct net_filter *f)
{
	uint8_t mode;
	const void *p;
	size_t len;

	if (snap_r_u8(r, TAG_MODE, &mode) < 0 || load_table(r, TAG_UNI, f->uni, &f->nuni) < 0 ||
	    load_table(r, TAG_MULTI, f->multi, &f->nmulti) < 0 ||
	    snap_r_bytes(r, TAG_VLAN, &p, &len, sizeof(f->vlan)) < 0 || len != sizeof(f->vlan))
		return -EBADMSG;
	unpack_mode(f, mode);
	memcpy(f->vlan, p, len);
	return 0;
}

int net_load(struct vdev *d, struct snap_r *r, uint16_t ver, struct err *e)
{
	uint64_t mac = 0, base = 0, offloads = 0;
	struct net *n = to_net(d);
	uint16_t pairs = 0, mtu = 0;

	(void)ver;
	if (snap_r_u64(r, TAG_MAC, &mac) < 0 || snap_r_u64(r, TAG_BASE_MAC, &base) < 0 ||
	    snap_r_u16(r, TAG_MTU, &mtu) < 0 || snap_r_u16(r, TAG_PAIRS, &pairs) < 0 ||
	    snap_r_u64(r, TAG_OFFLOADS, &offloads) < 0 || load_filter(r, &n->filter) < 0)
		return err_set(e, EBADMSG, "incomplete");
	if (mac >> 48 || base >> 48 || pairs < 1 || pairs > n->pairs ||
	    offloads & ~(d->acked & NET_GUEST_OFFLOADS) ||
	    !mtu != !(d->offered & VIRTIO_F_BIT(NET_F_MTU)))
		return err_set(e, EBADMSG, "impossible values");
	atomic_store(&n->mac, mac);
	n->base_mac = base;
	atomic_store(&n->mtu, mtu);
	n->pairs_used = pairs;
	n->guest_offloads = offloads;
	n->announce = d->active;
	return 0;
}
