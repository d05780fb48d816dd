// SPDX-License-Identifier: Apache-2.0
/* A husk's connection to a proxy: what is sent on it goes out at once or waits for the reader, within a bound. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/proxy/session_internal.h"

/* The longest answer is a list of processes. */
#define MAX_UNSENT ((PROXY_MAX_PS + 64) * (sizeof(struct proxy_ps) + sizeof(uint32_t)))

static void put_client(struct session_client *c)
{
	if (c->src.fd < 0 && c->in_flight == 0)
		c->s = NULL;
}

void serve_close(struct session_client *c)
{
	struct session *s = c->s;

	if (c->src.fd < 0)
		return;
	evloop_del(&c->src);
	close(c->src.fd);
	c->src.fd = -1;
	buf_free(&c->unsent);
	if (s->first == c)
		s->first = NULL;
	put_client(c);
}

void serve_done(struct session_client *c)
{
	c->in_flight--;
	put_client(c);
}

/* Whoever meets its end first: the loop sees it, and what follows from the first one's end is done there. */
static void hang_up(struct session_client *c)
{
	shutdown(c->src.fd, SHUT_RDWR);
}

/* Each packet behind its length. */
static void put_off(struct session_client *c, const void *p, size_t len)
{
	const uint32_t n = (uint32_t)len;

	if (!c->unsent.len) {
		c->unsent = (struct buf)BUF_INIT(MAX_UNSENT);
		c->sent = 0;
		evloop_mod(&c->src, EPOLLOUT);
	}
	/* One who asks and never reads is not waited for. */
	if (buf_append(&c->unsent, &n, sizeof(n)) < 0 || buf_append(&c->unsent, p, len) < 0)
		hang_up(c);
}

void serve_send(struct session_client *c, const void *p, size_t len)
{
	ssize_t n = -1;

	if (c->src.fd < 0)
		return;
	if (!c->unsent.len) {
		n = send(c->src.fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == (ssize_t)len)
			return;
	}
	if (c->unsent.len || (n < 0 && errno == EAGAIN))
		put_off(c, p, len);
	else
		hang_up(c);
}

bool serve_flush(struct session_client *c)
{
	if (!c->unsent.len)
		return true;
	while (c->sent < c->unsent.len) {
		const uint8_t *at = c->unsent.data + c->sent;
		uint32_t len;

		memcpy(&len, at, sizeof(len));
		if (send(c->src.fd, at + sizeof(len), len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len) {
			if (errno != EAGAIN)
				serve_close(c);
			return false;
		}
		c->sent += sizeof(len) + len;
	}
	buf_free(&c->unsent);
	evloop_mod(&c->src, EPOLLIN);
	return true;
}

void serve_reply(struct session_client *c, uint32_t cmd, int rc, const char *text)
{
	struct session *s = c->s;
	struct proxy_reply r = {
		.hdr = { .version = PROXY_VERSION, .cmd = cmd, .rc = rc, .size = sizeof(r) },
		.state = s->state,
		.exit_status = (uint32_t)s->exit_code
	};

	memcpy(r.stamp, s->stamp, sizeof(r.stamp));
	snprintf(r.text, sizeof(r.text), "%s", text);
	serve_send(c, &r, sizeof(r));
}
