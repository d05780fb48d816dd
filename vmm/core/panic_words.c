// SPDX-License-Identifier: Apache-2.0
#include "vmm/core/panic_words.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/io.h"

#define READ_MAX  GIB(1)
#define TIME_NS	  200000000u
#define PAGE	  4096u
#define CHUNK	  MIB(1)
#define SHOWN_MAX  (PANIC_WORDS_SIZE - 1u)
#define CAUSE_MAX 80

/*
 * A record of the log, as kernel/printk/printk_ringbuffer.c keeps it, at a multiple of 8: a number of 62 bits, one more than that
 * of the record before; and the text, which printk() formats there with level, newline and NUL before it moves it over the level.
 * So two bytes of the end are there twice. The next record begins at the next multiple of 8, or there are zeros.
 *
 * The kernel's own strings lie in memory too, and whatever files the guest has read: those do not look like this, and if they
 * did, what is found is shown as the guest's word and no more.
 */
struct record {
	uint64_t number;
	char text[SHOWN_MAX + 24];
};

static bool is_number(uint64_t v)
{
	return v >> 32 == 0 || v >> 32 == 0x3fffffff; /* the first is somewhat short of the end */
}

/* Bytes of the first line of @r, of which @len are there. 0: it is no record. */
static size_t line_of(const struct record *r, size_t len)
{
	size_t room = min_t(size_t, len - sizeof(r->number), SHOWN_MAX + 2), n = 0, end;
	uint64_t next;

	while (n < room && r->text[n] >= ' ' && r->text[n] <= '~' && r->text[n] != '%')
		n++;
	if (n == room)
		return min_t(size_t, n, SHOWN_MAX); /* longer than what is shown, or cut */
	if (r->text[n] == '\n' && r->text[n + 1])
		return n; /* of several */
	if (r->text[n] != '\n' && r->text[n] != 0)
		return 0;
	end = align_up64(n + 1 + (r->text[n] == '\n'), 8);
	if (sizeof(r->number) + end + sizeof(next) <= len) {
		memcpy(&next, r->text + end, sizeof(next));
		if (next && next != r->number + 1)
			return 0;
	}
	return n >= 4 && memcmp(r->text + n - 2, r->text + n - 4, 2) == 0 ? n - 2 : n;
}

enum { PANIC, CAUSE, KINDS };

struct found {
	size_t len[KINDS];
	char text[KINDS][SHOWN_MAX];
};

/* @p: where a text may begin, with @room bytes. The guest may write there still: one look, at a copy. */
static void look(struct found *f, const uint8_t *p, size_t room)
{
	static const struct {
		const char *text;
		unsigned kind;
	} words[] = {
		{ "Kernel panic - not syncing: ", PANIC }, { "BUG: ", CAUSE }, { "kernel BUG at ", CAUSE }, { "Oops: ", CAUSE },
	};
	size_t len = min_t(size_t, room + sizeof(uint64_t), sizeof(struct record));
	struct record r = { .number = 0 };

	memcpy(&r, p - sizeof(r.number), len);
	__asm__ volatile("" : "+m"(r) : : "memory");
	if (!is_number(r.number))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i].text);

		if (strncmp(r.text, words[i].text, n) != 0 || line_of(&r, len) <= n)
			continue;
		n = min_t(size_t, line_of(&r, len), SHOWN_MAX);
		memcpy(f->text[words[i].kind], r.text, n);
		f->len[words[i].kind] = n;
	}
}

static void search(struct found *f, const uint8_t *p, size_t len)
{
	for (size_t at = 8; at < len; at += 8) {
		uint32_t first;

		memcpy(&first, p + at, sizeof(first));
		/* "Kern", "BUG:", "kern", "Oops" */
		if (first == 0x6e72654b || first == 0x3a475542 || first == 0x6e72656b || first == 0x73706f4f)
			look(f, p + at, len - at);
	}
}

/* What the guest never touched, or the host has put away, is passed over: to read it would cost memory or time. */
static uint64_t search_chunk(struct found *f, void *host, size_t len)
{
	const uint8_t *p = host;
	unsigned char there[CHUNK / PAGE];
	uint64_t bytes = 0;

	if (mincore(host, len, there) < 0)
		return 0;
	for (size_t i = 0, n; i < len / PAGE; i += n) {
		for (n = 0; i + n < len / PAGE && there[i + n] & 1; n++)
			;
		search(f, p + i * PAGE, n * PAGE);
		bytes += n * PAGE;
		n += n == 0;
	}
	return bytes;
}

bool panic_words(const struct gmem *m, char dst[PANIC_WORDS_SIZE])
{
	uint64_t until = io_now_ns() + TIME_NS, bytes = 0, fd_off;
	struct found f = { .len = { 0 } };
	struct gmem_region r;
	void *host;
	int cut = CAUSE_MAX, fd;

	for (size_t i = 0; i < gmem_nregions(m); i++) {
		gmem_region_at(m, i, &r, &host, &fd, &fd_off);
		for (uint64_t at = 0; at < r.size && bytes < READ_MAX && io_now_ns() < until; at += CHUNK) {
			size_t len = (size_t)min_t(uint64_t, CHUNK, r.size - at);

			bytes += search_chunk(&f, gmem_ptr(m, gpa(r.base.v + at), len), len);
		}
	}
	if (!f.len[PANIC])
		cut = SHOWN_MAX;
	snprintf(dst, PANIC_WORDS_SIZE, "%.*s%s%.*s", min_t(int, (int)f.len[CAUSE], cut), f.text[CAUSE],
		 f.len[PANIC] && f.len[CAUSE] ? "; " : "", (int)f.len[PANIC], f.text[PANIC]);
	return dst[0];
}
