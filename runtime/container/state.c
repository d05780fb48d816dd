// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/container/id.h"
#include "runtime/proxy/proxy.h"
#include "runtime/sandbox/record.h"
#include "runtime/systemd/wire.h"

static const char *const status_names[] = {
	[CONTAINER_CREATING] = "creating",
	[CONTAINER_CREATED] = "created",
	[CONTAINER_RUNNING] = "running",
	[CONTAINER_PAUSED] = "paused",
	[CONTAINER_STOPPED] = "stopped",
};

const char *container_status_name(enum container_status s)
{
	return status_names[s];
}

bool container_status_lives(enum container_status s)
{
	return s == CONTAINER_CREATED || s == CONTAINER_RUNNING || s == CONTAINER_PAUSED;
}

/* ---- reading ---------------------------------------------------------------------------------- */

enum field_kind {
	F_STR,
	F_NEW_STR, /* ones that older state files do not have: "", 0 */
	F_NEW_PID,
	F_NEW_U32,
	F_NEW_U64,
	F_U32,
	F_PID,
	F_U64
};

static const struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
} fields[] = {
	{ "id", F_STR, offsetof(struct container_state, id) },
	{ "ociVersion", F_STR, offsetof(struct container_state, oci_version) },
	{ "bundle", F_STR, offsetof(struct container_state, bundle) },
	{ "rootfs", F_STR, offsetof(struct container_state, rootfs) },
	{ "created", F_STR, offsetof(struct container_state, created) },
	{ "sandbox", F_STR, offsetof(struct container_state, sandbox) },
	{ "cgroup", F_STR, offsetof(struct container_state, cgroup) },
	{ "cgroupOurs", F_NEW_U32, offsetof(struct container_state, cgroup_ours) },
	{ "shares", F_NEW_STR, offsetof(struct container_state, shares) },
	{ "unit", F_NEW_STR, offsetof(struct container_state, unit) },
	{ "bus", F_NEW_STR, offsetof(struct container_state, bus) },
	{ "owner", F_U32, offsetof(struct container_state, owner) },
	{ "proxyPid", F_PID, offsetof(struct container_state, proxy.pid) },
	{ "proxyStart", F_U64, offsetof(struct container_state, proxy.start) },
	{ "netPid", F_NEW_PID, offsetof(struct container_state, net.pid) },
	{ "netStart", F_NEW_U64, offsetof(struct container_state, net.start) },
};

static int read_field(const struct field *f, const struct json *v, struct container_state *s)
{
	char *at = (char *)s + f->offset;
	uint64_t n = 0;

	if (!v && f->kind == F_NEW_STR) {
		*(const char **)(void *)at = "";
		return 0;
	}
	if (!v)
		return f->kind == F_NEW_PID || f->kind == F_NEW_U32 || f->kind == F_NEW_U64 ? 0 : -EINVAL;
	switch (f->kind) {
	case F_STR:
	case F_NEW_STR:
		if (v->type != JSON_STRING || strlen(v->str) != v->str_len)
			return -EINVAL;
		*(const char **)(void *)at = v->str;
		return 0;
	case F_U32:
	case F_NEW_U32:
	case F_PID:
	case F_NEW_PID:
		if (json_uint64(v, &n) < 0 || n > (f->kind == F_U32 || f->kind == F_NEW_U32 ? UINT32_MAX : INT32_MAX))
			return -EINVAL;
		*(uint32_t *)(void *)at = (uint32_t)n;
		return 0;
	case F_U64:
	case F_NEW_U64:
		if (json_uint64(v, &n) < 0)
			return -EINVAL;
		*(uint64_t *)(void *)at = n;
		return 0;
	}
	return -EINVAL;
}

static int read_annotations(const struct json *v, struct container_state *s)
{
	if (!v)
		return 0;
	if (v->type != JSON_OBJECT)
		return -EINVAL;
	s->annotations = calloc(v->count ? v->count : 1, sizeof(*s->annotations));
	if (!s->annotations)
		return -ENOMEM;
	for (size_t i = 0; i < v->count; i++) {
		if (v->items[i]->type != JSON_STRING)
			return -EINVAL;
		s->annotations[i] = (struct oci_pair){ v->items[i]->key, v->items[i]->str };
		s->n_annotations++;
	}
	return 0;
}

static int read_hooks(const struct json *v, struct container_state *s)
{
	struct oci_ctx c = { .file = "state.json", .pool = &s->pool };

	return v ? oci_read_hooks(&c, v, &s->hooks) : 0;
}

static bool climbs(const char *path)
{
	for (const char *at = path; (at = strstr(at, "/..")); at += 3)
		if (!at[3] || at[3] == '/')
			return true;
	return false;
}

/* Names become paths: what was written by us passes, whatever else stands there does not. */
static const char *check(const struct container_state *s)
{
	if (container_id_check(s->id, NULL) < 0)
		return "id";
	if (!sandbox_is_name(s->sandbox))
		return "sandbox";
	if (*s->cgroup && (*s->cgroup != '/' || climbs(s->cgroup))) /* cgroup_path() makes none */
		return "cgroup";
	if (strchr(s->shares, '/') || strlen(s->shares) >= CONTAINER_SHARES_MAX)
		return "shares";
	if (strlen(s->unit) >= SYSTEMD_UNIT_MAX || strchr(s->unit, '/'))
		return "unit";
	if (strlen(s->bus) >= SYSTEMD_BUS_MAX)
		return "bus";
	return NULL;
}

int container_state_parse(const char *text, size_t len, struct container_state *ret, struct err *e)
{
	static const struct json_limits lim = { .max_depth = 8,
						.max_values = 100000,
						.max_memory = 64u << 20 };
	struct container_state s = { .doc = NULL };
	const char *bad = NULL;
	const struct json *v;
	uint64_t version;
	int rc;

	rc = json_parse(&s.doc, text, len, &lim, e);
	if (rc < 0)
		return err_wrap(e, rc, "state.json");
	v = s.doc->type == JSON_OBJECT ? json_get(s.doc, "version") : NULL;
	if (!v || json_uint64(v, &version) < 0)
		bad = "version";
	else if (version != CONTAINER_STATE_VERSION) {
		rc = err_set(e, EPROTONOSUPPORT, "state.json: version %llu is not known",
			     (unsigned long long)version);
		goto fail;
	}
	for (size_t i = 0; !bad && i < ARRAY_SIZE(fields); i++)
		if (read_field(&fields[i], json_get(s.doc, fields[i].name), &s) < 0)
			bad = fields[i].name;
	if (!bad && read_annotations(json_get(s.doc, "annotations"), &s) < 0)
		bad = "annotations";
	if (!bad && read_hooks(json_get(s.doc, "hooks"), &s) < 0)
		bad = "hooks";
	if (!bad)
		bad = check(&s);
	if (!bad) {
		*ret = s;
		return 0;
	}
	rc = err_set(e, EINVAL, "state.json: %s: missing or malformed", bad);
fail:
	container_state_done(&s);
	return rc;
}

int container_state_load(int dir, struct container_state *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int rc = io_read_file(dir, "state.json", CONTAINER_STATE_MAX, &text, &len);

	if (rc == -ENOENT)
		return err_set(e, ENOENT, "container does not exist");
	if (rc < 0)
		return err_errno(e, -rc, "state.json");
	return container_state_parse(text, len, ret, e);
}

void container_state_done(struct container_state *s)
{
	json_free(s->doc);
	if (s->doc)
		free(s->annotations);
	oci_pool_free(&s->pool);
	*s = (struct container_state){ .doc = NULL };
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void write_annotations(struct json_w *w, const struct container_state *s)
{
	if (!s->n_annotations)
		return;
	jw_object(w, "annotations");
	for (size_t i = 0; i < s->n_annotations; i++)
		jw_str(w, s->annotations[i].key, s->annotations[i].value);
	jw_end_object(w);
}

/* What no later command would take could not be deleted, and its machine not be found. */
static int check_text(const struct buf *b, struct err *e)
{
	struct container_state s;
	int rc = container_state_parse((const char *)b->data, b->len, &s, e);

	if (rc < 0)
		return err_wrap(e, rc, "the container's state could not be read again");
	container_state_done(&s);
	return 0;
}

int container_state_save(int dir, const struct container_state *s, struct err *e)
{
	struct buf b = BUF_INIT(CONTAINER_STATE_MAX);
	struct json_w w;
	int rc;

	jw_init(&w, &b, false);
	jw_object(&w, NULL);
	jw_uint(&w, "version", CONTAINER_STATE_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *at = (const char *)s + fields[i].offset;

		switch (fields[i].kind) {
		case F_STR:
			jw_str(&w, fields[i].name, *(const char *const *)(const void *)at);
			break;
		case F_NEW_STR:
			jw_str(&w, fields[i].name, *(const char *const *)(const void *)at ?: "");
			break;
		case F_U32:
		case F_NEW_U32:
		case F_PID:
		case F_NEW_PID:
			jw_uint(&w, fields[i].name, *(const uint32_t *)(const void *)at);
			break;
		case F_U64:
		case F_NEW_U64:
			jw_uint(&w, fields[i].name, *(const uint64_t *)(const void *)at);
			break;
		}
	}
	write_annotations(&w, s);
	oci_write_hooks(&w, "hooks", &s->hooks);
	jw_end_object(&w);
	rc = jw_done(&w) ? check_text(&b, e) : err_errno(e, ENOSPC, "cannot write state.json");
	if (rc == 0) {
		rc = io_write_file(dir, "state.json", b.data, b.len, 0600);
		if (rc < 0)
			err_errno(e, -rc, "cannot write state.json");
	}
	buf_free(&b);
	return rc;
}

void container_state_print(struct json_w *w, const struct container_state *s,
			   enum container_status status, const char *owner)
{
	jw_object(w, NULL);
	jw_str(w, "ociVersion", s->oci_version);
	jw_str(w, "id", s->id);
	jw_int(w, "pid", container_status_lives(status) ? s->proxy.pid : 0);
	jw_str(w, "status", container_status_name(status));
	jw_str(w, "bundle", s->bundle);
	jw_str(w, "rootfs", s->rootfs);
	jw_str(w, "created", s->created);
	write_annotations(w, s);
	jw_str(w, "owner", owner);
	jw_end_object(w);
}

void container_now(char *out, size_t size)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%09ldZ", ts.tv_nsec);
}

/* ---- status ----------------------------------------------------------------------------------- */

static enum container_status of_stage(const char *comm)
{
	if (!strcmp(comm, PROXY_COMM_NEW))
		return CONTAINER_CREATED;
	if (!strcmp(comm, PROXY_COMM_RUN))
		return CONTAINER_RUNNING;
	if (!strcmp(comm, PROXY_COMM_HELD))
		return CONTAINER_PAUSED;
	return CONTAINER_STOPPED;
}

int container_status(int dir, const struct container_state *s, enum container_status *ret, struct err *e)
{
	struct proc_info info;
	int alive;

	*ret = CONTAINER_STOPPED;
	if (s->proxy.pid == 0) {
		if (dir >= 0 && flock(dir, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
			*ret = CONTAINER_CREATING;
		else if (dir >= 0)
			flock(dir, LOCK_UN);
		return 0;
	}
	alive = proc_alive(&s->proxy, &info);
	if (alive < 0)
		return err_errno(e, -alive, "cannot tell whether the container lives: /proc/%d/stat", s->proxy.pid);
	if (alive)
		*ret = of_stage(info.comm);
	return 0;
}
