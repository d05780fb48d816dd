// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/field.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

struct oci_pool_item {
	struct oci_pool_item *next;
	max_align_t data[];
};

void *oci_pool_alloc(struct oci_pool *p, size_t n, size_t size)
{
	struct oci_pool_item *item;
	size_t len;

	if (__builtin_mul_overflow(n, size, &len) ||
	    __builtin_add_overflow(len, sizeof(*item), &len))
		return NULL;
	item = calloc(1, len);
	if (!item)
		return NULL;
	item->next = p->first;
	p->first = item;
	return item->data;
}

void oci_pool_free(struct oci_pool *p)
{
	struct oci_pool_item *item;

	while ((item = p->first)) {
		p->first = item->next;
		free(item);
	}
}

int oci_fail(struct oci_ctx *c, const struct json *v, const char *fmt, ...)
{
	char path[200], text[240];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_path(v, path, sizeof(path));
	if (!path[0])
		return err_set(c->e, EINVAL, "%s: %s", c->file, text);
	return err_set(c->e, EINVAL, "%s: %s: %s", c->file, path, text);
}

static const char *type_name(const struct json *v)
{
	static const char *const names[] = { "null",	  "a boolean", "a number",
					     "a string", "an array",  "an object" };

	return names[v->type];
}

static int want(struct oci_ctx *c, const struct json *v, enum json_type type)
{
	const struct json sample = { .type = type };

	if (v->type == type)
		return 0;
	return oci_fail(c, v, "must be %s, not %s", type_name(&sample), type_name(v));
}

bool oci_is_empty(const struct json *v)
{
	switch (v->type) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return !v->boolean;
	case JSON_STRING:
		return v->str_len == 0;
	case JSON_ARRAY:
	case JSON_OBJECT:
		return v->count == 0;
	case JSON_NUMBER:
		return false;
	}
	return false;
}

static const struct oci_field *find(const struct oci_field *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

static int read_member(struct oci_ctx *c, const struct json *m, const struct oci_field *table,
		       void *obj)
{
	const struct oci_field *f = find(table, m->key);
	char path[200];

	if (!f) {
		log_debug("%s: %s: unknown field passed over", c->file,
			  json_path(m, path, sizeof(path)));
		return 0;
	}
	if (m->type == JSON_NULL)
		return 0;
	if (f->verdict == OCI_REFUSED) {
		if (oci_is_empty(m))
			return 0;
		return f->why ? oci_fail(c, m, "not supported: %s", f->why) :
				oci_fail(c, m, "not supported");
	}
	if (f->verdict == OCI_IGNORED) {
		if (!oci_is_empty(m))
			log_debug("%s: %s: without effect in a virtual machine", c->file,
				  json_path(m, path, sizeof(path)));
		return 0;
	}
	return f->read(c, m, (char *)obj + f->offset);
}

int oci_read_object(struct oci_ctx *c, const struct json *v, const struct oci_field *table, void *obj)
{
	int rc = want(c, v, JSON_OBJECT);

	for (size_t i = 0; rc == 0 && i < v->count; i++)
		rc = read_member(c, v->items[i], table, obj);
	for (; rc == 0 && table->name; table++) {
		const struct json *m = table->required ? json_get(v, table->name) : v;

		if (!m || m->type == JSON_NULL)
			return oci_fail(c, v, "%s is missing", table->name);
	}
	return rc;
}

int oci_read_str(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = want(c, v, JSON_STRING);

	if (rc < 0)
		return rc;
	if (strlen(v->str) != v->str_len)
		return oci_fail(c, v, "holds a NUL byte");
	*(const char **)dst = v->str;
	return 0;
}

int oci_read_abspath(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_str(c, v, dst);

	if (rc == 0 && v->str[0] != '/')
		return oci_fail(c, v, "must be an absolute path");
	return rc;
}

int oci_read_bool(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = want(c, v, JSON_BOOL);

	if (rc == 0)
		*(bool *)dst = v->boolean;
	return rc;
}

int oci_read_i64(struct oci_ctx *c, const struct json *v, void *dst)
{
	int64_t n = 0;
	int rc = want(c, v, JSON_NUMBER);

	if (rc < 0)
		return rc;
	rc = json_int64(v, &n);
	if (rc < 0)
		return oci_fail(c, v, "%.40s is %s", v->str,
				rc == -ERANGE ? "out of range" : "no whole number");
	*(int64_t *)dst = n;
	return 0;
}

int oci_read_u64(struct oci_ctx *c, const struct json *v, void *dst)
{
	if (v->type != JSON_NUMBER || json_uint64(v, dst) < 0)
		return oci_fail(c, v, "must be a whole number, 0 to 18446744073709551615");
	return 0;
}

int oci_read_u32(struct oci_ctx *c, const struct json *v, void *dst)
{
	int64_t n = 0;
	int rc = oci_read_i64(c, v, &n);

	if (rc < 0)
		return rc;
	if (n < 0 || n > UINT32_MAX)
		return oci_fail(c, v, "%.40s is out of range", v->str);
	*(uint32_t *)dst = (uint32_t)n;
	return 0;
}

int oci_read_word(struct oci_ctx *c, const struct json *v, const struct oci_word *words, size_t n,
		  const char *what, uint32_t *ret)
{
	const char *s = "";
	int rc = oci_read_str(c, v, &s);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s, words[i].name) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return oci_fail(c, v, "unknown %s \"%.60s\"", what, s);
}

int oci_read_array(struct oci_ctx *c, const struct json *v, size_t elem_size, oci_read_fn *fn,
		   void **ret, size_t *ret_n)
{
	int rc = want(c, v, JSON_ARRAY);
	char *p;

	if (rc < 0)
		return rc;
	p = oci_pool_alloc(c->pool, v->count, elem_size);
	if (!p)
		return err_set(c->e, ENOMEM, "%s: out of memory", c->file);
	for (size_t i = 0; rc == 0 && i < v->count; i++)
		rc = fn(c, v->items[i], p + i * elem_size);
	if (rc == 0) {
		*ret = p;
		*ret_n = v->count;
	}
	return rc;
}

int oci_read_strv(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_strv *s = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(char *), oci_read_str, &p, &s->n);

	if (rc == 0)
		s->v = p;
	return rc;
}

int oci_read_env(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_strv *env = dst;
	int rc = oci_read_strv(c, v, env);

	for (size_t i = 0; rc == 0 && i < env->n; i++)
		if (env->v[i][0] == '=' || !strchr(env->v[i], '='))
			return oci_fail(c, v->items[i], "must be NAME=value");
	return rc;
}

int oci_read_pairs(struct oci_ctx *c, const struct json *v, struct oci_pair **ret, size_t *ret_n)
{
	int rc = want(c, v, JSON_OBJECT);
	struct oci_pair *p;

	if (rc < 0)
		return rc;
	p = oci_pool_alloc(c->pool, v->count, sizeof(*p));
	if (!p)
		return err_set(c->e, ENOMEM, "%s: out of memory", c->file);
	for (size_t i = 0; rc == 0 && i < v->count; i++) {
		p[i].key = v->items[i]->key;
		rc = oci_read_str(c, v->items[i], &p[i].value);
	}
	if (rc == 0) {
		*ret = p;
		*ret_n = v->count;
	}
	return rc;
}
