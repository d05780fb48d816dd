// SPDX-License-Identifier: Apache-2.0
/* linux.netDevices: {"name on the host": {"name": "name in the container"}}. */
#include <string.h>

#include "runtime/oci/field.h"

/* As the kernel has it: dev_valid_name(). */
static bool is_name(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < sizeof(((struct oci_net_device *)0)->name) && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 &&
	       strcspn(s, "/: \t\n\v\f\r") == len;
}

struct entry {
	const char *name;
};

const struct oci_field oci_net_device_fields[] = {
	OCI_FIELD("name", OCI_HOST, struct entry, name, oci_read_str),
	OCI_END,
};

static int read_one(struct oci_ctx *c, const struct json *v, struct oci_net_device *d)
{
	struct entry n = { .name = "" };
	int rc = oci_read_object(c, v, oci_net_device_fields, &n);

	if (rc < 0)
		return rc;
	/* runc's words. */
	if (!is_name(v->key))
		return oci_fail(c, v, "invalid network device name \"%.40s\"", v->key);
	if (!n.name || !*n.name)
		n.name = v->key;
	if (!is_name(n.name))
		return oci_fail(c, v, "invalid network device name \"%.40s\"", n.name);
	strcpy(d->host, v->key);
	strcpy(d->name, n.name);
	return 0;
}

int oci_read_net_devices(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;

	if (v->type != JSON_OBJECT)
		return oci_fail(c, v, "must be an object");
	if (v->count > OCI_MAX_NET_DEVICES)
		return oci_fail(c, v, "more than %d", OCI_MAX_NET_DEVICES);
	s->net_devices = oci_pool_alloc(c->pool, v->count + 1, sizeof(*s->net_devices));
	if (!s->net_devices)
		return err_set(c->e, ENOMEM, "out of memory");
	for (size_t i = 0; i < v->count; i++) {
		int rc = read_one(c, v->items[i], &s->net_devices[i]);

		if (rc < 0)
			return rc;
		for (size_t k = 0; k < i; k++)
			if (strcmp(s->net_devices[k].name, s->net_devices[i].name) == 0)
				return oci_fail(c, v->items[i], "another is named \"%s\"", s->net_devices[i].name);
	}
	s->n_net_devices = v->count;
	return 0;
}
