// SPDX-License-Identifier: Apache-2.0
/*
 * Which frames a driver gets: receive mode, addresses, VLANs (sections 5.1.6.5.1 to 5.1.6.5.3), and the
 * promise of an MTU (5.1.4.1).
 */
#include <string.h>

#include "vmm/virtio/net_internal.h"

enum {
	HDR_GSO_TYPE = 1,
	GSO_NONE = 0,
	GSO_ECN = 0x80,
	ETH_TYPE = TAP_HEADER + 12,
	ETH_TAG = TAP_HEADER + 14,
};

void net_filter_reset(struct net_filter *f)
{
	memset(f, 0, sizeof(*f));
	f->promisc = true; /* until the driver says otherwise */
}

static bool listed(const uint8_t (*tab)[6], unsigned n, const uint8_t *mac)
{
	for (unsigned i = 0; i < n; i++)
		if (memcmp(tab[i], mac, 6) == 0)
			return true;
	return false;
}

static bool own(const struct net *n, const uint8_t *mac)
{
	uint64_t v = atomic_load_explicit(&n->mac, memory_order_relaxed);

	return memcmp(&v, mac, 6) == 0;
}

static bool wants_address(const struct net *n, const uint8_t *mac)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct net_filter *f = &n->filter;

	if (memcmp(mac, broadcast, 6) == 0)
		return !f->nobcast;
	if (mac[0] & 1)
		return !f->nomulti && (f->allmulti || f->many_multi || listed(f->multi, f->nmulti, mac));
	return !f->nouni && (f->alluni || f->many_uni || own(n, mac) || listed(f->uni, f->nuni, mac));
}

static bool wants_vlan(const struct net *n, const uint8_t *head, size_t len)
{
	unsigned id;

	/* 802.1Q only; a frame without a tag is everybody's. */
	if (len < ETH_TAG + 2 || head[ETH_TYPE] != 0x81 || head[ETH_TYPE + 1] != 0)
		return true;
	id = (head[ETH_TAG] & 0x0fu) << 8 | head[ETH_TAG + 1];
	return n->filter.vlan[id / 8] & (1u << (id % 8));
}

bool net_filter_wants(const struct net *n, const uint8_t *head, size_t len)
{
	uint16_t mtu = atomic_load_explicit(&n->mtu, memory_order_relaxed);

	if (len < TAP_HEADER + 14)
		return false;
	if (vdev_has(&n->d, NET_F_MTU) && len > (size_t)TAP_HEADER + NET_ETH_HEADER + mtu &&
	    (head[HDR_GSO_TYPE] & ~GSO_ECN) == GSO_NONE)
		return false;
	if (n->filter.promisc) /* as long as no driver says otherwise */
		return true;
	if (vdev_has(&n->d, NET_F_CTRL_VLAN) && !wants_vlan(n, head, len))
		return false;
	return wants_address(n, head + TAP_HEADER);
}
