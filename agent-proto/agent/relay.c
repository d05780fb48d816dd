// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/relay.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define TURNS 8 /* chunks before others on the loop get their turn */

static void on_local(struct evsrc *src, uint32_t events);
static void on_conn(struct evsrc *src, uint32_t events);

void relay_init(struct relay *r, struct evloop *l, enum relay_kind kind,
		void (*done)(struct relay *r))
{
	memset(r, 0, sizeof(*r));
	r->loop = l;
	r->kind = kind;
	r->done = done;
	r->local = (struct evsrc){ .fd = -1, .fn = on_local, .name = "stream local" };
	r->conn = (struct evsrc){ .fd = -1, .fn = on_conn, .name = "stream conn" };
	r->peer = -1;
	r->in.open = kind != RELAY_OUT;
	r->out.open = kind != RELAY_IN;
}

static void close_src(struct evsrc *src)
{
	evloop_del(src);
	if (src->fd >= 0)
		close(src->fd);
	src->fd = -1;
}

static void forget(struct relay_pump *p)
{
	free(p->carry);
	memset(p, 0, sizeof(*p));
}

void relay_close(struct relay *r)
{
	/* A process that is just being made may have it, too, for a moment. */
	if (r->conn.fd >= 0)
		shutdown(r->conn.fd, SHUT_RDWR);
	close_and_reset(&r->peer);
	close_src(&r->local);
	close_src(&r->conn);
	forget(&r->in);
	forget(&r->out);
	r->over = true;
}

static void end(struct relay *r)
{
	if (r->over)
		return;
	relay_close(r);
	if (r->done)
		r->done(r);
}

/* A source without interest is taken out: epoll would report its HUP for ever. */
static int want(struct relay *r, struct evsrc *src, uint32_t events)
{
	if (!events) {
		evloop_del(src);
		return 0;
	}
	return src->loop ? evloop_mod(src, events) : evloop_add(r->loop, src, events);
}

static void update(struct relay *r)
{
	uint32_t local = 0, conn = 0;

	if (r->over || r->local.fd < 0 || r->conn.fd < 0)
		return;
	if (r->out.len)
		conn |= EPOLLOUT;
	else if (r->out.open)
		local |= EPOLLIN;
	if (r->in.len)
		local |= EPOLLOUT;
	else if (r->in.open)
		conn |= EPOLLIN;
	/* Nothing to read from the host, but its going away is to be seen. */
	if (r->kind == RELAY_OUT && !r->out.len)
		conn |= EPOLLIN;
	/* Somebody closing standard input, likewise: an EPOLLERR that comes unasked. */
	if (r->kind == RELAY_IN && !local)
		local |= EPOLLERR;
	/* Its peer closed, likewise: an EPOLLHUP. That is told again and again, so not while what it left waits for the host. */
	if (r->kind == RELAY_SOCKET && !r->out.len)
		local |= EPOLLERR;
	if (want(r, &r->local, local) < 0 || want(r, &r->conn, conn) < 0)
		end(r);
}

/* 1 all gone, 0 the other end is full, -1 nobody is there any more. */
static int drain_carry(struct relay_pump *p, int to)
{
	while (p->len) {
		ssize_t n = write(to, p->carry + p->off, p->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		p->off += (size_t)n;
		p->len -= (size_t)n;
	}
	free(p->carry);
	p->carry = NULL;
	return 1;
}

static int keep(struct relay_pump *p, const uint8_t *data, size_t len)
{
	p->carry = malloc(len);
	if (!p->carry)
		return -1;
	memcpy(p->carry, data, len);
	p->off = 0;
	p->len = len;
	return 0;
}

static int pass_on(struct relay_pump *p, int to, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(to, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? keep(p, data, len) : -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Moves what can be moved. 0, or -1 when the other end is gone. Clears p->open at the end of the
 * source; with @left also when it has nothing more right now or when so many bytes have come. */
static int pump(struct relay_pump *p, int from, int to, size_t *left)
{
	static uint8_t chunk[RELAY_CHUNK]; /* one thread */

	for (int i = 0; (left || i < TURNS) && (p->open || p->len); i++) {
		ssize_t n;
		int rc = drain_carry(p, to);

		if (rc <= 0)
			return rc;
		if (left && !*left)
			p->open = false;
		if (!p->open)
			return 0;
		n = read(from, chunk, left ? min_t(size_t, *left, sizeof(chunk)) : sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			p->open = !left;
			return 0;
		}
		if (n <= 0) { /* EIO: a terminal that nobody holds open any more */
			p->open = false;
			return 0;
		}
		if (left)
			*left -= (size_t)n;
		if (pass_on(p, to, chunk, (size_t)n) < 0)
			return -1;
	}
	return 0;
}

/* Nothing comes from this direction any more and nothing is left of it. */
static bool is_dry(const struct relay_pump *p)
{
	return !p->open && !p->len;
}

/* A socket's other direction goes on, unless it has ended too. */
static void out_ended(struct relay *r)
{
	if (r->kind == RELAY_SOCKET && !r->finishing && !is_dry(&r->in))
		shutdown(r->conn.fd, SHUT_WR);
	else
		end(r);
}

static void pump_out(struct relay *r)
{
	if (r->over || r->local.fd < 0 || r->conn.fd < 0)
		return;
	if (!is_dry(&r->out) &&
	    pump(&r->out, r->local.fd, r->conn.fd, r->finishing ? &r->left : NULL) < 0)
		end(r);
	else if (is_dry(&r->out))
		out_ended(r);
}

static void pump_in(struct relay *r)
{
	if (r->over || r->local.fd < 0 || r->conn.fd < 0 || is_dry(&r->in))
		return;
	if (pump(&r->in, r->conn.fd, r->local.fd, NULL) < 0)
		forget(&r->in);
	/* A terminal's input may end while its output goes on; a pipe's end of file is its closing. */
	if (is_dry(&r->in) && (r->kind == RELAY_IN || (r->kind == RELAY_SOCKET && is_dry(&r->out))))
		end(r);
	else if (is_dry(&r->in) && r->kind == RELAY_SOCKET)
		shutdown(r->local.fd, SHUT_WR);
}

static void on_local(struct evsrc *src, uint32_t events)
{
	struct relay *r = container_of(src, struct relay, local);

	if (r->kind == RELAY_IN && events & EPOLLERR) { /* nobody reads it any more */
		end(r);
		return;
	}
	if (events & EPOLLOUT)
		pump_in(r);
	if (!r->over && r->kind != RELAY_IN && events & ~(uint32_t)EPOLLOUT)
		pump_out(r);
	/* Nobody has the other end any more, and what was left in it is read. */
	if (!r->over && r->kind == RELAY_SOCKET && events & EPOLLHUP && is_dry(&r->out))
		end(r);
	if (!r->over)
		update(r);
}

/* What a host says on an output stream means nothing; that it is gone, much. */
static void watch_host(struct relay *r)
{
	uint8_t waste[256];
	ssize_t n = read(r->conn.fd, waste, sizeof(waste));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		end(r);
}

static void on_conn(struct evsrc *src, uint32_t events)
{
	struct relay *r = container_of(src, struct relay, conn);

	if (events & EPOLLOUT)
		pump_out(r);
	if (!r->over && events & ~(uint32_t)EPOLLOUT) {
		if (r->kind != RELAY_OUT)
			pump_in(r);
		else
			watch_host(r);
	}
	if (!r->over)
		update(r);
}

static void begin(struct relay *r)
{
	if (r->local.fd < 0 || r->conn.fd < 0)
		return;
	io_set_nonblock(r->local.fd, true);
	io_set_nonblock(r->conn.fd, true);
	if (r->finishing)
		relay_finish(r);
	else
		update(r);
}

void relay_set_local(struct relay *r, int fd)
{
	if (r->over) {
		close(fd);
		return;
	}
	r->local.fd = fd;
	if (r->kind == RELAY_TTY && !r->finishing)
		r->peer = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (r->no_conn)
		end(r);
	else
		begin(r);
}

void relay_set_conn(struct relay *r, int fd)
{
	if (r->over || r->no_conn) {
		close(fd);
		return;
	}
	r->conn.fd = fd;
	begin(r);
}

void relay_no_conn(struct relay *r)
{
	r->no_conn = true;
	if (r->local.fd >= 0 || r->finishing)
		end(r);
}

void relay_finish(struct relay *r)
{
	int there = 0;

	if (r->over)
		return;
	close_and_reset(&r->peer);
	if (r->kind == RELAY_IN || r->no_conn || r->local.fd < 0) {
		end(r);
		return;
	}
	if (!r->finishing && ioctl(r->local.fd, FIONREAD, &there) == 0 && there > 0)
		r->left = (size_t)there;
	/* A terminal may hold a little more than it tells. */
	if (!r->finishing)
		r->left += RELAY_CHUNK;
	r->finishing = true;
	/* The host has its time to come for what was written. */
	pump_out(r);
	if (!r->over)
		update(r);
}
