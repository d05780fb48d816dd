// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/console_tail.h"

#include <string.h>

void console_ring_init(struct console_ring *r)
{
	pthread_mutex_init(&r->lock, NULL);
}

void console_ring_done(struct console_ring *r)
{
	pthread_mutex_destroy(&r->lock);
}

void console_ring_put(struct console_ring *r, const void *src, size_t len)
{
	const uint8_t *p = src;

	pthread_mutex_lock(&r->lock);
	if (len > CONSOLE_TAIL) {
		r->total += len - CONSOLE_TAIL;
		p += len - CONSOLE_TAIL;
		len = CONSOLE_TAIL;
	}
	while (len) {
		size_t at = r->total % CONSOLE_TAIL, n = min_t(size_t, len, CONSOLE_TAIL - at);

		memcpy(r->data + at, p, n);
		r->total += n;
		p += n;
		len -= n;
	}
	pthread_mutex_unlock(&r->lock);
}

size_t console_ring_read(struct console_ring *r, uint64_t *at, void *dst, size_t size)
{
	uint8_t *p = dst;
	size_t len, done = 0;

	pthread_mutex_lock(&r->lock);
	if (r->total - *at > CONSOLE_TAIL)
		*at = r->total - CONSOLE_TAIL;
	len = min_t(size_t, size, r->total - *at);
	while (done < len) {
		size_t from = (*at + done) % CONSOLE_TAIL, n = min_t(size_t, len - done, CONSOLE_TAIL - from);

		memcpy(p + done, r->data + from, n);
		done += n;
	}
	pthread_mutex_unlock(&r->lock);
	return len;
}

/* What a terminal would take as control, by ECMA-48: where in a sequence we are. */
enum esc { TEXT, ESC, CSI, STRING, STRING_ESC };

static enum esc next_state(enum esc s, uint8_t b)
{
	switch (s) {
	case TEXT:
		return b == 0x1b ? ESC : TEXT;
	case ESC:
		if (b == '[')
			return CSI;
		if (b == ']' || b == 'P' || b == 'X' || b == '^' || b == '_')
			return STRING;
		return b >= 0x20 && b <= 0x2f ? ESC : TEXT;
	case CSI:
		return b >= 0x40 && b <= 0x7e ? TEXT : CSI;
	case STRING:
		return b == 0x07 ? TEXT : b == 0x1b ? STRING_ESC : STRING;
	case STRING_ESC:
		return TEXT;
	}
	return TEXT;
}

static size_t filter(struct console_ring *r)
{
	uint64_t len = min_t(uint64_t, r->total, CONSOLE_TAIL);
	enum esc state = TEXT;
	size_t out = 0;

	for (uint64_t i = r->total - len; i != r->total; i++) {
		uint8_t b = r->data[i % CONSOLE_TAIL];
		enum esc before = state;

		state = next_state(state, b);
		if (b == '\n' ||
		    (before == TEXT && state == TEXT && (b == '\t' || (b >= 0x20 && b < 0x7f))))
			r->text[out++] = (char)b;
		else if (before == TEXT && b >= 0x80)
			r->text[out++] = '?';
		/* A sequence that is never closed must not hide the lines that follow. */
		if (b == '\n')
			state = TEXT;
	}
	return out;
}

size_t console_ring_text(struct console_ring *r, char *dst, size_t size)
{
	size_t len, start = 0;

	if (size == 0)
		return 0;
	pthread_mutex_lock(&r->lock);
	len = filter(r);
	if (len > size - 1) {
		const char *line;

		start = len - (size - 1);
		line = r->text[start - 1] == '\n' ? NULL
						  : memchr(r->text + start, '\n', len - start);
		if (line && line + 1 < r->text + len)
			start = (size_t)(line + 1 - r->text);
	}
	len -= start;
	memcpy(dst, r->text + start, len);
	dst[len] = '\0';
	pthread_mutex_unlock(&r->lock);
	return len;
}
