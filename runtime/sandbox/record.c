// SPDX-License-Identifier: Apache-2.0
#include "runtime/sandbox/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/json.h"

#define STATE_VERSION 1
#define STATE_MAX     65536

enum kind { PID, START, NAME };

static const struct field {
	const char *key;
	enum kind kind;
	bool later; /* older files do not have it */
	size_t offset;
} fields[] = {
	{ "machinePid", PID, false, offsetof(struct sandbox_record, machine.pid) },
	{ "machineStart", START, false, offsetof(struct sandbox_record, machine.start) },
	{ "netPid", PID, true, offsetof(struct sandbox_record, net.pid) },
	{ "netStart", START, true, offsetof(struct sandbox_record, net.start) },
	{ "first", NAME, true, offsetof(struct sandbox_record, first) },
	{ "host", NAME, true, offsetof(struct sandbox_record, host) },
};

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bool sandbox_is_name(const char *name)
{
	const char *at = strchr(name, '@');

	return *name && !is_dots(name) && !strchr(name, '/') &&
	       (!at || (at > name && at[1] && strspn(at + 1, "0123456789") == strlen(at + 1)));
}

static int read_field(const struct field *f, const struct json *v, struct sandbox_record *r)
{
	char *at = (char *)r + f->offset;
	uint64_t n = 0;

	if (!v)
		return f->later ? 0 : -EINVAL;
	if (f->kind == NAME) {
		/* It becomes part of a path. */
		if (v->type != JSON_STRING || strlen(v->str) != v->str_len || v->str_len > NAME_MAX || strchr(v->str, '/') ||
		    is_dots(v->str))
			return -EINVAL;
		memcpy(at, v->str, v->str_len + 1);
		return 0;
	}
	if (json_uint64(v, &n) < 0 || (f->kind == PID && n > INT32_MAX))
		return -EINVAL;
	if (f->kind == PID)
		*(pid_t *)(void *)at = (pid_t)n;
	else
		*(uint64_t *)(void *)at = n;
	return 0;
}

int sandbox_parse(const char *text, size_t len, struct sandbox_record *ret, struct err *e)
{
	static const struct json_limits lim = { .max_depth = 4, .max_values = 64, .max_memory = 1u << 20 };
	struct sandbox_record r = { .first = "" };
	const struct json *version;
	struct json *doc = NULL;
	uint64_t v = 0;
	bool good;
	int rc = json_parse(&doc, text, len, &lim, e);

	if (rc < 0)
		return err_wrap(e, rc, "sandbox's state.json");
	version = doc->type == JSON_OBJECT ? json_get(doc, "version") : NULL;
	good = version && json_uint64(version, &v) == 0 && v == STATE_VERSION;
	for (size_t i = 0; good && i < ARRAY_SIZE(fields); i++)
		good = read_field(&fields[i], json_get(doc, fields[i].key), &r) == 0;
	json_free(doc);
	if (!good || !r.machine.pid)
		return err_set(e, EINVAL, "sandbox's state.json: malformed");
	*ret = r;
	return 0;
}

int sandbox_load(int dir, struct sandbox_record *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int rc = io_read_file(dir, "state.json", STATE_MAX, &text, &len);

	return rc < 0 ? err_errno(e, -rc, "sandbox's state.json") : sandbox_parse(text, len, ret, e);
}

int sandbox_save(int dir, const struct sandbox_record *r, struct err *e)
{
	struct buf b = BUF_INIT(STATE_MAX);
	struct json_w w;
	int rc;

	jw_init(&w, &b, false);
	jw_object(&w, NULL);
	jw_uint(&w, "version", STATE_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *at = (const char *)r + fields[i].offset;

		if (fields[i].kind == NAME)
			jw_str(&w, fields[i].key, at);
		else if (fields[i].kind == PID)
			jw_uint(&w, fields[i].key, (uint64_t)*(const pid_t *)(const void *)at);
		else
			jw_uint(&w, fields[i].key, *(const uint64_t *)(const void *)at);
	}
	jw_end_object(&w);
	rc = jw_done(&w) ? io_write_file(dir, "state.json", b.data, b.len, 0600) : -ENOSPC;
	buf_free(&b);
	return rc < 0 ? err_errno(e, -rc, "cannot write the sandbox's state.json") : 0;
}
