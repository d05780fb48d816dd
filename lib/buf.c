// SPDX-License-Identifier: Apache-2.0
#include "lib/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void buf_free(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->size = 0;
	b->failed = false;
}

static int grow(struct buf *b, size_t need)
{
	size_t size = b->size ? b->size : 256;
	uint8_t *data;

	/* One byte beyond the cap is kept for buf_cstr(). */
	while (size < need)
		size *= 2;
	if (size > b->cap + 1)
		size = b->cap + 1;
	data = realloc(b->data, size);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->size = size;
	return 0;
}

void *buf_reserve(struct buf *b, size_t len)
{
	if (b->failed || !range_within(b->len, len, b->cap)) {
		b->failed = true;
		return NULL;
	}
	if (b->len + len + 1 > b->size && grow(b, b->len + len + 1) < 0) {
		b->failed = true;
		return NULL;
	}
	return b->data + b->len;
}

void buf_commit(struct buf *b, size_t len)
{
	bug_on(!range_within(b->len, len, b->size));
	b->len += len;
}

int buf_append(struct buf *b, const void *src, size_t len)
{
	void *p = buf_reserve(b, len);

	if (!p)
		return b->len + len > b->cap ? -ENOSPC : -ENOMEM;
	if (len)
		memcpy(p, src, len);
	b->len += len;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	p = buf_reserve(b, (size_t)n);
	if (!p)
		return -ENOSPC;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_consume(struct buf *b, size_t len)
{
	bug_on(len > b->len);
	b->len -= len;
	if (b->len)
		memmove(b->data, b->data + len, b->len);
}

void buf_send(struct buf *b, int fd)
{
	while (b->len) {
		ssize_t n = send(fd, b->data, b->len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0)
			return;
		buf_consume(b, (size_t)n);
	}
}

const char *buf_cstr(struct buf *b)
{
	uint8_t *p = buf_reserve(b, 0);

	if (!p)
		return NULL;
	*p = 0;
	return (const char *)b->data;
}
