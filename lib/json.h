/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON, by yajl behind this header alone. Reading makes a tree that keeps, for each value, where it
 * came from, so that a message can name line and path. Limits are fixed by the caller. Writing
 * appends to a struct buf.
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include "lib/buf.h"
#include "lib/err.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	const char *key;  /* member name inside an object, else NULL */
	const char *str;  /* JSON_STRING: NUL-terminated; JSON_NUMBER: as written */
	size_t str_len;   /* JSON_STRING may hold NUL bytes: compare with strlen(str) */
	bool boolean;
	size_t count;     /* JSON_ARRAY, JSON_OBJECT */
	struct json *const *items; /* in document order */
	const struct json *parent;
	unsigned index;   /* position in the parent */
	unsigned line;    /* 1-based line of the document */
};

struct json_limits {
	size_t max_depth;  /* nesting */
	size_t max_values; /* in all */
	size_t max_memory; /* bytes of the tree */
};

#define JSON_LIMITS_DEFAULT { .max_depth = 64, .max_values = 1000000, .max_memory = 256u << 20 }

/* Parses one document. Duplicate keys in one object and trailing text are errors. The message names
 * line and what is wrong. json_free(NULL) is fine; it takes the root only. */
int json_parse(struct json **ret, const char *text, size_t len, const struct json_limits *lim,
	       struct err *e);
void json_free(struct json *root);

const struct json *json_get(const struct json *obj, const char *key); /* NULL when absent */
/* "process.args[2]" of a value, cut when @size is short; returns @out. */
const char *json_path(const struct json *v, char *out, size_t size);
/* Whole numbers only ("1.0" and "1e3" are not); -EINVAL wrong type or form, -ERANGE. */
int json_int64(const struct json *v, int64_t *ret);
int json_uint64(const struct json *v, uint64_t *ret);

/* Whether @s can be written, and read, as it is. */
bool json_is_utf8(const char *s);

/* Writer: commas are put by itself; bytes that are not UTF-8 become U+FFFD. */
struct json_w {
	struct buf *b;
	bool pretty;
	unsigned depth;
	bool need_comma[128];
};
void jw_init(struct json_w *w, struct buf *b, bool pretty);
void jw_object(struct json_w *w, const char *key);
void jw_array(struct json_w *w, const char *key);
void jw_end_object(struct json_w *w);
void jw_end_array(struct json_w *w);
void jw_str(struct json_w *w, const char *key, const char *value); /* NULL writes null */
void jw_int(struct json_w *w, const char *key, int64_t value);
void jw_uint(struct json_w *w, const char *key, uint64_t value);
void jw_bool(struct json_w *w, const char *key, bool value);
void jw_value(struct json_w *w, const char *key, const struct json *v); /* a parsed value again */
/* True (and a newline written when pretty) if nothing failed and every object was closed. */
bool jw_done(struct json_w *w);

#endif
