// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/device_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/json.h"

#define FILE_NAME "devices.json"
#define VERSION   1
#define MAX_FILE  (4u << 20)

/* ---- the option ---------------------------------------------------------------------------------------------- */

static bool is_access(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 3 || strspn(s, "rwm") != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (strchr(s + i + 1, s[i]))
			return false;
	return true;
}

int device_path_check(const char *path, struct err *e)
{
	size_t len = strlen(path);
	const char *next;

	if (*path != '/' || len < 2 || path[len - 1] == '/' || len >= PATH_MAX)
		return err_set(e, EINVAL, "'%.100s' is not the absolute path of a device", path);
	for (const char *p = path; *p; p = next) {
		size_t n;

		p++;
		n = strcspn(p, "/");
		next = p + n;
		if (!n || n > NAME_MAX || (n == 1 && *p == '.') || (n == 2 && !strncmp(p, "..", 2)))
			return err_set(e, EINVAL, "'%.100s' is not the shortest way to write a path", path);
	}
	return 0;
}

int device_wish_parse(const char *text, struct device_wish *ret, struct err *e)
{
	size_t n = strcspn(text, ":");
	const char *path = text[n] ? text + n + 1 : "", *access = NULL;
	struct device_wish w = { .access = "rwm" };
	size_t len = strcspn(path, ":");
	int rc;

	if (!json_is_utf8(text))
		return err_set(e, EINVAL, "'%.100s' is not UTF-8", text);
	if (path[len])
		access = path + len + 1;
	/* Docker's short form: "/dev/sdb:r". */
	if (text[n] && !access && is_access(path)) {
		access = path;
		len = 0;
	} else if (text[n] && !len) {
		return err_set(e, EINVAL, "'%.100s': the path inside the container is empty", text);
	}
	if (!n || n >= sizeof(w.source) || len >= sizeof(w.path))
		return err_set(e, EINVAL, "'%.100s' is not HOSTPATH[:CONTAINERPATH[:ACCESS]]", text);
	if (access && !is_access(access))
		return err_set(e, EINVAL, "'%.100s': the access is not r, w and m, each at most once", text);
	memcpy(w.source, text, n);
	memcpy(w.path, len ? path : text, len ? len : n);
	if (access)
		snprintf(w.access, sizeof(w.access), "%s", access);
	if (!strpbrk(w.access, "rw"))
		return err_set(e, EINVAL, "'%.100s': a device that is neither read nor written is no use", text);
	rc = device_path_check(w.path, e);
	if (rc == 0)
		*ret = w;
	return rc;
}

/* ---- the list ------------------------------------------------------------------------------------------------ */

void device_list_done(struct device_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].path);
		free(l->v[i].source);
	}
	free(l->v);
	*l = (struct device_list){ .v = NULL };
}

int device_list_add(struct device_list *l, const struct device_entry *from, struct err *e)
{
	struct device_entry *v;

	if (l->n == DEVICE_LIST_MAX)
		return err_set(e, E2BIG, "a container can have %d such devices, no more", DEVICE_LIST_MAX);
	v = realloc(l->v, (l->n + 1) * sizeof(*v));
	if (!v)
		return err_set(e, ENOMEM, "out of memory");
	l->v = v;
	v += l->n;
	*v = *from;
	v->path = strdup(from->path);
	v->source = strdup(from->source);
	if (!v->path || !v->source) {
		free(v->path);
		free(v->source);
		return err_set(e, ENOMEM, "out of memory");
	}
	l->n++;
	return 0;
}

const struct device_entry *device_list_find(const struct device_list *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].path, path) == 0)
			return &l->v[i];
	return NULL;
}

void device_list_drop(struct device_list *l, const char *disk)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].disk, disk) == 0) {
			free(l->v[i].path);
			free(l->v[i].source);
		} else {
			l->v[n++] = l->v[i];
		}
	}
	l->n = n;
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

static const char *text_of(const struct json *v, const char *key)
{
	const struct json *s = json_get(v, key);

	return s && s->type == JSON_STRING && strlen(s->str) == s->str_len ? s->str : "";
}

static int read_entry(const struct json *v, struct device_list *l, struct err *e)
{
	struct device_entry d = { .there = false };
	const struct json *there;
	const char *disk, *access;

	if (v->type != JSON_OBJECT)
		return -EINVAL;
	there = json_get(v, "there");
	disk = text_of(v, "disk");
	access = text_of(v, "access");
	/* The serial names the machine's device. */
	if (!there || there->type != JSON_BOOL || !is_access(access) || !*disk || strlen(disk) >= sizeof(d.disk) ||
	    device_path_check(text_of(v, "path"), NULL) < 0 || device_list_find(l, text_of(v, "path")))
		return -EINVAL;
	d.there = there->boolean;
	memcpy(d.disk, disk, strlen(disk));
	memcpy(d.access, access, strlen(access));
	d.path = strdupa(text_of(v, "path"));
	d.source = strdupa(text_of(v, "source"));
	return device_list_add(l, &d, e);
}

int device_list_parse(const char *text, size_t len, struct device_list *ret, struct err *e)
{
	static const struct json_limits lim = { .max_depth = 8, .max_values = 10000, .max_memory = 64u << 20 };
	struct device_list l = { .v = NULL };
	const struct json *version, *list;
	struct json *doc = NULL;
	uint64_t v = 0;
	int rc = json_parse(&doc, text, len, &lim, e);

	if (rc < 0)
		return err_wrap(e, rc, FILE_NAME);
	version = doc->type == JSON_OBJECT ? json_get(doc, "version") : NULL;
	list = doc->type == JSON_OBJECT ? json_get(doc, "devices") : NULL;
	if (!version || json_uint64(version, &v) < 0 || v != VERSION || !list || list->type != JSON_ARRAY)
		rc = -EINVAL;
	for (size_t i = 0; rc == 0 && i < list->count; i++)
		rc = read_entry(list->items[i], &l, e);
	json_free(doc);
	if (rc < 0) {
		device_list_done(&l);
		return rc == -EINVAL ? err_set(e, EINVAL, FILE_NAME ": malformed") : err_wrap(e, rc, FILE_NAME);
	}
	*ret = l;
	return 0;
}

int device_list_load(int dir, struct device_list *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int rc = io_read_file(dir, FILE_NAME, MAX_FILE, &text, &len);

	*ret = (struct device_list){ .v = NULL };
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? err_errno(e, -rc, FILE_NAME) : device_list_parse(text, len, ret, e);
}

int device_list_save(int dir, const struct device_list *l, struct err *e)
{
	struct buf b = BUF_INIT(MAX_FILE);
	struct json_w w;
	int rc;

	jw_init(&w, &b, false);
	jw_object(&w, NULL);
	jw_uint(&w, "version", VERSION);
	jw_array(&w, "devices");
	for (size_t i = 0; i < l->n; i++) {
		jw_object(&w, NULL);
		jw_str(&w, "path", l->v[i].path);
		jw_str(&w, "source", l->v[i].source);
		jw_str(&w, "disk", l->v[i].disk);
		jw_str(&w, "access", l->v[i].access);
		jw_bool(&w, "there", l->v[i].there);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	rc = jw_done(&w) ? io_write_file(dir, FILE_NAME, b.data, b.len, 0600) : -ENOSPC;
	buf_free(&b);
	return rc < 0 ? err_errno(e, -rc, "cannot write " FILE_NAME) : 0;
}
