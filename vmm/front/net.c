// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/net.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "vmm/backend/tap.h"

/* One of our own for a guest that was given none: locally administered. */
static int choose_mac(const struct net_option *o, uint8_t *mac, struct err *e)
{
	static const uint8_t none[6];

	memcpy(mac, o->mac, 6);
	if (memcmp(mac, none, 6))
		return 0;
	if (getrandom(mac, 6, 0) != 6)
		return err_errno(e, errno, "--net mac: getrandom");
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
	return 0;
}

/* What is asked for and the tap can do. */
static uint32_t offloads(const struct net_option *o, unsigned can)
{
	uint32_t v = 0;

	if (o->csum && can & TAP_CSUM) {
		v |= NC_NET_CSUM;
		v |= o->tso && can & TAP_TSO4 ? NC_NET_TSO : 0;
		v |= o->ufo && can & TAP_UFO ? NC_NET_UFO : 0;
		v |= o->uso && can & TAP_USO4 ? NC_NET_USO : 0;
	}
	return v;
}

int front_net_open(struct front_net *n, const struct net_option *o, unsigned index, struct err *e)
{
	int rc;

	memset(n, 0, sizeof(*n));
	if (o->id)
		snprintf(n->id, sizeof(n->id), "%s", o->id);
	else
		snprintf(n->id, sizeof(n->id), "_net%u", index);
	n->slot = (int)o->slot;
	n->vhost = o->vhost;
	rc = choose_mac(o, n->mac, e);
	if (rc == 0)
		rc = tap_open(o, &n->link, e);
	if (rc < 0)
		return rc;
	n->net = (struct nc_net){
		.mtu = n->link.mtu, .pairs = n->link.n, .queue_size = (uint32_t)o->queue_size,
		.offloads = offloads(o, n->link.offloads),
		.bytes = { o->bw_size, o->bw_burst, o->bw_refill },
		.frames = { o->ops_size, o->ops_burst, o->ops_refill },
	};
	memcpy(n->net.mac, n->mac, 6);
	return 0;
}

void front_net_close(struct front_net *n)
{
	tap_close(&n->link);
}

int front_net_describe(const struct front_net *n, struct ncl_desc *d, struct err *e)
{
	struct nc_device *dev = ncl_desc_device(d, NC_DEV_NET, n->id);

	if (!dev)
		return err_set(e, ENOSPC, "--net: no room for another device");
	dev->slot = n->slot;
	dev->net = n->net;
	return 0;
}

int front_net_attach(const struct front_net *n, struct ncl *c, int timeout_ms, struct err *e)
{
	unsigned taps = n->link.n, all = n->vhost ? 2 * taps : taps;
	int fds[2 * NET_OPTION_PAIRS], rc = 0;

	memcpy(fds, n->link.fd, taps * sizeof(fds[0]));
	if (n->vhost)
		rc = tap_open_vhost(fds + taps, taps, e);
	if (rc < 0)
		return rc;
	rc = ncl_net_attach(c, n->id, fds, all, NULL, 0, n->vhost ? NC_NET_ATTACH_VHOST : 0,
			    timeout_ms, e);
	while (all > taps)
		close(fds[--all]);
	return rc < 0 ? err_wrap(e, rc, "--net") : 0;
}
