// SPDX-License-Identifier: Apache-2.0
/* What goes with a user or a time namespace of the container's own: uidMappings, gidMappings, timeOffsets of "linux". */
#include "runtime/oci/field.h"

#include <string.h>

#include "agent-proto/proto/limits.h"

static const struct oci_field mapping_fields[] = {
	OCI_REQUIRED("containerID", OCI_GUEST, struct oci_id_mapping, container_id, oci_read_u32),
	OCI_REQUIRED("hostID", OCI_GUEST, struct oci_id_mapping, host_id, oci_read_u32),
	OCI_REQUIRED("size", OCI_GUEST, struct oci_id_mapping, size, oci_read_u32),
	OCI_END,
};

/* (uid_t)-1 is nobody's: it stands for "none" in the kernel's calls. */
static bool fits(uint32_t first, uint32_t size)
{
	return (uint64_t)first + size <= UINT32_MAX;
}

static int read_mapping(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_id_mapping *m = dst;
	int rc = oci_read_object(c, v, mapping_fields, m);

	if (rc < 0)
		return rc;
	if (!m->size)
		return oci_fail(c, v, "size must not be 0");
	if (!fits(m->container_id, m->size) || !fits(m->host_id, m->size))
		return oci_fail(c, v, "goes beyond the last id");
	return 0;
}

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return a < (uint64_t)b + b_size && b < (uint64_t)a + a_size;
}

int oci_read_mappings(struct oci_ctx *c, const struct json *v, struct oci_id_mapping **ret,
		      size_t *ret_n)
{
	struct oci_id_mapping *m;
	void *p;
	size_t n;
	int rc = oci_read_array(c, v, sizeof(*m), read_mapping, &p, &n);

	if (rc < 0)
		return rc;
	if (n > AGENT_MAX_ID_MAPPINGS)
		return oci_fail(c, v, "more than %d mappings", AGENT_MAX_ID_MAPPINGS);
	m = p;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (overlap(m[i].container_id, m[i].size, m[k].container_id, m[k].size) ||
			    overlap(m[i].host_id, m[i].size, m[k].host_id, m[k].size))
				return oci_fail(c, v->items[i], "overlaps with another mapping");
	*ret = m;
	*ret_n = n;
	return 0;
}

int oci_read_uid_mappings(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;

	return oci_read_mappings(c, v, &s->uid_mappings, &s->n_uid_mappings);
}

int oci_read_gid_mappings(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;

	return oci_read_mappings(c, v, &s->gid_mappings, &s->n_gid_mappings);
}

static int read_nanosecs(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_u32(c, v, dst);

	if (rc == 0 && *(uint32_t *)dst > 999999999)
		return oci_fail(c, v, "%.20s is out of range, 0 to 999999999", v->str);
	return rc;
}

static const struct oci_field offset_fields[] = {
	OCI_FIELD("secs", OCI_GUEST, struct oci_time_offset, secs, oci_read_i64),
	OCI_FIELD("nanosecs", OCI_GUEST, struct oci_time_offset, nanosecs, read_nanosecs),
	OCI_END,
};

static int read_offset(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_time_offset *o = dst;

	o->present = true;
	return oci_read_object(c, v, offset_fields, o);
}

const struct oci_field oci_time_offset_fields[] = {
	OCI_FIELD("monotonic", OCI_GUEST, struct oci_spec, monotonic, read_offset),
	OCI_FIELD("boottime", OCI_GUEST, struct oci_spec, boottime, read_offset),
	OCI_END,
};

/* A clock that the specification does not know must not be passed over: runc, too, refuses it. */
int oci_read_time_offsets(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_object(c, v, oci_time_offset_fields, dst);

	for (size_t i = 0; rc == 0 && i < v->count; i++)
		if (strcmp(v->items[i]->key, "monotonic") != 0 &&
		    strcmp(v->items[i]->key, "boottime") != 0)
			return oci_fail(c, v->items[i], "no clock that has an offset");
	return rc;
}
