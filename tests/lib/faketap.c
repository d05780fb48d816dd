// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/faketap.h"

#include <sys/socket.h>

struct faketap faketap;

void faketap_reset(void)
{
	faketap = (struct faketap){ .can = ~0u };
}

int faketap_new(int *ret_tap)
{
	const int size = 1 << 20;
	int pair[2];

	bug_on(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0);
	for (unsigned i = 0; i < 2; i++)
		bug_on(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0);
	*ret_tap = pair[0];
	return pair[1];
}

static int prepare(int fd, unsigned *ret_offloads, struct err *e)
{
	int type;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return err_set(e, EINVAL, "the descriptor is no tap");
	*ret_offloads = faketap.can;
	return 0;
}

static int set_offloads(int fd, unsigned offloads)
{
	(void)fd;
	if (offloads & ~faketap.can)
		return -EINVAL;
	faketap.offloads = offloads;
	return 0;
}

static int set_queue(int fd, bool on)
{
	(void)fd;
	if (on && faketap.attach_error)
		return faketap.attach_error;
	faketap.queues_off += on ? -1u : 1u;
	return 0;
}

static ssize_t frame_in(int fd, const struct iovec *iov, int n)
{
	ssize_t rc = faketap.read_error ? faketap.read_error : readv(fd, iov, n);

	return rc == -1 ? -errno : rc == 0 ? -EBADFD : rc; /* 0: the other end was closed */
}

static ssize_t frame_out(int fd, const struct iovec *iov, int n)
{
	ssize_t rc;

	faketap.writes++;
	if (faketap.write_error)
		return faketap.write_error;
	rc = writev(fd, iov, n);
	return rc < 0 ? (errno == EPIPE ? -EBADFD : -errno) : rc;
}

const struct tap_ops faketap_ops = {
	.prepare = prepare,
	.set_offloads = set_offloads,
	.set_queue = set_queue,
	.readv = frame_in,
	.writev = frame_out,
};
