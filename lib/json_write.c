// SPDX-License-Identifier: Apache-2.0
#include "lib/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void jw_init(struct json_w *w, struct buf *b, bool pretty)
{
	*w = (struct json_w){ .b = b, .pretty = pretty };
}

/* Bytes of the character that @s begins with; 0: it is none. */
static size_t utf8_len(const char *s)
{
	/* The first that a length can tell; shorter ones have been written too long. */
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)*s;
	size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
	uint32_t v = c & (0xffu >> (n + 1));

	if (n <= 1)
		return n;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | ((unsigned char)s[i] & 0x3f);
	}
	return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : n;
}

bool json_is_utf8(const char *s)
{
	size_t n = 1;

	for (; *s && n; s += n)
		n = utf8_len(s);
	return n > 0;
}

static void put_string(struct buf *b, const char *s)
{
	const char *from = s;

	buf_append(b, "\"", 1);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		size_t n = utf8_len(s);

		if (n && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
			s += n - 1;
			continue;
		}
		buf_append(b, from, (size_t)(s - from));
		from = s + 1;
		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c == '\n')
			buf_append(b, "\\n", 2);
		else if (c == '\t')
			buf_append(b, "\\t", 2);
		else if (!n)
			buf_append(b, "\xef\xbf\xbd", 3); /* U+FFFD: nobody reads a document with anything else */
		else
			buf_printf(b, "\\u%04x", c);
	}
	buf_append(b, from, (size_t)(s - from));
	buf_append(b, "\"", 1);
}

static void new_line(struct json_w *w)
{
	static const char spaces[] = "                                                        "
				     "                                                        ";

	if (!w->pretty)
		return;
	buf_append(w->b, "\n", 1);
	buf_append(w->b, spaces, min_t(size_t, w->depth * 2u, sizeof(spaces) - 1));
}

static void begin(struct json_w *w, const char *key)
{
	if (w->need_comma[w->depth])
		buf_append(w->b, ",", 1);
	w->need_comma[w->depth] = true;
	if (w->depth)
		new_line(w);
	if (key) {
		put_string(w->b, key);
		buf_append(w->b, w->pretty ? ": " : ":", w->pretty ? 2 : 1);
	}
}

static void open_with(struct json_w *w, const char *key, const char *c)
{
	bug_on(w->depth + 1 >= ARRAY_SIZE(w->need_comma));
	begin(w, key);
	buf_append(w->b, c, 1);
	w->need_comma[++w->depth] = false;
}

static void close_with(struct json_w *w, const char *c)
{
	bool any = w->need_comma[w->depth];

	bug_on(w->depth == 0);
	w->depth--;
	if (any)
		new_line(w);
	buf_append(w->b, c, 1);
}

void jw_object(struct json_w *w, const char *key)
{
	open_with(w, key, "{");
}

void jw_array(struct json_w *w, const char *key)
{
	open_with(w, key, "[");
}

void jw_end_object(struct json_w *w)
{
	close_with(w, "}");
}

void jw_end_array(struct json_w *w)
{
	close_with(w, "]");
}

void jw_str(struct json_w *w, const char *key, const char *value)
{
	begin(w, key);
	if (value)
		put_string(w->b, value);
	else
		buf_append(w->b, "null", 4);
}

void jw_int(struct json_w *w, const char *key, int64_t value)
{
	begin(w, key);
	buf_printf(w->b, "%" PRId64, value);
}

void jw_uint(struct json_w *w, const char *key, uint64_t value)
{
	begin(w, key);
	buf_printf(w->b, "%" PRIu64, value);
}

void jw_bool(struct json_w *w, const char *key, bool value)
{
	begin(w, key);
	buf_printf(w->b, "%s", value ? "true" : "false");
}

void jw_value(struct json_w *w, const char *key, const struct json *v)
{
	switch (v->type) {
	case JSON_NULL:
		jw_str(w, key, NULL);
		return;
	case JSON_BOOL:
		jw_bool(w, key, v->boolean);
		return;
	case JSON_NUMBER:
		begin(w, key);
		buf_append(w->b, v->str, v->str_len);
		return;
	case JSON_STRING:
		jw_str(w, key, v->str);
		return;
	case JSON_ARRAY:
		jw_array(w, key);
		for (size_t i = 0; i < v->count; i++)
			jw_value(w, NULL, v->items[i]);
		jw_end_array(w);
		return;
	case JSON_OBJECT:
		jw_object(w, key);
		for (size_t i = 0; i < v->count; i++)
			jw_value(w, v->items[i]->key, v->items[i]);
		jw_end_object(w);
		return;
	}
}

bool jw_done(struct json_w *w)
{
	if (w->pretty)
		buf_append(w->b, "\n", 1);
	return w->depth == 0 && !w->b->failed;
}
