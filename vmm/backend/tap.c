// SPDX-License-Identifier: Apache-2.0
#include "vmm/backend/tap.h"

#include <string.h>
#include <sys/ioctl.h>
#include <linux/if.h>
#include <linux/if_tun.h>

#include "lib/io.h"

/* Most first. Each kernel knows a prefix of USO, UFO and the rest; tells by refusing the whole. */
static const unsigned ladders[] = {
	TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_TSO_ECN | TAP_UFO | TAP_USO4 | TAP_USO6,
	TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_TSO_ECN | TAP_UFO,
	TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_TSO_ECN,
	TAP_CSUM,
};

static int set_offloads(int fd, unsigned offloads)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) < 0 ? -errno : 0;
}

static int prepare(int fd, unsigned *ret_offloads, struct err *e)
{
	const short want = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	int header = TAP_HEADER, rc;
	struct ifreq ifr;

	/* Whoever had it before may have left it switched off. */
	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = IFF_ATTACH_QUEUE;
	ioctl(fd, TUNSETQUEUE, &ifr);
	memset(&ifr, 0, sizeof(ifr));
	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return err_set(e, EINVAL, "the descriptor is no attached tap");
	if ((ifr.ifr_flags & want) != want)
		return err_set(e, EINVAL, "tap %.*s lacks IFF_TAP, IFF_NO_PI or IFF_VNET_HDR",
			       IFNAMSIZ, ifr.ifr_name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return err_errno(e, errno, "tap %.*s: size of the header", IFNAMSIZ, ifr.ifr_name);
	rc = io_set_nonblock(fd, true);
	if (rc < 0)
		return err_errno(e, -rc, "tap %.*s", IFNAMSIZ, ifr.ifr_name);
	*ret_offloads = 0;
	for (size_t i = 0; i < ARRAY_SIZE(ladders) && !*ret_offloads; i++)
		if (set_offloads(fd, ladders[i]) == 0)
			*ret_offloads = ladders[i];
	set_offloads(fd, 0);
	return 0;
}

static int set_queue(int fd, bool on)
{
	struct ifreq ifr = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return ioctl(fd, TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

static ssize_t frame_in(int fd, const struct iovec *iov, int n)
{
	ssize_t rc = readv(fd, iov, n);

	return rc < 0 ? -errno : rc;
}

static ssize_t frame_out(int fd, const struct iovec *iov, int n)
{
	ssize_t rc = writev(fd, iov, n);

	return rc < 0 ? -errno : rc;
}

const struct tap_ops tap_ops = {
	.prepare = prepare,
	.set_offloads = set_offloads,
	.set_queue = set_queue,
	.readv = frame_in,
	.writev = frame_out,
};
