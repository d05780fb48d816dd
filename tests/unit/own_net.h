/* SPDX-License-Identifier: Apache-2.0 */
/* For unit tests that need a network: one of this process's own, with its loopback up. */
#ifndef TESTS_UNIT_OWN_NET_H
#define TESTS_UNIT_OWN_NET_H

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"

/* A group's set-up. */
static inline int own_net(void **state)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
	return 0;
}

#endif
