// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/container/create.h"

#define FIRST_FD 3

static int refuse(int fd, const char *what, struct err *e)
{
	return err_set(e, ENOTSUP,
		       "--preserve-fds: descriptor %d is %s: only pipes and connected or listening stream sockets "
		       "reach into a virtual machine",
		       fd, what);
}

/* The family that the process finds, and the port if there is one. */
static int look_at_listener(int fd, struct oci_pack_extra *x, struct err *e)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	} a = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.any, &len) < 0)
		return err_errno(e, errno, "descriptor %d", fd);
	x->kind = PROXY_STREAM_LISTEN;
	switch (a.any.sa_family) {
	case AF_UNIX:
		return 0;
	case AF_INET:
		x->family = 4;
		x->port = ntohs(a.v4.sin_port);
		return 0;
	case AF_INET6:
		x->family = 6;
		x->port = ntohs(a.v6.sin6_port);
		return 0;
	}
	return refuse(fd, "a listening socket of another family than AF_UNIX, AF_INET and AF_INET6", e);
}

static int look_at_socket(int fd, struct oci_pack_extra *x, struct err *e)
{
	struct sockaddr_storage peer;
	int type = 0, listens = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return err_errno(e, errno, "descriptor %d", fd);
	if (type != SOCK_STREAM)
		return refuse(fd, "a socket that is no stream", e);
	len = sizeof(listens);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens)
		return look_at_listener(fd, x, e);
	len = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return refuse(fd, "a socket without a peer", e);
	x->kind = PROXY_STREAM_SOCKET;
	return 0;
}

static int look_at(int fd, struct oci_pack_extra *x, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "descriptor %d", fd);
	*x = (struct oci_pack_extra){ .kind = 0 };
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
		return 0;
	if (S_ISSOCK(st.st_mode))
		return look_at_socket(fd, x, e);
	if (S_ISFIFO(st.st_mode) && (flags & O_ACCMODE) != O_RDWR) {
		x->kind = (flags & O_ACCMODE) == O_RDONLY ? PROXY_STREAM_IN : PROXY_STREAM_OUT;
		return 0;
	}
	return refuse(fd,
		      S_ISFIFO(st.st_mode) ? "a pipe that is open both ways" :
		      S_ISREG(st.st_mode)  ? "a regular file" :
		      S_ISDIR(st.st_mode)  ? "a folder" :
		      S_ISCHR(st.st_mode)  ? "a character device" :
		      S_ISBLK(st.st_mode)  ? "a block device" :
					     "neither",
		      e);
}

static int add(struct preserved *p, int fd, struct err *e)
{
	struct oci_pack_extra *x = &p->streams[p->n];
	int rc = look_at(fd, x, e);

	if (rc < 0)
		return rc;
	if (x->kind && getrandom(&x->token, sizeof(x->token), 0) != (ssize_t)sizeof(x->token))
		return err_errno(e, errno, "getrandom");
	if (x->kind)
		x->token |= 1;
	p->fds[p->n++] = fd;
	return 0;
}

/* How many a service manager passed to this process and no other (sd_listen_fds(3)). */
static long activated(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	char *end;
	long v;

	if (!pid || !n || strtol(pid, &end, 10) != getpid() || *end)
		return 0;
	v = strtol(n, &end, 10);
	return !*n || *end || v < 0 ? 0 : v;
}

int preserve_descriptors(struct preserved *p, int n, bool listen, struct err *e)
{
	long first = listen ? activated() : 0;

	*p = (struct preserved){ .n = 0 };
	if (n < 0)
		return err_set(e, EINVAL, "--preserve-fds %d is negative", n);
	if (first + n > PROXY_MAX_EXTRA)
		return err_set(e, E2BIG, "--preserve-fds: %ld descriptors, %d can be passed on",
			       first + n, PROXY_MAX_EXTRA);
	for (int i = 0; i < first + n; i++) {
		int flags = fcntl(FIRST_FD + i, F_GETFD), rc;

		/* One with close-on-exec was not the caller's: it is our own. */
		if ((flags < 0 || flags & FD_CLOEXEC) && i < first)
			return err_set(e, EBADF, "LISTEN_FDS: descriptor %d is not open",
				       FIRST_FD + i);
		if (flags < 0 || flags & FD_CLOEXEC)
			return err_set(e, EBADF,
				       "unable to stat preserved-fd %ld (of %d): descriptor %d is "
				       "not open",
				       i - first, n, FIRST_FD + i);
		rc = add(p, FIRST_FD + i, e);
		if (rc < 0)
			return rc;
	}
	if (first)
		snprintf(p->listen_fds, sizeof(p->listen_fds), "LISTEN_FDS=%ld", first);
	return 0;
}
