// SPDX-License-Identifier: Apache-2.0
/* Commands about network devices, brought to the loop that the device lives on. */
#include <string.h>

#include "vmm/core/machine_internal.h"
#include "vmm/virtio/net.h"

struct call {
	struct vdev *d;
	const struct net_attachment *attach;
	struct net_state *state;
	bool up;
	int rc;
	struct err *e;
};

static int on_loop(struct machine *m, const char *device, void (*fn)(void *arg), struct call *c)
{
	struct machine_dev *dev = machine_find(m, NC_DEV_NET, device);
	int rc;

	if (!dev)
		return err_set(c->e, ENODEV, "there is no network device %s", device);
	c->d = dev->vdev;
	rc = evloop_call(c->d->loop, fn, c);
	return rc < 0 ? err_set(c->e, -rc, "%s: out of memory", device) : c->rc;
}

static void attach(void *arg)
{
	struct call *c = arg;

	c->rc = net_attach(c->d, c->attach, c->e);
}

int machine_net_attach(struct machine *m, const struct nc_net_attach *a, const int *fds, size_t nfds,
		       struct err *e)
{
	const uint32_t known = NC_NET_ATTACH_DOWN | NC_NET_ATTACH_VHOST;
	static const uint8_t none[6];
	bool vhost = a->flags & NC_NET_ATTACH_VHOST;
	size_t ntaps = vhost ? nfds / 2 : nfds;
	struct net_attachment at = { .nfds = (unsigned)ntaps, .mtu = a->mtu, .vhost = vhost,
				     .link = !(a->flags & NC_NET_ATTACH_DOWN) };
	struct call c = { .attach = &at, .e = e };

	if (a->flags & ~known)
		return err_set(e, ENOTSUP, "net: flags %#x are unknown", a->flags & ~known);
	if (vhost && nfds % 2)
		return err_set(e, EINVAL, "net: %zu descriptors are no pairs of tap and vhost-net", nfds);
	if (ntaps > NET_MAX_PAIRS)
		return err_set(e, EINVAL, "net: %zu taps are more than %d", ntaps, NET_MAX_PAIRS);
	if (memcmp(a->mac, none, sizeof(none)))
		at.mac = a->mac;
	if (a->mac[0] & 1)
		return err_set(e, EINVAL, "net: the MAC address is not one of a station");
	if (a->mtu && a->mtu < 68)
		return err_set(e, EINVAL, "net: MTU %u is not 68 to 65535", a->mtu);
	memcpy(at.fd, fds, ntaps * sizeof(fds[0]));
	memcpy(at.vhost_fd, fds + ntaps, (nfds - ntaps) * sizeof(fds[0]));
	return on_loop(m, a->device, attach, &c);
}

static void detach(void *arg)
{
	struct call *c = arg;

	c->rc = net_detach(c->d, c->e);
}

int machine_net_detach(struct machine *m, const char *device, struct err *e)
{
	return on_loop(m, device, detach, &(struct call){ .e = e });
}

static void set_link(void *arg)
{
	struct call *c = arg;

	net_set_link(c->d, c->up);
}

int machine_net_link(struct machine *m, const char *device, bool up, struct err *e)
{
	return on_loop(m, device, set_link, &(struct call){ .up = up, .e = e });
}

static void get_state(void *arg)
{
	struct call *c = arg;

	net_state(c->d, c->state);
}

int machine_net_info(struct machine *m, const char *device, struct nc_net_info *ret, struct err *e)
{
	struct net_state s;
	int rc = on_loop(m, device, get_state, &(struct call){ .state = &s, .e = e });

	if (rc < 0)
		return rc;
	*ret = (struct nc_net_info){ .attached = s.attached, .link = s.link, .mtu = s.mtu,
				     .pairs_used = s.pairs_used,
				     .rx_frames = s.counters.rx_frames,
				     .rx_bytes = s.counters.rx_bytes,
				     .rx_dropped = s.counters.rx_dropped,
				     .tx_frames = s.counters.tx_frames,
				     .tx_bytes = s.counters.tx_bytes,
				     .tx_dropped = s.counters.tx_dropped };
	memcpy(ret->mac, s.mac, sizeof(ret->mac));
	return 0;
}
