// SPDX-License-Identifier: Apache-2.0
/*
 * Each connection of the host has a thread, and a native client of its own that may connect and nothing
 * else: reading its first line, waiting for the guest, and copying then block nobody.
 */
#include "vmm/front/vsock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"

#define MAX_STREAMS 48 /* below the machine's limit of control clients */
#define CALL_MS     10000
#define LINE_SEC    10 /* for "CONNECT PORT" */
#define CONNECT_MS  10000
#define CHUNK       16384
#define STACK       KIB(128)

struct vsock_front {
	struct evsrc src;
	struct ncl *ctl;
	struct sockaddr_un addr;
};

static atomic_uint streams;

/* One way of a stream; the other has a thread too. */
struct pipe_end {
	int from, to;
};

static void *copy(void *arg)
{
	struct pipe_end p = *(struct pipe_end *)arg;
	char data[CHUNK];
	ssize_t n;

	while ((n = read(p.from, data, sizeof(data))) > 0)
		if (io_write_full(p.to, data, (size_t)n) < 0)
			break;
	shutdown(p.to, SHUT_WR);
	shutdown(p.from, SHUT_RD);
	return NULL;
}

static int start_thread(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	rc = pthread_create(ret, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -rc;
}

static void copy_both_ways(int a, int b)
{
	struct pipe_end there = { a, b }, back = { b, a };
	pthread_t t;

	if (start_thread(&t, copy, &back) < 0)
		return;
	copy(&there);
	pthread_join(t, NULL);
}

/* "CONNECT PORT\n", byte by byte, so that what follows stays in the socket. */
static int read_port(int fd, uint32_t *ret)
{
	const struct timeval limit = { .tv_sec = LINE_SEC };
	char line[32], *end;
	unsigned long port;
	size_t n = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	do {
		if (n == sizeof(line) - 1 || read(fd, &line[n], 1) != 1)
			return -EBADMSG;
	} while (line[n++] != '\n');
	line[n - 1] = 0;
	if (strncmp(line, "CONNECT ", 8) != 0 || line[8] < '0' || line[8] > '9')
		return -EBADMSG;
	errno = 0;
	port = strtoul(line + 8, &end, 10);
	if (errno || *end || port >= UINT32_MAX)
		return -EBADMSG;
	*ret = (uint32_t)port;
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0 },
			  sizeof(struct timeval));
}

struct stream {
	int host;
	struct ncl *ctl;
};

static void *serve(void *arg)
{
	struct stream *s = arg;
	_cleanup_close_ int guest = -1;
	struct err e = ERR_INIT;
	char ok[32];
	uint32_t port = 0;

	if (read_port(s->host, &port) < 0) {
		log_debug("vsock: a connection did not begin with CONNECT PORT");
	} else if (ncl_connect(s->ctl, port, CONNECT_MS, &guest, &e) < 0) {
		log_debug("vsock: host to guest port %u: %s", port, e.msg);
	} else {
		ncl_free(steal_ptr(&s->ctl)); /* done with: room for another */
		snprintf(ok, sizeof(ok), "OK %u\n", port);
		if (io_write_full(s->host, ok, strlen(ok)) == 0)
			copy_both_ways(s->host, guest);
	}
	ncl_free(s->ctl);
	close(s->host);
	free(s);
	atomic_fetch_sub(&streams, 1);
	return NULL;
}

static int new_client(struct ncl *ctl, struct ncl **ret, struct err *e)
{
	int pair[2], rc;

	if (!ctl)
		return err_set(e, ENOTCONN, "no machine runs");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	rc = ncl_client_add(ctl, pair[1], NC_MAY_CONNECT, false, CALL_MS, e);
	close(pair[1]);
	if (rc == 0)
		rc = ncl_new(ret, pair[0], e);
	if (rc < 0)
		close(pair[0]);
	return rc;
}

static int start_stream(struct vsock_front *v, int fd, struct err *e)
{
	struct stream *s;
	pthread_t t;
	int rc;

	if (atomic_load(&streams) >= MAX_STREAMS)
		return err_set(e, EMFILE, "there are %d streams already", MAX_STREAMS);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	s->host = fd;
	rc = new_client(v->ctl, &s->ctl, e);
	if (rc == 0) {
		atomic_fetch_add(&streams, 1);
		rc = start_thread(&t, serve, s);
		if (rc == 0) {
			pthread_detach(t);
			return 0;
		}
		atomic_fetch_sub(&streams, 1);
		rc = err_errno(e, -rc, "thread");
	}
	ncl_free(s->ctl);
	free(s);
	return rc;
}

static void accept_stream(struct evsrc *src, uint32_t events)
{
	struct vsock_front *v = container_of(src, struct vsock_front, src);
	struct err e = ERR_INIT;
	int fd = evloop_accept(src, 0);

	(void)events;
	if (fd < 0)
		return;
	if (start_stream(v, fd, &e) < 0) {
		log_debug("vsock: %s", e.msg);
		close(fd);
	}
}

static int set_path(struct sockaddr_un *a, const char *path, struct err *e)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a->sun_path))
		return err_set(e, ENAMETOOLONG, "--vsock socket: %s is longer than %zu bytes", path,
			       sizeof(a->sun_path) - 1);
	strcpy(a->sun_path, path);
	return 0;
}

int vsock_front_new(struct vsock_front **ret, struct evloop *loop, const char *path,
		    struct err *e)
{
	struct vsock_front *v = calloc(1, sizeof(*v));
	_cleanup_close_ int fd = -1;
	int rc;

	if (!v)
		return err_set(e, ENOMEM, "out of memory");
	rc = set_path(&v->addr, path, e);
	if (rc < 0)
		goto fail;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&v->addr, sizeof(v->addr)) < 0) {
		rc = err_errno(e, errno, "--vsock socket: cannot make %s", path);
		goto fail;
	}
	v->src = (struct evsrc){ .fd = fd, .fn = accept_stream, .name = "vsock listener" };
	if (listen(fd, 64) < 0 || evloop_add(loop, &v->src, EPOLLIN) < 0) {
		rc = err_errno(e, errno, "--vsock socket: %s", path);
		unlink(path);
		goto fail;
	}
	steal_fd(&fd);
	*ret = v;
	return 0;
fail:
	free(v);
	return rc;
}

void vsock_front_free(struct vsock_front *v)
{
	if (!v)
		return;
	unlink(v->addr.sun_path);
	evloop_del(&v->src);
	close(v->src.fd);
	free(v);
}

void vsock_front_set(struct vsock_front *v, struct ncl *ctl)
{
	if (v)
		v->ctl = ctl;
}

/* Never blocks: a listener whose queue is full is EAGAIN. */
static int connect_host(const char *path, uint32_t port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s_%u", path, port);

	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return steal_fd(&fd);
}

void vsock_front_host_port(struct vsock_front *v, const struct nc_event *ev)
{
	int fd = connect_host(v->addr.sun_path, ev->value);

	ncl_host_port(v->ctl, ev->token, fd, fd < 0 ? fd : 0, CALL_MS, NULL);
	if (fd >= 0)
		close(fd);
	else
		log_debug("vsock: guest to host port %u: %s", ev->value, strerror(-fd));
}
