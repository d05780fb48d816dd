// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/update.h"

#include <stdlib.h>
#include <string.h>

#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"
#include "runtime/oci/field.h"

struct owned_resources {
	struct oci_resources res; /* first */
	struct oci_pool pool;
	struct json *doc;
};

int oci_resources_parse(struct oci_resources **ret, const char *text, size_t len, const char *name,
			struct err *e)
{
	struct owned_resources *o = calloc(1, sizeof(*o));
	struct oci_ctx c = { .file = name, .e = e };
	int rc;

	if (!o)
		return err_set(e, ENOMEM, "%s: out of memory", name);
	c.pool = &o->pool;
	o->res.cpuset_cpus = o->res.cpuset_mems = "";
	rc = json_parse(&o->doc, text, len, NULL, e);
	if (rc < 0)
		rc = err_wrap(e, rc, "%s", name);
	else
		rc = oci_read_resources(&c, o->doc, &o->res);
	if (rc < 0)
		oci_resources_free(&o->res);
	else
		*ret = &o->res;
	return rc;
}

void oci_resources_free(struct oci_resources *r)
{
	struct owned_resources *o;

	if (!r)
		return;
	o = container_of(r, struct owned_resources, res);
	oci_pool_free(&o->pool);
	json_free(o->doc);
	free(o);
}

/* protobuf-c's strings are not const; packing reads them only. */
static char *str(const char *s)
{
	return (char *)(uintptr_t)s;
}

int oci_pack_update(const struct oci_limits *l, const char *container_id, bool check_memory,
		    struct buf *out, struct err *e)
{
	Husk__Agent__V1__CgroupValue values[AGENT_MAX_VALUES], *list[AGENT_MAX_VALUES];
	Husk__Agent__V1__UpdateRequest m;
	size_t len;
	void *p;

	if (l->n > AGENT_MAX_VALUES)
		return err_set(e, E2BIG, "more than %d limits", AGENT_MAX_VALUES);
	husk__agent__v1__update_request__init(&m);
	for (size_t i = 0; i < l->n; i++) {
		husk__agent__v1__cgroup_value__init(&values[i]);
		values[i].file = str(l->v[i].file);
		values[i].value = str(l->v[i].value);
		values[i].optional = l->v[i].optional;
		list[i] = &values[i];
	}
	m.container_id = str(container_id);
	m.values = list;
	m.n_values = l->n;
	m.check_memory = check_memory;
	len = husk__agent__v1__update_request__get_packed_size(&m);
	p = buf_reserve(out, len);
	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	husk__agent__v1__update_request__pack(&m, p);
	buf_commit(out, len);
	return 0;
}
