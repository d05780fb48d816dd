// SPDX-License-Identifier: Apache-2.0
/* Reading. The tree lives in one arena that ends with the root; yajl does the lexing and the UTF-8. */
#include "lib/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define CHUNK_SIZE (16u << 10)

struct chunk {
	struct chunk *next;
	size_t used, size;
	max_align_t data[];
};

struct arena {
	struct chunk *first;
	size_t total, cap;
};

/* The root's memory: found again from the root by json_free(). */
struct document {
	struct arena arena;
	struct json root;
};

struct open_value {
	struct json *v;
	const char *key; /* of the member that comes next */
	struct json **items;
	size_t room;
};

struct reader {
	struct document *doc;
	struct json_limits lim;
	struct open_value *stack; /* [lim.max_depth] */
	size_t depth;
	size_t values;
	yajl_handle yajl;
	const char *text;
	size_t counted; /* bytes of text whose lines are in .line */
	unsigned line;
	bool done;
	int rc;
	struct err *e;
};

static void *arena_alloc(struct arena *a, size_t len)
{
	struct chunk *c = a->first;
	void *p;

	len = (size_t)align_up64(len ? len : 1, _Alignof(max_align_t));
	if (!c || c->size - c->used < len) {
		size_t size = len > CHUNK_SIZE ? len : CHUNK_SIZE;

		if (!range_within(a->total, size, a->cap))
			return NULL;
		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		a->total += size;
		c->size = size;
		c->used = 0;
		c->next = a->first;
		a->first = c;
	}
	p = (char *)c->data + c->used;
	c->used += len;
	return p;
}

static void arena_free(struct arena *a)
{
	struct chunk *c;

	while ((c = a->first)) {
		a->first = c->next;
		free(c);
	}
}

static unsigned line_now(struct reader *r)
{
	size_t at = yajl_get_bytes_consumed(r->yajl);

	for (; r->counted < at; r->counted++)
		if (r->text[r->counted] == '\n')
			r->line++;
	return r->line;
}

static int stop(struct reader *r, int code, const char *what)
{
	r->rc = err_set(r->e, code, "line %u: %s", line_now(r), what);
	return 0;
}

static int no_memory(struct reader *r)
{
	return stop(r, EFBIG, "document is too large");
}

/* A place for the next value in the value that is open, or the root. */
static struct json *new_value(struct reader *r, enum json_type type)
{
	struct open_value *o = r->depth ? &r->stack[r->depth - 1] : NULL;
	struct json *v;

	if (++r->values > r->lim.max_values) {
		stop(r, EFBIG, "too many values");
		return NULL;
	}
	if (!o) {
		v = &r->doc->root;
	} else {
		v = arena_alloc(&r->doc->arena, sizeof(*v));
		if (!v) {
			no_memory(r);
			return NULL;
		}
		if (o->v->count == o->room) {
			size_t room = o->room ? o->room * 2 : 8;
			struct json **items = realloc(o->items, room * sizeof(*items));

			if (!items) {
				no_memory(r);
				return NULL;
			}
			o->items = items;
			o->room = room;
		}
	}
	*v = (struct json){ .type = type, .line = line_now(r) };
	if (o) {
		v->parent = o->v;
		v->index = (unsigned)o->v->count;
		v->key = o->key;
		o->key = NULL;
		o->items[o->v->count++] = v;
	}
	return v;
}

static char *copy_text(struct reader *r, const unsigned char *s, size_t len)
{
	char *p = arena_alloc(&r->doc->arena, len + 1);

	if (!p) {
		no_memory(r);
		return NULL;
	}
	memcpy(p, s, len);
	p[len] = 0;
	return p;
}

static int on_null(void *arg)
{
	return new_value(arg, JSON_NULL) != NULL;
}

static int on_bool(void *arg, int value)
{
	struct json *v = new_value(arg, JSON_BOOL);

	if (v)
		v->boolean = value != 0;
	return v != NULL;
}

static int on_text(struct reader *r, enum json_type type, const void *s, size_t len)
{
	struct json *v = new_value(r, type);

	if (!v)
		return 0;
	v->str = copy_text(r, s, len);
	v->str_len = len;
	return v->str != NULL;
}

static int on_number(void *arg, const char *s, size_t len)
{
	return on_text(arg, JSON_NUMBER, s, len);
}

static int on_string(void *arg, const unsigned char *s, size_t len)
{
	return on_text(arg, JSON_STRING, s, len);
}

static int on_open(struct reader *r, enum json_type type)
{
	struct json *v;

	if (r->depth == r->lim.max_depth)
		return stop(r, EFBIG, "nested too deeply");
	v = new_value(r, type);
	if (!v)
		return 0;
	r->stack[r->depth++] = (struct open_value){ .v = v };
	return 1;
}

static int on_object(void *arg)
{
	return on_open(arg, JSON_OBJECT);
}

static int on_array(void *arg)
{
	return on_open(arg, JSON_ARRAY);
}

static int by_key(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

/* Sorted once at the end: a large object must not cost a comparison of all pairs. */
static int check_duplicates(struct reader *r, const struct open_value *o)
{
	struct json **sorted;
	int ok = 1;

	if (o->v->count < 2)
		return 1;
	sorted = malloc(o->v->count * sizeof(*sorted));
	if (!sorted)
		return no_memory(r);
	memcpy(sorted, o->items, o->v->count * sizeof(*sorted));
	qsort(sorted, o->v->count, sizeof(*sorted), by_key);
	for (size_t i = 1; ok && i < o->v->count; i++)
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
			r->rc = err_set(r->e, EINVAL, "line %u: key \"%.80s\" given twice",
					sorted[i]->line, sorted[i]->key);
			ok = 0;
		}
	free(sorted);
	return ok;
}

static int on_close(void *arg)
{
	struct reader *r = arg;
	struct open_value *o = &r->stack[r->depth - 1];
	struct json **items;

	if (o->v->type == JSON_OBJECT && !check_duplicates(r, o))
		return 0;
	items = arena_alloc(&r->doc->arena, o->v->count * sizeof(*items));
	if (!items)
		return no_memory(r);
	if (o->v->count)
		memcpy(items, o->items, o->v->count * sizeof(*items));
	o->v->items = items;
	free(o->items);
	r->depth--;
	return 1;
}

static int on_key(void *arg, const unsigned char *s, size_t len)
{
	struct reader *r = arg;

	if (memchr(s, 0, len))
		return stop(r, EINVAL, "a key holds a NUL");
	r->stack[r->depth - 1].key = copy_text(r, s, len);
	return r->stack[r->depth - 1].key != NULL;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object,
	.yajl_map_key = on_key,
	.yajl_end_map = on_close,
	.yajl_start_array = on_array,
	.yajl_end_array = on_close,
};

/* yajl's own words, without its picture of the text and the line breaks. */
static int syntax_error(struct reader *r)
{
	unsigned char *s = yajl_get_error(r->yajl, 0, NULL, 0);
	char text[160];
	size_t n;

	snprintf(text, sizeof(text), "%s", s ? (const char *)s : "syntax error");
	if (s)
		yajl_free_error(r->yajl, s);
	n = strlen(text);
	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = 0;
	return err_set(r->e, EINVAL, "line %u: %s", line_now(r), text);
}

static int read_all(struct reader *r, const char *text, size_t len)
{
	yajl_status st = yajl_parse(r->yajl, (const unsigned char *)text, len);

	if (st == yajl_status_ok)
		st = yajl_complete_parse(r->yajl);
	if (r->rc < 0)
		return r->rc;
	if (st != yajl_status_ok)
		return syntax_error(r);
	return 0;
}

int json_parse(struct json **ret, const char *text, size_t len, const struct json_limits *lim,
	       struct err *e)
{
	static const struct json_limits defaults = JSON_LIMITS_DEFAULT;
	struct reader r = { .lim = lim ? *lim : defaults, .text = text, .line = 1, .e = e };
	int rc;

	r.doc = calloc(1, sizeof(*r.doc));
	r.stack = calloc(r.lim.max_depth, sizeof(*r.stack));
	r.yajl = yajl_alloc(&callbacks, NULL, &r);
	if (!r.doc || !r.stack || !r.yajl) {
		rc = err_set(e, ENOMEM, "out of memory");
	} else {
		r.doc->arena.cap = r.lim.max_memory;
		rc = read_all(&r, text, len);
	}
	while (r.depth)
		free(r.stack[--r.depth].items);
	free(r.stack);
	if (r.yajl)
		yajl_free(r.yajl);
	if (rc < 0) {
		if (r.doc)
			json_free(&r.doc->root);
		return rc;
	}
	*ret = &r.doc->root;
	return 0;
}

void json_free(struct json *root)
{
	struct document *doc;

	if (!root)
		return;
	doc = container_of(root, struct document, root);
	arena_free(&doc->arena);
	free(doc);
}

const struct json *json_get(const struct json *obj, const char *key)
{
	if (!obj || obj->type != JSON_OBJECT)
		return NULL;
	for (size_t i = 0; i < obj->count; i++)
		if (strcmp(obj->items[i]->key, key) == 0)
			return obj->items[i];
	return NULL;
}

const char *json_path(const struct json *v, char *out, size_t size)
{
	const struct json *chain[64];
	size_t n = 0, len = 0;

	for (; v && v->parent && n < ARRAY_SIZE(chain); v = v->parent)
		chain[n++] = v;
	out[0] = 0;
	while (n && len < size) {
		v = chain[--n];
		if (v->key)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "." : "", v->key);
		else
			len += (size_t)snprintf(out + len, size - len, "[%u]", v->index);
	}
	return out;
}

int json_int64(const struct json *v, int64_t *ret)
{
	long long n;
	char *end;

	if (v->type != JSON_NUMBER || strpbrk(v->str, ".eE"))
		return -EINVAL;
	errno = 0;
	n = strtoll(v->str, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end)
		return -EINVAL;
	*ret = n;
	return 0;
}

int json_uint64(const struct json *v, uint64_t *ret)
{
	unsigned long long n;
	char *end;

	if (v->type != JSON_NUMBER || strpbrk(v->str, ".eE"))
		return -EINVAL;
	if (v->str[0] == '-')
		return -ERANGE;
	errno = 0;
	n = strtoull(v->str, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end)
		return -EINVAL;
	*ret = n;
	return 0;
}
