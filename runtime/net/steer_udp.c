// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/net/steer.h"

#define CHECKSUM_OFFSET 6 /* in the header of UDP */

static int set(int fd, int level, int option, int v)
{
	return setsockopt(fd, level, option, &v, sizeof(v)) < 0 ? -errno : 0;
}

/* The port does not matter, but one there must be. */
static int hear_on(int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	const bool is_v6 = family == AF_INET6;
	_cleanup_close_ int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (is_v6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0) ||
	    (is_v6 ? set(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1) : set(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, 1)) < 0 ||
	    bind(fd, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, is_v6 ? sizeof(v6) : sizeof(v4)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* The right to make such a socket is given up soon, and who gets it has none: its port is that of a datagram's own head,
 * its address one of the namespace's. A raw socket would be given a copy of all that comes, too; a filter that nobody can
 * take away lets none of it in. */
static int answer_by(int family)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog filter = { .len = 1, .filter = &nothing };
	_cleanup_close_ int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
	    set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1) < 0 || set(fd, SOL_SOCKET, SO_MARK, (int)STEER_MARK) < 0 ||
	    (family == AF_INET6 && set(fd, IPPROTO_IPV6, IPV6_CHECKSUM, CHECKSUM_OFFSET) < 0))
		return -errno;
	return steal_fd(&fd);
}

int steer_udp_start(struct steer_udp ret[STEER_SOCKETS], int *ret_table, struct err *e)
{
	static const int families[STEER_SOCKETS] = { AF_INET, AF_INET6 };
	int hear[STEER_SOCKETS], rc = 0;

	for (unsigned i = 0; i < STEER_SOCKETS; i++) {
		hear[i] = hear_on(families[i]);
		ret[i] = (struct steer_udp){ .in = hear[i], .out = -1 };
		/* Without IPv6: the other alone. */
		if (hear[i] < 0)
			continue;
		ret[i].out = answer_by(families[i]);
		if (ret[i].out < 0)
			rc = ret[i].out;
	}
	if (rc < 0)
		err_errno(e, -rc, "raw socket");
	else
		rc = steer_by_nft(SOCK_DGRAM, hear, ret_table, e);
	for (unsigned i = 0; rc < 0 && i < STEER_SOCKETS; i++) {
		close_and_reset(&ret[i].in);
		close_and_reset(&ret[i].out);
	}
	return rc;
}
