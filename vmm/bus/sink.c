// SPDX-License-Identifier: Apache-2.0
#include "vmm/bus/sink.h"

#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "lib/cleanup.h"
#include "lib/io.h"

/* Writes what the descriptor takes now. */
static void flush_locked(struct sink *s)
{
	while (s->len) {
		uint32_t n = min_t(uint32_t, s->len, SINK_SIZE - s->head);
		ssize_t got = write(s->src.fd, s->data + s->head, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			s->broken = true;
			s->dropped += s->len;
			s->len = 0;
			return;
		}
		s->head = (s->head + (uint32_t)got) % SINK_SIZE;
		s->len -= (uint32_t)got;
	}
}

/* Edge-triggered: comes once when a descriptor that refused bytes takes some again. Nothing has to be
 * armed from the vCPU's thread, so nothing can be under way when the sink goes. */
static void on_writable(struct evsrc *src, uint32_t events)
{
	struct sink *s = container_of(src, struct sink, src);

	(void)events;
	pthread_mutex_lock(&s->lock);
	if (!s->broken)
		flush_locked(s);
	pthread_mutex_unlock(&s->lock);
}

int sink_init(struct sink *s, struct evloop *loop, int fd, const char *name, struct err *e)
{
	int rc;

	memset(s, 0, offsetof(struct sink, data));
	s->src = (struct evsrc){ .fd = fd, .fn = on_writable, .name = name };
	s->broken = fd < 0;
	if (fd >= 0) {
		rc = io_set_nonblock(fd, true);
		if (rc == 0)
			rc = evloop_add(loop, &s->src, EPOLLOUT | EPOLLET);
		if (rc < 0 && rc != -EPERM) /* EPERM: a file, which never refuses */
			return err_errno(e, -rc, "%s: output", name);
	}
	pthread_mutex_init(&s->lock, NULL);
	return 0;
}

void sink_done(struct sink *s)
{
	evloop_del(&s->src);
	if (!s->broken)
		flush_locked(s);
	close_and_reset(&s->src.fd);
	pthread_mutex_destroy(&s->lock);
}

static void store_locked(struct sink *s, const uint8_t *p, size_t len)
{
	size_t n = min_t(size_t, len, SINK_SIZE - s->len);

	s->dropped += len - n;
	while (n) {
		uint32_t at = (s->head + s->len) % SINK_SIZE;
		uint32_t part = min_t(uint32_t, n, SINK_SIZE - at);

		memcpy(s->data + at, p, part);
		s->len += part;
		p += part;
		n -= part;
	}
}

void sink_put(struct sink *s, const void *p, size_t len)
{
	pthread_mutex_lock(&s->lock);
	if (s->broken) {
		s->dropped += len;
	} else {
		store_locked(s, p, len);
		flush_locked(s);
	}
	pthread_mutex_unlock(&s->lock);
}
