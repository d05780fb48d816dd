// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/tap_open.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_tun.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/backend/tap.h"

/* --- the interface ----------------------------------------------------------------------------------- */

static struct ifreq request(const char *name)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return r;
}

static int set_ip(int sock, unsigned long cmd, const char *name, const char *text, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct ifreq r = request(name);

	inet_pton(AF_INET, text, &a.sin_addr); /* checked before */
	memcpy(&r.ifr_addr, &a, sizeof(a));
	if (ioctl(sock, cmd, &r) < 0)
		return err_errno(e, errno, "--net: %s: cannot set the address %s", name, text);
	return 0;
}

static int set_mac(int sock, const char *name, const uint8_t *mac, struct err *e)
{
	static const uint8_t none[6];
	struct ifreq r = request(name);

	if (!memcmp(mac, none, sizeof(none)))
		return 0;
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, mac, 6);
	if (ioctl(sock, SIOCSIFHWADDR, &r) < 0)
		return err_errno(e, errno, "--net host_mac: %s", name);
	return 0;
}

static int set_mtu(int sock, const char *name, uint64_t mtu, struct err *e)
{
	struct ifreq r = request(name);

	r.ifr_mtu = (int)mtu;
	if (mtu && ioctl(sock, SIOCSIFMTU, &r) < 0)
		return err_errno(e, errno, "--net mtu: %s", name);
	return 0;
}

static int set_up(int sock, const char *name, struct err *e)
{
	struct ifreq r = request(name);

	if (ioctl(sock, SIOCGIFFLAGS, &r) < 0)
		return err_errno(e, errno, "--net: %s", name);
	if (r.ifr_flags & IFF_UP)
		return 0;
	r.ifr_flags |= IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, &r) < 0)
		return err_errno(e, errno, "--net: cannot set %s up", name);
	return 0;
}

/* Addresses of an interface that was there are its maker's business. */
static int configure(const struct net_option *o, const char *name, bool made, struct err *e)
{
	_cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (sock < 0)
		return err_errno(e, errno, "--net: socket");
	if (made && o->ip)
		rc = set_ip(sock, SIOCSIFADDR, name, o->ip, e);
	if (rc == 0 && made && o->mask)
		rc = set_ip(sock, SIOCSIFNETMASK, name, o->mask, e);
	if (rc == 0)
		rc = set_mac(sock, name, o->host_mac, e);
	if (rc == 0)
		rc = set_mtu(sock, name, o->mtu, e);
	if (rc == 0)
		rc = set_up(sock, name, e);
	return rc;
}

static uint16_t mtu_of(const char *name)
{
	_cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = request(name);

	if (sock < 0 || ioctl(sock, SIOCGIFMTU, &r) < 0 || r.ifr_mtu < 68 || r.ifr_mtu > UINT16_MAX)
		return 0;
	return (uint16_t)r.ifr_mtu;
}

/* --- its descriptors --------------------------------------------------------------------------------- */

static int open_queue(const char *name, bool several, int *ret, char *ret_name, struct err *e)
{
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq r = request(name);

	if (fd < 0)
		return err_errno(e, errno, "--net: /dev/net/tun");
	r.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0));
	if (ioctl(fd, TUNSETIFF, &r) < 0)
		return err_errno(e, errno, "--net tap: cannot open %s%s", name,
				 errno == EINVAL ? " (has it as many queues?)" : "");
	memcpy(ret_name, r.ifr_name, IFNAMSIZ);
	*ret = steal_fd(&fd);
	return 0;
}

static int open_named(const struct net_option *o, struct tap_link *t, struct err *e)
{
	bool made = !o->tap || if_nametoindex(o->tap) == 0;
	char name[IFNAMSIZ] = "vmtap%d";
	unsigned pairs = (unsigned)o->queues / 2;
	int rc = 0;

	if (o->tap)
		snprintf(name, sizeof(name), "%s", o->tap);
	for (; rc == 0 && t->n < pairs; t->n += rc == 0)
		rc = open_queue(name, pairs > 1, &t->fd[t->n], name, e);
	if (rc == 0)
		rc = configure(o, name, made, e);
	if (rc == 0)
		t->mtu = mtu_of(name);
	return rc;
}

static int copy_given(const struct net_option *o, struct tap_link *t, struct err *e)
{
	struct ifreq r;

	for (; t->n < o->nfds; t->n++) {
		t->fd[t->n] = fcntl(o->fd[t->n], F_DUPFD_CLOEXEC, 3);
		if (t->fd[t->n] < 0)
			return err_errno(e, errno, "--net fd: %d", o->fd[t->n]);
	}
	memset(&r, 0, sizeof(r));
	t->mtu = o->mtu ? (uint16_t)o->mtu :
		 ioctl(t->fd[0], TUNGETIFF, &r) == 0 ? mtu_of(r.ifr_name) : 0;
	return 0;
}

int tap_open_vhost(int *fds, unsigned n, struct err *e)
{
	int rc;

	for (unsigned i = 0; i < n; i++) {
		fds[i] = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
		if (fds[i] >= 0)
			continue;
		rc = err_errno(e, errno, "--net vhost: /dev/vhost-net");
		while (i)
			close(fds[--i]);
		return rc;
	}
	return 0;
}

int tap_open(const struct net_option *o, struct tap_link *ret, struct err *e)
{
	struct tap_link t = { .offloads = ~0u };
	int rc;

	for (unsigned i = 0; i < NET_OPTION_PAIRS; i++)
		t.fd[i] = -1;
	rc = o->nfds ? copy_given(o, &t, e) : open_named(o, &t, e);
	for (unsigned i = 0; rc == 0 && i < t.n; i++) {
		unsigned offloads = 0;

		rc = tap_ops.prepare(t.fd[i], &offloads, e);
		if (rc < 0)
			err_wrap(e, rc, o->nfds ? "--net fd" : "--net tap");
		t.offloads &= offloads;
	}
	if (rc < 0)
		tap_close(&t);
	else
		*ret = t;
	return rc;
}

void tap_close(struct tap_link *t)
{
	for (unsigned i = 0; i < NET_OPTION_PAIRS; i++)
		close_and_reset(&t->fd[i]);
	t->n = 0;
}
