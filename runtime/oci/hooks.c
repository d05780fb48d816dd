// SPDX-License-Identifier: Apache-2.0
/* "hooks": of config.json, and again of a container's state file, which keeps them for later commands. */
#include "runtime/oci/field.h"

static const char *const hook_names[OCI_HOOK_COUNT] = {
	[OCI_PRESTART] = "prestart",
	[OCI_CREATE_RUNTIME] = "createRuntime",
	[OCI_CREATE_CONTAINER] = "createContainer",
	[OCI_START_CONTAINER] = "startContainer",
	[OCI_POSTSTART] = "poststart",
	[OCI_POSTSTOP] = "poststop",
};

const char *oci_hook_name(enum oci_hook_kind k)
{
	return hook_names[k];
}

/* The specification: "greater than zero". */
static int read_timeout(struct oci_ctx *c, const struct json *v, void *dst)
{
	int64_t n = 0;
	int rc = oci_read_i64(c, v, &n);

	if (rc == 0 && (n < 1 || n > INT32_MAX))
		return oci_fail(c, v, "%.40s is not between 1 and %d seconds", v->str, INT32_MAX);
	*(uint32_t *)dst = (uint32_t)n;
	return rc;
}

/* One of nothing is not as none. What is no NAME=value is passed on as it is, as by runc. */
static int read_env(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_hook *h = dst;

	h->has_env = true;
	return oci_read_strv(c, v, &h->env);
}

const struct oci_field oci_hook_fields[] = {
	OCI_REQUIRED("path", OCI_HOST, struct oci_hook, path, oci_read_abspath),
	OCI_FIELD("args", OCI_HOST, struct oci_hook, args, oci_read_strv),
	OCI_WHOLE("env", OCI_HOST, read_env),
	OCI_FIELD("timeout", OCI_HOST, struct oci_hook, timeout, read_timeout),
	OCI_END,
};

static int read_hook(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_hook_fields, dst);
}

static int read_list(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_hook_list *l = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(struct oci_hook), read_hook, &p, &l->n);

	if (rc < 0)
		return rc;
	l->v = p;
	return l->n > OCI_MAX_HOOKS ? oci_fail(c, v, "%zu hooks, %d are allowed", l->n, OCI_MAX_HOOKS)
				    : 0;
}

const struct oci_field oci_hooks_fields[] = {
	OCI_FIELD("prestart", OCI_HOST, struct oci_hooks, of[OCI_PRESTART], read_list),
	OCI_FIELD("createRuntime", OCI_HOST, struct oci_hooks, of[OCI_CREATE_RUNTIME], read_list),
	OCI_FIELD("createContainer", OCI_HOST, struct oci_hooks, of[OCI_CREATE_CONTAINER], read_list),
	OCI_FIELD("startContainer", OCI_GUEST, struct oci_hooks, of[OCI_START_CONTAINER], read_list),
	OCI_FIELD("poststart", OCI_HOST, struct oci_hooks, of[OCI_POSTSTART], read_list),
	OCI_FIELD("poststop", OCI_HOST, struct oci_hooks, of[OCI_POSTSTOP], read_list),
	OCI_END,
};

int oci_read_hooks(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_hooks_fields, dst);
}

static void write_strings(struct json_w *w, const char *key, const struct oci_strv *v)
{
	jw_array(w, key);
	for (size_t i = 0; i < v->n; i++)
		jw_str(w, NULL, v->v[i]);
	jw_end_array(w);
}

void oci_write_hooks(struct json_w *w, const char *key, const struct oci_hooks *h)
{
	jw_object(w, key);
	for (unsigned k = 0; k < OCI_HOOK_COUNT; k++) {
		if (!h->of[k].n)
			continue;
		jw_array(w, hook_names[k]);
		for (size_t i = 0; i < h->of[k].n; i++) {
			const struct oci_hook *one = &h->of[k].v[i];

			jw_object(w, NULL);
			jw_str(w, "path", one->path);
			if (one->args.n)
				write_strings(w, "args", &one->args);
			if (one->has_env)
				write_strings(w, "env", &one->env);
			if (one->timeout)
				jw_uint(w, "timeout", one->timeout);
			jw_end_object(w);
		}
		jw_end_array(w);
	}
	jw_end_object(w);
}
